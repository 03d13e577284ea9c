"""How both adapters behave under the faults that senders are known to fail: real sockets, real TLS.

3,000 notifications, 500 under way at once, against the simulator; its ledger says what was true.

    python benchmarks/faults.py                 the table, as Markdown
    python benchmarks/faults.py --write FILE    the same into a file
    python benchmarks/faults.py --only mute     rows whose name contains the word
"""

import argparse
import asyncio
import platform
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import trio
import trio.testing

import apns_asyncio
import apns_trio
from apns_core import (
    Accepted,
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
from apns_core.retries import BUDGET, BUDGET_COST
from apns_simulator import GoAway, Ledger, SimulatorThread, Temper

COUNT: Final = 3_000
CONCURRENT: Final = 500
CONFIG: Final = SenderConfig(
    max_connections=1,
    max_queued=CONCURRENT // 2,
    connection=ConnectionConfig(max_streams=CONCURRENT // 2),
)
PAYLOAD: Final = b'{"aps":{"alert":"' + b"x" * 180 + b'"}}'
REJECTED_PREFIX: Final = "dead"
SIX_MINUTES: Final = 360.0


class Signer(Protocol):
    """What signs provider tokens."""

    def sign(self, issued_at: int) -> str: ...


class CountingSigner:
    """Counts what it signs."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.signed = 0

    def sign(self, issued_at: int) -> str:
        self.signed += 1
        return self._signer.sign(issued_at)


@dataclass(frozen=True)
class Fault:
    """One row: a server's temper, and what must be true of what came of it."""

    name: str
    temper: Temper
    verdict: Callable[["Run"], bool]
    promise: str
    age_token: bool = False
    black_hole_after: int | None = None


@dataclass
class Run:
    """What was seen of one fault with one adapter."""

    outcomes: list[Outcome[object]]
    ledger: Ledger
    signed: int
    seconds: float
    longest_pause: float
    """Seconds without any outcome."""

    def count(self, kind: type) -> int:
        return sum(type(outcome) is kind for outcome in self.outcomes)

    @property
    def accepted(self) -> int:
        return self.count(Accepted)

    @property
    def requests(self) -> int:
        return self.ledger.processed_count

    @property
    def lost(self) -> int:
        """Notifications without an outcome, or with one that says unprocessed."""
        return COUNT - len(self.outcomes) + self.count(Unprocessed)

    @property
    def duplicates(self) -> int:
        """Devices to which more than one notification was accepted by the server."""
        return sum(count > 1 for count in self.ledger.accepted_by_device().values())

    @property
    def honest(self) -> bool:
        """Whether each acceptance that was reported is in the ledger, and once."""
        there = self.ledger.accepted_by_device()
        here = Counter(
            outcome.notification.path.decode().rpartition("/")[2]
            for outcome in self.outcomes
            if not isinstance(outcome, Rejected | Unknown | Unprocessed)
        )
        return all(there[token] == count == 1 for token, count in here.items())


def all_accepted_once(run: Run) -> bool:
    return run.accepted == COUNT and run.lost == run.duplicates == 0


def only_the_rejected(run: Run) -> bool:
    return (
        run.count(Rejected) == COUNT // 50
        and run.accepted == COUNT - COUNT // 50
        and run.lost == run.duplicates == 0
    )


def one_signature_more(run: Run) -> bool:
    return all_accepted_once(run) and run.signed == 2 and run.requests <= 1.1 * COUNT


def muted_are_unknown(run: Run) -> bool:
    return (
        run.count(Unknown) + run.accepted == COUNT
        and 0 < run.count(Unknown) <= CONCURRENT
        and run.lost == run.duplicates == 0
    )


def recovered_in_time(run: Run) -> bool:
    return muted_are_unknown(run) and run.longest_pause <= 26.0


def within_budget(run: Run) -> bool:
    return run.count(Rejected) == COUNT and run.requests <= COUNT + BUDGET / BUDGET_COST


FAULTS: Final = (
    Fault(
        "cold burst on one stream",
        Temper(),
        lambda run: (
            all_accepted_once(run)
            and len(run.ledger.connections) == 1
            and run.ledger.streams_before_acceptance == 1
        ),
        "0 lost; 1 connection; 1 stream until accepted",
    ),
    Fault(
        "GOAWAY mid-batch, later streams ignored",
        Temper(first_connections=1, goaway_after=COUNT // 3, goaway_frames=(GoAway(),)),
        all_accepted_once,
        "0 lost; 0 duplicates",
    ),
    Fault(
        "every 50th rejected, limit drops to 1",
        Temper(limit_drop_on_rejection=True),
        only_the_rejected,
        "only those rejected",
    ),
    Fault(
        "expired token mid-way",
        Temper(
            first_connections=1,
            answer_status=403,
            answer_reason="ExpiredProviderToken",
            answer_from=COUNT // 3,
        ),
        one_signature_more,
        "0 lost; 1 more signature; requests <= 1.1 x notifications",
        age_token=True,
    ),
    Fault(
        "mute server",
        Temper(first_connections=1, silent_after=COUNT // 3),
        muted_are_unknown,
        "goes on with another connection; the muted are Unknown",
    ),
    Fault(
        "half-open TCP",
        Temper(),
        recovered_in_time,
        "goes on within 26 s; those in flight are Unknown",
        black_hole_after=200_000,
    ),
    Fault(
        "all answered 503",
        Temper(answer_status=503, answer_reason="ServiceUnavailable"),
        within_budget,
        f"attempts <= notifications + {BUDGET / BUDGET_COST:.0f}",
    ),
)


def notifications(route: Route) -> Iterator[Notification]:
    for number in range(COUNT):
        prefix = REJECTED_PREFIX if number % 50 == 49 else "feed"
        yield Notification(route, f"{prefix}{number:060x}", PAYLOAD)


class Watch:
    """Collects outcomes, and the longest time between two."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome[object]] = []
        self.longest_pause = 0.0
        self._last = time.monotonic()

    def add(self, outcome: Outcome[object]) -> None:
        now = time.monotonic()
        self.longest_pause = max(self.longest_pause, now - self._last)
        self._last = now
        self.outcomes.append(outcome)


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward: tokens age, and nobody waits."""

    def __init__(self) -> None:
        super().__init__(selectors.DefaultSelector())
        self.ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def run_asyncio(fault: Fault, endpoint: Endpoint, simulator: SimulatorThread) -> Run:
    watch, signer, route = Watch(), CountingSigner(simulator.provider_key), Route("com.example.app")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        client = apns_asyncio.Client(
            endpoint,
            token_signer=signer,
            ssl_context=simulator.client_context(),
            config=CONFIG,
        )
        async with client:
            source = notifications(route)
            if fault.age_token:
                watch.add(await client.send(next(source)))
                assert isinstance(loop, JumpingLoop)
                loop.ahead = SIX_MINUTES
            async for outcome in client.send_many(source):
                watch.add(outcome)

    started = time.monotonic()
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())
    seconds = time.monotonic() - started
    return Run(watch.outcomes, simulator.ledger(), signer.signed, seconds, watch.longest_pause)


def run_trio(fault: Fault, endpoint: Endpoint, simulator: SimulatorThread) -> Run:
    watch, signer, route = Watch(), CountingSigner(simulator.provider_key), Route("com.example.app")
    clock = trio.testing.MockClock(rate=1.0)

    async def main() -> None:
        client = apns_trio.Client(
            endpoint,
            token_signer=signer,
            ssl_context=simulator.client_context(),
            config=CONFIG,
        )
        async with client:
            source = notifications(route)
            if fault.age_token:
                watch.add(await client.send(next(source)))
                clock.jump(SIX_MINUTES)
            async for outcome in client.send_many(source):
                watch.add(outcome)

    started = time.monotonic()
    trio.run(main, clock=clock)
    seconds = time.monotonic() - started
    return Run(watch.outcomes, simulator.ledger(), signer.signed, seconds, watch.longest_pause)


ADAPTERS: Final = {"asyncio": run_asyncio, "trio": run_trio}


@contextmanager
def black_hole(target: Endpoint, after: int | None) -> Iterator[Endpoint]:
    """Forward to ``target``; the first connection goes silent both ways after so many octets."""
    if after is None:
        yield target
        return
    listener = socket.create_server(("127.0.0.1", 0))
    sockets: list[socket.socket] = [listener]

    def forward(source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        try:
            while data := source.recv(65_536):
                if limit is not None:
                    limit -= len(data)
                    if limit < 0:
                        return  # neither closed nor read: half-open
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def accept() -> None:
        limit: int | None = after
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((target.host, target.port))
            sockets.extend((client, server))
            # What goes up is cut; what comes down then ends by itself, for nothing is asked.
            for source, sink, bound in ((client, server, limit), (server, client, None)):
                threading.Thread(target=forward, args=(source, sink, bound), daemon=True).start()
            limit = None

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield replace(target, port=listener.getsockname()[1])
    finally:
        for each in sockets:
            each.close()


def measure(fault: Fault, adapter: str) -> tuple[bool, str]:
    """Run one fault with one adapter; return whether the promise was kept, and a table row."""
    with SimulatorThread(temper=fault.temper) as simulator:
        simulator.reject(REJECTED_PREFIX, _rejection(fault))
        with black_hole(Endpoint(simulator.host, simulator.port), fault.black_hole_after) as at:
            run = ADAPTERS[adapter](fault, at, simulator)
    kept = fault.verdict(run) and run.honest and not run.ledger.violations
    cells = (
        fault.name,
        adapter,
        run.accepted,
        run.count(Rejected),
        run.count(Unprocessed),
        run.count(Unknown),
        run.duplicates,
        run.requests,
        len(run.ledger.connections),
        run.signed,
        f"{run.longest_pause:.1f}",
        f"{run.seconds:.1f}",
        fault.promise,
        "kept" if kept else "**BROKEN**",
    )
    return kept, "| " + " | ".join(map(str, cells)) + " |"


def _rejection(fault: Fault) -> str | None:
    return "BadDeviceToken" if fault.temper.limit_drop_on_rejection else None


HEADER: Final = """\
| fault | adapter | accepted | rejected | unprocessed | unknown | duplicates | requests | \
connections | signatures | longest pause (s) | total (s) | promise | |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", type=Path, help="write the page to a file")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    lines, good = [HEADER], True
    for fault in FAULTS:
        if options.only in fault.name:
            for adapter in ADAPTERS:
                kept, row = measure(fault, adapter)
                good = good and kept
                lines.append(row)
                print(row, file=sys.stderr, flush=True)
    page = f"""# Behaviour under faults

Made by `python benchmarks/faults.py`: {COUNT:,} notifications, {CONCURRENT} under way at once, over
TLS on loopback to the simulator; CPython {platform.python_version()}. Outcomes are compared one by
one with the server's ledger. *Requests* are those that the server read to their end.

{chr(10).join(lines)}
"""
    if options.write is not None:
        options.write.write_text(page)
    else:
        print(page)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
