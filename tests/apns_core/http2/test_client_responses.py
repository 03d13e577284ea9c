import tracemalloc

import pytest

from apns_core.http2.errors import ErrorCode
from apns_core.http2.hpack_decoder import Field
from apns_core.http2.stream import COMPLETE, LOST, MALFORMED, RESET, Stream
from tests.apns_core.http2 import wire

PROTOCOL = ErrorCode.PROTOCOL_ERROR
CALM = ErrorCode.ENHANCE_YOUR_CALM


def one(octets: bytes, body: bytes = b"{}", *entries: tuple[int, int]) -> wire.Fed:
    """Feed what comes on stream 1, the only one of its client."""
    return wire.feed(lambda: wire.open_client(1, *entries, body=body), octets)


def test_accepted() -> None:
    fed = one(wire.headers(1, wire.response_block(200, (b"apns-id", b"x")), ends=True))
    (stream,) = fed.streams
    assert (stream.end, stream.status, stream.body, stream.error) == (COMPLETE, 200, b"", None)
    assert stream.fields == [(b":status", b"200"), (b"apns-id", b"x")]
    assert fed.client.open_streams == 0
    assert fed.frames == []


@pytest.mark.parametrize(
    "body",
    [
        wire.data(1, b'{"reason":"x"}', ends=True),
        wire.data(1, b'{"reason"') + wire.data(1, b':"x"}', ends=True),
        wire.data(1, b'{"reason":"x"}') + wire.data(1, b"", ends=True),
        wire.data(1, b'{"reason":"x"}') + wire.headers(1, wire.block((b"x", b"y")), ends=True),
        wire.data(1, b'{"reason":"x"}', padding=0) + wire.data(1, b"", ends=True, padding=200),
        b"".join(wire.data(1, bytes((octet,))) for octet in b'{"reason":"x"}')
        + wire.data(1, ends=True),
        wire.data(1) * 10 + wire.data(1, b'{"reason":"x"}', ends=True),
    ],
)
def test_rejected_with_its_body_in_any_pieces(body: bytes) -> None:
    fed = one(wire.headers(1, wire.response_block(410, (b"content-length", b"14"))) + body)
    (stream,) = fed.streams
    assert (stream.end, stream.status, stream.error) == (COMPLETE, 410, None)
    assert stream.body == b'{"reason":"x"}'
    assert not fed.client.closed


@pytest.mark.parametrize(
    ("payload", "extra"),
    [
        (b"\x03" + wire.response_block(200) + bytes(3), wire.PADDED),
        (bytes(5) + wire.response_block(200), wire.PRIORITISED),
        (b"\x00" + bytes(5) + wire.response_block(200), wire.PADDED | wire.PRIORITISED),
    ],
)
def test_the_block_may_be_padded_and_prioritised(payload: bytes, extra: int) -> None:
    fed = one(wire.headers(1, payload, ends=True, extra=extra))
    assert [(stream.end, stream.status) for stream in fed.streams] == [(COMPLETE, 200)]


def test_the_block_may_come_in_pieces_padded_and_prioritised() -> None:
    block = wire.response_block(200, (b"apns-id", b"x" * 50))
    padded = b"\x09" + b"\x80\x00\x00\x00\x10" + block[:7] + bytes(9)
    fed = one(
        wire.headers(1, padded, ends=True, complete=False, extra=wire.PADDED | wire.PRIORITISED)
        + wire.continuation(1, b"")
        + wire.continuation(1, block[7:20])
        + wire.continuation(1, block[20:], complete=True)
    )
    assert [(stream.end, stream.status) for stream in fed.streams] == [(COMPLETE, 200)]


# ── malformed (RFC 9113 §8.1.1) ──

MALFORMED_BLOCKS: dict[str, bytes] = {
    "uppercase": wire.response_block(200, (b"Apns-Id", b"x")),
    "line feed": wire.response_block(200, (b"apns-id", b"x\ny")),
    "carriage return": wire.response_block(200, (b"apns-id", b"x\ry")),
    "zero": wire.response_block(200, (b"apns-id", b"x\x00y")),
    "space in a name": wire.response_block(200, (b"apns id", b"x")),
    "connection-specific": wire.response_block(200, (b"connection", b"close")),
    "second status": wire.response_block(200, (b":status", b"400")),
    "no status": wire.block((b"apns-id", b"x")),
    "request's pseudo-header": wire.response_block(200, (b":path", b"/")),
    "status after a field": wire.block((b"apns-id", b"x"), (b":status", b"200")),
    "status of four digits": wire.response_block(2000),
    "status of two digits": wire.response_block(20),
    "nothing": b"",
    "101": wire.response_block(101),
}


@pytest.mark.parametrize("block", MALFORMED_BLOCKS.values(), ids=MALFORMED_BLOCKS)
@pytest.mark.parametrize("ends", [False, True])
def test_h13_one_malformed_response_of_a_hundred(block: bytes, *, ends: bool) -> None:
    octets = b"".join(
        wire.headers(stream_id, block, ends=ends) if stream_id == 77 else wire.response(stream_id)
        for stream_id in range(1, 201, 2)
    )
    fed = wire.feed(lambda: wire.open_client(100), octets)
    assert fed.error is None
    assert not fed.client.closed
    assert len(fed.streams) == 100
    (bad,) = (stream for stream in fed.streams if stream.end != COMPLETE)
    assert (bad.stream_id, bad.end, bad.status) == (77, MALFORMED, 0)
    assert bad.error is not None
    assert bad.error.code == PROTOCOL
    assert fed.resets == [(77, PROTOCOL)]


LENGTH: list[tuple[list[Field], bytes, bool]] = [
    ([(b"content-length", b"3")], b"abc", True),
    ([(b"content-length", b"3"), (b"content-length", b"3")], b"abc", True),
    ([(b"content-length", b"0")], b"", True),
    ([], b"abc", True),
    ([(b"content-length", b"3")], b"abcd", False),
    ([(b"content-length", b"4")], b"abc", False),
    ([(b"content-length", b"1")], b"", False),
    ([(b"content-length", b"0")], b"a", False),
    ([(b"content-length", b"3"), (b"content-length", b"4")], b"abc", False),
    ([(b"content-length", b"+3")], b"abc", False),
    ([(b"content-length", b"3 ")], b"abc", False),
    ([(b"content-length", b"3,3")], b"abc", False),
    ([(b"content-length", b"")], b"", False),
]


@pytest.mark.parametrize(("fields", "body", "right"), LENGTH)
@pytest.mark.parametrize("more", [False, True])
def test_h14_content_length(fields: list[Field], body: bytes, *, right: bool, more: bool) -> None:
    block = wire.response_block(400, *[(b"apns-id", b"x")] * more, *fields)
    if body:
        octets = wire.headers(1, block) + wire.data(1, body, ends=True)
    else:
        octets = wire.headers(1, block, ends=True)
    fed = one(octets)
    (stream,) = fed.streams
    if fields and fields[0][1].endswith(b" "):
        # A value with a space at its end is malformed before anyone reads it as a number.
        assert stream.end == MALFORMED
    else:
        # Whatever its length, the status is known and decides.
        assert (stream.end, stream.status) == (COMPLETE, 400)
    assert (stream.error is None) == right
    assert stream.error is None or stream.error.code == PROTOCOL
    assert fed.error is None


def test_h14_content_length_beyond_what_is_kept() -> None:
    body = b"".join(wire.data(1, b"x" * 10_000) for _ in range(2))
    fed = one(wire.headers(1, wire.response_block(400, (b"content-length", b"20000"))) + body)
    (stream,) = fed.streams
    assert (stream.end, stream.error, len(stream.body)) == (COMPLETE, None, 16_384)


def test_data_before_headers() -> None:
    fed = one(wire.data(1, b"x") + wire.response(1))
    assert [(stream.end, stream.status) for stream in fed.streams] == [(MALFORMED, 0)]
    assert fed.resets == [(1, PROTOCOL)]
    assert not fed.client.closed


# ── closed streams (RFC 9113 §5.1) ──

ANSWER = wire.response(1)
LATE = {
    "DATA": wire.data(1, b"x"),
    "DATA with END_STREAM": wire.data(1, b"x", ends=True),
    "HEADERS": wire.headers(1, wire.response_block(200)),
    "HEADERS with END_STREAM": wire.headers(1, wire.response_block(500), ends=True),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
@pytest.mark.parametrize(
    "end",
    [ANSWER, wire.response(1, 400, b"body"), wire.rst_stream(1, 2), wire.goaway(0)],
    ids=["answered", "answered with a body", "reset", "refused"],
)
def test_s3_frames_after_the_end(end: bytes, late: bytes) -> None:
    fed = one(end + late + late)
    assert len(fed.streams) == 1
    assert fed.error is None
    # Told once.
    assert fed.resets == [(1, ErrorCode.STREAM_CLOSED)]
    assert fed.client.open_streams == 0


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_s3_frames_after_our_own_reset_are_no_fault(late: bytes) -> None:
    fed = one(wire.data(1, b"x") + late)
    assert fed.resets == [(1, PROTOCOL)]
    assert len(fed.streams) == 1


def test_s3_a_late_reset_is_ignored() -> None:
    fed = one(ANSWER + wire.rst_stream(1, 0) + wire.rst_stream(1, 8))
    assert [stream.end for stream in fed.streams] == [COMPLETE]
    assert fed.frames == []


def test_s3_the_memory_of_resets_is_bounded() -> None:
    count = 3_000
    client = wire.open_client(count)
    for stream_id in range(1, 2 * count, 2):
        client.receive_data(wire.response(stream_id) + wire.data(stream_id, b"x"), wire.NOW)
        client.data_to_send()
    # The newest are remembered, the oldest not: telling it again does no harm.
    client.receive_data(wire.data(2 * count - 1, b"x"), wire.NOW)
    assert wire.resets(wire.sent_frames(client)) == []
    client.receive_data(wire.data(1, b"x"), wire.NOW)
    assert wire.resets(wire.sent_frames(client)) == [(1, ErrorCode.STREAM_CLOSED)]


# ── resets by the server ──


@pytest.mark.parametrize("code", [0, 2, 7, 8, 11, 14, 2**32 - 1])
def test_a_reset_before_the_status_ends_the_stream(code: int) -> None:
    fed = one(wire.rst_stream(1, code))
    (stream,) = fed.streams
    assert (stream.end, stream.error_code, stream.error) == (RESET, code, None)
    assert stream.end_stream_sent
    assert fed.frames == []


@pytest.mark.parametrize("code", [0, 8])
def test_a_reset_after_the_status_decides_nothing(code: int) -> None:
    fed = one(wire.headers(1, wire.response_block(410)) + wire.rst_stream(1, code))
    (stream,) = fed.streams
    assert (stream.end, stream.status, stream.error_code) == (COMPLETE, 410, code)


def test_s5_the_first_of_two_resets_decides() -> None:
    fed = one(wire.rst_stream(1, 7) + wire.rst_stream(1, 5))
    assert [(stream.end, stream.error_code) for stream in fed.streams] == [(RESET, 7)]
    assert fed.frames == []
    assert fed.client.open_streams == 0


def test_s5_pairs_of_resets_are_no_flood() -> None:
    client = wire.open_client()
    client.receive_data(wire.window_update(0, 10**9), wire.NOW)
    for _ in range(250):
        streams = [wire.send(client) for _ in range(100)]
        client.data_to_send()
        octets = b"".join(
            wire.rst_stream(stream.stream_id, 7) + wire.rst_stream(stream.stream_id, 5)
            for stream in streams
        )
        client.receive_data(octets, wire.NOW)
        assert client.events == streams
        client.events.clear()
    assert not client.closed
    assert client.open_streams == 0


# ── informational ──


def test_s13_informational_responses_are_skipped() -> None:
    hint = wire.headers(1, wire.response_block(103, (b"link", b"</x>")))
    fed = one(hint * 8 + wire.response(1))
    assert [(stream.end, stream.status) for stream in fed.streams] == [(COMPLETE, 200)]
    fed = one(hint * 9 + wire.response(1))
    (stream,) = fed.streams
    assert (stream.end, stream.status) == (MALFORMED, 0)
    assert fed.resets == [(1, CALM)]
    assert not fed.client.closed


def test_s13_the_ninth_ends_its_stream_however_it_is_cut() -> None:
    hint = wire.headers(1, wire.response_block(103))
    fed = wire.feed(lambda: wire.open_client(2), hint * 9 + wire.response(3))
    assert [(stream.stream_id, stream.end) for stream in fed.streams] == [
        (1, MALFORMED),
        (3, COMPLETE),
    ]
    assert fed.resets == [(1, CALM)]


def test_s15_of_ten_megabytes_no_more_is_kept_than_of_a_few() -> None:
    client = wire.open_client(1)
    frame = wire.data(1, bytes(16_384))
    tracemalloc.start()
    client.receive_data(wire.headers(1, wire.response_block(413)), wire.NOW)
    for _ in range(640):
        client.receive_data(frame, wire.NOW)
        client.data_to_send()
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (stream,) = wire.ended_streams(client.events)
    assert (stream.end, stream.status, len(stream.body)) == (COMPLETE, 413, 16_384)
    assert not client.closed
    assert kept < 25_000
    assert peak < 100_000


def test_s13_flood_of_them_ends_the_stream_and_then_the_connection() -> None:
    hint = wire.headers(1, wire.response_block(103))
    client = wire.open_client(2)
    client.receive_data(hint * 100_000, wire.NOW)
    assert [stream.end for stream in wire.ended_streams(client.events)] == [MALFORMED, LOST]
    error = wire.connection_error(client.events)
    assert error is not None
    assert error.code == CALM


# ── trailers ──


@pytest.mark.parametrize(
    ("octets", "right"),
    [
        (wire.headers(1, wire.block((b"x", b"y")), ends=True), True),
        (wire.headers(1, b"", ends=True), True),
        (wire.headers(1, wire.block((b"x", b"y"))), False),
        (wire.headers(1, wire.response_block(200)), False),
        (wire.headers(1, wire.response_block(200), ends=True), False),
    ],
)
@pytest.mark.parametrize("body", [b"", wire.data(1, b"body")])
def test_s17_trailers(octets: bytes, body: bytes, *, right: bool) -> None:
    fed = one(wire.headers(1, wire.response_block(410)) + body + octets)
    (stream,) = fed.streams
    assert (stream.end, stream.status) == (COMPLETE, 410)
    assert stream.fields == [(b":status", b"410")]
    assert (stream.error is None) == right
    assert fed.resets == ([] if right else [(1, PROTOCOL)])
    assert not fed.client.closed


# ── bodies that are too long, answers that are too early ──


def test_s15_of_a_long_body_the_beginning_is_kept() -> None:
    client = wire.open_client(1)
    client.receive_data(wire.headers(1, wire.response_block(413)), wire.NOW)
    # 10 MB, by a server that sends on after the reset.
    for _ in range(1_000):
        client.receive_data(wire.data(1, b"<html>" * 1_700), wire.NOW)
        assert client.output_size < 100
        client.data_to_send()
    (stream,) = wire.ended_streams(client.events)
    assert (stream.end, stream.status, len(stream.body)) == (COMPLETE, 413, 16_384)
    assert not client.closed


def test_s15_in_any_pieces() -> None:
    fed = one(
        wire.headers(1, wire.response_block(413))
        + wire.data(1, b"x" * 16_383)
        + wire.data(1, b"yz")
        + wire.data(1, b"more", ends=True)
    )
    (stream,) = fed.streams
    assert stream.body == b"x" * 16_383 + b"y"
    assert fed.resets == [(1, ErrorCode.CANCEL)]
    fed = one(
        wire.headers(1, wire.response_block(413))
        + wire.data(1, b"x" * 10_000)
        + wire.data(1, b"y" * 10_000, ends=True)
    )
    (stream,) = fed.streams
    assert len(stream.body) == 16_384
    assert fed.resets == []


@pytest.mark.parametrize(
    "after", [b"", wire.rst_stream(1, 0), wire.rst_stream(1, 8), wire.window_update(1, 10)]
)
@pytest.mark.parametrize("body", [b"", b'{"reason":"PayloadTooLarge"}'])
def test_s16_an_answer_before_the_end_of_the_request(body: bytes, after: bytes) -> None:
    fed = one(wire.response(1, 413, body) + after, b"x" * 5_000, (4, 0))
    (stream,) = fed.streams
    assert (stream.end, stream.status, stream.body) == (COMPLETE, 413, body)
    assert not stream.end_stream_sent
    assert not stream.unsent
    assert fed.resets == [(1, ErrorCode.CANCEL)]
    client = fed.client
    client.receive_data(wire.settings((4, 65_535)), wire.NOW)
    client.data_to_send()
    client.send_held_back(10**6)
    assert client.data_to_send() == b""
    assert client.open_streams == 0


def test_s16_an_early_status_and_then_a_reset() -> None:
    fed = one(
        wire.headers(1, wire.response_block(413)) + wire.rst_stream(1, 0), b"x" * 5_000, (4, 0)
    )
    (stream,) = fed.streams
    assert (stream.end, stream.status) == (COMPLETE, 413)
    assert fed.resets == []


def test_the_end_of_file_decides_no_more_than_was_read() -> None:
    client = wire.open_client(3)
    client.receive_data(wire.headers(1, wire.response_block(410)) + wire.response(3)[:-1], wire.NOW)
    client.receive_eof()
    client.receive_eof()
    streams: list[Stream] = wire.ended_streams(client.events)
    assert [(s.stream_id, s.end, s.status) for s in streams] == [
        (1, COMPLETE, 410),
        (3, LOST, 0),
        (5, LOST, 0),
    ]
    assert all(stream.error is None for stream in streams)
    assert client.closed
    assert client.open_streams == 0
    assert len(client.events) == 4
    client.receive_data(wire.response(5), wire.NOW)
    assert len(client.events) == 4
