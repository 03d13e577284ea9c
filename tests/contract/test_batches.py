"""What a batch does at its ends: its source stopped, what that gave accounted for."""

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import count
from typing import cast

import pytest

from apns_core import InvalidField, Notification, Route
from apns_simulator import make_provider_key
from tests.contract.kit import (
    Client,
    Kit,
    both_loops,
    collect,
    counted,
    describe,
    device,
    each_loop,
    log_of,
    notification,
    number_of,
    send,
)

NO_NOTIFICATION = cast("Notification", {"device_token": device(1)})


@pytest.mark.parametrize("wrong", ["a route without a topic", "no notification"])
@pytest.mark.parametrize("end", ["closing", "an exception"])
@both_loops
async def test_a_source_is_stopped_when_what_it_gave_cannot_be_submitted(
    kit: Kit, wrong: str, end: str
) -> None:
    """Its outcomes are left alone then, so that nobody learns of it."""
    steps: list[str] = []
    bad = NO_NOTIFICATION if wrong == "no notification" else Notification(Route(None), "00", b"{}")

    async def source() -> AsyncIterator[Notification]:
        try:
            yield notification(1)
            yield bad
            await kit.sleep(50_000)
        finally:
            steps.append("stopped")

    async def use(client: Client) -> None:
        async with client:
            outcomes = client.send_many(source())
            await outcomes.__anext__()
            await kit.sleep(1)
            assert steps == ["stopped"]
            if end == "an exception":
                raise ZeroDivisionError

    key = make_provider_key()
    server = kit.serve(authentication="token", trusted_keys=key.trusted())
    using = kit.spawn(use, kit.client(server, signer=key))
    assert await using.end() == ("ZeroDivisionError" if end == "an exception" else "None")
    assert kit.now() == 1


@pytest.mark.parametrize("how", ["aclosing", "closing"])
@both_loops
async def test_a_source_that_loses_its_cancellation_is_stopped_all_the_same(
    kit: Kit, how: str
) -> None:
    """As one does that polls, and tries again whatever happened."""
    given: list[int] = []

    async def source() -> AsyncIterator[Notification]:
        for number in count():
            with suppress(BaseException):
                await kit.sleep(1)
            given.append(number)
            yield notification(number)

    async def work(client: Client) -> None:
        async with client:
            outcomes = client.send_many(source())
            await outcomes.__anext__()
            if how == "aclosing":
                await outcomes.aclose()
                assert len(given) <= 2

    working = kit.spawn(work, kit.client(kit.serve()))
    await kit.sleep(10)
    assert await working.end() == "None"
    assert len(given) <= 2


@both_loops
async def test_nobody_waits_in_line_behind_batches_whose_callers_are_busy(kit: Kit) -> None:
    async def source(number: int) -> AsyncIterator[Notification]:
        while True:
            await kit.sleep(0.05)
            yield notification(number)

    async def work(client: Client, number: int) -> None:
        async for _ in client.send_many(source(number)):
            await kit.sleep(1_000)

    server = kit.serve(hangs="TLS")
    async with kit.client(server, max_queued=4, connection={"request_timeout": 1.0}) as client:
        batches = await kit.spawn_in_order(work, client, range(12))
        await kit.sleep(20)
        with kit.at_most(5) as alarm:
            assert await send(client, 100) == "unprocessed DEADLINE"
        for batch in batches:
            batch.cancel()
            await batch.end()
        assert not alarm.expired


@each_loop
async def test_what_was_read_ahead_when_the_client_closes_has_an_outcome(kit: Kit) -> None:
    given: list[int] = []

    async def source() -> AsyncIterator[Notification]:
        for each in range(200):
            given.append(each)
            yield notification(each)

    outcomes: dict[int, str] = {}

    async def work(client: Client) -> None:
        async for outcome in client.send_many(source()):
            outcomes[number_of(outcome)] = describe(outcome)

    server = kit.serve(latency=0.1, max_concurrent_streams=1)
    async with kit.client(server, max_queued=10) as client:
        working = kit.spawn(work, client)
        await kit.sleep(1)
        await client.aclose()
        assert await working.end() == "ClientClosed"
    assert sorted(outcomes) == given
    assert counted(outcomes) == {
        "accepted": server.ledger.processed_count,
        "unprocessed CLOSED": len(given) - server.ledger.processed_count,
    }
    assert 0 < server.ledger.processed_count < len(given)


@both_loops
async def test_what_was_read_ahead_of_what_cannot_be_submitted_has_an_outcome(kit: Kit) -> None:
    async def source() -> AsyncIterator[Notification]:
        yield notification(1)
        yield Notification(Route(None), device(2), b"{}")
        yield notification(3)
        try:
            await kit.sleep(50_000)
        finally:
            yield notification(4)

    outcomes: dict[int, str] = {}
    key = make_provider_key()
    server = kit.serve(authentication="token", trusted_keys=key.trusted())
    async with kit.client(server, signer=key) as client:
        with pytest.raises(InvalidField, match=r"^topic: missing"):  # noqa: PT012 - at its end
            async for outcome in client.send_many(source()):
                outcomes[number_of(outcome)] = describe(outcome)
    assert outcomes == {1: "accepted", 3: "unprocessed CLOSED", 4: "unprocessed CLOSED"}


@pytest.mark.parametrize("how", ["aclosing", "closing", "what cannot be submitted"])
@each_loop
async def test_a_generator_that_is_a_source_is_closed(kit: Kit, how: str) -> None:
    """Also where it waits for nothing but to be asked, and somebody holds it."""
    steps: list[str] = []

    async def endless() -> AsyncIterator[Notification]:
        try:
            for number in count():
                wrong = number == 0 and how == "what cannot be submitted"
                yield NO_NOTIFICATION if wrong else notification(number)
        finally:
            with kit.shielded():
                await kit.sleep(1)
            steps.append("closed")

    source = endless()
    async with kit.client(kit.serve(), max_queued=10) as client:
        outcomes = client.send_many(source)
        if how == "what cannot be submitted":
            with pytest.raises(AttributeError):
                await collect(outcomes)
        else:
            await outcomes.__anext__()
            await (outcomes if how == "aclosing" else client).aclose()
        assert steps == ["closed"]
        await outcomes.aclose()
    assert kit.now() == 1


@pytest.mark.parametrize(("rows", "seconds"), [(200, 0.01), (1, 1.5)])
@each_loop
async def test_a_deadline_counts_from_when_a_slow_source_gave_something(
    kit: Kit, rows: int, seconds: float
) -> None:
    def source() -> Iterator[Notification]:
        for number in range(rows):
            kit.block(seconds)
            yield notification(number)

    async with kit.client(kit.serve(), connection={"request_timeout": 1.0}) as client:
        assert await send(client, 1_000) == "accepted"
        outcomes = await collect(client.send_many(source()))
    assert counted(outcomes) == {"accepted": rows}


@each_loop
async def test_others_have_their_turn_between_the_rows_of_a_slow_source(kit: Kit) -> None:
    given: list[int] = []

    def source() -> Iterator[Notification]:
        for number in range(200):
            kit.block(0.01)
            given.append(number)
            yield notification(number)

    async with kit.client(kit.serve()) as client:
        assert await send(client, 1_000) == "accepted"
        batch = kit.spawn(collect, client.send_many(source()))
        await kit.until(lambda: given)
        before = len(given)
        await kit.turns(1)
        assert len(given) - before <= 16
        assert await send(client, 1_000) == "accepted"
        assert len(given) < 200
        assert (await batch.end()).count("accepted") == 200


@pytest.mark.parametrize("how", ["aclosing", "closing", "what cannot be submitted"])
@both_loops
async def test_what_a_source_raises_when_it_is_closed_is_told(kit: Kit, how: str) -> object:
    async def source() -> AsyncIterator[Notification]:
        try:
            yield notification()
            if how == "what cannot be submitted":
                yield NO_NOTIFICATION
            await kit.sleep(50_000)
        finally:
            raise ZeroDivisionError

    with log_of(f"apns_{kit.name}") as log:
        async with kit.client(kit.serve()) as client:
            outcomes = client.send_many(source())
            assert describe(await outcomes.__anext__()) == "accepted"
            await (outcomes if how == "aclosing" else client).aclose()
            end = await kit.spawn(collect, outcomes).end()
    assert log.said == [("WARNING", "a source raised ZeroDivisionError when it was closed")]
    return end


@both_loops
async def test_what_a_source_raises_is_told_once(kit: Kit) -> None:
    """Raised to who takes the outcomes, it is not for the log, whatever comes before that."""

    async def source() -> AsyncIterator[Notification]:
        yield notification()
        raise ZeroDivisionError

    with log_of(f"apns_{kit.name}") as log:
        async with kit.client(kit.serve()) as client:
            outcomes = client.send_many(source())
            assert describe(await outcomes.__anext__()) == "accepted"
            await client.aclose()
            assert await kit.spawn(collect, outcomes).end() == "ZeroDivisionError"
    assert log.said == []


@pytest.mark.parametrize("again", ["asked again", "left alone"])
@both_loops
async def test_a_source_may_close_the_outcomes_that_are_made_of_it(kit: Kit, again: str) -> None:
    steps: list[str] = []

    async def source() -> AsyncIterator[Notification]:
        try:
            yield notification()
            await kit.sleep(1)
            await outcomes.aclose()
            await kit.sleep(50_000)
        finally:
            with kit.shielded():
                await kit.sleep(1)
            steps.append("ended")

    async with kit.client(kit.serve()) as client:
        outcomes = client.send_many(source())
        assert describe(await outcomes.__anext__()) == "accepted"
        await kit.sleep(10)
        assert steps == ["ended"]
        if again == "asked again":
            assert await collect(outcomes) == {}
        assert await send(client, 1) == "accepted"
    assert kit.now() == 10


@both_loops
async def test_a_source_that_raises_what_would_pass_for_its_end(kit: Kit) -> None:
    def source() -> Iterator[Notification]:
        yield notification()
        raise StopAsyncIteration

    async with kit.client(kit.serve()) as client:
        outcomes = client.send_many(source())
        assert describe(await outcomes.__anext__()) == "accepted"
        with pytest.raises(RuntimeError, match="raised StopAsyncIteration"):
            await outcomes.__anext__()


@each_loop
async def test_outcomes_that_nobody_ever_named_are_stopped(kit: Kit) -> None:
    given: list[int] = []

    async def source() -> AsyncIterator[Notification]:
        for number in count():
            await kit.sleep(0.1)
            given.append(number)
            yield notification(number)

    async with kit.client(kit.serve()) as client:
        assert describe(await client.send_many(source()).__anext__()) == "accepted"
        gc.collect()
        await kit.sleep(10)
        assert len(given) <= 2
