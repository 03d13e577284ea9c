import pytest

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
