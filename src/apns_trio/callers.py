"""Those who wait in trio: for an event, and for a task that reads."""

from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable
from contextlib import suppress
from typing import Any, final

import trio

from apns_core import Outcome
from apns_core.adapters.callers import AnswerBase, BatchBase
from apns_core.requests.request import Request
from apns_trio.pump import Pump
from apns_trio.read_ahead import ReadAhead

__all__ = ["Answer", "Batch", "Outcomes"]


@final
class Answer(AnswerBase):
    """One `send`: its answer is an event."""

    __slots__ = ("_done", "_error", "_outcome")

    def __init__(self, notification: Request, pump: Pump) -> None:
        super().__init__(notification, pump)
        self._done = trio.Event()
        self._outcome: Outcome[object] | None = None
        self._error: Exception | None = None

    async def wait(self) -> Outcome[object]:
        """Return the outcome, or raise ClientClosed."""
        await self._done.wait()
        if self._outcome is None:
            assert self._error is not None  # noqa: S101 - one of both is why it is done
            raise self._error
        return self._outcome

    def admit(self) -> bool:
        """Submit, and take the room that there is for one."""
        self._submit()
        return True

    def deliver(self, outcome: Outcome[object]) -> None:
        """Answer."""
        # Neither a ticket nor an outcome, which may live long, is to refer to a caller.
        self._ticket = outcome.tag = None
        self._outcome = outcome
        self._done.set()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._done.set()


@final
class Batch(BatchBase[ReadAhead]):
    """One `send_many`: no task and no event a notification."""

    __slots__ = ("_begun", "_changed", "_notifications", "_spawn", "_stopped")

    def __init__(
        self, notifications: Iterable[Request] | AsyncIterable[Request], pump: Pump
    ) -> None:
        super().__init__(pump)
        self._notifications = notifications
        self._spawn = pump.spawn
        self._changed = trio.Event()
        self._begun = False
        self._stopped = False

    # ── for the caller ──

    @property
    def running(self) -> bool:
        """Whether there is something to stop."""
        return self._begun and not self._stopped

    async def next(self) -> Outcome[object]:
        """Return the next outcome, and submit meanwhile. Raises StopAsyncIteration at the end."""
        if not self._outcomes:
            try:
                await self._fill()
            except BaseException:
                await self.aclose()
                raise
        if self._outcomes:
            return self._outcomes.popleft()
        error, self._error = self._error, None
        await self.aclose()
        if isinstance(error, StopAsyncIteration):
            # Let out it would pass for the end; what is a generator in asyncio does the same.
            raise RuntimeError("the iterable raised StopAsyncIteration") from error  # noqa: TRY004
        raise error or StopAsyncIteration

    async def aclose(self) -> None:
        """Stop, and wait until nothing is read any more."""
        self.stop()
        if self._reader is not None:
            await self._reader.wait()

    def stop(self) -> None:
        """Withdraw what is queued, and read no more."""
        if self._stopped:
            return
        self._stopped = self._exhausted = True
        self._error = None
        self._outcomes.clear()
        self._changed.set()
        self._pump.leave(self)
        if self._unanswered:
            self._pump.tell(self._pump.sender.withdraw, self)
        if self._reader is not None:
            self._reader.cancel()

    # ── for the pump ──

    def deliver(self, outcome: Outcome[object]) -> None:
        """Keep it until the caller asks for it."""
        outcome.tag = None
        if self._stopped:
            return
        if not self._outcomes:  # else `next` has no reason to wait
            self._changed.set()
        self._outcomes.append(outcome)
        self._unanswered -= 1

    def _signal(self) -> None:
        self._changed.set()

    # ── the source ──

    async def _fill(self) -> None:
        """Submit until there is an outcome, or there is none to come."""
        if not self._begun:
            self._begin()
        while not self._outcomes and not self._stopped and self._expects():
            await self._changed.wait()
            self._changed = trio.Event()
            if self._admitted and not self._exhausted:
                try:
                    self._submit()
                finally:
                    self._pump.wake()

    def _begin(self) -> None:
        self._begun = True
        self._pump.enter(self)
        if isinstance(self._notifications, AsyncIterable):
            self._source = self._reader = ReadAhead(self._notifications, self._on_read)
            self._spawn(self._reader.run)
        else:
            self._source = iter(self._notifications)
            self._pump.join(self)


@final
class Outcomes(AsyncIterator[Outcome[object]]):
    """The outcomes of one `send_many`, as they come. For ``async for``, in one task.

    Not a generator: trio warns when one is left before its end, as ``break`` does. It is closed by
    `aclose`, or when nobody holds it any more.
    """

    def __init__(self, batch: Batch, token: trio.lowlevel.TrioToken) -> None:
        self._batch = batch
        self._token = token
        self._begun = False

    def __anext__(self) -> Coroutine[Any, Any, Outcome[object]]:
        """Return the next outcome; see `Client.send_many` for what it raises."""
        if self._begun:
            return self._batch.next()
        self._begun = True
        return self._first()

    async def _first(self) -> Outcome[object]:
        """Hold this while nobody else may: what begins must be stopped by somebody."""
        return await self._batch.next()

    async def aclose(self) -> None:
        """Withdraw what is still queued; what is in flight goes on. Ends the iteration."""
        await self._batch.aclose()

    def __del__(self) -> None:
        if self._batch.running:
            # The garbage collector calls in any thread, at any time: not here and now.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._batch.stop)
