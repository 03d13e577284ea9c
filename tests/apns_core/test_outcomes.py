from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core.errors import InvalidField
from apns_core.outcomes import Accepted, Cause, Rejected, Unknown, Unprocessed
from apns_core.reasons import DISPOSITIONS, Disposition, Reason
from tests.apns_core.peer import NOTIFICATION


@pytest.mark.parametrize("reason", Reason)
def test_a_documented_reason_decides_what_to_do(reason: Reason) -> None:
    rejected = Rejected(NOTIFICATION, 1, 400, reason, reason.value)
    assert rejected.disposition is DISPOSITIONS[reason]


@pytest.mark.parametrize(
    ("status", "disposition"),
    [
        (204, Disposition.DONE),
        (400, Disposition.FAIL),
        (410, Disposition.FORGET_DEVICE),
        (429, Disposition.RETRY_LATER),
        (503, Disposition.RETRY_LATER),
    ],
)
def test_without_one_the_status_does(status: int, disposition: Disposition) -> None:
    assert Rejected(NOTIFICATION, 1, status, None, "NewIn2031").disposition is disposition


def test_outcomes_are_values() -> None:
    assert Accepted(NOTIFICATION, 1, "id") == Accepted(NOTIFICATION, 1, "id")
    assert Accepted(NOTIFICATION, 1) != Accepted(NOTIFICATION, 2)
    unprocessed: object = Unprocessed(NOTIFICATION, 1, Cause.RESET)
    assert unprocessed != Unknown(NOTIFICATION, 1, Cause.RESET)


@pytest.mark.parametrize(
    "outcome",
    [
        Accepted(NOTIFICATION, "tag of the caller"),
        Rejected(NOTIFICATION, "tag of the caller", 410, Reason.UNREGISTERED),
        Unprocessed(NOTIFICATION, "tag of the caller", Cause.DEADLINE),
        Unknown(NOTIFICATION, "tag of the caller", Cause.RESET),
    ],
)
def test_the_tag_is_the_callers_and_not_shown(outcome: object) -> None:
    assert "tag of the caller" not in repr(outcome)
    assert type(outcome).__name__ in repr(outcome)


def test_causes_read_as_the_end_of_a_sentence() -> None:
    for cause in Cause:
        assert cause.value[0].islower()
        assert not cause.value.endswith(".")


# ── dead device tokens ──

DEAD_SINCE = 1_700_000_000_123
DEAD_AT = datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
STEP = timedelta(microseconds=1)


def gone(
    status: int = 410,
    reason: Reason | None = Reason.UNREGISTERED,
    timestamp_ms: int | None = DEAD_SINCE,
) -> Rejected[int]:
    return Rejected(NOTIFICATION, 1, status, reason, timestamp_ms=timestamp_ms)


def test_the_timestamp_is_an_instant_and_what_was_sent() -> None:
    assert (gone().timestamp, gone().timestamp_ms) == (DEAD_AT, DEAD_SINCE)
    assert (gone(timestamp_ms=None).timestamp, gone(timestamp_ms=None).timestamp_ms) == (None, None)
    assert gone(timestamp_ms=0).timestamp == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("reason", [*Reason, None])
@pytest.mark.parametrize("status", [400, 403, 410, 500])
def test_only_two_reasons_with_410_are_the_end_of_a_token(
    status: int, reason: Reason | None
) -> None:
    dead = status == 410 and reason in {Reason.UNREGISTERED, Reason.EXPIRED_TOKEN}
    assert gone(status, reason).is_device_token_dead() is dead
    assert gone(status, reason, None).is_device_token_dead() is dead


@pytest.mark.parametrize(
    ("registered_at", "dead"),
    [
        (None, True),
        (DEAD_AT - timedelta(days=400), True),
        (DEAD_AT - STEP, True),
        (DEAD_AT, True),
        (DEAD_AT + STEP, False),
        (DEAD_AT + timedelta(days=400), False),
        # The same instants on other clocks.
        (DEAD_AT.astimezone(timezone(timedelta(hours=-11))), True),
        ((DEAD_AT + STEP).astimezone(timezone(timedelta(hours=14))), False),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), True),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-11))), False),
    ],
)
def test_a_token_that_was_registered_again_lives(
    registered_at: datetime | None,
    dead: bool,  # noqa: FBT001
) -> None:
    assert gone().is_device_token_dead(registered_at) is dead
    # Nobody says since when: then APNs' answer is the newest that is known.
    assert gone(timestamp_ms=None).is_device_token_dead(registered_at)
    assert not gone(400, Reason.BAD_DEVICE_TOKEN).is_device_token_dead(registered_at)


@pytest.mark.parametrize("value", [datetime(2030, 1, 1), 1_700_000_000, "2030"])  # noqa: DTZ001
def test_what_is_no_instant_is_refused(value: Any) -> None:  # noqa: ANN401
    # Of every rejection: a mistake is to be seen before the first device goes.
    for rejected in (gone(), gone(400, Reason.BAD_TOPIC)):
        with pytest.raises(InvalidField, match=r"^registered_at: "):
            rejected.is_device_token_dead(value)


@given(st.integers(0, 2**63 - 1) | st.integers())
def test_no_number_of_a_server_raises(milliseconds: int) -> None:
    rejected = gone(timestamp_ms=milliseconds)
    assert rejected.timestamp is None or rejected.timestamp.tzinfo is UTC
    assert rejected.timestamp_ms == milliseconds
    assert rejected.is_device_token_dead()
