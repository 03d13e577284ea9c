"""Run within a network namespace of its own, by ``unshare --net``: one scenario, told as JSON.

python -m tests.network.scenarios narrow asyncio
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import trio

import apns_asyncio
import apns_trio
from apns_cli.audit import Discrepancy, audit
from apns_core import Endpoint, Notification, Outcome, Route
from apns_simulator import SimulatorProcess

__all__ = ["SCENARIOS"]

PAYLOAD: Final = b'{"aps":{"alert":"' + b"x" * 1_000 + b'"}}'
Strike = Callable[[int], None]
"""Does something to the network, given the server's port."""


def narrow(_: int) -> None:
    """Make the loopback interface a line of 4 Mbit/s with a queue, from the beginning."""
    # A packet that is longer than the burst would never pass.
    run("ip", "link", "set", "lo", "mtu", "1500")
    bucket = ("rate", "4mbit", "burst", "16kb", "latency", "100ms")
    run("tc", "qdisc", "add", "dev", "lo", "root", "tbf", *bucket)


def swallow(port: int) -> None:
    """Drop all packets to and from the connections that there are; new ones go through."""
    for ours in established(port):
        for direction, chain in (("--sport", "OUTPUT"), ("--dport", "INPUT")):
            run("iptables", "-A", chain, "-p", "tcp", direction, str(ours), "-j", "DROP")


def kill(port: int) -> None:
    """Destroy the server's sockets where they stand, as a fail-over of a firewall does."""
    run("ss", "-K", "state", "established", f"sport = :{port}")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def established(port: int) -> Iterator[int]:
    """Return the ports at our end of connections to this one."""
    lines = run("ss", "-Htn", "state", "established", f"dport = :{port}").splitlines()
    return (int(line.split()[2].rpartition(":")[2]) for line in lines)


SCENARIOS: Final[dict[str, tuple[int, int | None, Strike]]] = {
    "narrow": (1_000, None, narrow),
    "swallow": (3_000, 1_000, swallow),
    "kill": (3_000, 1_000, kill),
}
"""How many notifications, after how many outcomes it strikes (None: before the first), and how."""


Client = apns_asyncio.Client | apns_trio.Client


async def send(
    make_client: Callable[[], Client],
    port: int,
    submitted: list[Notification],
    after: int | None,
    strike: Strike,
) -> tuple[list[Outcome[object]], float]:
    """Send; return the outcomes, and the longest time without one in seconds."""
    outcomes: list[Outcome[object]] = []
    longest, last = 0.0, time.monotonic()
    async with make_client() as client:
        async for outcome in client.send_many(submitted):
            outcomes.append(outcome)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            if len(outcomes) == after:
                strike(port)
    return outcomes, longest


def main(name: str, loop: str) -> None:
    count, after, strike = SCENARIOS[name]
    run("ip", "link", "set", "lo", "up")
    route = Route("com.example.app")
    submitted = [Notification(route, f"{number:064x}", PAYLOAD) for number in range(count)]
    with SimulatorProcess() as simulator:
        if after is None:
            strike(simulator.port)
        make_client = partial(
            apns_trio.Client if loop == "trio" else apns_asyncio.Client,
            Endpoint(simulator.host, simulator.port),
            token_signer=simulator.provider_key,
            ssl_context=simulator.client_context(),
        )
        run_client = partial(send, make_client, simulator.port, submitted, after, strike)
        outcomes, pause = trio.run(run_client) if loop == "trio" else asyncio.run(run_client())
        found = audit(submitted, outcomes, simulator.ledger())
        connections = len(simulator.ledger().connections)
    # No lie: the answer was lost on its way.
    del found[Discrepancy.UNKNOWN]
    report = {
        "outcomes": Counter(type(outcome).__name__ for outcome in outcomes),
        "longest_pause": pause,
        "connections": connections,
        "discrepancies": found,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
