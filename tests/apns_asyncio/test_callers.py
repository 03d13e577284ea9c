"""Sources, room and closing: who is served when, and what a batch does at its ends."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from apns_asyncio import Client
from apns_asyncio.read_ahead import _LIMIT
from apns_core import Accepted, ClientClosed, Notification, Outcome, Unprocessed
from apns_core.connection_config import DEFAULT_CONFIG
from tests.apns_asyncio.harness import device_tokens, notification, notifications, turns
from tests.apns_asyncio.scene import Scene
from tests.apns_asyncio.virtual import never


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("given", [0, 1, 25])
def test_what_the_source_raises_comes_after_its_outcomes(kind: str, given: int) -> None:
    scene = Scene(max_queued=10)

    def source() -> Iterator[Notification]:
        yield from notifications(given)
        raise ZeroDivisionError

    async def async_source() -> AsyncIterator[Notification]:
        for each in notifications(given):
            yield each
        raise ZeroDivisionError

    async def main() -> None:
        async with scene.client as client:
            outcomes = client.send_many(source() if kind == "sync" else async_source())
            before = [await anext(outcomes) for _ in range(given)]
            with pytest.raises(ZeroDivisionError):
                await anext(outcomes)
        assert [type(outcome) for outcome in before] == [Accepted] * given

    scene.run(main())


def test_a_source_that_is_cancelled_from_within() -> None:
    scene = Scene()

    async def source() -> AsyncIterator[Notification]:
        yield notification()
        raise asyncio.CancelledError

    async def main() -> None:
        async with scene.client as client:
            outcomes = client.send_many(source())
            assert isinstance(await anext(outcomes), Accepted)
            with pytest.raises(asyncio.CancelledError):
                await anext(outcomes)

    scene.run(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_endless_source_is_taken_as_there_is_room(kind: str) -> None:
    scene = Scene(max_queued=20)
    taken = 0

    def source() -> Iterator[Notification]:
        nonlocal taken
        for number in count():
            taken += 1
            yield notification(number)

    async def async_source() -> AsyncIterator[Notification]:
        for each in source():
            yield each

    async def main() -> None:
        async with scene.client as client:
            outcomes = client.send_many(source() if kind == "sync" else async_source())
            sender = client._open().sender
            for number in range(200):
                await anext(outcomes)
                # Queued and in flight, a turn's answers, and what an asynchronous one reads ahead.
                assert taken - number <= 20 + 10 + 10 + (_LIMIT + 1 if kind == "async" else 1)
                assert sender.queued <= 20
            # The caller takes no outcomes: then nothing is taken from the source either.
            await asyncio.sleep(1.0)
            before = taken
            await asyncio.sleep(10.0)
            assert taken == before
            assert sender.queued + sender.in_flight == 0
            await outcomes.aclose()

    scene.run(main())


def test_outcomes_come_while_the_source_has_nothing() -> None:
    scene = Scene()
    cleaned_up = False

    async def source() -> AsyncIterator[Notification]:
        nonlocal cleaned_up
        try:
            yield notification(1)
            yield notification(2)
            await never()
        finally:
            cleaned_up = True

    async def main() -> None:
        async with scene.client as client:
            outcomes = client.send_many(source())
            for _ in range(2):
                assert isinstance(await anext(outcomes), Accepted)
            waiting = asyncio.ensure_future(anext(outcomes))
            await asyncio.sleep(1.0)
            assert not waiting.done()
            # The client closes although the source never would.
        with pytest.raises(ClientClosed):
            await waiting
        assert cleaned_up

    scene.run(main())


def test_closing_waits_for_a_source_to_clean_up() -> None:
    scene = Scene()

    async def source() -> AsyncIterator[Notification]:
        try:
            yield notification()
            await never()
        finally:
            await asyncio.sleep(0.5)

    async def main() -> None:
        async with scene.client as client:
            outcomes = client.send_many(source())
            await anext(outcomes)
            before = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() >= before + 0.5
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await outcomes.aclose()

    scene.run(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_closing_in_the_midst_of_a_batch(kind: str) -> None:
    scene = Scene(max_queued=20)

    async def source() -> AsyncIterator[Notification]:
        for each in notifications(1_000):
            yield each

    async def main() -> None:
        async with scene.client as client:
            outcomes = client.send_many(source() if kind == "async" else notifications(1_000))
            first = await anext(outcomes)
            await client.aclose()
        # All that was given has its outcome, then it says that this was not all.
        submitted = scene.simulator.ledger.accepted_count
        assert 20 < submitted < 200
        ends: Counter[type[Outcome[object]]] = Counter([type(first)])
        with pytest.raises(ClientClosed):  # noqa: PT012 - at the end
            async for outcome in outcomes:
                ends[type(outcome)] += 1
        assert ends[Accepted] == submitted
        assert ends[Unprocessed] == ends.total() - submitted
        assert (ends[Unprocessed] > 0) == (kind == "async")

    scene.run(main())


def test_closing_after_a_batch_is_taken() -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.client as client:
            outcomes = client.send_many(notifications(100))
            await anext(outcomes)
        assert len([outcome async for outcome in outcomes]) == 99

    scene.run(main())


def test_who_waits_for_room_when_the_client_closes() -> None:
    scene = Scene(max_queued=1)
    scene.network.connect = never

    async def main() -> None:
        async with scene.client as client:
            sends = [asyncio.ensure_future(client.send(each)) for each in notifications(3)]
            await asyncio.sleep(1.0)
            closing = asyncio.ensure_future(client.aclose(timeout=1.0))
            await turns(3)
            assert [send.done() for send in sends] == [False, True, True]
            for send in sends[1:]:
                with pytest.raises(ClientClosed):
                    await send
            await closing
            await sends[0]

    scene.run(main())


def test_time_in_line_does_not_count_towards_the_deadline() -> None:
    scene = Scene(max_queued=1)
    scene.network.connect = never

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.client as client:
            sends = [asyncio.ensure_future(client.send(each)) for each in notifications(3)]
            begun = loop.time()
            for number, send in enumerate(sends, start=1):
                assert isinstance(await send, Unprocessed)
                assert loop.time() - begun == pytest.approx(number * DEFAULT_CONFIG.request_timeout)

    scene.run(main())


def test_room_goes_to_who_came_first() -> None:
    scene = Scene(max_queued=2)
    ended: list[int] = []

    async def send(client: Client, number: int) -> None:
        await client.send(notification(number))
        ended.append(number)

    async def main() -> None:
        async with scene.client as client, asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(send(client, number))
            await asyncio.sleep(0)
            victims = [group.create_task(send(client, number)) for number in range(50, 60)]
            await asyncio.sleep(0)
            for victim in victims:
                victim.cancel()
            for number in range(60, 80):
                group.create_task(send(client, number))

    scene.run(main())
    assert ended == [*range(50), *range(60, 80)]


def test_a_batch_gets_its_share_of_the_room() -> None:
    scene = Scene(max_queued=2)

    async def keep_sending(client: Client) -> None:
        while True:
            await client.send(notification(1_000))

    async def main() -> None:
        async with scene.client as client:
            crowd = [asyncio.ensure_future(keep_sending(client)) for _ in range(10)]
            await asyncio.sleep(0.1)
            before = scene.simulator.ledger.processed_count
            outcomes = [outcome async for outcome in client.send_many(notifications(10))]
            assert len(outcomes) == 10
            # At the worst one at a time, in turn with ten others.
            assert scene.simulator.ledger.processed_count - before <= 10 * 11
            for each in crowd:
                each.cancel()
            await asyncio.wait(crowd)

    scene.run(main())


def test_a_batch_whose_caller_is_busy_holds_up_nobody() -> None:
    scene = Scene(max_queued=2)

    async def main() -> None:
        async with scene.client as client:
            seen = 0
            async for _ in client.send_many(notifications(20)):
                seen += 1
                # With the batch waiting for room, from within its own body.
                await asyncio.gather(*(client.send(notification(100 + n)) for n in range(5)))
            assert seen == 20

    scene.run(main())
    tokens = scene.simulator.ledger.accepted_by_device()
    assert device_tokens(20) <= tokens.keys()
    assert tokens.total() == 20 + 20 * 5
