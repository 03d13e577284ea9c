"""Which attempts are followed by another, and when. What may be resent at all is decided here."""

from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar, final

from apns_core.outcomes import Accepted, Cause, Outcome, Rejected, Unknown, Unprocessed
from apns_core.reasons import Disposition
from apns_core.tickets import Ticket

if TYPE_CHECKING:
    from random import Random

__all__ = ["OnUnknown", "RetryPolicy"]

T = TypeVar("T")

MAX_ATTEMPTS: Final = 7
"""Of a notification that no server acts on: the first and six more. The second is immediate."""

MAX_REJECTED_ATTEMPTS: Final = 3
"""Of a notification that is answered 429 or 5xx, or with a reason about the connection."""

BASE_DELAY: Final = 1.0
CAP_DELAY: Final = 20.0
"""Seconds; full jitter between 0 and the lesser of base * 2^n and cap (AWS, "Exponential backoff
and jitter")."""

BUDGET: Final = 500.0
BUDGET_COST: Final = 5.0
BUDGET_EARNED: Final = 1.0
"""Retries after 429 and 5xx draw on a bucket that acceptances refill, as in the AWS SDKs: where
everything is refused, attempts exceed notifications by at most a hundred."""


@final
class OnUnknown(StrEnum):
    """What to do with a notification that may have been processed.

    Where it is sent again, its outcome is what the last attempt was answered. That says nothing of
    an attempt before: a device may have shown what is `Rejected` in the end.
    """

    REPORT = "report"
    """Nothing: the caller decides."""
    RESEND_IF_COLLAPSIBLE = "resend_if_collapsible"
    """Send it again where a collapse id makes a duplicate replace the first on the device."""
    RESEND = "resend"
    """Send it again; a device may show it twice."""


# Ends that say nothing of another attempt, or forbid it.
_FINAL_CAUSES: Final = frozenset((Cause.DEADLINE, Cause.LIMITS, Cause.FATAL, Cause.CLOSED))


@final
class RetryPolicy:
    """After this outcome, when is the next attempt, if any."""

    __slots__ = ("_budget", "_on_unknown", "_rng", "_unix_zero")

    def __init__(
        self, rng: "Random", on_unknown: OnUnknown, *, now: float, unix_time: float
    ) -> None:
        self._rng = rng
        self._on_unknown = on_unknown
        self._unix_zero = unix_time - now
        self._budget = BUDGET

    def accepted(self) -> None:
        """Earn credit for retries."""
        if self._budget < BUDGET:
            self._budget = min(self._budget + BUDGET_EARNED, BUDGET)

    def next_attempt(self, ticket: Ticket[T], outcome: Outcome[T], now: float) -> float | None:
        """Return when to try again, in monotonic seconds; None if the outcome is the last word."""
        if isinstance(outcome, Accepted):
            return None
        if isinstance(outcome, Unprocessed):
            at = self._after_unprocessed(ticket, outcome.cause, now)
        elif isinstance(outcome, Unknown):
            at = self._after_unknown(ticket, outcome.cause, now)
        else:
            at = self._after_rejection(ticket, outcome, now)
        if at is None or at >= ticket.deadline:
            return None
        expiration = ticket.request.expiration
        # 0 asks APNs for one attempt at delivery; how often we ask APNs is another matter.
        if expiration and self._unix_zero + at >= expiration:
            return None
        if isinstance(outcome, Rejected) and outcome.disposition is Disposition.RETRY_LATER:
            if self._budget < BUDGET_COST:
                return None
            self._budget -= BUDGET_COST
        return at

    def _after_unprocessed(self, ticket: Ticket[T], cause: Cause, now: float) -> float | None:
        if cause in _FINAL_CAUSES or ticket.attempts >= MAX_ATTEMPTS:
            return None
        # Never encoded, or refused once: nothing says that the next attempt meets the same.
        return now if ticket.attempts <= 1 else now + self._delay(ticket.attempts - 2)

    def _after_unknown(self, ticket: Ticket[T], cause: Cause, now: float) -> float | None:
        allowed = self._on_unknown is OnUnknown.RESEND or (
            self._on_unknown is OnUnknown.RESEND_IF_COLLAPSIBLE
            and any(name == b"apns-collapse-id" for name, _ in ticket.notification.extra_fields)
        )
        if not allowed or cause in _FINAL_CAUSES or ticket.attempts >= MAX_REJECTED_ATTEMPTS:
            return None
        return now + self._delay(ticket.attempts - 1)

    def _after_rejection(
        self, ticket: Ticket[T], rejected: Rejected[T], now: float
    ) -> float | None:
        disposition = rejected.disposition
        if disposition not in _RETRIED or ticket.attempts >= MAX_REJECTED_ATTEMPTS:
            return None
        if disposition is not Disposition.RETRY_LATER:
            # The connection or its token was at fault, and another is on its way. That is paced by
            # the backoff between connections: it needs no budget, which a thousand notifications
            # caught on one connection would exceed.
            return now
        return now + max(self._delay(ticket.attempts - 1), rejected.retry_after or 0.0)

    def _delay(self, failures: int) -> float:
        return self._rng.uniform(0.0, min(CAP_DELAY, BASE_DELAY * 2.0**failures))


_RETRIED: Final = frozenset(
    (
        Disposition.RETRY_LATER,
        Disposition.RETRY_WITH_NEW_TOKEN,
        Disposition.RETRY_ON_NEW_CONNECTION,
    )
)
