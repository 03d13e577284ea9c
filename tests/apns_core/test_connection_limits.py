"""How many streams may be open: limits that move, windows, field lists, stream ids."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.accounting import ConnectionState
from apns_core.connection_config import ConnectionConfig
from apns_core.outcomes import Accepted, Cause
from apns_core.requests.notification import Notification
from tests.apns_core.peer import (
    DEVICE,
    NOTIFICATION,
    REFUSED_STREAM,
    ROUTE,
    STREAM_CLOSED,
    UNREGISTERED,
    Scene,
    normals,
)

BIG = Notification(ROUTE, DEVICE, b"x" * 4_096)


@pytest.mark.parametrize("limit", [1, 0])
def test_s7_a_limit_that_falls_touches_nothing_in_flight(limit: int) -> None:
    scene = Scene()
    scene.open(limit=100)
    assert len(scene.submit(60)) == 60
    scene.feed(scene.peer.settings(limit=limit))
    assert scene.limits == [limit]
    assert scene.connection.capacity == 0
    assert scene.connection.in_flight == 60
    assert scene.submit(40) == []
    assert scene.blocked()
    assert scene.resets_sent == []
    streams = sorted(scene.peer.open)
    for stream_id in streams[:-1]:
        scene.feed(scene.peer.accept(stream_id))
        assert scene.peer.open <= set(streams), "59 above the limit, and none of the new"
    scene.feed(scene.peer.accept(streams[-1]))
    assert len(scene.peer.open) == limit
    assert sum(isinstance(outcome, Accepted) for outcome in scene.outcomes) == 60
    scene.check()


def test_s7_the_queue_drains_when_the_limit_rises_again() -> None:
    scene = Scene()
    scene.open(limit=2)
    scene.submit(10)
    scene.feed(scene.peer.settings(limit=0))
    for stream_id in sorted(scene.peer.open):
        scene.feed(scene.peer.accept(stream_id))
    assert (scene.connection.in_flight, len(scene.outcomes)) == (0, 2)
    scene.advance(5.0)
    assert scene.connection.in_flight == 0, "0 is legal and means: wait"
    scene.feed(scene.peer.settings(limit=1_000))
    assert scene.connection.in_flight == 8
    assert scene.limits == [0, 1_000]


def test_settings_that_change_no_limit_are_no_event() -> None:
    scene = Scene()
    scene.open(limit=100)
    assert scene.feed(scene.peer.settings(limit=100)) == []
    assert scene.feed(scene.peer.settings(window=1_000)) == []
    assert scene.connection.peer_settings.initial_window_size == 1_000


def test_s7_two_limits_in_one_read_are_told_one_by_one() -> None:
    scene = Scene()
    scene.open(limit=100)
    scene.feed(scene.peer.settings(limit=1) + scene.peer.settings(limit=4))
    assert scene.limits == [1, 4], "as if they had come in two reads"
    assert scene.connection.limit == 4


def test_our_own_limit() -> None:
    scene = Scene(ConnectionConfig(max_streams=7))
    scene.open(limit=None)
    assert scene.connection.limit == 7
    assert len(scene.submit(20)) == 7
    scene.feed(scene.peer.settings(limit=1_000))
    assert len(scene.peer.open) == 7
    scene.feed(scene.peer.settings(limit=3))
    assert scene.connection.limit == 3


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 1_000) | st.sampled_from(["answer", "submit", "reject"]), max_size=30)
)
def test_s7_no_stream_opens_above_the_limit(steps: list[int | str]) -> None:
    scene = Scene()
    scene.open(limit=20)
    limit = 20
    scene.submit(30)
    for step in steps:
        before = set(scene.peer.requests)
        if isinstance(step, int):
            limit = step
            scene.feed(scene.peer.settings(limit=step))
        elif step == "submit":
            scene.submit(40)
        elif scene.peer.open:
            stream_id = min(scene.peer.open)
            answer = (
                scene.peer.accept(stream_id)
                if step == "answer"
                else scene.peer.answer(stream_id, 410, UNREGISTERED)
            )
            scene.feed(answer)
        if set(scene.peer.requests) - before:
            assert len(scene.peer.open) <= limit
        scene.check()
    scene.feed(scene.peer.settings(limit=1_000))
    while scene.peer.open:
        scene.feed(scene.peer.accept(min(scene.peer.open)))
    assert len(scene.outcomes) == len(scene.tickets), ()


def test_requests_are_encoded_when_they_are_pulled() -> None:
    scene = Scene()
    scene.open()
    connection = scene.connection
    tickets = [connection.submit(BIG, tag, scene.now) for tag in range(1, 9)]
    assert connection.in_flight == 0, "bound to nothing yet"
    data = connection.data_to_send(max_bytes=10_000)
    # No request is begun once 10,000 octets are reached: the third crosses the line.
    assert connection.in_flight == 3
    assert 12_000 < len(data) < 13_000
    connection.cancel(tickets[5], scene.now)
    scene.peer.read(data)
    scene.drain()
    assert len(scene.peer.open) == 7, "a cancelled one leaves no trace"
    assert max(scene.peer.requests) == 15


def test_a_full_window_holds_one_body_back_and_begins_no_other() -> None:
    scene = Scene()
    scene.open()
    # 65,535 octets less the first notification: 15 bodies whole, and most of another.
    assert len(scene.submit(40, BIG)) == 16
    assert scene.blocked()
    assert scene.connection.capacity > 0
    requests = scene.peer.requests
    last = max(requests)
    assert not requests[last].ended
    assert 0 < len(requests[last].body) < 4_096
    scene.feed(scene.peer.window_update(4_096))
    assert requests[last].ended
    assert requests[last].body == BIG.payload
    scene.feed(scene.peer.window_update(2**30))
    assert len(scene.peer.open) == 40
    assert not scene.blocked()


def test_a_stream_window_of_0_holds_bodies_back() -> None:
    scene = Scene()
    scene.open(limit=100, window=4_096)
    scene.feed(scene.peer.settings(window=0))
    (stream_id,) = scene.submit()
    assert scene.peer.requests[stream_id].body == b""
    scene.feed(scene.peer.settings(window=10))
    assert scene.peer.requests[stream_id].body == NOTIFICATION.payload[:10]
    scene.feed(scene.peer.window_update(1_000, stream_id))
    assert scene.peer.requests[stream_id].ended


def test_h4_a_request_above_the_peers_list_limit_uses_no_stream() -> None:
    scene = Scene()
    scene.open(limit=100, list_size=8_000)
    size = sum(len(n) + len(v) + 32 for n, v in scene.peer.requests[1].fields)
    scene.feed(scene.peer.settings(list_size=size))
    assert scene.submit() == [3], "as long as the limit is not too long"
    long = Notification(ROUTE, DEVICE, b"{}", collapse_id="x" * 64)
    tags = [len(scene.tickets), len(scene.tickets) + 1]
    assert scene.submit(2, long) == []
    assert normals(scene.events) == [("unprocessed", tag, Cause.LIMITS) for tag in tags]
    assert scene.submit() == [5], "no stream id and no table entry was spent"
    scene.check()
    scene.feed(scene.peer.settings(list_size=size - 1))
    scene.submit()
    assert normals(scene.events)[2:] == [("unprocessed", 4, Cause.LIMITS)]
    assert scene.state() is ConnectionState.OPEN
    scene.check()


def test_a_shrinking_header_table_keeps_requests_readable() -> None:
    scene = Scene()
    scene.open()
    for size in (4_096, 512, 256, 100, 0, 1_024, 65_536):
        scene.feed(scene.peer.settings(table=size))
        scene.submit(3)
    for stream_id, seen in scene.peer.requests.items():
        assert seen.fields == scene.peer.requests[1].fields, stream_id


def test_s19_stream_ids_run_out_in_time() -> None:
    scene = Scene()
    scene.open()
    # White-box: half a thousand million requests later.
    scene.connection._http.next_stream_id = 2**30 - 5
    before = set(scene.peer.requests)
    assert len(scene.submit(3)) == 3
    assert max(scene.peer.requests) == 2**30 - 1
    assert scene.state() is ConnectionState.DRAINING
    for stream_id in sorted(set(scene.peer.requests) - before):
        scene.feed(scene.peer.accept(stream_id))
    assert normals(scene.events)[-1] == ("closed", Cause.RETIRED, None)
    assert sum(isinstance(outcome, Accepted) for outcome in scene.outcomes) == 3


def test_what_is_queued_when_the_ids_run_out_is_unprocessed_at_once() -> None:
    scene = Scene()
    scene.open(limit=2)
    scene.connection._http.next_stream_id = 2**30 - 3
    scene.submit(5)
    assert normals(scene.events) == [
        ("limit", 0),
        ("unprocessed", 2, Cause.RETIRED),
        ("unprocessed", 3, Cause.RETIRED),
        ("unprocessed", 4, Cause.RETIRED),
    ]
    assert scene.connection.in_flight == 2
    scene.check()


# ── resets ──


def test_a_reset_after_the_whole_request_leaves_it_unknown() -> None:
    scene = Scene()
    scene.open()
    scene.submit(3)
    scene.feed(scene.peer.reset(3, STREAM_CLOSED) + scene.peer.reset(5, REFUSED_STREAM))
    assert normals(scene.events) == [
        ("unknown", 0, Cause.RESET),
        ("unprocessed", 1, Cause.REFUSED_STREAM),
    ]


def test_a_reset_before_the_whole_request_proves_that_it_was_not_processed() -> None:
    scene = Scene()
    scene.open()
    scene.feed(scene.peer.settings(window=0))
    scene.submit()
    scene.feed(scene.peer.reset(3, STREAM_CLOSED))
    assert normals(scene.events) == [("unprocessed", 0, Cause.RESET)]


@pytest.mark.parametrize(("period", "drains"), [(29.9, True), (30.1, False)])
def test_s4_a_hundred_resets_in_half_a_minute(period: float, drains: bool) -> None:  # noqa: FBT001
    scene = Scene(ConnectionConfig(request_timeout=1_000.0))
    scene.open()
    for number in range(100):
        (stream_id,) = scene.submit()
        scene.feed(scene.peer.reset(stream_id, 2))
        if number == 0:
            scene.advance(period)
            (stream_id,) = scene.submit()
            scene.feed(scene.peer.accept(stream_id))
    assert scene.state() is ConnectionState.OPEN
    (stream_id,) = scene.submit()
    scene.feed(scene.peer.reset(stream_id, 2))
    if drains:
        assert normals(scene.events)[-2:] == [("limit", 0), ("closed", Cause.RESET, None)]
    else:
        assert scene.state() is ConnectionState.OPEN


@pytest.mark.parametrize("code", [2, REFUSED_STREAM])
@pytest.mark.parametrize(
    ("resets", "apart", "answered_at", "drains"),
    [
        (7, 2.5, None, True),
        (7, 2.4, None, False),  # it stands for 14.4 s
        (6, 60.0, None, False),
        (8, 60.0, 1, False),
        (8, 60.0, 0, True),
    ],
)
def test_s4_some_resets_and_no_answer_for_a_while(
    code: int,
    resets: int,
    apart: float,
    answered_at: int | None,
    drains: bool,  # noqa: FBT001
) -> None:
    scene = Scene()
    scene.open()
    for number in range(resets):
        (stream_id,) = scene.submit()
        answered = number == answered_at
        peer = scene.peer
        scene.feed(peer.accept(stream_id) if answered else peer.reset(stream_id, code))
        if scene.state() is ConnectionState.OPEN:
            scene.advance(apart)
    assert (scene.state() is ConnectionState.CLOSED) == drains
    if drains:
        assert scene.closed is not None
        assert scene.closed.cause is Cause.RESET


def test_s6_a_server_that_refuses_every_stream_is_left() -> None:
    scene = Scene()
    scene.open()
    while scene.state() is ConnectionState.OPEN:
        (stream_id,) = scene.submit()
        scene.feed(scene.peer.reset(stream_id, REFUSED_STREAM))
    assert len(scene.outcomes) == 101
    assert scene.closed is not None
    assert scene.closed.cause is Cause.RESET


def test_streams_caught_by_a_falling_limit_are_no_flood_of_resets() -> None:
    scene = Scene()
    scene.open(limit=1_000)
    streams = scene.submit(500)
    drop = scene.peer.answer(streams[0], 410, UNREGISTERED) + scene.peer.settings(limit=1)
    caught = b"".join(scene.peer.reset(s, REFUSED_STREAM, STREAM_CLOSED) for s in streams[2:])
    scene.feed(drop + caught)
    assert scene.state() is ConnectionState.OPEN
    assert scene.connection.in_flight == 1
    causes = [outcome for outcome in normals(scene.outcomes) if outcome[0] == "unprocessed"]
    assert len(causes) == 498
    scene.feed(scene.peer.accept(streams[1]) + scene.peer.settings(limit=1_000))
    assert len(scene.submit(100)) == 100


def test_each_stream_above_a_fallen_limit_may_be_refused() -> None:
    scene = Scene()
    scene.open(limit=2)
    for _ in range(150):
        kept, caught = scene.submit(2)
        scene.feed(scene.peer.settings(limit=1) + scene.peer.reset(caught, REFUSED_STREAM))
        scene.feed(scene.peer.accept(kept) + scene.peer.settings(limit=2))
    assert scene.state() is ConnectionState.OPEN


def test_s4_a_fallen_limit_explains_no_other_resets() -> None:
    scene = Scene()
    scene.open(limit=200)
    streams = scene.submit(200)
    scene.feed(scene.peer.settings(limit=1))
    scene.feed(b"".join(scene.peer.reset(stream_id, 2) for stream_id in streams[:101]))
    assert scene.state() is ConnectionState.DRAINING
