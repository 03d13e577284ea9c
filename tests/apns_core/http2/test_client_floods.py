"""What a server may send too much of. Each flood ends the connection while memory stays small."""

import gc
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from apns_core.http2.client import Client
from apns_core.http2.errors import ErrorCode
from apns_core.http2.stream import COMPLETE, LOST, RESET, Stream
from tests.apns_core.http2 import wire
from tests.cpu import Cpu

CALM = ErrorCode.ENHANCE_YOUR_CALM
PROTOCOL = ErrorCode.PROTOCOL_ERROR


def one_request() -> Client:
    return wire.open_client(1)


def flooded(
    octets: bytes, code: ErrorCode = CALM, make: Callable[[], Client] = one_request
) -> wire.Fed:
    """Feed a flood in every way; it ends the connection with ``code``, and tells the server."""
    fed = wire.feed(make, octets)
    assert fed.error is not None
    assert fed.error.code == code
    assert wire.goaway_codes(fed.frames) == [code]
    assert fed.frames[-1].kind == wire.GOAWAY
    assert held(fed.client) < 1_000
    return fed


def held(client: Client) -> int:
    """Octets that a client keeps of unfinished frames and blocks."""
    return len(client._reader._partial) + sum(map(len, client._reader._block))


# ── field blocks ──


@pytest.mark.parametrize(
    ("piece", "frames"),
    [(b"", 9), (b"x", 9), (bytes(100), 9), (bytes(8_000), 3), (bytes(16_384), 1)],
)
def test_h1_h2_blocks_without_end(piece: bytes, frames: int) -> None:
    start = wire.headers(1, b"x", complete=False)
    flooded(start + wire.continuation(1, piece) * 20)
    client = one_request()
    client.receive_data(start, wire.NOW)
    for _ in range(frames):
        assert not client.closed
        client.receive_data(wire.continuation(1, piece), wire.NOW)
        assert held(client) <= 32_768
    assert client.closed


def test_h1_a_block_of_nine_frames_is_read() -> None:
    block = wire.response_block(200, (b"x", b"y" * 16_000))
    assert len(block) < 16_384
    octets = wire.headers(1, block[:1], complete=False, ends=True)
    for start in range(1, 8):
        octets += wire.continuation(1, block[start : start + 1])
    octets += wire.continuation(1, block[8:], complete=True)
    fed = wire.feed(one_request, octets)
    assert [stream.end for stream in fed.streams] == [COMPLETE]


def test_h1_what_follows_the_error_is_not_looked_at() -> None:
    client = one_request()
    flood = wire.headers(1, b"x", complete=False) + wire.continuation(1, b"y") * 10**6
    tracemalloc.start()
    client.receive_data(flood, wire.NOW)
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert client.closed
    assert peak < 20_000
    assert size < 20_000
    events = len(client.events)
    output = client.data_to_send()
    with Cpu() as cpu:
        for _ in range(100):
            client.receive_data(flood, wire.NOW)
    assert cpu.seconds < 0.01
    assert len(client.events) == events
    assert client.data_to_send() == b""
    assert wire.goaway_codes(wire.parse_frames(output)) == [CALM]


def test_h3_a_bomb_of_references() -> None:
    entry = wire.literal(b"x", b"y" * 3_900, indexed=True)
    first = wire.headers(1, wire.response_block(200) + entry, ends=True)
    bomb = wire.headers(3, b"\x88" + b"\xbe" * 16_000, ends=True)

    def two_requests() -> Client:
        return wire.open_client(2)

    fed = flooded(first + bomb, make=two_requests)
    assert [stream.end for stream in fed.streams] == [COMPLETE, LOST]
    client = two_requests()
    client.receive_data(first, wire.NOW)
    tracemalloc.start()
    client.receive_data(bomb, wire.NOW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 65_536


def test_h4_a_response_beyond_the_announced_limit() -> None:
    # 16,384 octets are announced: 7 + 3 + 32 for the status leave 16,342, less 33 for "x".
    for size, legal in ((16_309, True), (16_310, False)):
        block = b"\x88" + wire.literal(b"x", b"y" * size)
        octets = wire.headers(1, block[:16_000], ends=True, complete=False)
        octets += wire.continuation(1, block[16_000:], complete=True)
        if legal:
            fed = wire.feed(one_request, octets)
            assert [stream.end for stream in fed.streams] == [COMPLETE]
        else:
            flooded(octets)


@pytest.mark.parametrize(
    "block",
    [
        b"\x7f" + b"\x80" * 100,
        b"\x00\x7f\x81\xff\xff\xff\x07" + bytes(93),
        b"\x80",
        b"\xbe",
        b"\x00\x84\xff\xff\xff\xff\x00",
        b"\x88\x20",
        b"\x3f\xe2\x1f",
    ],
    ids=["H7", "H8", "H10", "H10 beyond", "H9 EOS", "H5 late", "H5 above"],
)
def test_h5_to_h11_a_broken_block_ends_the_connection_for_good(block: bytes) -> None:
    octets = wire.response(1) + wire.headers(3, block, ends=True) + wire.response(5)

    def three_requests() -> Client:
        return wire.open_client(3)

    fed = flooded(octets, ErrorCode.COMPRESSION_ERROR, three_requests)
    # The answer decoded before stands; nothing after the error is believed.
    assert [stream.end for stream in fed.streams] == [COMPLETE, LOST, LOST]


# ── frames that cost an answer ──


@pytest.mark.parametrize(
    ("frame", "answer"),
    [(wire.settings(), 9), (wire.settings((3, 100)), 9), (wire.ping(), 17)],
    ids=["C1 SETTINGS", "C1 SETTINGS with a limit", "C7 PING"],
)
def test_c1_c7_a_writer_that_is_blocked(frame: bytes, answer: int) -> None:
    fed = flooded(frame * 10_000)
    assert len(fed.frames) == 1_001
    client = one_request()
    client.receive_data(frame * 500, wire.NOW)
    for _ in range(1_000):
        client.receive_data(frame * 100, wire.NOW)
        assert client.output_size <= 1_000 * answer + 17
    assert client.closed


@pytest.mark.parametrize("frame", [wire.settings((3, 100)), wire.ping()], ids=["C1", "C7"])
def test_c1_c7_a_writer_that_drains(frame: bytes) -> None:
    # 300 a second for ever are borne ...
    client = one_request()
    for second in range(200):
        client.receive_data(frame * 300, wire.NOW + second)
        assert len(wire.sent_frames(client)) == 300
        client.events.clear()
    assert not client.closed
    # ... 10,000 at once are not, on top.
    for _ in range(20):
        client.receive_data(frame * 999, wire.NOW + 200)
        client.data_to_send()
        client.events.clear()
    assert client.closed


def test_s3_late_frames_for_a_writer_that_is_blocked() -> None:
    count = 1_200
    octets = b"".join(
        wire.response(stream_id) + wire.data(stream_id, b"x")
        for stream_id in range(1, 2 * count, 2)
    )
    fed = flooded(octets, make=lambda: wire.open_client(count))
    assert len(fed.resets) == 1_000


def test_s4_a_hundred_thousand_resets_leave_nothing_behind() -> None:
    client = wire.open_client()

    def reset_all(rounds: int) -> None:
        for _ in range(rounds):
            first = client.next_stream_id
            for _ in range(1_000):
                wire.send(client, b"")
            client.data_to_send()
            resets = (wire.rst_stream(first + 2 * number, 2) for number in range(1_000))
            client.receive_data(b"".join(resets), wire.NOW)
            assert [stream.end for stream in wire.ended_streams(client.events)] == [RESET] * 1_000
            client.events.clear()

    reset_all(2)
    gc.collect()
    before = sys.getallocatedblocks()
    reset_all(98)
    gc.collect()
    assert sys.getallocatedblocks() - before < 1_000
    assert client.open_streams == 0


def test_s4_resets_and_then_a_goaway_leave_no_stream() -> None:
    client = wire.open_client(500)
    resets = b"".join(wire.rst_stream(stream_id, 2) for stream_id in range(1, 1_001, 2))
    client.receive_data(resets + wire.goaway(0), wire.NOW)
    assert len(wire.ended_streams(client.events)) == 500
    client.events.clear()
    gc.collect()
    assert not client._streams
    assert not client._reset_ids
    assert not [one for one in gc.get_objects() if type(one) is Stream and one.end == RESET]


# ── frames of no use ──


@pytest.mark.parametrize(
    "frame",
    [
        wire.frame(wire.PRIORITY, 0, 1, bytes(5)),
        wire.frame(0x0A, 0, 0, b"altsvc"),
        wire.frame(0x10, 0, 0, b"priority update"),
        wire.ping(ack=True),
        wire.goaway(2**31 - 1),
        wire.rst_stream(1, 8),
    ],
    ids=["PRIORITY", "ALTSVC", "PRIORITY_UPDATE", "C6 PING ACK", "GOAWAY", "RST_STREAM"],
)
def test_c6_c14_floods_of_frames_of_no_use(frame: bytes) -> None:
    few = wire.feed(one_request, frame * 1_000)
    assert few.error is None
    fed = flooded(frame * 12_000)
    assert len(fed.events) <= 10_010


def test_c6_settings_acknowledged_twice() -> None:
    fed = flooded(wire.SETTINGS_ACK, PROTOCOL)
    assert fed.error is not None
    assert fed.error.section == "RFC 9113 §6.5.3"
    client = wire.open_client(acknowledged=False)
    client.receive_data(wire.SETTINGS_ACK, wire.NOW)
    assert not client.closed


def test_c6_one_answer_to_no_ping_is_ignored() -> None:
    fed = wire.feed(one_request, wire.ping(ack=True) + wire.response(1))
    assert [stream.end for stream in fed.streams] == [COMPLETE]
    assert len(fed.events) == 1


def test_c1_settings_that_follow_the_work_are_no_flood() -> None:
    """APNs lowers its limit with each rejection and raises it with each success."""
    client = wire.open_client()
    client.receive_data(wire.window_update(0, 10**9), wire.NOW)
    for _ in range(20_000):
        stream = wire.send(client)
        client.receive_data(
            wire.settings((3, 1)) + wire.response(stream.stream_id) + wire.settings((3, 1_000)),
            wire.NOW,
        )
        client.data_to_send()
        client.events.clear()
    assert not client.closed


def test_s3_resets_after_each_answer_are_no_flood() -> None:
    """Nginx answers a request before it has read the body, and then resets it with NO_ERROR."""
    client = wire.open_client()
    client.receive_data(wire.window_update(0, 10**9), wire.NOW)
    for _ in range(20_000):
        stream = wire.send(client)
        client.data_to_send()
        client.receive_data(
            wire.response(stream.stream_id) + wire.rst_stream(stream.stream_id, 0), wire.NOW
        )
        client.events.clear()
    assert not client.closed
    assert client.data_to_send() == b""


# ── WINDOW_UPDATE ──


@pytest.mark.parametrize("stream_id", [0, 1])
def test_c9_window_updates_beyond_what_was_sent(stream_id: int) -> None:
    frame = wire.window_update(stream_id, 1)
    # 5 + 2 * (1 stream + 10 * 1 DATA frame).
    assert wire.feed(one_request, frame * 27).error is None
    flooded(frame * 28)
    flooded(frame * 10_000)
    client = one_request()
    client.receive_data(frame * 100_000, wire.NOW)
    assert client.closed


def test_c9_credit_in_small_coins_is_borne() -> None:
    # As a server gives it that returns each DATA frame's credit twice, stream and connection.
    client = wire.open_client()
    for _ in range(20_000):
        stream = wire.send(client, b"x" * 100)
        client.data_to_send()
        client.receive_data(
            wire.window_update(0, 100)
            + wire.window_update(stream.stream_id, 100)
            + wire.response(stream.stream_id),
            wire.NOW,
        )
        client.events.clear()
    assert not client.closed
    assert client.window == 65_535


def test_c9_credit_for_a_body_in_many_pieces_is_borne() -> None:
    client = wire.open_client(0, (4, 0))
    stream = wire.send(client, b"x" * 5_000)
    for _ in range(5_000):
        client.receive_data(wire.window_update(1, 1), wire.NOW)
        client.send_held_back(10**6)
        client.data_to_send()
    assert stream.end_stream_sent
    assert not client.closed


# ── DATA ──


@pytest.mark.parametrize("padding", [None, 0, 200])
def test_s14_empty_data(padding: int | None) -> None:
    start = wire.headers(1, wire.response_block(400))
    empty = wire.data(1, padding=padding)
    ten = start + empty * 10 + wire.data(1, b"x") + empty * 10
    fed = wire.feed(one_request, ten + wire.data(1, ends=True, padding=padding))
    (stream,) = fed.streams
    assert (stream.end, stream.body, stream.error) == (COMPLETE, b"x", None)
    fed = flooded(ten + empty)
    (stream,) = fed.streams
    assert (stream.end, stream.status) == (COMPLETE, 400)


def test_s14_empty_data_on_a_closed_stream() -> None:
    flooded(wire.response(1) + wire.data(1) * 12_000)


# ── SETTINGS ──


def test_c2_too_many_entries() -> None:
    flooded(wire.settings(*((3, 100),) * 2_730))
    flooded(wire.settings(*((99, 0),) * 33))
    fed = wire.feed(one_request, wire.settings(*((3, 1),) * 31, (3, 77)))
    assert fed.client.peer.max_concurrent_streams == 77


def test_c1_settings_that_touch_a_thousand_streams_cost_their_sender_more() -> None:
    client = wire.open_client(0, (4, 0))
    for _ in range(1_000):
        wire.send(client, b"x")
    changes = 0
    while not client.closed:
        client.receive_data(wire.settings((4, changes % 2)), wire.NOW)
        client.data_to_send()
        changes += 1
    # 4 glitches for each stream, 1 + 1,000 // 64 for each change: not 10,000 walks over them all.
    assert changes == (10_000 + 4_000) // 16 + 1
