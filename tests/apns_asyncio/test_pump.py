"""A bug in what is underneath hangs nobody; commands that come late harm nobody."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterable
from typing import NoReturn

import pytest

from apns_asyncio.pump import Pump
from apns_core import Accepted, ClientClosed, Notification, Outcome, Sender
from apns_core.errors import ConnectFailed
from tests.apns_asyncio.harness import notification, notifications, turns
from tests.apns_asyncio.scene import Scene
from tests.apns_asyncio.virtual import never


class BugError(Exception):
    """What the tests put into the engine."""


def break_down(*_: object, **__: object) -> NoReturn:
    raise BugError("payload")


BROKEN = [
    (method, at)
    for method, moments in {
        "commands": (0.0, 0.005),
        "outcomes": (0.0, 0.005),
        "data_to_send": (0.0, 0.005),
        "poll_timeout": (0.0, 0.005),
        "connected": (0.0,),
        "receive_data": (0.0, 0.005),
        "receive_eof": (0.005,),
        "handle_timeout": (0.0, 0.005),
        "close": (0.0, 0.005),
    }.items()
    for at in moments
]
"""What breaks, and when: the connection stands after 0 s, and the first answer comes after 0.01."""


@pytest.mark.parametrize(("method", "at"), BROKEN)
def test_a_bug_in_the_engine(
    method: str, at: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(max_queued=3)
    complaints: list[BaseException] = []

    async def consume(outcomes: AsyncIterator[Outcome[object]]) -> int:
        return len([outcome async for outcome in outcomes])

    async def read(source: Iterable[Notification]) -> AsyncIterator[Notification]:
        for each in source:
            await asyncio.sleep(0)
            yield each

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["exception"]))
        async with scene.client as client:
            sends = [asyncio.ensure_future(client.send(each)) for each in notifications(10)]
            many = notifications(50)
            batches = [
                asyncio.ensure_future(consume(client.send_many(many))),
                asyncio.ensure_future(consume(client.send_many(read(many)))),
            ]
            await asyncio.sleep(at)
            monkeypatch.setattr(Sender, method, break_down)
            if method == "receive_eof":
                scene.network.transports[0].end()
            if method == "close":
                await client.aclose()
            async with asyncio.timeout(40.0):
                ends: list[object] = [
                    *await asyncio.gather(*sends, return_exceptions=True),
                    *await asyncio.gather(*batches, return_exceptions=True),
                ]
            for end in ends:
                assert isinstance(end, ClientClosed | Accepted | int)
            assert any(isinstance(end, ClientClosed) for end in ends)
            with pytest.raises(ClientClosed, match="bug") as raised:
                await client.send(notification())
            assert isinstance(raised.value.__cause__, BugError)
            await client.aclose()

    if method == "handle_timeout":
        scene.network.connect = never
    scene.run(main())
    assert [type(complaint) for complaint in complaints] == [BugError]
    assert all(transport.lost for transport in scene.network.transports)
    assert "payload" not in caplog.text


def test_what_submitting_raises_is_its_caller_s(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.client as client:
            good = asyncio.ensure_future(client.send(notification()))
            await turns(3)
            with monkeypatch.context() as patched:
                patched.setattr(Sender, "submit", break_down)
                with pytest.raises(BugError):
                    await client.send(notification())
                with pytest.raises(BugError):
                    await anext(client.send_many(notifications(3)))
            assert isinstance(await good, Accepted)
            assert isinstance(await client.send(notification()), Accepted)

    scene.run(main())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("can't start new thread"), ConnectFailed),
        (UnicodeError("label too long"), ConnectFailed),
        (MemoryError(), MemoryError),
    ],
)
def test_a_look_up_for_which_there_is_no_thread_is_tried_again(
    error: Exception, told: type[Exception]
) -> None:
    scene = Scene()
    errors = [error]

    async def look_up(*_: object) -> None:
        if errors:
            raise errors.pop()

    scene.network.look_up = look_up

    async def main() -> None:
        async with scene.client as client:
            assert isinstance(await client.send(notification()), Accepted)
            assert type(client.last_error) is told

    scene.run(main())


def test_an_error_of_connecting_that_nobody_has_foreseen() -> None:
    scene = Scene()
    scene.network.look_up = break_down
    complaints: list[BaseException] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["exception"]))
        async with scene.client as client:
            with pytest.raises(ClientClosed):
                await client.send(notification())

    scene.run(main())
    assert [type(complaint) for complaint in complaints] == [BugError]


def test_cancelled_in_the_turn_of_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        complaints: list[str] = []
        loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
        async with scene.client as client:
            send = asyncio.ensure_future(client.send(notification()))
            await turns(3)
            monkeypatch.setattr(Sender, "commands", break_down)
            client._open()._turn()
            send.cancel()
            with pytest.raises(asyncio.CancelledError):
                await send
            del send
            gc.collect()
        assert complaints == ["apns_asyncio met a bug"]

    scene.run(main())


def test_a_bug_after_a_batch_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: context.clear())
        async with scene.client as client:
            batch = asyncio.ensure_future(anext(client.send_many(notifications(3))))
            await asyncio.sleep(0.005)
            monkeypatch.setattr(Sender, "receive_data", break_down)
            with pytest.raises(ClientClosed):
                await batch

    scene.run(main())


def test_one_pump_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    turns_pumped: list[float] = []

    async def main() -> None:
        async with scene.client as client:
            pump = client._open()
            original = pump._drain

            def drain(_: Pump) -> None:
                turns_pumped.append(asyncio.get_running_loop().time())
                original()

            monkeypatch.setattr(Pump, "_drain", drain)
            await client.send(notification())
            turns_pumped.clear()
            sends = [asyncio.ensure_future(client.send(each)) for each in notifications(50)]
            await turns(2)
            assert len(turns_pumped) == 1
            await asyncio.gather(*sends)

    scene.run(main())


class Waiting:
    """A caller who only notes when it is admitted."""

    def __init__(self, submits: bool) -> None:  # noqa: FBT001
        self._submits = submits
        self.admitted = False

    def admit(self) -> bool:
        self.admitted = True
        return self._submits

    def deliver(self, outcome: Outcome[object]) -> None:
        raise NotImplementedError

    def refuse(self) -> None:
        """There is nothing to refuse."""

    def fail(self) -> None:
        raise NotImplementedError


def test_room_that_one_leaves_is_for_the_next() -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.client as client:
            pump = client._open()
            line = [Waiting(submits=False), Waiting(submits=False), Waiting(submits=True)]
            for caller in line:
                pump.enter(caller)
                pump.join(caller)
            # One that submits in its own time is given that before the next has its turn.
            for admitted in ([], [0], [0, 1], [0, 1, 2]):
                assert [n for n, caller in enumerate(line) if caller.admitted] == admitted
                await turns(1)

    scene.run(main())


def test_closing_twice_at_once() -> None:
    scene = Scene()
    scene.network.handshake = never

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.client as client:
            send = asyncio.ensure_future(client.send(notification()))
            await turns(3)
            bounded = asyncio.ensure_future(client.aclose(timeout=1.0))
            await turns(1)
            await client.aclose()  # has no bound, and takes none away
            assert loop.time() == 1.0
            await bounded
            await send

    scene.run(main())
