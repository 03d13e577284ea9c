"""Whatever is cancelled, and whenever: it takes nothing with it and leaves nothing behind.

A script is run once for each turn of the loop that it takes, and cancelled in that turn. That
nothing is left behind is what `harness.run` looks for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any

import pytest

from apns_asyncio import Client
from apns_core import Accepted, ClientClosed, Notification, Outcome, Unknown, Unprocessed
from tests.apns_asyncio.harness import notification, notifications, turns
from tests.apns_asyncio.scene import Scene
from tests.apns_asyncio.virtual import never


async def next_turn() -> None:
    """Let the loop turn, and its clock advance if that is all there is to wait for."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    await asyncio.sleep(0 if ready else 0.001)


def in_each_turn(check: Callable[[int], bool]) -> None:
    """Call until there is no such turn: ``check`` returns whether there was."""
    turn = 0
    while check(turn):
        turn += 1
        assert turn < 1_000, "it has no end"
    assert turn > 5, "it ended before it began"


async def cancel_in(turn: int, task: asyncio.Task[Any]) -> bool:
    """Cancel in that turn; return whether the task had got so far."""
    for _ in range(turn):
        await next_turn()
    in_time = not task.done()
    task.cancel()
    await asyncio.wait([task])
    return in_time


@pytest.mark.parametrize("max_queued", [1, 100])
def test_a_cancelled_send_touches_no_other(max_queued: int) -> None:
    def check(turn: int) -> bool:
        scene = Scene(max_queued=max_queued)
        in_time = False

        async def main() -> None:
            nonlocal in_time
            async with scene.client as client, asyncio.TaskGroup() as group:
                before = [group.create_task(client.send(each)) for each in notifications(3)]
                victim = asyncio.ensure_future(client.send(notification(3)))
                after = [group.create_task(client.send(notification(n))) for n in (4, 5)]
                in_time = await cancel_in(turn, victim)
            assert victim.cancelled() is in_time
            assert {type(send.result()) for send in before + after} == {Accepted}

        scene.run(main())
        ledger = scene.simulator.ledger
        assert {*ledger.accepted_by_device().values()} == {1}
        assert 5 <= ledger.processed_count <= 6
        assert len(ledger.connections) == 1
        assert ledger.violations == []
        return in_time

    in_each_turn(check)


def test_cancelled_before_it_is_looked_at_it_is_not_sent() -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.client as client:
            await client.send(notification())
            send = asyncio.ensure_future(client.send(notification(1)))
            await asyncio.sleep(0)
            send.cancel()
            await asyncio.wait([send])

    scene.run(main())
    assert scene.simulator.ledger.processed_count == 1
    assert scene.simulator.ledger.connections[0].resets_received == 0


def test_cancelled_in_line_it_leaves_the_line() -> None:
    scene = Scene(max_queued=1)
    scene.network.connect = never

    async def main() -> None:
        async with scene.client as client:
            sends = [asyncio.ensure_future(client.send(each)) for each in notifications(100)]
            await turns(3)
            assert len(client._open()._line) == 99
            for send in sends[1:]:
                send.cancel()
            await asyncio.wait(sends[1:])
            assert len(client._open()._line) == 0
            sends[0].cancel()

    scene.run(main())


def test_cancelled_in_the_turn_of_its_answer() -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.client as client:
            send = asyncio.ensure_future(client.send(notification()))
            while scene.simulator.ledger.answered_count == 0:
                await next_turn()
            while not (waiter := send._fut_waiter) or not waiter.done():  # type: ignore[attr-defined]
                await next_turn()
            send.cancel()  # it has its outcome, and has not woken to it
            with pytest.raises(asyncio.CancelledError):
                await send
            assert isinstance(await client.send(notification(1)), Accepted)

    scene.run(main())
    assert scene.simulator.ledger.connections[0].resets_received == 0


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_cancelled_batch_touches_no_other(kind: str) -> None:
    def check(turn: int) -> bool:
        scene = Scene(max_queued=2)
        in_time = False
        ended = False

        async def source() -> AsyncIterator[Notification]:
            nonlocal ended
            try:
                for each in notifications(4):
                    await asyncio.sleep(0.001)
                    yield each
            finally:
                ended = True

        async def consume(client: Client) -> list[Outcome[object]]:
            many = source() if kind == "async" else notifications(4)
            return [outcome async for outcome in client.send_many(many)]

        async def main() -> None:
            nonlocal in_time
            async with scene.client as client, asyncio.TaskGroup() as group:
                batch = asyncio.ensure_future(consume(client))
                await asyncio.sleep(0)
                others = [group.create_task(client.send(notification(n))) for n in (4, 5)]
                in_time = await cancel_in(turn, batch)
            assert {type(send.result()) for send in others} == {Accepted}
            assert in_time or len(batch.result()) == 4

        scene.run(main())
        ledger = scene.simulator.ledger
        assert {*ledger.accepted_by_device().values()} == {1}
        assert ledger.connections[0].resets_received == 0
        assert len(ledger.connections) == 1
        assert ended or kind == "sync" or turn < 2
        return in_time

    in_each_turn(check)


async def send_one(client: Client) -> None:
    await client.send(notification())


async def send_some(client: Client) -> None:
    async with asyncio.TaskGroup() as group:
        for each in notifications(5):
            group.create_task(client.send(each))


async def send_a_batch(client: Client) -> None:
    async for _ in client.send_many(notifications(3)):
        await asyncio.sleep(0.001)


async def send_an_async_batch(client: Client) -> None:
    async def source() -> AsyncIterator[Notification]:
        for each in notifications(3):
            await asyncio.sleep(0.001)
            yield each

    async for _ in client.send_many(source()):
        pass


async def break_off_a_batch(client: Client) -> None:
    async for _ in client.send_many(notifications(12)):
        break


async def close_the_client(client: Client) -> None:
    sends = [asyncio.ensure_future(client.send(each)) for each in notifications(5)]
    try:
        await asyncio.sleep(0)
        await client.aclose()
    finally:
        ends = await asyncio.gather(*sends, return_exceptions=True)
        assert {type(end) for end in ends} <= {Accepted, Unknown, Unprocessed, ClientClosed}


@pytest.mark.parametrize("config", [{"max_queued": 2}, {"max_connections": 3, "scale_after": 0.0}])
@pytest.mark.parametrize(
    "script",
    [
        send_one,
        send_some,
        send_a_batch,
        send_an_async_batch,
        break_off_a_batch,
        close_the_client,
    ],
)
def test_a_client_that_is_cancelled_leaves_nothing(
    script: Callable[[Client], Coroutine[Any, Any, None]], config: dict[str, Any]
) -> None:
    def check(turn: int) -> bool:
        scene = Scene(**config)
        in_time = False

        async def session() -> None:
            async with scene.client as client:
                await script(client)

        async def main() -> None:
            nonlocal in_time
            task = asyncio.ensure_future(session())
            in_time = await cancel_in(turn, task)
            assert task.cancelled() is in_time

        scene.run(main())
        assert all(transport.lost for transport in scene.network.transports)
        return in_time

    in_each_turn(check)


@pytest.mark.parametrize("step", ["look_up", "connect", "handshake"])
@pytest.mark.parametrize("how", ["cancel the send", "close", "abort"])
def test_called_off_while_connecting(step: str, how: str) -> None:
    def check(turn: int) -> bool:
        scene = Scene()
        setattr(scene.network, step, never)

        async def session(sends: list[asyncio.Task[Outcome[object]]]) -> None:
            async with scene.client as client:
                sends.append(asyncio.ensure_future(client.send(notification())))
                await turns(turn)
                if how == "cancel the send":
                    sends[0].cancel()
                elif how == "close":
                    await client.aclose(timeout=1.0)
                else:
                    raise ZeroDivisionError

        async def main() -> None:
            sends: list[asyncio.Task[Outcome[object]]] = []
            (end,) = await asyncio.gather(session(sends), return_exceptions=True)
            assert isinstance(end, ZeroDivisionError) is (how == "abort")
            (outcome,) = await asyncio.gather(*sends, return_exceptions=True)
            if how == "cancel the send":
                assert isinstance(outcome, asyncio.CancelledError)
            else:
                assert isinstance(outcome, Unprocessed | ClientClosed)

        scene.run(main())
        return turn < 15

    in_each_turn(check)


def test_a_deadline_around_everything() -> None:
    scene = Scene()
    scene.network.handshake = never

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0), scene.client as client:
                await client.send(notification())
        assert asyncio.get_running_loop().time() == 5.0

    scene.run(main())


@pytest.mark.parametrize("how", ["aclosing", "aclose", "break", "raise"])
def test_a_batch_that_is_left_early(how: str) -> None:
    scene = Scene(max_queued=20)

    async def leave(client: Client) -> None:
        async with aclosing(client.send_many(notifications(1_000))) as outcomes:
            async for _ in outcomes:
                break

    async def leave_and_close(client: Client) -> None:
        outcomes = client.send_many(notifications(1_000))
        await anext(outcomes)
        await outcomes.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(outcomes)

    async def leave_only(client: Client) -> None:
        async for _ in client.send_many(notifications(1_000)):
            break

    async def fail(client: Client) -> None:
        with suppress(ZeroDivisionError):
            async for _ in client.send_many(notifications(1_000)):
                raise ZeroDivisionError

    ways = {"aclosing": leave, "aclose": leave_and_close, "break": leave_only, "raise": fail}

    async def main() -> None:
        async with scene.client as client:
            await ways[how](client)
            await turns(5)
            assert client._open().sender.queued == 0
            assert client._open()._callers == set()
            assert isinstance(await client.send(notification(5_000)), Accepted)

    scene.run(main())
    assert scene.simulator.ledger.processed_count < 100
    assert scene.simulator.ledger.connections[0].resets_received == 0
