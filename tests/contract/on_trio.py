"""Runs a scenario on trio, with a clock that jumps when there is nothing to do."""

import socket
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import trio
import trio.abc
import trio.testing

import apns_trio
from apns_core import Endpoint
from tests.contract.kit import END_OF_TIME, GRACE, Client, Kit, Log, Observed, checked, observe

__all__ = ["run"]


@checked
def run(scenario: Callable[[Kit], Awaitable[object]], log: Log) -> Observed:
    async def main() -> Observed:
        with trio.fail_after(END_OF_TIME):
            async with trio.open_nursery() as nursery:
                kit = TrioKit(nursery)
                trio.socket.set_custom_hostname_resolver(_Resolver(kit))
                observed = await observe(kit, scenario, log)
        return observed

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=GRACE))


class _Resolver(trio.abc.HostnameResolver):
    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def getaddrinfo(self, host: object, port: object, *_: object, **__: object) -> Any:  # noqa: ANN401, ARG002
        kit = self._kit
        kit.looked_up.append(kit.now())
        if kit.look_up is not None:
            await kit.look_up()
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in kit.addresses
        ]

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise NotImplementedError(sockaddr, flags)


def _tasks(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    if task is not None:
        yield task
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from _tasks(child)


class _Reactor:
    """Callbacks, by tasks that do not count as tasks of a scenario."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.tasks = 0

    def now(self) -> float:
        return trio.current_time()

    def on_readable(
        self, readable: socket.socket, callback: Callable[[], None]
    ) -> Callable[[], object]:
        async def watch() -> None:
            while readable.fileno() != -1:
                await trio.lowlevel.wait_readable(readable)
                callback()

        return self._start(watch)

    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], object]:
        async def call() -> None:
            await trio.sleep_until(when)
            callback()

        return self._start(call)

    def _start(self, function: Callable[[], Awaitable[None]]) -> Callable[[], object]:
        scope = trio.CancelScope()

        async def run() -> None:
            try:
                with scope:
                    await function()
            finally:
                self.tasks -= 1

        self.tasks += 1
        self._nursery.start_soon(run)
        return scope.cancel


class _Task:
    def __init__(
        self, nursery: trio.Nursery, function: Callable[..., Awaitable[object]], *args: object
    ) -> None:
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._end = "cancelled"
        nursery.start_soon(self._run, function, args)

    def cancel(self) -> None:
        self._scope.cancel()

    async def end(self) -> str:
        await self._ended.wait()
        return self._end

    async def _run(
        self, function: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        with self._scope:
            try:
                self._end = str(await function(*args))
            except Exception as error:  # noqa: BLE001 - that is how it ended
                self._end = type(error).__name__
        self._ended.set()


@dataclass
class _Alarm:
    expired: bool = False


class TrioKit(Kit):
    name = "trio"

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__()
        self._nursery = nursery
        self.reactor = self._reactor = _Reactor(nursery)

    def make_client(self, endpoint: Endpoint, **options: Any) -> Client:  # noqa: ANN401 - passed on
        return apns_trio.Client(endpoint, **options)

    def outgoing(self, client: Client) -> int:
        assert isinstance(client, apns_trio.Client)
        (link,) = client._open()._links.values()
        assert link._stream is not None
        # What is being sent is nowhere but in the frame that waits for it.
        sending = [
            len(frame.f_locals["data"])
            for task in _tasks(trio.lowlevel.current_root_task())
            for frame, _ in task.iter_await_frames()
            if frame.f_code.co_name == "_send_outgoing"
        ]
        return len(link._outgoing) + link._stream._outgoing.pending + sum(sending)

    def now(self) -> float:
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def block(self, seconds: float) -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        clock.jump(seconds)

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> _Task:
        return _Task(self._nursery, function, *args)

    def at_most(self, seconds: float) -> AbstractContextManager[_Alarm]:
        return _at_most(seconds)

    def shielded(self) -> AbstractContextManager[object]:
        return trio.CancelScope(shield=True)

    def task(self) -> object:
        return trio.lowlevel.current_task()

    def tasks(self) -> int:
        return trio.lowlevel.current_statistics().tasks_living - self._reactor.tasks


@contextmanager
def _at_most(seconds: float) -> Generator[_Alarm]:
    alarm = _Alarm()
    with trio.CancelScope(deadline=trio.current_time() + seconds) as scope:
        yield alarm
    alarm.expired = scope.cancelled_caught
