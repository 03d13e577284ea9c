"""Runs a coroutine in a loop of its own and then looks for what it left behind."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from apns_core import Notification, PushType, Route

__all__ = ["ROUTE", "device", "device_tokens", "notification", "notifications", "run", "turns"]

T = TypeVar("T")

ROUTE = Route(topic="com.example.app", push_type=PushType.ALERT)


def device(number: int) -> str:
    return f"{number:064x}"


def notification(number: int = 0) -> Notification:
    return Notification(ROUTE, device(number), b'{"aps":{"alert":"Hi"}}')


def notifications(count: int) -> list[Notification]:
    return [notification(number) for number in range(count)]


def device_tokens(count: int) -> set[str]:
    return {device(number) for number in range(count)}


async def turns(count: int) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(
    main: Coroutine[Any, Any, T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop,
    debug: bool = True,
) -> T:
    """Run in a loop. Fails if a task, timer or socket is left, or anything went unnoticed."""
    gc.freeze()  # to collect is then a matter of what this run makes
    try:
        with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
            return runner.run(_checked(main))
    finally:
        gc.unfreeze()


async def _checked(main: Coroutine[Any, Any, T]) -> T:
    async with nothing_left():
        return await main


@asynccontextmanager
async def nothing_left() -> AsyncGenerator[None]:
    """Compare what the loop holds before and after."""
    loop = asyncio.get_running_loop()
    complaints: list[str] = []
    loop.slow_callback_duration = 10.0
    loop.set_exception_handler(lambda _, context: complaints.append(_describe(context)))
    before = _held(loop)
    yield
    assert _held(loop) == before
    # Unawaited exceptions and open sockets are complained about when they are collected.
    gc.collect()
    await asyncio.sleep(0)
    assert not complaints


def _held(loop: asyncio.AbstractEventLoop) -> tuple[set[Any], list[str], list[str]]:
    tasks: set[Any] = asyncio.all_tasks(loop)
    timers = [repr(handle) for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
    files = [repr(key) for key in loop._selector.get_map().values()]  # type: ignore[attr-defined]
    return tasks, timers, files


def _describe(context: dict[str, Any]) -> str:
    return f"{context['message']}: {context.get('exception')!r}"
