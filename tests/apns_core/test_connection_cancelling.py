"""Withdrawing notifications: no outcome, no harm to others."""

from collections.abc import Callable

import pytest

from apns_core.accounting import ConnectionState
from apns_core.connection import Connection
from apns_core.outcomes import Cause
from apns_core.tickets import DONE, IN_FLIGHT
from tests.apns_core.peer import (
    AUTHORITY,
    CANCEL,
    NOTIFICATION,
    NOW,
    REFUSED_STREAM,
    STREAM_CLOSED,
    UNREGISTERED,
    Peer,
    Scene,
    normals,
)


def test_cancelling_what_is_queued_is_free() -> None:
    scene = Scene()
    scene.open(limit=1)
    scene.submit(4)
    frames = len(scene.peer.frames)
    assert scene.cancel(1) == []
    assert scene.cancel(3) == []
    assert len(scene.peer.frames) == frames
    scene.feed(scene.peer.accept(3))
    scene.feed(scene.peer.accept(5))
    assert [outcome.tag for outcome in scene.outcomes] == [0, 2]
    assert sorted(scene.peer.requests) == [1, 3, 5]
    assert scene.connection.poll_timeout() == NOW + 3_600.0, "no deadline is left"
    scene.check()


def test_cancelling_in_flight_resets_one_stream() -> None:
    scene = Scene()
    scene.open()
    scene.submit(3)
    assert scene.cancel(1) == []
    assert scene.resets_sent == [(5, CANCEL)]
    assert scene.pings_sent == 1
    assert scene.connection.in_flight == 2
    scene.feed(scene.peer.accept(3) + scene.peer.accept(7))
    assert [outcome.tag for outcome in scene.outcomes] == [0, 2]
    scene.check()


def test_cancelling_twice_or_after_the_outcome_does_nothing() -> None:
    scene = Scene()
    scene.open()
    scene.submit(2)
    scene.cancel(0)
    scene.cancel(0)
    scene.feed(scene.peer.accept(5))
    scene.cancel(1)
    assert scene.resets_sent == [(3, CANCEL)]
    assert [ticket.place for ticket in scene.tickets] == [DONE, DONE]
    scene.check()


def test_an_outcome_that_waits_to_be_taken_is_not_taken_back() -> None:
    scene = Scene()
    scene.open()
    scene.submit()
    connection = scene.connection
    connection.receive_data(scene.peer.accept(3), scene.now)
    assert scene.has_events()
    connection.cancel(scene.tickets[0], scene.now)
    assert normals(scene.drain()) == [("accepted", 0, "id-3", None)]
    assert not scene.has_events()
    assert scene.resets_sent == []


def test_a_ticket_of_another_connection_is_left_alone() -> None:
    scene = Scene()
    scene.open()
    scene.submit()
    other: Connection[int] = Connection(AUTHORITY, now=NOW)
    other.cancel(scene.tickets[0], NOW)
    other.expire(scene.tickets[0], NOW)
    assert scene.connection.in_flight == 1
    assert scene.tickets[0].place == IN_FLIGHT
    assert other.in_flight == 0
    assert other.events() == []


ANSWERS: dict[str, Callable[[Peer], bytes]] = {
    "accepted": lambda peer: peer.accept(3),
    "rejected": lambda peer: peer.answer(3, 410, UNREGISTERED),
    "reset": lambda peer: peer.reset(3, REFUSED_STREAM, STREAM_CLOSED),
    "headers, then data": lambda peer: peer.headers(3, 400) + peer.data(3, b"{}", ends=True),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_after_a_cancel_touches_nobody(answer: str) -> None:
    scene = Scene()
    scene.open(limit=2)
    scene.submit(2)
    scene.cancel(0)
    data = ANSWERS[answer](scene.peer)
    assert scene.feed(data) == []
    assert scene.state() is ConnectionState.OPEN
    # What follows decodes: the late block has gone through the table like any other.
    scene.feed(scene.peer.accept(5))
    assert normals(scene.outcomes) == [("accepted", 1, "id-5", None)]
    assert scene.connection.capacity == 2
    scene.check()


def test_a_cancelled_stream_is_counted_until_the_server_knows() -> None:
    scene = Scene()
    scene.open(limit=1)
    scene.submit(2)
    scene.cancel(0)
    assert scene.connection.capacity == 0
    assert 5 not in scene.peer.requests
    scene.answer_pings()
    assert 5 in scene.peer.requests
    scene.feed(scene.peer.accept(5))
    assert normals(scene.outcomes) == [("accepted", 1, "id-5", None)]


def test_a_cancel_while_the_token_is_pending_holds_the_one_stream() -> None:
    scene = Scene()
    scene.greet()
    scene.submit(2)
    scene.cancel(0)
    assert max(scene.peer.requests) == 1
    scene.answer_pings()
    assert max(scene.peer.requests) == 3
    assert scene.connection.limit == 1


def test_cancelling_the_last_of_a_draining_connection_closes_it() -> None:
    scene = Scene()
    scene.open()
    scene.submit()
    scene.connection.retire(scene.now)
    assert normals(scene.cancel(0)) == [("limit", 0), ("closed", Cause.RETIRED, None)]
    scene.check()


def test_cancelling_a_body_that_is_held_back_frees_the_rest() -> None:
    scene = Scene()
    scene.open()
    scene.feed(scene.peer.settings(window=0))
    scene.submit()
    scene.cancel(0)
    scene.feed(scene.peer.settings(window=65_535))
    assert not scene.peer.requests[3].ended
    assert scene.peer.requests[3].body == b""


def test_the_same_notification_may_be_in_flight_twice() -> None:
    scene = Scene()
    scene.open()
    first, second = (scene.connection.submit(NOTIFICATION, 0, scene.now) for _ in range(2))
    scene.drain()
    scene.connection.cancel(first, scene.now)
    scene.drain()
    assert scene.connection.in_flight == 1
    assert second.stream_id == 5
