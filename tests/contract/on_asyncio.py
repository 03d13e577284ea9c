"""Runs a scenario on asyncio, in a loop whose time passes when there is nothing to do."""

import asyncio
import selectors
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import apns_asyncio
from apns_core import Endpoint
from tests.contract.kit import END_OF_TIME, GRACE, Client, Kit, Log, Observed, checked, observe

__all__ = ["run"]


@checked
def run(scenario: Callable[[Kit], Awaitable[object]], log: Log) -> Observed:
    async def main() -> Observed:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: log.bugs.append(str(context)))
        async with asyncio.timeout(END_OF_TIME):
            return await observe(AsyncioKit(loop), scenario, log)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


class _Selector(selectors.DefaultSelector):
    """Where asyncio would sleep, the clock jumps."""

    clock = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the loop waits for ever"
        ready = super().select(min(timeout, GRACE))
        if not ready:
            self.clock += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with virtual time, in which names are looked up as the kit says."""

    kit: Kit

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual.clock

    async def getaddrinfo(self, host: object, port: object, **_: object) -> Any:  # noqa: ANN401, ARG002
        kit = self.kit
        kit.looked_up.append(kit.now())
        if kit.look_up is not None:
            await kit.look_up()
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in kit.addresses
        ]


class _Reactor:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return self._loop.time()

    def on_readable(
        self, readable: socket.socket, callback: Callable[[], None]
    ) -> Callable[[], object]:
        self._loop.add_reader(readable, callback)
        return lambda: self._loop.remove_reader(readable)

    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], object]:
        return self._loop.call_at(when, callback).cancel


class _Task:
    def __init__(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        async def call() -> object:
            return await function(*args)

        self._task = asyncio.create_task(call())

    def cancel(self) -> None:
        self._task.cancel()

    async def end(self) -> str:
        await asyncio.wait([self._task])
        if self._task.cancelled():
            return "cancelled"
        error = self._task.exception()
        return str(self._task.result()) if error is None else type(error).__name__


@dataclass
class _Alarm:
    expired: bool = False


class AsyncioKit(Kit):
    name = "asyncio"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        assert isinstance(loop, VirtualLoop)
        loop.kit = self
        self._loop = loop
        self.reactor = _Reactor(loop)

    def make_client(self, endpoint: Endpoint, **options: Any) -> Client:  # noqa: ANN401 - passed on
        return apns_asyncio.Client(endpoint, **options)

    def outgoing(self, client: Client) -> int:
        assert isinstance(client, apns_asyncio.Client)
        (link,) = client._open()._links.values()
        tls: Any = getattr(link._transport, "_ssl_protocol")  # noqa: B009 - asyncio's own
        return int(tls._get_write_buffer_size() + tls._transport.get_write_buffer_size())

    def now(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def block(self, seconds: float) -> None:
        self._loop._virtual.clock += seconds

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> _Task:
        return _Task(function, *args)

    def at_most(self, seconds: float) -> AbstractContextManager[_Alarm]:
        return _at_most(seconds)

    def shielded(self) -> AbstractContextManager[object]:
        return nullcontext()  # asyncio tells a task once that it is cancelled

    def task(self) -> object:
        return asyncio.current_task()

    def tasks(self) -> int:
        return len(asyncio.all_tasks())


@contextmanager
def _at_most(seconds: float) -> Generator[_Alarm]:
    # asyncio.timeout is asynchronous for no need but its own checks.
    alarm = _Alarm()
    task = asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        alarm.expired = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, cancel)
    try:
        yield alarm
    except asyncio.CancelledError:
        if not alarm.expired or task.uncancel():
            raise
    finally:
        timer.cancel()
