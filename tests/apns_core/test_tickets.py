import gc
from collections import deque
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.outcomes import Cause, Unprocessed
from apns_core.tickets import DONE, ENDED, IN_FLIGHT, QUEUED, Submissions, Ticket
from tests.apns_core.peer import NOTIFICATION

TIMEOUT: Final = 30.0


def submit(submissions: Submissions[int], tag: int = 0, now: float = 0.0) -> Ticket[int]:
    return submissions.submit(NOTIFICATION, tag, now, now + TIMEOUT)


def outcome(tag: int = 0) -> Unprocessed[int]:
    return Unprocessed(NOTIFICATION, tag, Cause.GOAWAY)


def tags(tickets: list[Ticket[int]]) -> list[int]:
    return [ticket.tag for ticket in tickets]


def pull_all(submissions: Submissions[int]) -> list[int]:
    pulled: list[int] = []
    while (ticket := submissions.pull()) is not None:
        pulled.append(ticket.tag)
    return pulled


def test_a_new_ticket_is_queued() -> None:
    submissions: Submissions[int] = Submissions()
    ticket = submit(submissions, 7, now=5.0)
    assert ticket.place == QUEUED
    assert (ticket.tag, ticket.notification) == (7, NOTIFICATION)
    assert (ticket.queued_at, ticket.deadline) == (5.0, 35.0)
    assert (ticket.attempts, ticket.connection, ticket.outcome) == (0, None, None)
    assert (submissions.queued, submissions.unfinished) == (1, 1)
    assert submissions.next_deadline() == 35.0


def test_first_come_first_pulled() -> None:
    submissions: Submissions[int] = Submissions()
    for tag in range(5):
        submit(submissions, tag)
    assert submissions.oldest_queued() is submissions.pull()
    assert submissions.queued == 4
    assert pull_all(submissions) == [1, 2, 3, 4]
    assert submissions.oldest_queued() is None
    assert (submissions.queued, submissions.unfinished) == (0, 5)


def test_a_pulled_ticket_is_in_flight() -> None:
    submissions: Submissions[int] = Submissions()
    ticket = submit(submissions)
    assert submissions.pull() is ticket
    assert ticket.place == IN_FLIGHT
    submissions.end(ticket, outcome())
    assert (submissions.queued, submissions.unfinished) == (0, 1)


@pytest.mark.parametrize("pulled", [False, True])
def test_a_ticket_ends_and_is_done(pulled: bool) -> None:  # noqa: FBT001
    submissions: Submissions[int] = Submissions()
    ticket = submit(submissions)
    if pulled:
        submissions.pull()
    submissions.end(ticket, outcome())
    assert ticket.place == ENDED
    assert [ticket.outcome] == [outcome()]
    assert (submissions.queued, submissions.unfinished) == (0, 1)
    assert submissions.all_unfinished() == []
    submissions.finish(ticket)
    assert ticket.place == DONE
    assert ticket.outcome is None
    assert (submissions.queued, submissions.unfinished) == (0, 0)
    assert submissions.next_deadline() is None
    assert submissions.pull() is None


def test_a_cancelled_ticket_is_passed_over() -> None:
    submissions: Submissions[int] = Submissions()
    tickets = [submit(submissions, tag) for tag in range(4)]
    submissions.finish(tickets[0])
    submissions.finish(tickets[2])
    assert submissions.queued == 2
    assert submissions.oldest_queued() is tickets[1]
    assert pull_all(submissions) == [1, 3]


def test_held_tickets_wait_and_released_ones_go_first() -> None:
    submissions: Submissions[int] = Submissions()
    ticket = submit(submissions, 0)
    submit(submissions, 1)
    submissions.pull()
    ticket.status = 500
    ticket.stream_id = 1
    submissions.end(ticket, outcome())
    submissions.hold(ticket)
    assert ticket.place == QUEUED
    assert ticket.outcome is None
    assert (ticket.status, ticket.stream_id) == (0, 0), "a former attempt is forgotten"
    assert (submissions.queued, submissions.unfinished) == (2, 2)
    assert tags(submissions.all_unfinished()) == [0, 1], "it keeps its place among deadlines"
    held = submissions.oldest_queued()
    assert held is not None
    assert held.tag == 1
    submissions.release(ticket, 9.0)
    assert ticket.queued_at == 9.0
    assert pull_all(submissions) == [0, 1]


@pytest.mark.parametrize("end", ["finish", "expire"])
def test_a_ticket_that_ends_while_it_is_held_is_not_released(end: str) -> None:
    submissions: Submissions[int] = Submissions()
    ticket = submit(submissions)
    submissions.pull()
    submissions.end(ticket, outcome())
    submissions.hold(ticket)
    if end == "finish":
        submissions.finish(ticket)
    else:
        submissions.end(ticket, outcome())
    submissions.release(ticket, 9.0)
    assert ticket.queued_at == 0.0
    assert pull_all(submissions) == []
    assert submissions.queued == 0


def test_expired_tickets_queued_or_in_flight_in_order() -> None:
    submissions: Submissions[int] = Submissions()
    tickets = [submit(submissions, tag, now=float(tag)) for tag in range(5)]
    submissions.pull()
    submissions.end(tickets[1], outcome())
    submissions.finish(tickets[2])
    assert submissions.expired(29.9) == []
    assert tags(submissions.expired(33.0)) == [0, 3]
    assert tags(submissions.expired(34.0)) == [0, 3, 4]
    assert tags(submissions.all_unfinished()) == [0, 3, 4]


def test_the_next_deadline_is_that_of_the_oldest_unfinished() -> None:
    submissions: Submissions[int] = Submissions()
    tickets = [submit(submissions, tag, now=float(tag)) for tag in range(4)]
    submissions.finish(tickets[1])
    assert submissions.next_deadline() == 30.0
    submissions.finish(tickets[0])
    assert submissions.next_deadline() == 32.0


def test_a_slow_ticket_at_the_head_does_not_keep_the_others() -> None:
    submissions: Submissions[int] = Submissions()
    slow = submit(submissions, -1)
    submissions.pull()

    def send_one(tag: int) -> None:
        ticket = submit(submissions, tag)
        submissions.pull()
        submissions.end(ticket, outcome())
        submissions.finish(ticket)

    for tag in range(20_000):
        send_one(tag)
    gc.collect()
    # White-box: what is kept is bounded by the threshold, not by what was sent.
    assert len(submissions._by_deadline) <= 1_100
    assert sum(type(thing) is Ticket for thing in gc.get_objects()) < 2_000
    assert submissions.next_deadline() == slow.deadline
    assert submissions.unfinished == 1
    submissions.finish(slow)
    assert submissions._by_deadline == deque()


def test_cancelled_tickets_do_not_pile_up_in_a_queue_that_stands_still() -> None:
    submissions: Submissions[int] = Submissions()
    first = submit(submissions, -1)
    for tag in range(20_000):
        submissions.finish(submit(submissions, tag))
    assert len(submissions._pending) <= 1_100
    assert len(submissions._by_deadline) <= 1_100
    assert submissions.queued == 1
    assert submissions.pull() is first


Step = tuple[str, int]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["submit", "pull", "end", "finish", "hold", "release", "oldest"]),
            st.integers(0, 30),
        ),
        max_size=80,
    )
)
def test_any_order_of_steps_keeps_the_counts(steps: list[Step]) -> None:
    submissions: Submissions[int] = Submissions()
    tickets: list[Ticket[int]] = []
    held: list[Ticket[int]] = []
    for now, (step, number) in enumerate(steps):
        ticket = tickets[number % len(tickets)] if tickets else None
        if step == "submit":
            tickets.append(submit(submissions, len(tickets), float(now)))
        elif step == "pull":
            waiting = [t for t in tickets if t.place == QUEUED and t not in held]
            pulled = submissions.pull()
            assert (pulled is None) == (not waiting)
            assert pulled is None or pulled.place == IN_FLIGHT
        elif step == "oldest":
            oldest = submissions.oldest_queued()
            assert oldest is None or oldest.place == QUEUED
        elif step == "release":
            if held:
                submissions.release(held.pop(0), float(now))
        elif ticket is None or ticket.place == DONE:
            continue
        elif step == "finish":
            submissions.finish(ticket)
        elif step == "end" and ticket.place == IN_FLIGHT:
            submissions.end(ticket, outcome())
        elif step == "hold" and ticket.place == ENDED:
            submissions.hold(ticket)
            held.append(ticket)
        places = [t.place for t in tickets]
        assert submissions.queued == places.count(QUEUED)
        assert submissions.unfinished == len(places) - places.count(DONE)
        unfinished = [t for t in tickets if t.place in {QUEUED, IN_FLIGHT}]
        assert submissions.all_unfinished() == unfinished
        deadlines = [t.deadline for t in tickets if t.place != DONE]
        assert submissions.next_deadline() == min(deadlines, default=None)
