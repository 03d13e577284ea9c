"""Millions on one connection: accepted, then rejected, over TLS to nginx, and nothing is kept.

python -m tests.soak.one_connection                   a million of each, on either adapter
python -m tests.soak.one_connection --count 100000    fewer
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final, TypeAlias

import trio

import apns_asyncio
import apns_trio
from apns_core import (
    Accepted,
    Endpoint,
    Notification,
    Outcome,
    Rejected,
    Route,
    SenderConfig,
)
from apns_core.metrics import Metrics
from tests.peers.servers import running
from tests.soak.rounds import Usage, usage

__all__ = ["CLIENTS", "GROWTH_KIB", "KINDS", "Stretch", "Watch", "notifications", "send_stretches"]

KINDS: Final = {"accepted": "feed", "rejected": "dead"}
"""What nginx makes of a notification -> how the device token begins."""

SAMPLES: Final = 20
"""Looks at what the process holds, over one stretch."""

GROWTH_KIB: Final = 1_024
"""Of resident memory from a quarter of a stretch to its end: an octet a notification."""

_PAYLOAD: Final = b'{"aps":{"alert":"' + b"x" * 180 + b'"}}'
_CONFIG: Final = SenderConfig(max_connections=1)
_FOR_EVER: Final = 2**31 - 1


@dataclass(frozen=True)
class Stretch:
    """A row of notifications that all came to the same end, and what was held on the way."""

    kind: str
    count: int
    """Outcomes of that kind."""
    others: int
    """Outcomes of any other kind, and those of a notification that had one before."""
    connects: int
    """Since the client was made."""
    cpu_us: float
    """Microseconds of CPU a notification, making it included."""
    settled: Usage
    """After a quarter."""
    last: Usage

    @property
    def faults(self) -> list[str]:
        """In what it was not as it must be; empty if it was."""
        growth = self.last.rss_kib - self.settled.rss_kib
        return [
            *[f"{self.others} had another outcome than {self.kind}"] * bool(self.others),
            *[f"{self.connects} connections were made"] * (self.connects != 1),
            *[f"{growth} KiB were kept"] * (growth > GROWTH_KIB),
            *[f"files: {self.settled.files} became {self.last.files}"]
            * (self.last.files > self.settled.files),
            *[f"threads: {self.settled.threads} became {self.last.threads}"]
            * (self.last.threads > self.settled.threads),
        ]


class Watch:
    """Counts the outcomes of one stretch, and looks at the process now and then."""

    def __init__(self, kind: str, count: int, samples: int = SAMPLES) -> None:
        self._kind = kind
        self._total = count
        self._next = 0
        """The numbers come back in their order but for some hundreds that are under way."""
        self._pending: set[int] = set()
        self._count = self._others = self._seen = 0
        self._every = max(1, count // samples)
        self._held: list[Usage] = []
        self._started = process_time()

    def take(self, outcome: Outcome[object]) -> None:
        """Count one outcome."""
        number = int(outcome.notification.path[-_DIGITS:])
        wanted = Accepted if self._kind == "accepted" else Rejected
        if type(outcome) is wanted and number >= self._next and number not in self._pending:
            self._count += 1
        else:
            self._others += 1
        self._pending.add(number)
        while self._next in self._pending:
            self._pending.remove(self._next)
            self._next += 1
        self._seen += 1
        if self._seen % self._every == 0:
            self._held.append(usage())

    def done(self, metrics: Metrics) -> Stretch:
        """Return what came of it, once all outcomes were taken."""
        return Stretch(
            kind=self._kind,
            count=self._count,
            others=self._others + self._total - self._next,
            connects=metrics.connects,
            cpu_us=round((process_time() - self._started) * 1e6 / self._total, 1),
            settled=self._held[len(self._held) // 4],
            last=self._held[-1],
        )


_DIGITS: Final = 12


def notifications(kind: str, count: int) -> Iterator[Notification]:
    route = Route("com.example.app")
    begin = KINDS[kind] + "0" * (64 - 4 - _DIGITS)
    for number in range(count):
        yield Notification(route, f"{begin}{number:0{_DIGITS}}", _PAYLOAD)


AnyClient: TypeAlias = apns_asyncio.Client | apns_trio.Client

CLIENTS: Final[dict[str, type[AnyClient]]] = {
    "asyncio": apns_asyncio.Client,
    "trio": apns_trio.Client,
}


def send_stretches(adapter: str, count: int, folder: Path, samples: int = SAMPLES) -> list[Stretch]:
    """Send ``count`` of each of `KINDS` on one connection to an nginx that runs in ``folder``."""
    with running("nginx", folder, keepalive_requests=_FOR_EVER) as server:
        client = CLIENTS[adapter](
            Endpoint(server.host, server.port), ssl_context=server.client_context(), config=_CONFIG
        )
        if adapter == "trio":
            return trio.run(_send, client, count, samples)
        return asyncio.run(_send(client, count, samples))


async def _send(client: AnyClient, count: int, samples: int) -> list[Stretch]:
    stretches: list[Stretch] = []
    async with client:
        for kind in KINDS:
            watch = Watch(kind, count, samples)
            async with aclosing(client.send_many(notifications(kind, count))) as outcomes:
                async for outcome in outcomes:
                    watch.take(outcome)
            stretches.append(watch.done(client.metrics))
    return stretches


def main() -> int:
    """Send, print a JSON line for each stretch, and fail where one was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="notifications of each kind")
    parser.add_argument("adapters", nargs="*", metavar="ADAPTER", help="both, if none is named")
    options = parser.parse_args()
    failed = False
    for adapter in options.adapters or CLIENTS:
        with TemporaryDirectory() as folder:
            stretches = send_stretches(adapter, options.count, Path(folder))
        for stretch in stretches:
            row = {"adapter": adapter, **asdict(stretch), "faults": stretch.faults}
            sys.stdout.write(json.dumps(row) + "\n")
            failed = failed or bool(stretch.faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
