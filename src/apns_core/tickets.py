"""What has been submitted and has no outcome yet: tickets, in order, each with its deadline."""

from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

from apns_core.http2.stream import Stream
from apns_core.outcomes import Outcome
from apns_core.requests.request import Request

if TYPE_CHECKING:
    from apns_core.connection import Connection

__all__ = ["DONE", "ENDED", "IN_FLIGHT", "QUEUED", "Submissions", "Ticket"]

T = TypeVar("T")

# Where a ticket is. Integers, not an enum: compared once a notification and more.
QUEUED: Final = 0
"""Not yet encoded, bound to no connection."""
IN_FLIGHT: Final = 1
"""Encoded, unanswered."""
ENDED: Final = 2
"""This attempt has an outcome; whether it is the last word is not decided yet."""
DONE: Final = 3
"""Its outcome was delivered, or it was cancelled."""


@final
class Ticket(Stream, Generic[T]):
    """The handle of one submitted notification, good for cancelling it.

    It is also the stream that carries it: one object a notification, from submission to outcome,
    over all attempts.
    """

    __slots__ = (
        "attempts",
        "connection",
        "deadline",
        "notification",
        "outcome",
        "place",
        "queued_at",
        "request",
        "tag",
    )

    def __init__(
        self, notification: Request, tag: T, now: float, deadline: float, request: Request
    ) -> None:
        self.prepare()
        self.notification = notification
        """As it was submitted: what its outcome names."""
        self.request = request
        """As it is sent."""
        self.tag = tag
        self.deadline = deadline
        """Monotonic seconds."""
        self.queued_at = now
        """When it last joined the queue; monotonic seconds."""
        self.place = QUEUED
        self.connection: Connection[T] | None = None
        """Where it is in flight."""
        self.attempts = 0
        """How often it was encoded."""
        self.outcome: Outcome[T] | None = None

    @property
    def max_body(self) -> int:
        """What the request has use for."""
        return self.notification.answer_limit


_COMPACT_ABOVE: Final = 1_024
"""Tickets that are done and still in the order of deadlines, before it is worth a walk."""


@final
class Submissions(Generic[T]):
    """The queue that the connections of one sender pull from.

    All deadlines lie the same time after their submission, so they come in order, and a deque
    does what a heap would (benchmark: round trip).
    """

    __slots__ = ("_by_deadline", "_pending", "queued", "unfinished")

    def __init__(self) -> None:
        self._pending: deque[Ticket[T]] = deque()
        self._by_deadline: deque[Ticket[T]] = deque()
        self.queued = 0
        """Tickets that wait to be encoded."""
        self.unfinished = 0
        """Tickets queued or in flight."""

    def submit(
        self,
        notification: Request,
        tag: T,
        now: float,
        deadline: float,
        request: Request | None = None,
    ) -> Ticket[T]:
        """Queue a notification behind the others; ``request`` is what is sent in its place."""
        ticket = Ticket(notification, tag, now, deadline, request or notification)
        self._pending.append(ticket)
        self._by_deadline.append(ticket)
        self.queued += 1
        self.unfinished += 1
        return ticket

    def hold(self, ticket: Ticket[T]) -> None:
        """Take back a ticket for another attempt, which `release` lets begin."""
        ticket.prepare()
        ticket.place = QUEUED
        ticket.outcome = None
        self.queued += 1

    def release(self, ticket: Ticket[T], now: float) -> None:
        """Put a ticket that was held before all others, if it has not ended meanwhile."""
        if ticket.place == QUEUED:
            ticket.queued_at = now
            self._pending.appendleft(ticket)

    def pull(self) -> Ticket[T] | None:
        """Take the next ticket to encode, in flight from now on; None if there is none."""
        pending = self._pending
        while pending:
            ticket = pending.popleft()
            # One that was cancelled or has expired stays in the deque until its turn comes.
            if ticket.place == QUEUED:
                self.queued -= 1
                ticket.place = IN_FLIGHT
                return ticket
        return None

    def oldest_queued(self) -> Ticket[T] | None:
        """Return the ticket that `pull` would return."""
        pending = self._pending
        while pending and pending[0].place != QUEUED:
            pending.popleft()
        return pending[0] if pending else None

    def end(self, ticket: Ticket[T], outcome: Outcome[T]) -> None:
        """Note what came of an attempt; `finish` or `hold` follows."""
        if ticket.place == QUEUED:
            self._leave_queue()
        ticket.place = ENDED
        ticket.connection = None
        ticket.outcome = outcome

    def finish(self, ticket: Ticket[T]) -> None:
        """Mark a ticket as done, wherever it is."""
        if ticket.place == QUEUED:
            self._leave_queue()
        ticket.place = DONE
        ticket.connection = None
        ticket.outcome = None
        self.unfinished -= 1
        by_deadline = self._by_deadline
        while by_deadline and by_deadline[0].place == DONE:
            by_deadline.popleft()
        if len(by_deadline) > _COMPACT_ABOVE + 2 * self.unfinished:
            # One slow stream at the head must not keep all that were answered after it.
            self._by_deadline = deque(t for t in by_deadline if t.place != DONE)

    def _leave_queue(self) -> None:
        """Count a ticket that will not be pulled; it stays in the deque until its turn comes."""
        self.queued -= 1
        if len(self._pending) > _COMPACT_ABOVE + 2 * self.queued:
            self._pending = deque(t for t in self._pending if t.place == QUEUED)

    def next_deadline(self) -> float | None:
        """Return the earliest deadline of an unfinished ticket, in monotonic seconds."""
        return self._by_deadline[0].deadline if self._by_deadline else None

    def expired(self, now: float) -> list[Ticket[T]]:
        """Return the tickets, queued or in flight, whose deadline has come; end each."""
        tickets: list[Ticket[T]] = []
        for ticket in self._by_deadline:
            if ticket.deadline > now:
                break
            if ticket.place < ENDED:
                tickets.append(ticket)
        return tickets

    def all_unfinished(self) -> list[Ticket[T]]:
        """Return all tickets queued or in flight, oldest first."""
        return [ticket for ticket in self._by_deadline if ticket.place < ENDED]
