"""How connections end: GOAWAY, retirement, close, loss, broken rules; and what that leaves."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.accounting import ConnectionState
from apns_core.errors import ApiMisuse
from apns_core.outcomes import Accepted, Cause, Unprocessed
from apns_core.reasons import Reason
from tests.apns_core.peer import (
    INTERNAL_SERVER_ERROR,
    NEVER,
    NOTIFICATION,
    Scene,
    normals,
    reason,
)

# ── GOAWAY ──


def test_goaway_divides_what_is_in_flight() -> None:
    scene = Scene()
    scene.open(limit=5)
    scene.submit(7)
    assert normals(scene.feed(scene.peer.goaway(5, reason("Shutdown")))) == [
        ("goaway", 5, 0, "Shutdown"),
        ("limit", 0),
        ("unprocessed", 5, Cause.GOAWAY),
        ("unprocessed", 6, Cause.GOAWAY),
        ("unprocessed", 2, Cause.GOAWAY),
        ("unprocessed", 3, Cause.GOAWAY),
        ("unprocessed", 4, Cause.GOAWAY),
    ]
    assert scene.state() is ConnectionState.DRAINING
    assert (scene.connection.capacity, scene.connection.in_flight) == (0, 2)
    with pytest.raises(ApiMisuse, match="no more"):
        scene.submit()
    scene.feed(scene.peer.accept(3))
    assert normals(scene.feed(scene.peer.accept(5))) == [
        ("accepted", 1, "id-5", None),
        ("closed", Cause.GOAWAY, None),
    ]
    assert scene.goaways_sent == [0]
    scene.check()


def test_goaway_with_nothing_in_flight_ends_at_once() -> None:
    scene = Scene()
    scene.open()
    assert normals(scene.feed(scene.peer.goaway(1))) == [
        ("goaway", 1, 0, None),
        ("limit", 0),
        ("closed", Cause.GOAWAY, None),
    ]


def test_s12_goaway_then_the_end_of_the_connection() -> None:
    scene = Scene()
    scene.open()
    scene.submit(3)
    scene.feed(scene.peer.goaway(5) + scene.peer.accept(3))
    scene.connection.receive_eof(scene.now)
    assert normals(scene.drain()) == [
        ("unknown", 1, Cause.GOAWAY),
        ("closed", Cause.GOAWAY, None),
    ]
    assert normals(scene.outcomes)[0] == ("unprocessed", 2, Cause.GOAWAY)


@pytest.mark.parametrize("last", [1, 3, 5])
def test_a_second_goaway_may_lower_the_line(last: int) -> None:
    scene = Scene()
    scene.open()
    scene.submit(3)
    scene.feed(scene.peer.goaway(NEVER) + scene.peer.goaway(last))
    assert sum(isinstance(o, Unprocessed) for o in scene.outcomes) == (7 - last) // 2
    while scene.peer.open:
        scene.feed(scene.peer.accept(min(scene.peer.open)))
    assert scene.closed is not None
    scene.check()


def test_s9_a_goaway_that_raises_the_line_is_an_error_and_changes_no_outcome() -> None:
    scene = Scene()
    scene.open()
    scene.submit(3)
    scene.feed(scene.peer.goaway(3) + scene.peer.goaway(7))
    assert normals(scene.outcomes) == [
        ("unprocessed", 1, Cause.GOAWAY),
        ("unprocessed", 2, Cause.GOAWAY),
        ("unknown", 0, Cause.PROTOCOL_ERROR),
    ]
    closed = scene.closed
    assert closed is not None
    assert closed.cause is Cause.PROTOCOL_ERROR
    assert closed.error is not None


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (reason("BadCertificateEnvironment"), b"", "BadCertificateEnvironment"),
        (b"", reason("Shutdown"), "Shutdown"),
        (reason("BadCertificate"), reason("Shutdown"), "BadCertificate"),
        (b"Stream 5 does not exist", b"{}", "Stream 5 does not exist"),
        (b"", b"", None),
    ],
)
def test_s11_the_first_goaway_that_says_something_is_kept(
    first: bytes, second: bytes, kept: str | None
) -> None:
    scene = Scene()
    scene.open()
    scene.submit()
    assert scene.goaway() is None
    scene.feed(scene.peer.goaway(3, first))
    scene.feed(scene.peer.goaway(3, second))
    goaway = scene.goaway()
    assert goaway is not None
    assert goaway.text == kept
    known = kept if kept in set(Reason) else None
    assert goaway.reason == known


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_s11_any_debug_data_is_an_event(debug_data: bytes, code: int) -> None:
    scene = Scene()
    scene.open()
    scene.submit()
    goaway = scene.feed(scene.peer.goaway(3, debug_data, code))[0]
    assert normals([goaway])[0][:3] == ("goaway", 3, code)


# ── our own decision ──


def test_retire_waits_for_what_is_in_flight() -> None:
    scene = Scene()
    scene.open(limit=2)
    scene.submit(3)
    scene.connection.retire(scene.now)
    assert normals(scene.drain()) == [("limit", 0), ("unprocessed", 2, Cause.RETIRED)]
    scene.connection.retire(scene.now, Cause.CLOSED)
    scene.feed(scene.peer.accept(3))
    assert normals(scene.feed(scene.peer.accept(5)))[-1] == ("closed", Cause.RETIRED, None)
    scene.connection.retire(scene.now)
    assert scene.drain() == []
    scene.check()


def test_retire_with_nothing_in_flight_ends_at_once() -> None:
    scene = Scene()
    scene.connection.retire(scene.now, Cause.CLOSED)
    assert normals(scene.drain()) == [("closed", Cause.CLOSED, None)]
    assert scene.goaways_sent == [0]


def test_close_ends_everything_now() -> None:
    scene = Scene()
    scene.open(limit=2)
    scene.submit(3)
    scene.feed(scene.peer.headers(3, 410))
    scene.connection.close(scene.now)
    assert normals(scene.drain()) == [
        ("limit", 0),
        ("rejected", 0, 410, None, None),
        ("unknown", 1, Cause.CLOSED),
        ("unprocessed", 2, Cause.CLOSED),
        ("closed", Cause.CLOSED, None),
    ]
    scene.connection.close(scene.now)
    scene.connection.receive_eof(scene.now)
    assert scene.feed(scene.peer.accept(5)) == []
    assert scene.goaways_sent == [0]
    assert scene.connection.data_to_send() == b""
    assert scene.connection.poll_timeout() is None
    with pytest.raises(ApiMisuse):
        scene.submit()
    scene.check()


def test_a_body_held_back_at_close_was_not_processed() -> None:
    scene = Scene()
    scene.open()
    scene.feed(scene.peer.settings(window=0))
    scene.submit()
    scene.connection.close(scene.now)
    assert normals(scene.drain())[1] == ("unprocessed", 0, Cause.CLOSED)


def test_what_an_answer_asks_for_at_close_is_not_the_cause() -> None:
    scene = Scene()
    scene.open()
    scene.submit(2)
    # Its END_STREAM never comes; what it says wedges a connection.
    body = scene.peer.headers(3, 403) + scene.peer.data(3, reason("ExpiredProviderToken"))
    scene.feed(body)
    scene.connection.close(scene.now)
    assert normals(scene.drain())[1:] == [
        ("rejected", 0, 403, "ExpiredProviderToken", None),
        ("unknown", 1, Cause.CLOSED),
        ("closed", Cause.CLOSED, None),
    ]


# ── loss ──


def test_the_end_of_the_connection_leaves_no_one_without_an_outcome() -> None:
    scene = Scene()
    scene.open(limit=3)
    scene.submit(5)
    scene.feed(scene.peer.headers(5, 200))
    scene.connection.receive_eof(scene.now)
    assert normals(scene.drain()) == [
        ("unknown", 0, Cause.CONNECTION_LOST),
        ("accepted", 1, None, None),
        ("unknown", 2, Cause.CONNECTION_LOST),
        ("limit", 0),
        ("unprocessed", 3, Cause.CONNECTION_LOST),
        ("unprocessed", 4, Cause.CONNECTION_LOST),
        ("closed", Cause.CONNECTION_LOST, None),
    ]
    scene.connection.receive_eof(scene.now)
    assert scene.drain() == []
    scene.check()


def test_a_broken_rule_ends_the_connection_after_what_came_before() -> None:
    scene = Scene()
    scene.open()
    scene.submit(3)
    scene.feed(scene.peer.accept(3) + b"\x00\x00\x00\x00\x00\x00\x00\x00\x00" + b"\xff" * 50)
    assert normals(scene.outcomes) == [
        ("accepted", 0, "id-3", None),
        ("unknown", 1, Cause.PROTOCOL_ERROR),
        ("unknown", 2, Cause.PROTOCOL_ERROR),
    ]
    closed = scene.closed
    assert closed is not None
    assert closed.error is not None
    assert scene.goaways_sent == [closed.error.code]


def test_h13_one_malformed_response_among_a_hundred() -> None:
    scene = Scene()
    scene.open()
    scene.submit(100)
    block = scene.peer.headers(99, 200, ("Upper-Case", "is malformed"), ends=True)
    scene.feed(block)
    for stream_id in sorted(scene.peer.open):
        scene.feed(scene.peer.accept(stream_id))
    kinds = [outcome[0] for outcome in normals(scene.outcomes)]
    assert (kinds.count("unknown"), kinds.count("accepted")) == (1, 99)
    assert normals(scene.outcomes)[0] == ("unknown", 48, Cause.MALFORMED)
    assert scene.state() is ConnectionState.OPEN


# ── answers after which a connection is not to be trusted ──


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (403, "ExpiredProviderToken"),
        (429, "TooManyProviderTokenUpdates"),
        (403, "UnrelatedKeyIdInToken"),
        (400, "IdleTimeout"),
        (503, "Shutdown"),
    ],
)
def test_wedging_reasons(status: int, text: str) -> None:
    scene = Scene()
    scene.open(limit=2)
    scene.submit(3)
    scene.feed(scene.peer.answer(3, status, reason(text)))
    assert normals(scene.events) == [
        ("rejected", 0, status, text, None),
        ("limit", 0),
        ("unprocessed", 2, Cause.RETIRED),
    ]
    assert normals(scene.feed(scene.peer.accept(5))) == [
        ("accepted", 1, "id-5", None),
        ("closed", Cause.RETIRED, None),
    ]


ERROR = INTERNAL_SERVER_ERROR


@pytest.mark.parametrize(
    ("bodies", "drains"),
    [
        ([ERROR] * 2, False),
        ([ERROR] * 3, True),
        ([ERROR, ERROR, b"", ERROR, ERROR], False),
        ([ERROR, ERROR, reason("BadTopic"), ERROR, ERROR], False),
        ([ERROR, ERROR, None, ERROR, ERROR], False),
        ([ERROR, ERROR, None, ERROR, ERROR, ERROR], True),
    ],
)
def test_three_internal_server_errors_in_a_row(bodies: list[bytes | None], drains: bool) -> None:  # noqa: FBT001
    scene = Scene()
    scene.open()
    streams = scene.submit(len(bodies) + 1)
    for stream_id, body in zip(streams, bodies, strict=False):
        answer = (
            scene.peer.accept(stream_id)
            if body is None
            else scene.peer.answer(stream_id, 500, body)
        )
        scene.feed(answer)
    assert (scene.state() is ConnectionState.DRAINING) is drains


# ── what follows in the same read ──


Script = Callable[[Scene], bytes]

AFTER: dict[str, Script] = {
    "GOAWAY": lambda scene: scene.peer.goaway(3, reason("Shutdown")),
    "SETTINGS": lambda scene: scene.peer.settings(limit=7),
    "PING": lambda scene: scene.peer.ping(),
    "a broken rule": lambda _: b"\xff" * 9,
    "another answer": lambda scene: scene.peer.accept(3),
}


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("last", ["wedging", "goaway and the answer"])
def test_nothing_follows_the_end(after: str, last: str) -> None:
    scene = Scene()
    scene.open()
    scene.submit()
    peer = scene.peer
    if last == "wedging":
        data = peer.answer(3, 403, reason("ExpiredProviderToken"))
    else:
        data = peer.goaway(3) + peer.accept(3)
    scene.feed(data + AFTER[after](scene))
    assert normals(scene.events)[-1][0] == "closed"
    assert len(scene.outcomes) == 1
    scene.check()


def test_the_last_accepted_request_of_a_drained_connection() -> None:
    scene = Scene()
    scene.greet()
    scene.submit()
    scene.feed(scene.peer.goaway(1) + scene.peer.accept(1))
    assert [type(outcome) for outcome in scene.outcomes] == [Accepted]
    assert scene.outcomes[0].notification is NOTIFICATION
    assert scene.state() is ConnectionState.CLOSED
