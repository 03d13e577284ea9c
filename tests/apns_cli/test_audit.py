"""Whether the audit can fail, and says of each way to fail which one it is."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_cli.audit import Discrepancy, audit
from apns_core import (
    Accepted,
    Cause,
    Notification,
    Outcome,
    Reason,
    Rejected,
    Route,
    Unknown,
    Unprocessed,
)
from apns_simulator import Ledger, LedgerEntry

ROUTE = Route("com.example.app")
KINDS = ("accepted", "rejected", "unprocessed", "unknown")


@dataclass
class World:
    """Two sides of the same story, to be doctored."""

    submitted: list[Notification]
    outcomes: list[Outcome[object]]
    ledger: Ledger

    def audit(self) -> Counter[Discrepancy]:
        return audit(self.submitted, self.outcomes, self.ledger)


def make_world(*kinds: str) -> World:
    """Return a world in which both sides agree; the n-th notification is of the n-th kind."""
    world = World([], [], Ledger())
    for i, kind in enumerate(kinds):
        notification = Notification(ROUTE, f"AB{i:062x}", b"{}")
        apns_id = f"00000000-0000-0000-0000-{i:012x}"
        world.submitted.append(notification)
        world.outcomes.append(make_outcome(kind, notification, apns_id.upper()))
        if kind in {"accepted", "rejected"}:
            is_accepted = kind == "accepted"
            entry = LedgerEntry(
                connection=1,
                stream_id=2 * i + 1,
                device_token=notification.device_token.lower(),
                apns_id=apns_id,
                topic="com.example.app",
                status=200 if is_accepted else 410,
                reason=None if is_accepted else "Unregistered",
            )
            world.ledger.process(entry)
            world.ledger.answer(entry)
    return world


def make_outcome(kind: str, notification: Notification, apns_id: str) -> Outcome[object]:
    if kind == "accepted":
        return Accepted(notification, None, apns_id)
    if kind == "rejected":
        return Rejected(
            notification, None, 410, Reason.UNREGISTERED, "Unregistered", 1, apns_id=apns_id
        )
    if kind == "unprocessed":
        return Unprocessed(notification, None, Cause.DEADLINE)
    return Unknown(notification, None, Cause.DEADLINE)


@given(st.lists(st.sampled_from(KINDS)), st.randoms())
def test_agrees_where_both_sides_do_in_any_order(kinds: list[str], rng: Random) -> None:
    world = make_world(*kinds)
    rng.shuffle(world.outcomes)
    rng.shuffle(world.ledger.entries)
    assert world.audit() == Counter()


def lose_an_outcome(world: World) -> None:
    del world.outcomes[0]


def report_twice(world: World) -> None:
    world.outcomes.append(world.outcomes[0])


def report_what_was_never_submitted(world: World) -> None:
    stranger = Notification(ROUTE, "cd", b"{}")
    world.outcomes.append(Unprocessed(stranger, None, Cause.DEADLINE))


def lose_an_entry(world: World) -> None:
    del world.ledger.entries[1]


def process_twice(world: World) -> None:
    world.ledger.process(replace(world.ledger.entries[0]))


def process_what_was_never_sent(world: World) -> None:
    world.ledger.process(replace(world.ledger.entries[0], device_token="cd"))


def process_and_leave_unanswered(world: World) -> None:
    world.ledger.entries[0].answered = False


def reject_what_was_accepted(world: World) -> None:
    world.ledger.entries[0].status = 400


def accept_what_was_rejected(world: World) -> None:
    entry = world.ledger.entries[1]
    entry.status, entry.reason = 200, None


def give_another_reason(world: World) -> None:
    world.ledger.entries[1].reason = "ExpiredToken"


def give_another_status(world: World) -> None:
    world.ledger.entries[1].status = 400


def lose_the_reason(world: World) -> None:
    world.ledger.entries[1].reason = None


def exchange_the_answers(world: World) -> None:
    entry, other = world.ledger.entries[0], world.ledger.entries[4]
    assert (entry.status, other.status) == (200, 200)
    entry.apns_id, other.apns_id = other.apns_id, entry.apns_id


def answer_without_apns_id(world: World) -> None:
    outcome = world.outcomes[0]
    assert isinstance(outcome, Accepted)
    outcome.apns_id = None


def process_what_is_called(kind: type) -> Callable[[World], None]:
    def doctor(world: World) -> None:
        outcome = next(outcome for outcome in world.outcomes if isinstance(outcome, kind))
        assert isinstance(outcome.notification, Notification)
        token = outcome.notification.device_token.lower()
        world.ledger.process(replace(world.ledger.entries[0], device_token=token))

    doctor.__name__ = f"process what is called {kind.__name__}"
    return doctor


def violate(world: World) -> None:
    world.ledger.violate(1, "2 streams open before a request was accepted")


@pytest.mark.parametrize(
    ("doctor", "discrepancy", "count"),
    [
        (lose_an_outcome, Discrepancy.NO_OUTCOME, 1),
        (report_twice, Discrepancy.SEVERAL_OUTCOMES, 1),
        (report_what_was_never_submitted, Discrepancy.NEVER_SUBMITTED, 1),
        (lose_an_entry, Discrepancy.NOT_PROCESSED, 1),
        (process_twice, Discrepancy.PROCESSED_AGAIN, 1),
        (process_what_was_never_sent, Discrepancy.NOT_SENT, 1),
        (process_and_leave_unanswered, Discrepancy.UNANSWERED, 1),
        (reject_what_was_accepted, Discrepancy.OTHER_ANSWER, 1),
        (accept_what_was_rejected, Discrepancy.OTHER_ANSWER, 1),
        (give_another_reason, Discrepancy.OTHER_ANSWER, 1),
        (give_another_status, Discrepancy.OTHER_ANSWER, 1),
        (lose_the_reason, Discrepancy.OTHER_ANSWER, 1),
        (exchange_the_answers, Discrepancy.OTHER_APNS_ID, 2),
        (answer_without_apns_id, Discrepancy.OTHER_APNS_ID, 1),
        (process_what_is_called(Unprocessed), Discrepancy.UNPROCESSED, 1),
        (process_what_is_called(Unknown), Discrepancy.UNKNOWN, 1),
        (violate, Discrepancy.VIOLATION, 1),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_names_what_does_not_agree(
    doctor: Callable[[World], None], discrepancy: Discrepancy, count: int
) -> None:
    world = make_world("accepted", "rejected", "unprocessed", "unknown", *["accepted"] * 3)
    # Entries are those of the answered: accepted, rejected, and three accepted.
    doctor(world)
    assert world.audit() == Counter({discrepancy: count})


def test_a_ledger_without_entries_proves_nothing() -> None:
    world = make_world("accepted", "rejected", "unprocessed")
    world.ledger = Ledger(keep_entries=False)
    assert world.audit() == Counter({Discrepancy.NOT_PROCESSED: 2})


def test_every_discrepancy_has_a_text_of_its_own() -> None:
    # An enum turns members of the same value into one.
    assert len({name.lower() for name in Discrepancy.__members__}) == len(list(Discrepancy))
