"""Cancelled anywhere: one caller and nobody else, or everything; and nothing is left of it."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest

from apns_core import ClientClosed, Notification
from apns_simulator import Temper
from tests.contract.kit import (
    Client,
    Kit,
    Task,
    both_loops,
    collect,
    device,
    each_loop,
    notification,
    notifications,
    send,
    trickle,
)
from tests.contract.server import Server

SILENT = Temper(silent_after=0)
"""Reads requests and answers none."""

Place: TypeAlias = Callable[[Kit], Server]
"""Makes a server at which whatever is sent gets so far, and no farther."""
Work: TypeAlias = Callable[[Client], Awaitable[object]]


# ── places ──


def looking_up(kit: Kit) -> Server:
    kit.look_up = lambda: kit.sleep(50_000)
    return kit.serve()


def connecting(kit: Kit) -> Server:
    return kit.serve(hangs="TCP")


def shaking_hands(kit: Kit) -> Server:
    return kit.serve(hangs="TLS")


def awaiting_settings(kit: Kit) -> Server:
    return kit.serve(hangs="HTTP/2")


def in_flight(kit: Kit) -> Server:
    return kit.serve(temper=SILENT)


def after_a_failure(kit: Kit) -> Server:
    return kit.serve(temper=Temper(close_after_requests=0))


PLACES = [looking_up, connecting, shaking_hands, awaiting_settings, in_flight, after_a_failure]


# ── work ──


async def send_batch(client: Client) -> object:
    return await collect(client.send_many(notifications(20)))


async def send_batch_ahead(client: Client) -> object:
    return await collect(client.send_many(trickle(150)))


WORK = [send, send_batch, send_batch_ahead]


async def use(client: Client, work: Work) -> None:
    async with client:
        await work(client)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("place", PLACES)
@both_loops
async def test_the_whole_client(kit: Kit, place: Place, work: Work) -> None:
    client = kit.client(place(kit), max_queued=5)
    using = kit.spawn(use, client, work)
    await kit.sleep(0.3)
    at = kit.now()
    using.cancel()
    assert await using.end() == "cancelled"
    assert kit.now() == at
    with pytest.raises(ClientClosed):
        await send(client)


@pytest.mark.parametrize("turns", range(1, 31))
@each_loop
async def test_the_whole_client_in_any_turn(kit: Kit, turns: int) -> None:
    using = kit.spawn(use, kit.client(kit.serve()), send_batch)
    await kit.turns(turns)
    using.cancel()
    assert await using.end() in {"cancelled", "None"}


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("place", PLACES)
@both_loops
async def test_the_work(kit: Kit, place: Place, work: Work) -> None:
    async with kit.client(place(kit), max_queued=5) as client:
        working = kit.spawn(work, client)
        await kit.sleep(0.3)
        working.cancel()
        assert await working.end() == "cancelled"


@pytest.mark.parametrize("turns", range(1, 31))
@each_loop
async def test_the_work_in_any_turn(kit: Kit, turns: int) -> None:
    server = kit.serve()
    async with kit.client(server) as client:
        working = kit.spawn(send, client, 1)
        other = kit.spawn(send, client, 2)
        await kit.turns(turns)
        working.cancel()
        assert await working.end() in {"cancelled", "accepted"}
        assert await other.end() == "accepted"
    assert server.ledger.by_unprocessed_cause.keys() <= {"reset by client"}
    assert server.ledger.violations == []


@both_loops
async def test_some_among_many(kit: Kit) -> None:
    server = kit.serve(latency=0.5, max_concurrent_streams=30)
    async with kit.client(server, max_queued=40) as client:
        tasks = await kit.spawn_in_order(send, client, range(90))
        await kit.sleep(0.2)  # some in flight, some queued, some waiting for room
        for task in tasks[::3]:
            task.cancel()
        ends = [await task.end() for task in tasks]
    assert ends == ["cancelled", "accepted", "accepted"] * 30
    assert server.ledger.processed_by_device() == {
        device(number): 1 for number in range(90) if number % 3 or number < 30
    }
    assert server.ledger.violations == []


@both_loops
async def test_one_that_waits_for_room_is_never_sent(kit: Kit) -> None:
    server = kit.serve(latency=0.5, max_concurrent_streams=1)
    async with kit.client(server, max_queued=1) as client:
        tasks = await kit.spawn_in_order(send, client, range(4))
        await kit.sleep(0.2)
        tasks[2].cancel()
        ends = [await task.end() for task in tasks]
    assert ends == ["accepted", "accepted", "cancelled", "accepted"]
    assert device(2) not in server.ledger.processed_by_device()


@both_loops
async def test_a_bound_on_one_send(kit: Kit) -> None:
    async with kit.client(kit.serve(temper=SILENT)) as client:
        with kit.at_most(2.5) as alarm:
            await send(client)
        assert alarm.expired
        assert kit.now() == 2.5


@both_loops
async def test_a_batch_leaves_others_alone(kit: Kit) -> None:
    server = kit.serve(latency=0.5, max_concurrent_streams=10)
    async with kit.client(server, max_queued=100) as client:
        batch = kit.spawn(send_batch, client)
        await kit.turns()
        other = kit.spawn(send, client, 100)
        await kit.sleep(0.2)
        batch.cancel()
        assert await batch.end() == "cancelled"
        assert await other.end() == "accepted"
    # What was in flight goes on, what was queued does not.
    assert server.ledger.processed_by_device() == {
        device(number): 1 for number in (*range(10), 100)
    }


@both_loops
async def test_a_source_that_waits(kit: Kit) -> None:
    steps: list[str] = []

    async def source() -> AsyncGenerator[Notification, None]:
        try:
            yield notification()
            steps.append("waits")
            await kit.sleep(50_000)
            steps.append("never")
        finally:
            steps.append("ended")

    async def work(client: Client) -> None:
        await collect(client.send_many(source()))

    async with kit.client(kit.serve()) as client:
        working = kit.spawn(work, client)
        await kit.sleep(0.1)
        assert steps == ["waits"]
        working.cancel()
        assert await working.end() == "cancelled"
        assert steps == ["waits", "ended"]
        assert await send(client, 1) == "accepted"


@both_loops
async def test_a_source_that_takes_its_time_to_end(kit: Kit) -> None:
    steps: list[str] = []

    async def source() -> AsyncIterator[Notification]:
        try:
            await kit.sleep(50_000)
            yield notification()
        finally:
            with kit.shielded():
                await kit.sleep(5)
            steps.append("ended")

    async def work(client: Client) -> None:
        await collect(client.send_many(source()))

    async with kit.client(kit.serve()) as client:
        working = kit.spawn(work, client)
        await kit.sleep(1)
        working.cancel()
        assert await working.end() == "cancelled"
        assert steps == ["ended"]
        assert kit.now() == 6


@pytest.mark.parametrize("place", PLACES)
@both_loops
async def test_closing(kit: Kit, place: Place) -> object:
    client = kit.client(place(kit))
    async with client:
        sends = await kit.spawn_in_order(send, client, range(3))
        await kit.sleep(0.3)
        closing = kit.spawn(client.aclose)
        await kit.sleep(0.3)
        at = kit.now()
        closing.cancel()
        assert await closing.end() == "cancelled"
        ends = [await task.end() for task in sends]
        assert kit.now() == at
    return ends


@pytest.mark.parametrize("place", PLACES)
@both_loops
async def test_leaving_the_block(kit: Kit, place: Place) -> object:
    """Cancelled when its body has ended, and it waits for outcomes."""
    sends: list[Task] = []

    async def work(client: Client) -> None:
        sends.extend(await kit.spawn_in_order(send, client, range(3)))

    using = kit.spawn(use, kit.client(place(kit)), work)
    await kit.sleep(0.3)
    at = kit.now()
    using.cancel()
    assert await using.end() == "cancelled"
    ends = [await task.end() for task in sends]
    assert kit.now() == at
    return ends
