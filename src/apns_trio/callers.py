"""Those who wait: one `send` for one outcome, one `send_many` for many."""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, final

import trio

from apns_core import Notification, Outcome, Ticket
from apns_trio.pump import Caller, Pump
from apns_trio.read_ahead import ReadAhead

__all__ = ["Answer", "Batch", "Outcomes"]


@final
class Answer:
    """One `send`: in line, then submitted, then answered."""

    __slots__ = ("_done", "_error", "_notification", "_outcome", "_pump", "_ticket")

    def __init__(self, notification: Notification, pump: Pump) -> None:
        self._notification = notification
        self._pump = pump
        self._ticket: Ticket[Caller] | None = None
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
        try:
            self._ticket = self._pump.sender.submit(self._notification, self, trio.current_time())
        except Exception as error:  # noqa: BLE001 - the caller's, and nobody else's
            self._fail(error)
        return True

    def deliver(self, outcome: Outcome[object]) -> None:
        """Answer."""
        # Neither a ticket nor an outcome, which may live long, is to refer to a caller.
        self._ticket = outcome.tag = None
        self._outcome = outcome
        self._done.set()

    def refuse(self) -> None:
        """End, unless it is submitted already."""
        if self._ticket is None:
            self.fail()

    def fail(self) -> None:
        """End without an outcome, unless there is one."""
        self._fail(self._pump.closed_error())

    def withdraw(self) -> None:
        """Cancel what was submitted."""
        if self._ticket is not None:
            self._pump.tell(self._pump.sender.cancel, self._ticket)

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._done.set()


@final
class Batch:
    """One `send_many`: no task and no event a notification."""

    __slots__ = (
        "_admitted",
        "_begun",
        "_changed",
        "_error",
        "_exhausted",
        "_notifications",
        "_outcomes",
        "_pump",
        "_reader",
        "_source",
        "_stopped",
        "_unanswered",
    )

    def __init__(
        self, notifications: Iterable[Notification] | AsyncIterable[Notification], pump: Pump
    ) -> None:
        self._notifications = notifications
        self._pump = pump
        self._source: Iterator[Notification] = iter(())
        self._reader: ReadAhead | None = None
        self._outcomes: deque[Outcome[object]] = deque()
        self._unanswered = 0
        """Submitted, and without an outcome."""
        self._changed = trio.Event()
        self._begun = False
        self._stopped = False
        self._admitted = False
        self._exhausted = False
        """Whether no more are taken; `_error` says why, unless there are no more."""
        self._error: BaseException | None = None

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

    def admit(self) -> bool:
        """Have `next` submit in its own frame, where the caller's iterable is at home."""
        self._admitted = True
        self._changed.set()
        return False

    def deliver(self, outcome: Outcome[object]) -> None:
        """Keep it until the caller asks for it."""
        outcome.tag = None
        if self._stopped:
            return
        if not self._outcomes:  # else `next` has no reason to wait
            self._changed.set()
        self._outcomes.append(outcome)
        self._unanswered -= 1

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

    # ── the source ──

    async def _fill(self) -> None:
        """Submit until there is an outcome, or there is none to come."""
        if not self._begun:
            self._begin()
        while (
            not self._outcomes and not self._stopped and (self._unanswered or not self._exhausted)
        ):
            await self._changed.wait()
            self._changed = trio.Event()
            if self._admitted and not self._exhausted:
                self._submit()

    def _begin(self) -> None:
        self._begun = True
        self._pump.enter(self)
        if isinstance(self._notifications, AsyncIterable):
            self._source = self._reader = ReadAhead(self._notifications, self._on_read)
            self._pump.spawn(self._reader.run)
        else:
            self._source = iter(self._notifications)
            self._pump.join(self)

    def _submit(self) -> None:
        """Submit as many as there are and as there is room for."""
        self._admitted = False
        pump = self._pump
        submit, room, now = pump.sender.submit, pump.sender.room, trio.current_time()
        taken = 0
        try:
            for notification in islice(self._source, room):
                submit(notification, self, now)
                taken += 1
        except Exception as error:  # noqa: BLE001 - `next` raises it, after the outcomes
            self._end(error)
        finally:
            self._unanswered += taken
        if self._reader is not None:
            self._on_read(self._reader)
        elif taken < room:
            self._end(None)
        else:
            pump.join(self)
        pump.drain()

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


@final
class Outcomes(AsyncIterator[Outcome[object]]):
    """The outcomes of one `send_many`, as they come. For ``async for``, in one task.

    Not a generator: trio warns when one is left before its end, as ``break`` does. It is closed by
    `aclose`, or when nobody holds it any more.
    """

    def __init__(self, batch: Batch, token: trio.lowlevel.TrioToken) -> None:
        self._batch = batch
        self._token = token

    def __anext__(self) -> Coroutine[Any, Any, Outcome[object]]:
        """Return the next outcome; see `Client.send_many` for what it raises."""
        return self._batch.next()

    async def aclose(self) -> None:
        """Withdraw what is still queued; what is in flight goes on. Ends the iteration."""
        await self._batch.aclose()

    def __del__(self) -> None:
        if self._batch.running:
            # The garbage collector calls in any thread, at any time: not here and now.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._batch.stop)
