"""The retry policy by itself: every outcome, attempt, deadline and expiration."""

from collections.abc import Callable
from random import Random

import pytest

from apns_core import (
    DISPOSITIONS,
    Accepted,
    Cause,
    Disposition,
    Notification,
    OnUnknown,
    Outcome,
    Reason,
    Rejected,
    Route,
    Ticket,
    Unknown,
    Unprocessed,
)
from apns_core.retries import BUDGET, BUDGET_COST, MAX_ATTEMPTS, MAX_REJECTED_ATTEMPTS, RetryPolicy

NOW = 100.0
UNIX_TIME = 1_800_000_000.0
ROUTE = Route("com.example.app")
FINAL_CAUSES = {Cause.DEADLINE, Cause.LIMITS, Cause.FATAL, Cause.CLOSED}
RETRIED = {
    Disposition.RETRY_LATER,
    Disposition.RETRY_WITH_NEW_TOKEN,
    Disposition.RETRY_ON_NEW_CONNECTION,
}


def policy(on_unknown: OnUnknown = OnUnknown.REPORT, seed: int = 0) -> RetryPolicy:
    return RetryPolicy(Random(seed), on_unknown, now=NOW, unix_time=UNIX_TIME)


def ticket(
    attempts: int = 1,
    *,
    expiration: int | None = None,
    collapse_id: str | None = None,
    timeout: float = 30.0,
) -> Ticket[int]:
    notification = Notification(ROUTE, "ab", b"{}", expiration=expiration, collapse_id=collapse_id)
    made = Ticket(notification, 0, NOW, NOW + timeout, notification)
    made.attempts = attempts
    return made


def unprocessed(of: Ticket[int], cause: Cause = Cause.REFUSED_STREAM) -> Unprocessed[int]:
    return Unprocessed(of.notification, of.tag, cause)


def unknown(of: Ticket[int], cause: Cause = Cause.CONNECTION_LOST) -> Unknown[int]:
    return Unknown(of.notification, of.tag, cause)


def rejected(
    of: Ticket[int],
    status: int = 503,
    reason: Reason | None = None,
    retry_after: float | None = None,
) -> Rejected[int]:
    return Rejected(of.notification, of.tag, status, reason, retry_after=retry_after)


def delays(
    attempts: int,
    make: Callable[[Ticket[int]], Outcome[int]],
    on_unknown: OnUnknown = OnUnknown.REPORT,
) -> list[float | None]:
    """Return the delay after so many attempts, for each of two hundred seeds."""
    found: list[float | None] = []
    for seed in range(200):
        one = ticket(attempts)
        at = policy(on_unknown, seed).next_attempt(one, make(one), NOW)
        found.append(None if at is None else at - NOW)
    return found


def known(found: list[float | None]) -> list[float]:
    values = [delay for delay in found if delay is not None]
    assert len(values) == len(found)
    return values


def test_an_acceptance_is_the_last_word() -> None:
    one = ticket()
    outcome: Outcome[int] = Accepted(one.notification, one.tag)
    assert policy().next_attempt(one, outcome, NOW) is None


# ── unprocessed ──


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_of_unprocessed_is_tried_again_or_is_final(cause: Cause) -> None:
    one = ticket()
    expected = None if cause in FINAL_CAUSES else NOW
    assert policy().next_attempt(one, unprocessed(one, cause), NOW) == expected


def test_what_was_never_encoded_may_begin_at_once() -> None:
    one = ticket(0)
    assert policy().next_attempt(one, unprocessed(one, Cause.GOAWAY), NOW) == NOW


@pytest.mark.parametrize(("attempts", "longest"), [(2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 16)])
def test_later_attempts_wait_with_full_jitter(attempts: int, longest: float) -> None:
    found = known(delays(attempts, unprocessed))
    assert 0 <= min(found) < 0.1 * longest
    assert 0.9 * longest < max(found) <= longest


def test_attempts_are_bounded() -> None:
    for attempts in range(1, MAX_ATTEMPTS):
        assert None not in delays(attempts, unprocessed)
    assert set(delays(MAX_ATTEMPTS, unprocessed)) == {None}


# ── unknown ──


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("collapse_id", [None, "score"])
@pytest.mark.parametrize("on_unknown", OnUnknown)
def test_unknown_is_resent_by_consent_alone(
    on_unknown: OnUnknown, collapse_id: str | None, cause: Cause
) -> None:
    one = ticket(collapse_id=collapse_id)
    at = policy(on_unknown).next_attempt(one, unknown(one, cause), NOW)
    consent = on_unknown is OnUnknown.RESEND or (
        on_unknown is OnUnknown.RESEND_IF_COLLAPSIBLE and collapse_id is not None
    )
    assert (at is not None) == (consent and cause not in FINAL_CAUSES)


@pytest.mark.parametrize(("attempts", "longest"), [(1, 1.0), (2, 2.0)])
def test_unknown_is_resent_with_full_jitter(attempts: int, longest: float) -> None:
    found = known(delays(attempts, unknown, OnUnknown.RESEND))
    assert 0 <= min(found) < 0.1 * longest
    assert 0.9 * longest < max(found) <= longest


def test_unknown_is_resent_a_bounded_number_of_times() -> None:
    assert set(delays(MAX_REJECTED_ATTEMPTS, unknown, OnUnknown.RESEND)) == {None}


# ── rejected ──


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_tried_again_by_its_disposition(reason: Reason) -> None:
    one = ticket()
    at = policy().next_attempt(one, rejected(one, 400, reason), NOW)
    assert (at is not None) == (DISPOSITIONS[reason] in RETRIED)
    if DISPOSITIONS[reason] in RETRIED - {Disposition.RETRY_LATER}:
        assert at == NOW


@pytest.mark.parametrize(
    ("status", "again"),
    [(400, False), (403, False), (404, False), (410, False), (429, True), (500, True), (599, True)],
)
def test_without_a_reason_the_status_decides(status: int, again: bool) -> None:  # noqa: FBT001
    one = ticket()
    assert (policy().next_attempt(one, rejected(one, status), NOW) is not None) == again


@pytest.mark.parametrize(("attempts", "longest"), [(1, 1.0), (2, 2.0)])
def test_a_passing_fault_is_waited_out_with_full_jitter(attempts: int, longest: float) -> None:
    found = known(delays(attempts, rejected))
    assert 0 <= min(found) < 0.1 * longest
    assert 0.9 * longest < max(found) <= longest


@pytest.mark.parametrize("reason", [None, Reason.EXPIRED_PROVIDER_TOKEN, Reason.SHUTDOWN])
def test_rejections_are_retried_a_bounded_number_of_times(reason: Reason | None) -> None:
    one = ticket(MAX_REJECTED_ATTEMPTS)
    assert policy().next_attempt(one, rejected(one, 503, reason), NOW) is None


def test_retry_after_is_the_least_to_wait() -> None:
    one = ticket()
    assert policy().next_attempt(one, rejected(one, retry_after=12.0), NOW) == NOW + 12.0
    at = policy().next_attempt(one, rejected(one, retry_after=0.0), NOW)
    assert at is not None
    assert NOW < at <= NOW + 1.0


# ── the budget ──


def spend(of: RetryPolicy, most: int = 1_000) -> int:
    """Return how many retries it grants."""
    granted = 0
    while granted < most:
        one = ticket()
        if of.next_attempt(one, rejected(one), NOW) is None:
            break
        granted += 1
    return granted


def test_retries_are_bought_and_acceptances_pay() -> None:
    bucket = policy()
    assert spend(bucket) == BUDGET / BUDGET_COST
    for _ in range(14):
        bucket.accepted()
    assert spend(bucket) == 2
    bucket.accepted()
    assert spend(bucket) == 1


def test_the_bucket_is_not_bottomless_nor_endless() -> None:
    bucket = policy()
    for _ in range(10_000):
        bucket.accepted()
    assert spend(bucket) == BUDGET / BUDGET_COST


def test_a_retry_that_is_not_made_is_not_paid_for() -> None:
    bucket = policy()
    for _ in range(1_000):
        one = ticket(timeout=5.0)
        assert bucket.next_attempt(one, rejected(one, retry_after=6.0), NOW) is None
    assert spend(bucket) == BUDGET / BUDGET_COST


def test_a_fault_of_the_connection_costs_nothing() -> None:
    bucket = policy()
    spend(bucket)
    for reason in (Reason.EXPIRED_PROVIDER_TOKEN, Reason.SHUTDOWN, Reason.IDLE_TIMEOUT):
        one = ticket()
        assert bucket.next_attempt(one, rejected(one, 403, reason), NOW) == NOW
    one = ticket()
    assert bucket.next_attempt(one, unprocessed(one), NOW) == NOW


# ── too late ──


@pytest.mark.parametrize(("retry_after", "again"), [(29.0, True), (30.0, False), (31.0, False)])
def test_never_at_the_deadline_or_after_it(retry_after: float, again: bool) -> None:  # noqa: FBT001
    one = ticket()
    at = policy().next_attempt(one, rejected(one, retry_after=retry_after), NOW)
    assert (at is not None) == again


@pytest.mark.parametrize(
    ("expiration", "again"),
    [(int(UNIX_TIME) + 6, True), (int(UNIX_TIME) + 5, False), (1, False), (0, True), (None, True)],
)
def test_never_at_the_expiration_or_after_it(expiration: int | None, again: bool) -> None:  # noqa: FBT001
    one = ticket(expiration=expiration)
    at = policy().next_attempt(one, rejected(one, retry_after=5.0), NOW)
    assert (at is not None) == again


def test_even_an_immediate_attempt_can_be_too_late() -> None:
    one = ticket(timeout=0.0)
    assert policy().next_attempt(one, unprocessed(one), NOW) is None
    expired = ticket(expiration=int(UNIX_TIME))
    assert policy().next_attempt(expired, unprocessed(expired), NOW) is None
