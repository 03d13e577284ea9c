from collections.abc import Callable, Iterator

import pytest

from apns_core.http2.client import Client
from apns_core.http2.errors import ErrorCode
from apns_core.http2.stream import COMPLETE, LOST, MALFORMED, RESET
from tests.apns_core.http2 import wire

PROTOCOL = ErrorCode.PROTOCOL_ERROR
SIZE = ErrorCode.FRAME_SIZE_ERROR


def fresh() -> Client:
    client = Client(wire.POLICY, now=wire.NOW)
    client.data_to_send()
    return client


def connection_error(fed: wire.Fed, code: ErrorCode) -> None:
    """The connection ended with this code, and the server is told so."""
    assert fed.error is not None
    assert fed.error.code == code
    assert wire.goaway_codes(fed.frames) == [code]
    assert fed.client.closed
    assert fed.client.open_streams == 0


# ── the first frame (RFC 9113 §3.4) ──


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 403 Forbidden\r\n\r\n<html>",
        b"<html><body>Sign in to the airport's wireless</body></html>",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"220 mail.example.com ESMTP\r\n",
        bytes(9),
        wire.SETTINGS_ACK,
        wire.ping(),
        wire.window_update(0, 1),
        wire.goaway(0),
        wire.frame(0xEE, 0, 0, b"unknown"),
        wire.frame(wire.DATA, 0, 0, bytes(16_385)),
        wire.response(1),
    ],
)
def test_c4_no_settings_first(octets: bytes) -> None:
    fed = wire.feed(fresh, octets)
    connection_error(fed, PROTOCOL)
    assert fed.error is not None
    assert fed.error.section == "RFC 9113 §3.4"
    assert "no HTTP/2" in str(fed.error)
    assert ("HTTP/1 text" in str(fed.error)) == octets.startswith(b"HTTP/")
    assert not fed.client.settings_received


def test_c4_settings_first_that_are_wrong() -> None:
    connection_error(wire.feed(fresh, wire.frame(wire.SETTINGS, 0, 1)), PROTOCOL)
    connection_error(wire.feed(fresh, wire.frame(wire.SETTINGS, 0, 0, b"x")), SIZE)
    connection_error(wire.feed(fresh, wire.frame(wire.SETTINGS, 0, 0, bytes(16_386))), SIZE)


@pytest.mark.parametrize("octets", [b"", b"\x00", b"HTTP/1.1"])
def test_c4_silence_and_less_than_a_frame(octets: bytes) -> None:
    fed = wire.feed(fresh, octets)
    assert fed.events == []
    fed.client.receive_eof()
    assert [wire.normal(event) for event in fed.client.events] == [("ended", ())]
    assert fed.client.data_to_send() == b""


# ── sizes (§4.2) ──


@pytest.mark.parametrize("kind", range(12))
@pytest.mark.parametrize("length", [16_385, 2**24 - 1])
def test_c15_nine_octets_suffice_for_a_frame_too_long(kind: int, length: int) -> None:
    head = length.to_bytes(3) + bytes((kind, 0)) + (1).to_bytes(4)
    fed = wire.feed(lambda: wire.open_client(1), head)
    connection_error(fed, SIZE)
    assert not fed.client._reader._partial, "nothing of it is kept"


def test_c15_16384_octets_are_taken() -> None:
    fed = wire.feed(lambda: wire.open_client(1), wire.frame(0xEE, 0, 0, bytes(16_384)))
    assert fed.error is None


# ── one table over all types (§6) ──

PLACES = {
    wire.DATA: "stream",
    wire.HEADERS: "stream",
    wire.PRIORITY: "stream",
    wire.RST_STREAM: "stream",
    wire.SETTINGS: "connection",
    wire.PUSH_PROMISE: "stream",
    wire.PING: "connection",
    wire.GOAWAY: "connection",
    wire.WINDOW_UPDATE: "both",
    wire.CONTINUATION: "stream",
}


@pytest.mark.parametrize("kind", PLACES)
def test_c16_wrong_place(kind: int) -> None:
    for stream_id, wrong in ((0, "stream"), (1, "connection")):
        if PLACES[kind] == wrong:
            fed = wire.feed(
                lambda: wire.open_client(1),
                wire.frame(kind, 0, stream_id, bytes(8)),
            )
            connection_error(fed, PROTOCOL)


@pytest.mark.parametrize(
    ("kind", "stream_id", "lengths"),
    [
        (wire.PRIORITY, 1, (0, 4, 6)),
        (wire.RST_STREAM, 1, (0, 3, 5)),
        (wire.PING, 0, (0, 7, 9)),
        (wire.WINDOW_UPDATE, 0, (0, 3, 5)),
        (wire.WINDOW_UPDATE, 1, (0, 3, 5)),
        (wire.GOAWAY, 0, (0, 7)),
        (wire.SETTINGS, 0, (1, 5, 7)),
    ],
)
def test_c16_wrong_length(kind: int, stream_id: int, lengths: tuple[int, ...]) -> None:
    for length in lengths:
        fed = wire.feed(
            lambda: wire.open_client(1),
            wire.frame(kind, 0, stream_id, bytes(length)),
        )
        connection_error(fed, SIZE)


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (wire.frame(wire.SETTINGS, wire.ACK, 0, bytes(6)), SIZE),
        (wire.frame(wire.DATA, wire.PADDED, 1), SIZE),
        (wire.frame(wire.DATA, wire.PADDED, 1, b"\x01"), PROTOCOL),
        (wire.frame(wire.HEADERS, wire.PADDED | wire.END_HEADERS, 1), SIZE),
        (wire.frame(wire.HEADERS, wire.PADDED | wire.END_HEADERS, 1, b"\x02x"), PROTOCOL),
        (wire.frame(wire.HEADERS, wire.PRIORITISED | wire.END_HEADERS, 1, b"1234"), SIZE),
    ],
)
def test_c16_wrong_contents(octets: bytes, code: ErrorCode) -> None:
    connection_error(wire.feed(lambda: wire.open_client(1), octets), code)


def test_c16_reserved_bits_and_flags_without_meaning_are_ignored() -> None:
    reserved = 2**31
    octets = (
        wire.frame(wire.SETTINGS, 0xFE, reserved)
        + wire.frame(wire.PING, 0xFE, reserved, bytes(8))
        + wire.window_update(reserved, reserved | 1)
        + wire.frame(wire.GOAWAY, 0xFF, reserved, (reserved | 1).to_bytes(4) + bytes(4))
        + wire.frame(wire.PRIORITY, 0xFF, reserved | 1, bytes(5))
        + wire.headers(reserved | 1, wire.response_block(200), extra=0xD2)
        + wire.frame(wire.DATA, 0xF7, reserved | 1, b"body")
    )
    fed = wire.feed(lambda: wire.open_client(1), octets)
    assert fed.error is None
    (stream,) = fed.streams
    assert (stream.end, stream.status, stream.body) == (COMPLETE, 200, b"body")
    assert ("goaway", 1, 0, b"") in [wire.normal(event) for event in fed.events]


def test_c14_types_that_nobody_knows_are_ignored() -> None:
    def octets() -> Iterator[bytes]:
        for kind in range(10, 256):
            for flags in (0, 0x01, 0x04, 0x08, 0x20, 0xFF):
                stream_id = (0, 1, 2, 7, 2**31 - 1, 2**32 - 1)[(kind + flags) % 6]
                yield wire.frame(kind, flags, stream_id, bytes((kind * flags) % 101))

    fed = wire.feed(lambda: wire.open_client(1), b"".join(octets()) + wire.response(1))
    assert [stream.end for stream in fed.streams] == [COMPLETE]
    assert len(fed.events) == 1
    assert fed.frames == []


@pytest.mark.parametrize("stream_id", [0, 1, 2, 2**31 - 1])
def test_c14_with_any_flags_too(stream_id: int) -> None:
    for kind in range(10, 256):
        client = wire.open_client(1)
        frames = (wire.frame(kind, flags, stream_id, bytes(flags % 101)) for flags in range(256))
        client.receive_data(b"".join(frames), wire.NOW)
        assert (client.closed, client.events, client.data_to_send()) == (False, [], b"")


@pytest.mark.parametrize(
    "between",
    [
        *(wire.frame(kind, 0, 1, bytes(8)) for kind in (0, 1, 2, 3, 5, 8, 10, 16, 255)),
        wire.continuation(3, b"", complete=True),
        wire.ping(),
        wire.ping(ack=True),
        wire.settings(),
        wire.SETTINGS_ACK,
        wire.goaway(0),
        wire.window_update(0, 1),
        wire.frame(0xEE, 0, 0),
    ],
)
def test_c7_c14_nothing_comes_between_the_frames_of_a_block(between: bytes) -> None:
    block = wire.response_block(200)
    octets = wire.headers(1, block[:3], complete=False) + between
    rest = wire.continuation(1, block[3:], complete=True)
    connection_error(wire.feed(lambda: wire.open_client(2), octets + rest), PROTOCOL)


def test_c14_priority_may_come_for_any_stream() -> None:
    octets = b"".join(
        wire.frame(wire.PRIORITY, 0, stream_id, bytes(5)) for stream_id in (1, 2, 3, 2**31 - 1)
    )
    fed = wire.feed(lambda: wire.open_client(1), octets + octets)
    assert fed.events == []
    assert fed.frames == []


# ── push (§6.6, §8.4) ──


@pytest.mark.parametrize(
    "octets",
    [
        wire.frame(wire.PUSH_PROMISE, wire.END_HEADERS, 1, bytes((0, 0, 0, 2)) + b"\x82"),
        wire.frame(wire.PUSH_PROMISE, 0, 1, bytes((0, 0, 0, 2)))
        + wire.continuation(1, b"\x82", complete=True),
        wire.frame(wire.PUSH_PROMISE, wire.END_HEADERS, 2, bytes((0, 0, 0, 4))),
        wire.frame(wire.PUSH_PROMISE, wire.END_HEADERS, 9, bytes(4)),
        wire.frame(wire.PUSH_PROMISE, wire.END_HEADERS | wire.PADDED, 1, b""),
    ],
)
def test_s1_push_although_it_is_off(octets: bytes) -> None:
    fed = wire.feed(lambda: wire.open_client(1), octets + wire.response(1))
    connection_error(fed, PROTOCOL)
    assert [stream.end for stream in fed.streams] == [LOST]


# ── idle streams (§5.1) ──


ON_IDLE: dict[str, Callable[[int], bytes]] = {
    "HEADERS that end": wire.response,
    "HEADERS": lambda stream_id: wire.headers(stream_id, wire.response_block(200)),
    "DATA": lambda stream_id: wire.data(stream_id, b"x"),
    "DATA that ends": lambda stream_id: wire.data(stream_id, b"x", ends=True, padding=3),
    "RST_STREAM": lambda stream_id: wire.rst_stream(stream_id, 7),
    "WINDOW_UPDATE": lambda stream_id: wire.window_update(stream_id, 1),
    "WINDOW_UPDATE by 0": lambda stream_id: wire.window_update(stream_id, 0),
    "CONTINUATION": lambda stream_id: wire.continuation(stream_id, b"", complete=True),
}


@pytest.mark.parametrize("stream_id", [2, 4, 5, 101, 2**31 - 2, 2**31 - 1])
@pytest.mark.parametrize("frame", ON_IDLE)
def test_s2_frames_on_idle_streams(stream_id: int, frame: str) -> None:
    fed = wire.feed(lambda: wire.open_client(2), ON_IDLE[frame](stream_id) + wire.response(1))
    connection_error(fed, PROTOCOL)
    assert [stream.end for stream in fed.streams] == [LOST, LOST]
    assert {stream.error for stream in fed.streams} == {fed.error}


# ── ten frames over seven states (§5.1) ──


def idle() -> Client:
    return wire.open_client()


def open_() -> Client:
    return wire.open_client(1, (4, 0))


def half_closed_local() -> Client:
    return wire.open_client(1)


def half_closed_remote() -> Client:
    """Answered before it was asked to the end: we reset it."""
    client = wire.open_client(1, (4, 0))
    client.receive_data(wire.response(1), wire.NOW)
    return quiet(client)


def closed() -> Client:
    client = wire.open_client(1)
    client.receive_data(wire.response(1), wire.NOW)
    return quiet(client)


def reset_by_us() -> Client:
    client = wire.open_client(1)
    client.receive_data(wire.data(1, b"before any headers"), wire.NOW)
    return quiet(client)


def reset_by_peer() -> Client:
    client = wire.open_client(1)
    client.receive_data(wire.rst_stream(1, 2), wire.NOW)
    return quiet(client)


def quiet(client: Client) -> Client:
    client.data_to_send()
    client.events.clear()
    return client


STATES = (idle, open_, half_closed_local, half_closed_remote, closed, reset_by_us, reset_by_peer)

CONN, STREAM, NONE, DONE, RST, CLOSED_ = (
    "connection error",
    "stream error",
    "nothing",
    "complete",
    "reset",
    "told that it is closed",
)
#                          idle  open    half-closed     answered by us    by peer
TRANSITIONS = {
    "DATA":         (CONN, STREAM, STREAM, NONE, CLOSED_, NONE, CLOSED_),
    "HEADERS":      (CONN, DONE,   DONE,   NONE, CLOSED_, NONE, CLOSED_),
    "PRIORITY":     (NONE, NONE,   NONE,   NONE, NONE,    NONE, NONE),
    "RST_STREAM":   (CONN, RST,    RST,    NONE, NONE,    NONE, NONE),
    "SETTINGS":     (CONN,) * 7,
    "PUSH_PROMISE": (CONN,) * 7,
    "PING":         (CONN,) * 7,
    "GOAWAY":       (CONN,) * 7,
    "WINDOW_UPDATE": (CONN, NONE,  NONE,   NONE, NONE,    NONE, NONE),
    "CONTINUATION": (CONN,) * 7,
}  # fmt: skip
FRAMES = {
    "DATA": wire.data(1, b"x", ends=True),
    "HEADERS": wire.response(1),
    "PRIORITY": wire.frame(wire.PRIORITY, 0, 1, bytes(5)),
    "RST_STREAM": wire.rst_stream(1, 8),
    "SETTINGS": wire.frame(wire.SETTINGS, 0, 1),
    "PUSH_PROMISE": wire.frame(wire.PUSH_PROMISE, wire.END_HEADERS, 1, bytes((0, 0, 0, 2))),
    "PING": wire.frame(wire.PING, 0, 1, bytes(8)),
    "GOAWAY": wire.frame(wire.GOAWAY, 0, 1, bytes(8)),
    "WINDOW_UPDATE": wire.window_update(1, 1),
    "CONTINUATION": wire.continuation(1, b"", complete=True),
}


@pytest.mark.parametrize("state", range(7), ids=[state.__name__ for state in STATES])
@pytest.mark.parametrize("frame", FRAMES)
def test_s18_every_frame_in_every_state(state: int, frame: str) -> None:
    fed = wire.feed(STATES[state], FRAMES[frame])
    expected = TRANSITIONS[frame][state]
    ends = [stream.end for stream in fed.streams]
    if expected == CONN:
        connection_error(fed, PROTOCOL)
        assert ends == [LOST] * (state in {1, 2})
        return
    assert fed.error is None
    assert fed.client.open_streams == (state in {1, 2} and expected == NONE)
    assert (ends, fed.resets) == {
        STREAM: ([MALFORMED], [(1, PROTOCOL)]),
        NONE: ([], []),
        # What was asked is not yet all sent in the first case, and need not be.
        DONE: ([COMPLETE], [(1, ErrorCode.CANCEL)] * (state == 1)),
        RST: ([RESET], []),
        CLOSED_: ([], [(1, ErrorCode.STREAM_CLOSED)]),
    }[expected]


# ── PING (§6.7) ──


def test_c7_a_ping_is_answered_with_its_payload() -> None:
    fed = wire.feed(lambda: wire.open_client(1), wire.ping(b"abcdefgh") + wire.ping(bytes(8)))
    assert [(frame.kind, frame.flags, frame.payload) for frame in fed.frames] == [
        (wire.PING, wire.ACK, b"abcdefgh"),
        (wire.PING, wire.ACK, bytes(8)),
    ]
    assert fed.events == []


# ── what an error tells of the frames before it ──


def test_an_error_tells_the_heads_of_the_last_frames_and_nothing_of_their_contents() -> None:
    secret = b"contents"
    fed = wire.feed(
        lambda: wire.open_client(1),
        wire.ping(secret) + wire.frame(0xBE, 0xFF, 7, secret) + wire.window_update(0, 0),
    )
    assert fed.error is not None
    assert fed.error.frames == (
        "SETTINGS flags=0x00 stream=0 length=0",
        "SETTINGS flags=0x01 stream=0 length=0",
        "PING flags=0x00 stream=0 length=8",
        "type 0xbe flags=0xff stream=7 length=8",
        "WINDOW_UPDATE flags=0x00 stream=0 length=4",
    )


def test_an_error_of_one_stream_tells_them_too() -> None:
    response = wire.response_block(200, (b"content-length", b"5"))
    for octets, last in (
        (wire.headers(1, b""), "HEADERS flags=0x04 stream=1 length=0"),
        (wire.headers(1, response) + wire.data(1, b"123", ends=True), "DATA flags=0x01 stream=1"),
    ):
        (stream,) = wire.feed(lambda: wire.open_client(1), octets).streams
        assert stream.error is not None
        assert stream.error.frames[-1].startswith(last)


def test_a_frame_that_is_refused_by_its_head_is_the_last_of_them() -> None:
    too_long = wire.frame(wire.DATA, 0, 1, bytes(16_385))[:9]
    error = wire.feed(wire.open_client, too_long).error
    assert error is not None
    assert error.frames[-1] == "DATA flags=0x00 stream=1 length=16385"


def test_no_more_than_the_last_32_are_kept() -> None:
    pings = b"".join(wire.ping() for _ in range(100))
    error = wire.feed(wire.open_client, pings + wire.rst_stream(1, 0)).error
    assert error is not None
    assert len(error.frames) == 32
    assert error.frames[-1] == "RST_STREAM flags=0x00 stream=1 length=4"
