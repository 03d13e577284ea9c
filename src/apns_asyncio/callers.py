"""Those who wait: one `send` for one outcome, one `send_many` for many."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from itertools import islice
from typing import final

from apns_asyncio.pump import Caller, Pump
from apns_asyncio.read_ahead import ReadAhead
from apns_core import Notification, Outcome, Ticket

__all__ = ["Answer", "Batch"]


@final
class Answer:
    """One `send`: in line, then submitted, then answered."""

    __slots__ = ("_notification", "_pump", "_ticket", "future")

    def __init__(self, notification: Notification, pump: Pump) -> None:
        self._notification = notification
        self._pump = pump
        self._ticket: Ticket[Caller] | None = None
        self.future: asyncio.Future[Outcome[object]] = pump.loop.create_future()

    def admit(self) -> bool:
        """Submit, and take the room that there is for one."""
        if not self.future.done():  # else cancelled, and about to leave
            try:
                self._ticket = self._pump.sender.submit(self._notification, self, self._pump.now())
            except Exception as error:  # noqa: BLE001 - the caller's, and nobody else's
                self._fail(error)
        return True

    def deliver(self, outcome: Outcome[object]) -> None:
        """Answer."""
        # Neither a ticket nor an outcome, which may live long, is to refer to a caller.
        self._ticket = outcome.tag = None
        if not self.future.done():
            self.future.set_result(outcome)

    def refuse(self) -> None:
        """End, unless it is submitted already."""
        if self._ticket is None:
            self.fail()

    def fail(self) -> None:
        """End without an outcome."""
        self._fail(self._pump.closed_error())

    def withdraw(self) -> None:
        """Cancel what was submitted."""
        if self._ticket is not None:
            self._pump.tell(self._pump.sender.cancel, self._ticket)

    def _fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@final
class Batch:
    """One `send_many`: no task and no future a notification."""

    __slots__ = (
        "_admitted",
        "_changed",
        "_error",
        "_exhausted",
        "_outcomes",
        "_pump",
        "_reader",
        "_unanswered",
    )

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._reader: ReadAhead | None = None
        self._outcomes: deque[Outcome[object]] = deque()
        self._unanswered = 0
        """Submitted, and without an outcome."""
        self._changed = asyncio.Event()
        self._admitted = False
        self._exhausted = False
        """Whether no more are taken; `_error` says why, unless there are no more."""
        self._error: BaseException | None = None

    async def run(
        self, notifications: Iterable[Notification] | AsyncIterable[Notification]
    ) -> AsyncGenerator[Outcome[object], None]:
        """Submit and yield, until there is no more of either."""
        pump, outcomes = self._pump, self._outcomes
        pump.enter(self)
        try:
            source = self._begin(notifications)
            while self._unanswered or not self._exhausted:
                await self._changed.wait()
                self._changed.clear()
                if self._admitted and not self._exhausted:
                    self._submit(source)
                while outcomes:
                    yield outcomes.popleft()
            if self._error is not None:
                raise self._error
        finally:
            pump.leave(self)
            if self._unanswered:
                pump.tell(pump.sender.withdraw, self)
            if self._reader is not None:
                await self._reader.aclose()

    def admit(self) -> bool:
        """Have `run` submit in its own frame, where the caller's iterable is at home."""
        self._admitted = True
        self._changed.set()
        return False

    def deliver(self, outcome: Outcome[object]) -> None:
        """Keep it until `run` is asked for it."""
        outcome.tag = None
        self._outcomes.append(outcome)
        self._unanswered -= 1
        self._changed.set()

    def refuse(self) -> None:
        """Take nothing more."""
        if not self._exhausted:
            self._end(self._pump.closed_error())
            if self._reader is not None:
                self._reader.cancel()

    def fail(self) -> None:
        """Expect nothing more."""
        self.refuse()
        self._error = self._error or self._pump.closed_error()
        self._unanswered = 0
        self._changed.set()

    def _begin(
        self, notifications: Iterable[Notification] | AsyncIterable[Notification]
    ) -> Iterator[Notification]:
        if isinstance(notifications, AsyncIterable):
            self._reader = ReadAhead(notifications, self._pump.spawn, self._on_read)
            return self._reader
        self._pump.join(self)
        return iter(notifications)

    def _submit(self, source: Iterator[Notification]) -> None:
        """Submit as many as there are and as there is room for."""
        self._admitted = False
        pump = self._pump
        submit, room, now = pump.sender.submit, pump.sender.room, pump.now()
        taken = 0
        try:
            for notification in islice(source, room):
                submit(notification, self, now)
                taken += 1
        except Exception as error:  # noqa: BLE001 - `run` raises it, after the outcomes
            self._end(error)
        finally:
            self._unanswered += taken
            pump.wake()
        if self._reader is not None:
            self._on_read(self._reader)
        elif taken < room:
            self._end(None)
        else:
            pump.join(self)

    def _on_read(self, reader: ReadAhead) -> None:
        if reader.ended:
            self._end(reader.error)
        elif reader.ready:
            self._pump.join(self)

    def _end(self, error: BaseException | None) -> None:
        if not self._exhausted:
            self._exhausted = True
            self._error = error
            self._changed.set()
