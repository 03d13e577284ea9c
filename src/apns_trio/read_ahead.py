"""Reads an asynchronous iterable a little ahead, so that to wait for it holds up nothing else."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Final, Self, final

import trio

from apns_core.requests.request import Request

__all__ = ["ReadAhead"]

_LIMIT: Final = 100
"""Notifications read and not yet taken: as many as one read of answers may well make room for."""


@final
class ReadAhead:
    """An iterator over what has been read by now: it ends, and goes on when more has been read.

    `run` is to be a task. ``on_read`` is called when there is more, and at the end.
    """

    def __init__(
        self,
        notifications: AsyncIterable[Request],
        on_read: "Callable[[ReadAhead], None]",
    ) -> None:
        self._notifications = notifications
        self._on_read = on_read
        self._read: deque[Request] = deque()
        self._taken = trio.Event()
        # Cancelled by whom it reads for, who may be shielded from what surrounds the client.
        self._scope = trio.CancelScope(shield=True)
        self._over = trio.Event()
        self._task: trio.lowlevel.Task | None = None
        self.error: BaseException | None = None
        """What the iterable raised."""

    async def run(self) -> None:
        """Read until the end, or until cancelled."""
        self._task = trio.lowlevel.current_task()
        try:
            with self._scope:
                await self._read_all()
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcomes are taken
            self.error = error
        self._over.set()
        self._on_read(self)

    @property
    def ready(self) -> bool:
        """Whether there is something to take."""
        return bool(self._read)

    @property
    def ended(self) -> bool:
        """Whether there is nothing to take, and never will be."""
        return self._over.is_set() and not self._read

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Request:
        if not self._read:
            raise StopIteration
        self._taken.set()
        return self._read.popleft()

    def cancel(self) -> None:
        """Read no more."""
        self._scope.cancel()

    async def wait(self) -> None:
        """Wait until it reads no more, which is soon after `cancel`.

        Not within the iterable itself: one that ends what is made of it would wait for its own end.
        """
        if self._reads_here():
            return
        with trio.CancelScope(shield=True):
            await self._over.wait()

    def _reads_here(self) -> bool:
        """Whether the current task is the one that reads, or was started by it."""
        task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        while task is not None and task is not self._task:
            nursery = task.parent_nursery
            task = None if nursery is None else nursery.parent_task
        return task is not None

    async def _read_all(self) -> None:
        notifications = aiter(self._notifications)
        try:
            async for notification in notifications:
                self._read.append(notification)
                self._on_read(self)
                if self._scope.cancel_called:  # and the source has caught what should have ended it
                    return
                while len(self._read) >= _LIMIT:
                    self._taken = trio.Event()
                    await self._taken.wait()
        finally:
            # What was read ahead is lost, so nobody can go on with it; and trio warns of
            # generators that are left to the garbage collector.
            if isinstance(notifications, AsyncGenerator):
                await notifications.aclose()
