"""What every driver reads and prints. It imports the standard library alone.

A driver is run in the environment of its library, as ``python -m peers.NAME``, with

    --host --port   the server
    --ca            the authority to trust, a PEM file
    --key           a signing key for provider tokens, a PEM file
    --warm-up       pushes that go first and are not measured
    --count         pushes that are measured
    --in-flight     requests that are open at once

and prints one line of JSON: ``sent``, ``ok`` (answered with 200), ``seconds``, ``cpu_user`` and
``cpu_sys`` of this process during the measured pushes, and ``versions``. Warm-up and measured
pushes go over the same client.
"""

import argparse
import asyncio
import hashlib
import json
import resource
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import islice

__all__ = [
    "DEVICES",
    "ENCODED",
    "KEY_ID",
    "PAYLOAD",
    "TEAM_ID",
    "TOPIC",
    "Load",
    "Meter",
    "device_tokens",
    "drive",
    "parse",
]

TEAM_ID = "DEF123GHIJ"
KEY_ID = "ABC123DEFG"
TOPIC = "com.example.app"
PAYLOAD = {
    "aps": {"alert": {"title": "The shop is open", "body": "Come in and look around: it is warm"}},
    "shop": "the-quay",
}
"""109 octets as JSON without spaces. A library that writes spaces sends a few more."""
ENCODED = json.dumps(PAYLOAD, separators=(",", ":")).encode()
"""For senders that take a body rather than a dictionary."""
DEVICES = tuple(hashlib.sha256(b"%d" % number).hexdigest() for number in range(1_000))
"""Each push goes to the next; no two requests in flight have the same path. Their digits are spread
like those of real ones, which matters to Huffman codes."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a driver is asked to do."""

    host: str
    port: int
    ca: str
    key: str
    warm_up: int
    count: int
    in_flight: int


def parse(argv: Sequence[str] | None = None) -> Load:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description="a driver; see peers/contract.py")
    for name in ("host", "ca", "key"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("port", "warm-up", "count", "in-flight"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return Load(**vars(parser.parse_args(argv)))


def device_tokens(count: int) -> Iterator[str]:
    """Yield ``count`` device tokens, round and round."""
    whole, rest = divmod(count, len(DEVICES))
    for _ in range(whole):
        yield from DEVICES
    yield from islice(DEVICES, rest)


class Meter:
    """Measures this process from when it is made until `stop`."""

    def __init__(self) -> None:
        self._usage = resource.getrusage(resource.RUSAGE_SELF)
        self._start = time.perf_counter()
        self._result: dict[str, float] = {}

    def stop(self) -> None:
        """Take the end of the measured part."""
        seconds = time.perf_counter() - self._start
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._result = {
            "seconds": seconds,
            "cpu_user": usage.ru_utime - self._usage.ru_utime,
            "cpu_sys": usage.ru_stime - self._usage.ru_stime,
        }

    def report(self, sent: int, ok: int, *packages: str) -> None:
        """Print the result; ``packages`` are those whose versions it names."""
        versions = {name: metadata.version(name) for name in packages}
        print(json.dumps({"sent": sent, "ok": ok, **self._result, "versions": versions}))


async def drive(load: Load, send: Callable[[str], Awaitable[bool]], *packages: str) -> None:
    """Push from ``in_flight`` tasks that live throughout; ``send`` says whether it was a 200."""

    async def worker(tokens: Iterator[str]) -> int:
        return sum([await send(token) for token in tokens])

    async def phase(count: int) -> int:
        tokens = device_tokens(count)
        return sum(await asyncio.gather(*(worker(tokens) for _ in range(load.in_flight))))

    await phase(load.warm_up)
    meter = Meter()
    ok = await phase(load.count)
    meter.stop()
    meter.report(load.count, ok, *packages)
