"""Those who wait, on whatever loop: one `send` for one outcome, one `send_many` for many."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, Generic, Protocol, TypeVar

from apns_core.adapters.pump import Caller, PumpBase
from apns_core.outcomes import Cause, Outcome, Unprocessed
from apns_core.requests.request import Request
from apns_core.tickets import Ticket

__all__ = ["AnswerBase", "BatchBase", "Reader"]

_SPELL: Final = 0.05
"""Seconds for which a source may hold up the loop at a time: an answer that waits for so long is
hardly late, and a source that takes its time, row by row, is gone on with in the next turn."""

_STRIDE: Final = 8
"""Notifications between two looks at the clock, which cost as much as a fiftieth of a push."""


class AnswerBase(ABC):
    """One `send`: in line, then submitted, then answered."""

    __slots__ = ("_notification", "_pump", "_ticket")

    def __init__(self, notification: Request, pump: PumpBase[Any]) -> None:
        self._notification = notification
        self._pump = pump
        self._ticket: Ticket[Caller] | None = None

    @abstractmethod
    def admit(self) -> bool:
        """Submit, and take the room that there is for one."""

    @abstractmethod
    def deliver(self, outcome: Outcome[object]) -> None:
        """Answer."""

    @abstractmethod
    def _fail(self, error: Exception) -> None:
        """Have ``error`` raised in place of an answer, unless there is one."""

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

    def _submit(self) -> None:
        try:
            self._ticket = self._pump.sender.submit(self._notification, self, self._pump.now())
        except Exception as error:  # noqa: BLE001 - the caller's, and nobody else's
            self._fail(error)


class Reader(Iterator[Request], Protocol):
    """Iterates over what was read of an asynchronous source by now."""

    error: BaseException | None
    """What the source raised."""

    @property
    def ready(self) -> bool:
        """Whether there is something to take."""
        ...

    @property
    def ended(self) -> bool:
        """Whether there is nothing to take, and never will be."""
        ...

    def cancel(self) -> None:
        """Read no more."""
        ...


R = TypeVar("R", bound=Reader)


class BatchBase(ABC, Generic[R]):
    """One `send_many`: nothing of the loop's for a single notification."""

    __slots__ = (
        "_admitted",
        "_error",
        "_exhausted",
        "_outcomes",
        "_pump",
        "_reader",
        "_source",
        "_unanswered",
    )

    def __init__(self, pump: PumpBase[Any]) -> None:
        self._pump = pump
        self._source: Iterator[Request] = iter(())
        self._reader: R | None = None
        """The source too, where it is asynchronous."""
        self._outcomes: deque[Outcome[object]] = deque()
        self._unanswered = 0
        """Submitted, and without an outcome."""
        self._admitted = False
        self._exhausted = False
        """Whether no more are taken; `_error` says why, unless there are no more."""
        self._error: BaseException | None = None

    @abstractmethod
    def deliver(self, outcome: Outcome[object]) -> None:
        """Keep it until the caller asks for it."""

    @abstractmethod
    def _signal(self) -> None:
        """Have the caller look again, who waits."""

    def admit(self) -> bool:
        """Have the caller submit in its own frame, where its iterable is at home."""
        self._admitted = True
        self._signal()
        return False

    def refuse(self) -> None:
        """Take nothing more."""
        self._give_up(self._pump.closed_error())

    def fail(self) -> None:
        """Expect nothing more."""
        self.refuse()
        self._error = self._error or self._pump.closed_error()
        self._unanswered = 0
        self._signal()

    def _expects(self) -> bool:
        """Whether an outcome may come, or something may be taken."""
        return (
            self._unanswered > 0
            or not self._exhausted
            or (self._reader is not None and not self._reader.ended)
        )

    def _submit(self) -> None:
        """Submit as many as there are and as there is room for. Outputs are to be seen to then."""
        self._admitted = False
        pump = self._pump
        submit, room, now = pump.sender.submit, pump.sender.room, pump.now()
        until = now + _SPELL
        taken = look_at = 0
        more = False
        try:
            for notification in islice(self._source, room):
                if taken == look_at:
                    # A deadline counts from when there was something to send. Before the 1st, 2nd,
                    # 3rd, 5th, 9th and each 8th that follows: a slow source is soon found out.
                    now = pump.now()
                    look_at += min(taken, _STRIDE) or 1
                submit(notification, self, now)
                taken += 1
                if now > until:
                    more = True
                    break
            else:
                more = taken == room
        except Exception as error:  # noqa: BLE001 - raised to the caller, after the outcomes
            self._give_up(error)
        finally:
            self._unanswered += taken
            pump.came(self)
        if self._reader is not None:
            self._on_read(self._reader)
        elif more:
            pump.join(self)
        else:
            self._end(None)

    def _on_read(self, reader: R) -> None:
        if self._exhausted:
            self._hand_back(reader)
        elif reader.ended:
            self._end(reader.error)
        elif reader.ready:
            self._pump.join(self)

    def _hand_back(self, reader: R) -> None:
        """Have an outcome for what its source has given, and nobody takes."""
        for notification in reader:
            self._unanswered += 1
            self.deliver(Unprocessed(notification, self, Cause.CLOSED))
        self._signal()
        error = reader.error
        if reader.ended and isinstance(error, Exception) and error is not self._error:
            # It was closed, and could not clean up, say. There is nobody at whom to raise it.
            reader.error = None
            self._pump.on_source_error(error)

    def _give_up(self, error: BaseException) -> None:
        """Take nothing more, although there is more."""
        self._end(error)
        if self._reader is not None:
            self._reader.cancel()
            self._hand_back(self._reader)

    def _end(self, error: BaseException | None) -> None:
        if not self._exhausted:
            self._exhausted = True
            self._error = error
            self._signal()
