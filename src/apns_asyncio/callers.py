"""Those who wait in asyncio: for a future, or for an event and a task that reads."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import final

from apns_asyncio.pump import Pump
from apns_asyncio.read_ahead import ReadAhead
from apns_core import Outcome
from apns_core.adapters.callers import AnswerBase, BatchBase
from apns_core.requests.request import Request

__all__ = ["Answer", "Batch"]


@final
class Answer(AnswerBase):
    """One `send`: its answer is a future."""

    __slots__ = ("future",)

    def __init__(self, notification: Request, pump: Pump) -> None:
        super().__init__(notification, pump)
        self.future: asyncio.Future[Outcome[object]] = pump.loop.create_future()

    def admit(self) -> bool:
        """Submit, and take the room that there is for one."""
        if not self.future.done():  # else cancelled, and about to leave
            self._submit()
        return True

    def deliver(self, outcome: Outcome[object]) -> None:
        """Answer."""
        # Neither a ticket nor an outcome, which may live long, is to refer to a caller.
        self._ticket = outcome.tag = None
        if not self.future.done():
            self.future.set_result(outcome)

    def _fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@final
class Batch(BatchBase[ReadAhead]):
    """One `send_many`: no task and no future a notification."""

    __slots__ = ("_changed", "_spawn")

    def __init__(self, pump: Pump) -> None:
        super().__init__(pump)
        self._spawn = pump.spawn
        self._changed = asyncio.Event()

    async def run(
        self, notifications: Iterable[Request] | AsyncIterable[Request]
    ) -> AsyncGenerator[Outcome[object], None]:
        """Submit and yield, until there is no more of either."""
        pump, outcomes = self._pump, self._outcomes
        pump.enter(self)
        try:
            self._begin(notifications)
            while self._expects():
                await self._changed.wait()
                self._changed.clear()
                if self._admitted and not self._exhausted:
                    self._take()
                while outcomes:
                    yield outcomes.popleft()
            if self._error is not None:
                raise self._error
        finally:
            self._exhausted = True
            pump.leave(self)
            if self._unanswered:
                pump.tell(pump.sender.withdraw, self)
            if self._reader is not None:
                await self._reader.aclose()

    def deliver(self, outcome: Outcome[object]) -> None:
        """Keep it until `run` is asked for it."""
        outcome.tag = None
        if not self._outcomes:  # else `run` has no reason to wait
            self._changed.set()
        self._outcomes.append(outcome)
        self._unanswered -= 1

    def _signal(self) -> None:
        self._changed.set()

    def _begin(self, notifications: Iterable[Request] | AsyncIterable[Request]) -> None:
        if isinstance(notifications, AsyncIterable):
            self._source = self._reader = ReadAhead(notifications, self._on_read)
            self._reader.start(self._spawn)
        else:
            self._pump.join(self)
            self._source = iter(notifications)

    def _take(self) -> None:
        try:
            self._submit()
        finally:
            self._pump.wake()
