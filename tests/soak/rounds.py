"""One round: a client sends through the chaos, the chaos ends, and the books are compared."""

import asyncio
import gc
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

import apns_asyncio
import apns_trio
from apns_cli.audit import Discrepancy, audit
from apns_core import (
    ConnectionConfig,
    Endpoint,
    Notification,
    Outcome,
    Rejected,
    Route,
    SenderConfig,
    Unknown,
    Unprocessed,
)
from apns_simulator import Ledger, SimulatorProcess, Temper
from tests.soak.chaos import ChaosProxy

__all__ = [
    "ADAPTERS",
    "WITHDRAWN",
    "Round",
    "Usage",
    "compare",
    "notifications",
    "run_round",
    "usage",
]

CONFIG: Final = SenderConfig(
    max_connections=3,
    connect_timeout=4.0,
    disconnect_timeout=1.0,
    connect_floor=0.05,
    connection=ConnectionConfig(
        request_timeout=8.0,
        settings_timeout=4.0,
        ping_after=1.0,
        ping_timeout=1.5,
        stall_after=2.0,
        drain_timeout=4.0,
    ),
)
"""Shorter than by default, so that an hour holds as much as a day."""

REJECTIONS: Final = {"bad": "BadDeviceToken", "dead": "Unregistered"}
"""Beginning of a device token -> why the server refuses it."""

TEMPERS: Final = (
    Temper(),
    Temper(goaway_after=400),
    Temper(refuse_every=50),
    Temper(limit_drop_on_rejection=True),
    Temper(body_style="split", ping_every=0.2),
    Temper(body_style="padded", informational=2),
    Temper(close_after_requests=700, close_by="abort"),
)
CALM_AFTER: Final = 0.8
"""Share of the notifications that is sent into the chaos; the rest shows that it is over."""


@dataclass
class Round:
    """What came of one round."""

    adapter: str
    outcomes: list[Outcome[object]]
    discrepancies: Counter[Discrepancy]
    violations: list[str]
    treated: Counter[str] = field(default_factory=Counter[str])

    def count(self, kind: type) -> int:
        return sum(type(outcome) is kind for outcome in self.outcomes)

    @property
    def faults(self) -> list[str]:
        """In what the round was not as it must be; empty if it was."""
        return [
            *(f"{count} {found}" for found, count in self.discrepancies.items()),
            *self.violations,
        ]

    @property
    def counts(self) -> dict[str, int]:
        rest = {
            kind.__name__.lower(): self.count(kind) for kind in (Rejected, Unprocessed, Unknown)
        }
        return {"accepted": len(self.outcomes) - sum(rest.values()), **rest}


@dataclass(frozen=True)
class Usage:
    """What this process holds."""

    files: int
    threads: int
    rss_kib: int


def usage() -> Usage:
    """Look at what is held now, after a collection. Linux alone tells."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return Usage(
        files=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - names alone
        threads=int(status["Threads"]),
        rss_kib=int(status["VmRSS"].split()[0]),
    )


def run_round(adapter: str, seed: int, count: int) -> Round:
    """Send ``count`` notifications through the chaos that ``seed`` draws, and compare."""
    rng = random.Random(seed)
    submitted = notifications(rng, count)
    with SimulatorProcess(temper=rng.choice(TEMPERS)) as simulator:
        for prefix, reason in REJECTIONS.items():
            simulator.reject(prefix, reason)
        with ChaosProxy(Endpoint(simulator.host, simulator.port), seed) as chaos:
            outcomes = ADAPTERS[adapter](
                simulator, Endpoint(simulator.host, chaos.port), submitted, chaos.calm
            )
        ledger = simulator.ledger()
    discrepancies = compare(submitted, outcomes, ledger)
    return Round(adapter, outcomes, discrepancies, ledger.violations[:10], chaos.treated)


def compare(
    submitted: list[Notification], outcomes: list[Outcome[object]], ledger: Ledger
) -> Counter[Discrepancy]:
    """Hold outcomes against the ledger, where some answers were lost and some sends withdrawn."""
    answered = {outcome.notification for outcome in outcomes}
    taken = [each for each in submitted if each in answered]
    withdrawn = len(submitted) - len(taken)
    found = audit(taken, outcomes, ledger)
    # No lie: the answer was lost on its way.
    del found[Discrepancy.UNKNOWN]
    # What was withdrawn has no outcome; the server may have seen it, and may not.
    for discrepancy, count in (
        (Discrepancy.NOT_SENT, found[Discrepancy.NOT_SENT] - withdrawn),
        (Discrepancy.NO_OUTCOME, withdrawn - WITHDRAWN),
    ):
        found[discrepancy] = max(0, count)
    return +found


WITHDRAWN: Final = 20
"""So many of a round are sent one by one and cancelled at some moment."""


def notifications(rng: random.Random, count: int) -> list[Notification]:
    """Make notifications to distinct devices; one in fifty is rejected."""
    route = Route("com.example.app")
    payload = b'{"aps":{"alert":"%b"}}' % (b"x" * rng.randint(10, 3_000))
    prefixes = list(REJECTIONS)

    def tokens() -> Iterator[str]:
        for _ in range(count):
            prefix = rng.choice(prefixes) if rng.random() < 0.02 else "feed"
            yield prefix + rng.randbytes(32).hex()[len(prefix) :]

    return [Notification(route, token, payload) for token in tokens()]


Calm = Callable[[], None]


def _with_asyncio(
    simulator: SimulatorProcess, at: Endpoint, submitted: list[Notification], calm: Calm
) -> list[Outcome[object]]:
    outcomes: list[Outcome[object]] = []
    batch, single = submitted[:-WITHDRAWN], submitted[-WITHDRAWN:]

    async def withdraw(client: apns_asyncio.Client, notification: Notification, at: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(at):
                outcomes.append(await client.send(notification))

    async def main() -> None:
        client = apns_asyncio.Client(
            at,
            token_signer=simulator.provider_key,
            ssl_context=simulator.client_context(),
            config=CONFIG,
        )
        async with client, asyncio.TaskGroup() as tasks:
            for number, notification in enumerate(single):
                tasks.create_task(withdraw(client, notification, 0.05 * number))
            async for outcome in client.send_many(batch):
                outcomes.append(outcome)
                if len(outcomes) >= CALM_AFTER * len(batch):
                    calm()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"{len(left)} tasks are left"

    asyncio.run(main())
    return outcomes


def _with_trio(
    simulator: SimulatorProcess, at: Endpoint, submitted: list[Notification], calm: Calm
) -> list[Outcome[object]]:
    outcomes: list[Outcome[object]] = []
    batch, single = submitted[:-WITHDRAWN], submitted[-WITHDRAWN:]

    async def withdraw(client: apns_trio.Client, notification: Notification, at: float) -> None:
        with trio.move_on_after(at):
            outcomes.append(await client.send(notification))

    async def main() -> None:
        client = apns_trio.Client(
            at,
            token_signer=simulator.provider_key,
            ssl_context=simulator.client_context(),
            config=CONFIG,
        )
        async with client, trio.open_nursery() as nursery:
            for number, notification in enumerate(single):
                nursery.start_soon(withdraw, client, notification, 0.05 * number)
            async with aclosing(client.send_many(batch)) as stream:
                async for outcome in stream:
                    outcomes.append(outcome)
                    if len(outcomes) >= CALM_AFTER * len(batch):
                        calm()

    trio.run(main)
    return outcomes


ADAPTERS: Final = {"asyncio": _with_asyncio, "trio": _with_trio}
