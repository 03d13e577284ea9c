"""Who gets the room that there is: nobody waits in line for ever, whoever else is there."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from apns_core import Notification
from tests.contract.kit import Client, Kit, Task, both_loops, each_loop, notification, send


async def _send_for_ever(client: Client, number: int, counts: Counter[int]) -> None:
    while True:
        await send(client, number)
        counts[number] += 1


async def _send_many_for_ever(client: Client, number: int, kind: str, counts: Counter[int]) -> None:
    def source() -> Iterator[Notification]:
        for _ in count():
            yield notification(number)

    async def async_source() -> AsyncIterator[Notification]:
        for each in source():
            yield each

    async for _ in client.send_many(source() if kind == "sync" else async_source()):
        counts[number] += 1


async def _end(tasks: list[Task]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        assert await task.end() == "cancelled"


@pytest.mark.parametrize("kind", ["sync", "async"])
@each_loop
async def test_a_batch_among_many_who_send_has_its_turn(kit: Kit, kind: str) -> None:
    """There are always more in line than there is room for."""
    counts: Counter[int] = Counter()
    server = kit.serve(latency=0.1, max_concurrent_streams=4)
    async with kit.client(server, max_queued=8) as client:
        tasks = [kit.spawn(_send_for_ever, client, number, counts) for number in range(40)]
        await kit.sleep(1)
        tasks.append(kit.spawn(_send_many_for_ever, client, 100, kind, counts))
        await kit.sleep(8)
        await _end(tasks)
    sends = [counts[number] for number in range(40)]
    assert counts[100] >= min(sends) > 0


@pytest.mark.parametrize("kind", ["sync", "async"])
@each_loop
async def test_batches_share_what_there_is(kit: Kit, kind: str) -> None:
    counts: Counter[int] = Counter()
    server = kit.serve(latency=0.02, max_concurrent_streams=20)
    async with kit.client(server, max_queued=50) as client:
        tasks = [
            kit.spawn(_send_many_for_ever, client, number, kind, counts) for number in range(4)
        ]
        await kit.sleep(1.5)
        await _end(tasks)
    assert min(counts[number] for number in range(4)) > counts.total() / 8


@pytest.mark.parametrize("turns", range(12))
@both_loops
async def test_room_that_is_kept_for_one_who_leaves_is_for_those_behind(
    kit: Kit, turns: int
) -> None:
    """Cancelled before it is asked to submit, when it is, and when it has submitted."""
    server = kit.serve(latency=1, max_concurrent_streams=1)
    counts: Counter[int] = Counter()
    async with kit.client(server, max_queued=1) as client:
        first = await kit.spawn_in_order(send, client, range(2))
        batch = kit.spawn(_send_many_for_ever, client, 100, "sync", counts)
        await kit.turns()
        behind = await kit.spawn_in_order(send, client, range(2, 5))
        assert await first[0].end() == "accepted"
        await kit.turns(turns)
        batch.cancel()
        assert await batch.end() == "cancelled"
        assert [await task.end() for task in (first[1], *behind)] == ["accepted"] * 4
        assert kit.now() <= 6
