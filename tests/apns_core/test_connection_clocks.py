"""The clocks of a connection: deadlines, PING, stalls, draining. All on a virtual one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.accounting import ConnectionState
from apns_core.connection_config import ConnectionConfig
from apns_core.http2.errors import ErrorCode
from apns_core.outcomes import Cause, Rejected
from tests.apns_core.peer import (
    CANCEL,
    INTERNAL_SERVER_ERROR,
    NOW,
    UNREGISTERED,
    Scene,
    normals,
)

PATIENT = ConnectionConfig(stall_after=1_000.0, request_timeout=500.0)
"""So that neither a stall nor a deadline comes before the PINGs that a test is about."""

HASTY = ConnectionConfig(request_timeout=5.0)


# ── request deadlines ──


def test_a_queued_request_ends_unprocessed_at_its_deadline() -> None:
    scene = Scene(HASTY)
    scene.open()
    scene.feed(scene.peer.settings(limit=0))
    scene.events.clear()
    scene.submit()
    scene.advance(2.0)
    scene.submit()
    assert scene.connection.poll_timeout() == NOW + 5.0
    assert scene.advance(2.9) == []
    assert normals(scene.advance(0.1)) == [("unprocessed", 0, Cause.DEADLINE)]
    assert normals(scene.advance(2.0)) == [("unprocessed", 1, Cause.DEADLINE)]
    assert scene.resets_sent == []
    scene.feed(scene.peer.settings(limit=10))
    assert scene.peer.open == set()
    scene.check()


def test_a_request_that_was_sent_ends_unknown_at_its_deadline() -> None:
    scene = Scene(HASTY)
    scene.open()
    scene.submit(2)
    scene.feed(scene.peer.accept(3))
    assert normals(scene.advance(5.0)) == [("unknown", 1, Cause.DEADLINE)]
    assert scene.resets_sent == [(5, CANCEL)]
    assert scene.pings_sent == 1
    assert scene.state() is ConnectionState.OPEN
    scene.check()


def test_c11_a_request_whose_body_is_held_back_ends_unprocessed_at_its_deadline() -> None:
    scene = Scene(HASTY)
    scene.open()
    scene.feed(scene.peer.settings(window=0))
    scene.submit()
    assert normals(scene.advance(5.0)) == [("unprocessed", 0, Cause.DEADLINE)]
    assert scene.resets_sent == [(3, CANCEL)]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"", ("accepted", 0, None, None)),
        (410, UNREGISTERED, ("rejected", 0, 410, "Unregistered", 1_700_000_000_000)),
        (410, UNREGISTERED[:25], ("rejected", 0, 410, None, None)),
        (503, b"", ("rejected", 0, 503, None, None)),
    ],
)
def test_a_status_decides_even_where_the_end_of_the_body_never_comes(
    status: int, body: bytes, expected: tuple[object, ...]
) -> None:
    scene = Scene(HASTY)
    scene.greet()
    scene.submit()
    peer = scene.peer
    scene.feed(peer.headers(1, status) + (peer.data(1, body) if body else b""))
    assert scene.outcomes == []
    scene.advance(5.0)
    assert normals(scene.outcomes) == [expected]
    assert scene.connection.responses == 1
    pending = status != 200
    assert (scene.state() is ConnectionState.AUTH_PENDING) is pending
    scene.check()


def test_s14_a_drip_of_a_response_does_not_outlast_the_deadline() -> None:
    scene = Scene(HASTY)
    scene.open()
    scene.submit()
    scene.feed(scene.peer.headers(3, 400))
    for octet in UNREGISTERED[:4]:
        scene.advance(1.0)
        scene.feed(scene.peer.data(3, bytes([octet])))
    assert normals(scene.advance(1.0)) == [("rejected", 0, 400, None, None)]


def test_expired_requests_of_a_draining_connection_let_it_close() -> None:
    scene = Scene(HASTY)
    scene.open()
    scene.submit(2)
    scene.connection.retire(scene.now)
    assert normals(scene.advance(5.0)) == [
        ("limit", 0),
        ("unknown", 0, Cause.DEADLINE),
        ("unknown", 1, Cause.DEADLINE),
        ("closed", Cause.RETIRED, None),
    ]
    assert scene.connection.poll_timeout() is None


# ── PING ──


def test_s21_a_ping_when_nothing_was_read_with_requests_in_flight() -> None:
    scene = Scene(PATIENT)
    scene.open()
    scene.submit()
    scene.advance(9.9)
    assert scene.pings_sent == 0
    scene.advance(0.1)
    assert scene.pings_sent == 1
    scene.answer_pings()
    scene.advance(9.9)
    assert scene.pings_sent == 1
    scene.advance(0.1)
    assert scene.pings_sent == 2


def test_no_ping_while_anything_is_read() -> None:
    scene = Scene(PATIENT)
    scene.open(limit=100)
    scene.submit()
    for _ in range(20):
        scene.advance(9.0)
        scene.feed(scene.peer.settings(limit=100))
    assert scene.pings_sent == 0


def test_no_ping_while_nothing_is_in_flight() -> None:
    scene = Scene()
    scene.open()
    assert scene.connection.poll_timeout() == NOW + 3_600.0
    scene.advance(3_599.0)
    assert scene.pings_sent == 0


def test_a_request_after_a_long_silence_is_given_its_time() -> None:
    scene = Scene()
    scene.open()
    scene.advance(3_000.0)
    scene.submit()
    scene.advance(9.9)
    scene.connection.handle_timeout(scene.now)
    scene.drain()
    assert scene.pings_sent == 0
    scene.advance(0.1)
    assert scene.pings_sent == 1


def test_s21_an_unanswered_ping_ends_the_connection() -> None:
    scene = Scene(PATIENT)
    scene.open(limit=2)
    scene.submit(3)
    scene.advance(24.9)
    assert scene.events == []
    assert normals(scene.advance(0.1)) == [
        ("limit", 0),
        ("unknown", 0, Cause.UNRESPONSIVE),
        ("unknown", 1, Cause.UNRESPONSIVE),
        ("unprocessed", 2, Cause.UNRESPONSIVE),
        ("closed", Cause.UNRESPONSIVE, None),
    ]
    assert scene.pings_sent == 1, "one outstanding at most"
    assert scene.goaways_sent == [ErrorCode.NO_ERROR]
    scene.check()


def test_a_timer_that_is_served_early_and_often_buys_no_time() -> None:
    scene = Scene(PATIENT)
    scene.open()
    scene.submit()
    for _ in range(249):
        scene.advance(0.1)
        scene.connection.handle_timeout(scene.now)
        scene.drain()
    assert scene.state() is ConnectionState.OPEN
    scene.advance(0.2)
    assert scene.state() is ConnectionState.CLOSED
    assert scene.pings_sent == 1


def test_any_octet_answers_a_ping_and_none_does_not() -> None:
    scene = Scene(PATIENT)
    scene.open()
    scene.submit()
    scene.advance(20.0)
    scene.feed(scene.peer.headers(3, 200)[:1])
    scene.advance(9.9)
    assert scene.state() is ConnectionState.OPEN
    scene.advance(10.0)
    scene.feed(b"")
    scene.advance(15.0)
    assert scene.state() is ConnectionState.CLOSED


def test_idle_pings() -> None:
    scene = Scene(ConnectionConfig(idle_ping_after=100.0))
    scene.open()
    scene.advance(99.0)
    assert scene.pings_sent == 0
    scene.advance(1.0)
    assert scene.pings_sent == 1
    scene.answer_pings()
    scene.advance(100.0)
    assert scene.pings_sent == 2
    assert normals(scene.advance(15.0)) == [("limit", 0), ("closed", Cause.UNRESPONSIVE, None)]


def test_idle_pings_can_be_switched_off() -> None:
    scene = Scene(ConnectionConfig(idle_ping_after=None))
    scene.open()
    assert scene.connection.poll_timeout() is None
    scene.advance(1e9)
    assert scene.pings_sent == 0


# ── a server that answers PINGs and no requests ──


def test_a_mute_server_is_left_and_what_is_in_flight_is_unknown_in_the_end() -> None:
    scene = Scene(ConnectionConfig(request_timeout=100.0))
    scene.open(limit=2)
    scene.submit(3)

    def let_pass(seconds: int) -> list[tuple[object, ...]]:
        before = len(scene.events)
        for _ in range(seconds):
            scene.advance(1.0)
            scene.answer_pings()
        return normals(scene.events[before:])

    assert let_pass(14) == []
    assert let_pass(1) == [("limit", 0), ("unprocessed", 2, Cause.UNRESPONSIVE)]
    assert scene.connection.stalled
    assert scene.state() is ConnectionState.DRAINING
    assert let_pass(29) == []
    assert let_pass(1) == [
        ("unknown", 0, Cause.UNRESPONSIVE),
        ("unknown", 1, Cause.UNRESPONSIVE),
        ("closed", Cause.UNRESPONSIVE, None),
    ]


def test_requests_that_keep_going_out_are_no_answer() -> None:
    scene = Scene()
    scene.open()
    for _ in range(14):
        scene.submit()
        scene.advance(1.0)
        scene.answer_pings()
    assert not scene.connection.stalled
    scene.advance(1.0)
    assert scene.connection.stalled


def test_half_an_answer_that_a_deadline_ends_is_no_sign_of_life() -> None:
    scene = Scene(ConnectionConfig(request_timeout=12.0))
    scene.open()
    scene.submit()
    scene.advance(5.0)
    scene.submit()
    scene.feed(scene.peer.headers(3, 410))
    # At 12 s the first ends with the status that was read at 5; nothing was answered since 0.
    scene.advance(8.0)
    assert [type(outcome) for outcome in scene.outcomes] == [Rejected]
    scene.answer_pings()
    scene.advance(1.9)
    scene.answer_pings()
    assert not scene.connection.stalled
    scene.advance(0.2)
    assert scene.connection.stalled


def test_answers_that_keep_coming_are_no_stall() -> None:
    scene = Scene(ConnectionConfig(request_timeout=1_000.0))
    scene.open()
    scene.submit(20)
    for stream_id in sorted(scene.peer.open):
        scene.advance(14.0)
        scene.answer_pings()
        scene.feed(scene.peer.accept(stream_id))
    assert not scene.connection.stalled
    assert scene.state() is ConnectionState.OPEN


def test_an_answer_after_the_stall_is_still_an_answer() -> None:
    scene = Scene(ConnectionConfig(request_timeout=1_000.0))
    scene.open()
    scene.submit(2)
    for _ in range(16):
        scene.advance(1.0)
        scene.answer_pings()
    assert normals(scene.feed(scene.peer.accept(3)))[0][0] == "accepted"
    assert normals(scene.feed(scene.peer.accept(5)))[-1] == ("closed", Cause.UNRESPONSIVE, None)


# ── draining ──


def test_draining_does_not_wait_for_ever() -> None:
    scene = Scene(ConnectionConfig(stall_after=1e6, request_timeout=1e6, drain_timeout=30.0))
    scene.open()
    scene.submit(2)
    scene.feed(scene.peer.goaway(5))
    for _ in range(29):
        scene.advance(1.0)
        scene.answer_pings()
    assert scene.state() is ConnectionState.DRAINING
    scene.feed(scene.peer.goaway(5))
    events = scene.advance(1.0)
    # The second GOAWAY has bought no time.
    assert normals(events) == [
        ("unknown", 0, Cause.GOAWAY),
        ("unknown", 1, Cause.GOAWAY),
        ("closed", Cause.GOAWAY, None),
    ]


# ── callers that give up before we do ──


def test_a_dead_connection_is_noticed_though_callers_give_up_first() -> None:
    scene = Scene()
    scene.open()
    scene.submit()
    scene.advance(1.0)
    scene.cancel(0)
    assert scene.connection.in_flight == 0
    assert scene.pings_sent == 1
    assert normals(scene.advance(14.9)) == []
    assert normals(scene.advance(0.1)) == [("limit", 0), ("closed", Cause.UNRESPONSIVE, None)]


def test_a_dead_connection_is_noticed_though_every_send_is_given_up_in_turn() -> None:
    scene = Scene()
    scene.open()
    started = scene.now
    while scene.state() is not ConnectionState.CLOSED:
        scene.submit()
        scene.advance(2.0)
        if scene.state() is not ConnectionState.CLOSED:
            scene.cancel(len(scene.tickets) - 1)
    assert scene.now - started <= 20.0
    scene.check()


def test_a_mute_server_is_noticed_though_every_send_is_given_up_in_turn() -> None:
    scene = Scene()
    scene.open()
    started = scene.now
    while scene.state() is ConnectionState.OPEN:
        scene.submit()
        scene.advance(2.0)
        if scene.state() is ConnectionState.OPEN:
            scene.cancel(len(scene.tickets) - 1)
            scene.answer_pings()
        # What nobody waits for is no sign of a stall.
        scene.advance(7.0)
    assert scene.connection.stalled
    assert scene.now - started == 9.0 * 8


def test_a_send_given_up_long_ago_is_not_held_against_the_next() -> None:
    scene = Scene()
    scene.open()
    scene.submit()
    scene.advance(14.0)
    scene.cancel(0)
    scene.answer_pings()
    scene.advance(1_000.0)
    scene.submit()
    due = scene.connection.poll_timeout()
    assert due is not None
    assert due > scene.now
    scene.advance(8.0)
    assert not scene.connection.stalled
    scene.feed(scene.peer.accept(5))
    scene.submit()
    scene.advance(9.9)
    scene.answer_pings()
    assert not scene.connection.stalled


@pytest.mark.parametrize(("patience", "tries"), [(10.0, 4), (14.0, 4), (5.0, 5), (0.5, 32)])
def test_a_mute_server_is_noticed_by_sends_far_apart_though_each_is_given_up(
    patience: float, tries: int
) -> None:
    scene = Scene()
    scene.open()
    for _ in range(tries):
        assert not scene.connection.stalled
        scene.submit()
        scene.advance(patience)
        if not scene.connection.stalled:
            scene.cancel(len(scene.tickets) - 1)
        scene.answer_pings()
        scene.advance(30.0)
    assert scene.connection.stalled


def test_sends_given_up_in_a_row_are_forgotten_with_an_answer() -> None:
    scene = Scene()
    scene.open()
    for _ in range(10):
        for _ in range(2):
            scene.submit()
            scene.advance(14.0)
            scene.cancel(len(scene.tickets) - 1)
            scene.answer_pings()
            scene.advance(30.0)
        (stream_id,) = scene.submit()
        scene.feed(scene.peer.accept(stream_id))
    assert not scene.connection.stalled


# ── the timer ──


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["submit", "cancel", "accept", "reject", "reset", "goaway", "ping", "limit 0", "limit"]
        )
        | st.floats(0.0, 40.0),
        max_size=40,
    ),
    st.builds(
        ConnectionConfig,
        request_timeout=st.sampled_from([0.0, 5.0, 30.0, 1e6]),
        ping_after=st.sampled_from([0.1, 10.0]),
        ping_timeout=st.sampled_from([0.1, 15.0]),
        stall_after=st.sampled_from([0.1, 15.0]),
        drain_timeout=st.sampled_from([0.0, 30.0]),
        settings_timeout=st.sampled_from([0.1, 20.0]),
        idle_ping_after=st.sampled_from([None, 0.1, 3_600.0]),
    ),
)
def test_a_driver_that_follows_the_timer_gets_on(
    steps: list[str | float], config: ConnectionConfig
) -> None:
    # `Scene.advance` fails where the timer is due again as soon as it was served.
    scene = Scene(config)
    scene.greet()
    for step in steps:
        peer = scene.peer
        oldest = min(peer.open, default=0)
        match step:
            case float():
                scene.advance(step)
            case "submit" if scene.state() not in {
                ConnectionState.DRAINING,
                ConnectionState.CLOSED,
            }:
                scene.submit(2)
            case "cancel" if scene.tickets:
                scene.cancel(len(scene.tickets) // 2)
            case "ping":
                scene.answer_pings()
            case "limit 0":
                scene.feed(peer.settings(limit=0))
            case "limit":
                scene.feed(peer.settings(limit=5))
            case "goaway" if oldest:
                scene.feed(peer.goaway(oldest))
            case "accept" if oldest:
                scene.feed(peer.accept(oldest))
            case "reject" if oldest:
                scene.feed(peer.answer(oldest, 500, INTERNAL_SERVER_ERROR))
            case "reset" if oldest:
                scene.feed(peer.reset(oldest, 8))
            case _:
                pass
        scene.check()
    # Left alone, a connection is quiet in the end: every request has its outcome.
    for _ in range(1_000):
        due = scene.connection.poll_timeout()
        if due is None or not scene.connection.in_flight:
            break
        scene.advance(max(due - scene.now, 0.0))
    scene.connection.close(scene.now)
    scene.drain()
    scene.check()
    assert len(scene.outcomes) + len(scene.cancelled) == len(scene.tickets)
    assert scene.connection.poll_timeout() is None


def test_handling_a_timeout_early_and_often_does_no_harm() -> None:
    scene = Scene()
    scene.open()
    scene.submit(2)
    for _ in range(50):
        scene.now += 0.1
        scene.connection.handle_timeout(scene.now)
        assert scene.drain() == []
    assert scene.pings_sent == 0
    scene.connection.close(scene.now)
    scene.connection.handle_timeout(scene.now + 1_000.0)
    scene.drain()
    scene.check()
