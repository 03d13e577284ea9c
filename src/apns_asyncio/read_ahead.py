"""Reads an asynchronous iterable a little ahead, so that to wait for it holds up nothing else."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine
from typing import Final, Self, final

from apns_core.requests.request import Request

__all__ = ["ReadAhead"]

_LIMIT: Final = 100
"""Notifications read and not yet taken: as many as one turn of the loop may well send."""


@final
class ReadAhead:
    """An iterator over what has been read by now: it ends, and goes on when more has been read.

    ``on_read`` is called when there is more, and at the end; first when `start` was.
    """

    def __init__(
        self,
        notifications: AsyncIterable[Request],
        on_read: "Callable[[ReadAhead], None]",
    ) -> None:
        self._notifications = notifications
        self._on_read = on_read
        self._read: deque[Request] = deque()
        self._taken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._over = False
        self.error: BaseException | None = None
        """What the iterable raised, CancelledError included."""

    def start(self, spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]) -> None:
        """Start the task that reads. An eager one reads here and now."""
        self._task = spawn(self._run())
        self._task.add_done_callback(self._on_end)
        if self._stopped:
            self._task.cancel()

    @property
    def ready(self) -> bool:
        """Whether there is something to take."""
        return bool(self._read)

    @property
    def ended(self) -> bool:
        """Whether there is nothing to take, and never will be."""
        return self._over and not self._read

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Request:
        if not self._read:
            raise StopIteration
        self._taken.set()
        return self._read.popleft()

    def cancel(self) -> None:
        """Read no more."""
        if self._stopped:
            return  # a second cancellation would end the cleaning up after the first
        self._stopped = True
        self._taken.set()
        if self._task is not None:
            self._task.cancel()

    async def aclose(self) -> None:
        """Read no more, and wait until that is true.

        Not within the iterable itself: one that ends what is made of it would wait for its own end.
        """
        self.cancel()
        task = self._task
        if task is not None and task is not asyncio.current_task() and not task.done():
            await asyncio.wait([task])

    async def _run(self) -> None:
        notifications = aiter(self._notifications)
        try:
            async for notification in notifications:
                self._read.append(notification)
                self._on_read(self)
                while len(self._read) >= _LIMIT and not self._stopped:
                    self._taken.clear()
                    await self._taken.wait()
                if self._stopped:
                    # The cancellation came and was lost: a source that caught it, or `wait_for` of
                    # Python 3.11, which forgets it where the result comes in the same turn.
                    return
        finally:
            # Nobody goes on with it, and what it holds is to be let go of now, not when it is
            # collected.
            if isinstance(notifications, AsyncGenerator):
                await notifications.aclose()

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._over = True
        self.error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._on_read(self)
