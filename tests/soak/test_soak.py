import asyncio
import random
from collections import Counter
from contextlib import suppress

import pytest

from apns_cli.audit import Discrepancy
from apns_core import Accepted, Cause, Endpoint, Outcome, Unknown, Unprocessed
from apns_simulator import Ledger
from apns_simulator.ledger import LedgerEntry
from tests.soak.chaos import TREATMENTS, ChaosProxy
from tests.soak.rounds import ADAPTERS, WITHDRAWN, compare, notifications, run_round

SUBMITTED = notifications(random.Random(1), WITHDRAWN + 3)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_round_is_as_it_must_be(adapter: str) -> None:
    done = run_round(adapter, seed=1, count=400)
    assert done.faults == []
    assert done.treated.total() >= 2
    assert 400 - WITHDRAWN <= len(done.outcomes) <= 400


def book(*places: int) -> Ledger:
    """The ledger of a server that accepted the notifications at these places."""
    ledger = Ledger()
    for place in places:
        entry = LedgerEntry(1, 1, SUBMITTED[place].device_token, f"id-{place}", "t", 200, None)
        ledger.process(entry)
        ledger.answer(entry)
    return ledger


def accepted(place: int) -> Outcome[object]:
    return Accepted(SUBMITTED[place], None, f"id-{place}")


@pytest.mark.parametrize(
    ("outcomes", "ledger", "found"),
    [
        ([accepted(0), accepted(1), accepted(2)], book(0, 1, 2), {}),
        (
            [accepted(0), Unknown(SUBMITTED[1], None, Cause.CONNECTION_LOST), accepted(2)],
            book(0, 1, 2),
            {},
        ),
        # Of what was withdrawn, some may have been sent.
        ([accepted(0), accepted(1), accepted(2)], book(0, 1, 2, 7), {}),
        ([accepted(0), accepted(1)], book(0, 1), {Discrepancy.NO_OUTCOME: 1}),
        ([accepted(0), accepted(1), accepted(2)], book(0, 1), {Discrepancy.NOT_PROCESSED: 1}),
        (
            [accepted(0), accepted(1), accepted(2)],
            book(0, 1, 2, 2),
            {Discrepancy.PROCESSED_AGAIN: 1},
        ),
        (
            [accepted(0), accepted(1), Unprocessed(SUBMITTED[2], None, Cause.DEADLINE)],
            book(0, 1, 2),
            {Discrepancy.UNPROCESSED: 1},
        ),
    ],
)
def test_what_is_wrong_is_found(
    outcomes: list[Outcome[object]], ledger: Ledger, found: dict[Discrepancy, int]
) -> None:
    assert compare(SUBMITTED, outcomes, ledger) == Counter(found)


@pytest.mark.parametrize("name", TREATMENTS)
def test_every_treatment_lets_through_what_it_does_not_cut(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = random.Random(2).randbytes(100_000)

    ended = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        ended.set()

    async def main() -> bytes:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with ChaosProxy(Endpoint("127.0.0.1", port), seed=3) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(sent)
            received = b""
            try:
                async with asyncio.timeout(1 if name == "half open" else 10):
                    while len(received) < len(sent) and (data := await reader.read(65_536)):
                        received += data
                        if name == "half open":
                            proxy.calm()
            except (TimeoutError, OSError):
                proxy.calm()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        await ended.wait()
        server.close()
        return received

    treatment = TREATMENTS[name]
    monkeypatch.setattr("tests.soak.chaos.TREATMENTS", {name: treatment})
    received = asyncio.run(main())
    assert sent.startswith(received)
    if name not in {"cut", "reset", "half open"}:
        assert received == sent
