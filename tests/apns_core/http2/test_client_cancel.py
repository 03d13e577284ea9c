import pytest

from apns_core.http2.client import Client, PingAcknowledged
from apns_core.http2.errors import ErrorCode
from apns_core.http2.stream import COMPLETE, LOST, OPEN, Stream
from tests.apns_core.http2 import wire


def ping_payloads(frames: list[wire.Sent]) -> list[bytes]:
    return [f.payload for f in frames if f.kind == wire.PING and not f.flags & wire.ACK]


def cancelled() -> Client:
    """Stream 1 is cancelled, stream 3 is open; RST_STREAM and PING are read."""
    client = wire.open_client()
    stream = wire.send(client)
    wire.send(client)
    client.cancel(stream)
    client.data_to_send()
    return client


def test_cancelling_resets_and_asks() -> None:
    client = wire.open_client()
    stream = wire.send(client)
    client.data_to_send()
    client.cancel(stream)
    frames = wire.sent_frames(client)
    assert wire.resets(frames) == [(1, ErrorCode.CANCEL)]
    assert len(ping_payloads(frames)) == 1
    assert len(frames) == 2
    assert (stream.end, stream.abandoned) == (OPEN, True)
    assert client.events == []
    # The server may still be counting it.
    assert client.open_streams == 1


@pytest.mark.parametrize(
    ("octets", "open_streams"),
    [
        (wire.response(1), 1),
        (wire.headers(1, wire.response_block(200)), 2),
        (wire.headers(1, wire.response_block(200)) + wire.data(1, b"x"), 2),
        (wire.headers(1, wire.response_block(200)) + wire.data(1, b"x", ends=True), 1),
        (wire.headers(1, b"", ends=True), 1),
        (wire.rst_stream(1, 8), 1),
        (wire.rst_stream(1, 8) + wire.rst_stream(1, 5) + wire.response(1), 1),
        (wire.goaway(3), 2),
        (wire.goaway(1), 1),
        (wire.goaway(0), 0),
        (wire.window_update(1, 5), 2),
        (wire.window_update(1, 0), 2),
    ],
)
def test_it_counts_as_open_until_the_server_shows_that_it_knows(
    octets: bytes, open_streams: int
) -> None:
    fed = wire.feed(cancelled, octets)
    assert fed.client.open_streams == open_streams
    assert not [stream for stream in fed.streams if stream.stream_id == 1]
    assert fed.resets == []
    assert fed.error is None


def test_the_answer_to_the_ping_shows_it_too() -> None:
    client = wire.open_client()
    streams = [wire.send(client) for _ in range(4)]
    client.data_to_send()
    client.cancel(streams[0])
    (first,) = ping_payloads(wire.sent_frames(client))
    # While one is under way no other is sent, and it speaks for what went before it only.
    client.cancel(streams[1])
    client.cancel(streams[2])
    assert ping_payloads(wire.sent_frames(client)) == []
    client.receive_data(wire.ping(first, ack=True), wire.NOW)
    assert client.open_streams == 3
    (second,) = ping_payloads(wire.sent_frames(client))
    assert second != first
    client.receive_data(wire.ping(first, ack=True), wire.NOW)
    assert client.open_streams == 3
    client.receive_data(wire.ping(second, ack=True), wire.NOW)
    assert client.open_streams == 1
    assert client.events == [PingAcknowledged(), PingAcknowledged()]
    assert client.data_to_send() == b""


def test_one_that_ended_while_its_ping_was_under_way_is_counted_once() -> None:
    client = wire.open_client()
    streams = [wire.send(client) for _ in range(3)]
    client.cancel(streams[0])
    client.cancel(streams[1])
    (payload,) = ping_payloads(wire.sent_frames(client))
    client.receive_data(wire.rst_stream(1, 8) + wire.rst_stream(3, 8), wire.NOW)
    assert client.open_streams == 1
    client.receive_data(wire.ping(payload, ack=True), wire.NOW)
    assert client.open_streams == 1


@pytest.mark.parametrize("payload", [bytes(8), b"\xff" * 8, b"pingpong"])
def test_the_answer_to_another_ping_shows_nothing(payload: bytes) -> None:
    fed = wire.feed(cancelled, wire.ping(payload, ack=True))
    assert fed.events == []
    assert fed.client.open_streams == 2


def test_a_ping_of_the_callers_own() -> None:
    client = wire.open_client()
    client.ping()
    client.ping()
    (payload,) = ping_payloads(wire.sent_frames(client))
    client.receive_data(wire.ping(payload, ack=True) * 2, wire.NOW)
    assert client.events == [PingAcknowledged()]
    assert client.data_to_send() == b""
    client.ping()
    (other,) = ping_payloads(wire.sent_frames(client))
    assert other != payload


def test_cancelling_what_is_not_open_here_does_nothing() -> None:
    client = wire.open_client()
    stream = wire.send(client)
    stranger = wire.send(wire.open_client())
    client.data_to_send()
    client.cancel(Stream())
    client.cancel(stranger)
    assert not stranger.abandoned
    client.receive_data(wire.response(1), wire.NOW)
    client.cancel(stream)
    assert client.data_to_send() == b""
    assert (stream.end, stream.abandoned) == (COMPLETE, False)
    twice = wire.send(client)
    client.cancel(twice)
    client.data_to_send()
    client.cancel(twice)
    assert client.data_to_send() == b""
    assert client.open_streams == 1
    client.receive_eof()
    client.cancel(twice)
    assert client.data_to_send() == b""
    assert client.open_streams == 0


def test_what_was_held_back_of_it_is_never_sent() -> None:
    client = wire.open_client(0, (4, 1))
    stream = wire.send(client, b"body")
    other = wire.send(client, b"o")
    client.send_held_back(10**6)
    client.data_to_send()
    client.cancel(stream)
    # The object is the caller's again: it may be sent once more, here or elsewhere.
    stream.prepare()
    wire.send(client, b"more", stream)
    client.data_to_send()
    client.receive_data(wire.settings((4, 100)), wire.NOW)
    client.data_to_send()
    client.send_held_back(10**6)
    assert [(f.stream_id, f.payload) for f in wire.sent_frames(client)] == [(5, b"more")]
    client.receive_data(wire.response(1) + wire.response(3) + wire.response(5), wire.NOW)
    assert wire.ended_streams(client.events) == [other, stream]
    assert (stream.stream_id, stream.end) == (5, COMPLETE)
    assert client.open_streams == 0


def test_the_end_of_the_connection_passes_over_it() -> None:
    client = cancelled()
    client.receive_eof()
    assert [(s.stream_id, s.end) for s in wire.ended_streams(client.events)] == [(3, LOST)]
    assert client.open_streams == 0


def test_h12_late_headers_of_a_thousand_cancelled_streams_keep_the_table_in_step() -> None:
    def make() -> Client:
        client = wire.open_client()
        streams = [wire.send(client) for _ in range(1_000)]
        good = wire.send(client)
        assert good.stream_id == 2_001
        for stream in streams:
            client.cancel(stream)
        client.data_to_send()
        return client

    late = b"".join(
        wire.headers(
            stream_id,
            b"\x88" + wire.literal(b"x-%d" % stream_id, b"y", indexed=True),
            ends=stream_id % 4 == 1,
        )
        for stream_id in range(1, 2_001, 2)
    )
    # The newest entries: 62 is x-1999, 63 is x-1997.
    fed = wire.feed(make, late + wire.headers(2_001, b"\x88\xbe\xbf", ends=True))
    (stream,) = fed.streams
    assert stream.fields == [(b":status", b"200"), (b"x-1999", b"y"), (b"x-1997", b"y")]
    assert fed.error is None
    assert fed.client.open_streams == 500
    assert fed.resets == []


def test_late_frames_on_ten_thousand_cancelled_streams_are_no_flood() -> None:
    client = wire.open_client()
    client.receive_data(wire.window_update(0, 10**6), wire.NOW)
    for _ in range(20_000):
        stream = wire.send(client)
        client.cancel(stream)
        (payload,) = ping_payloads(wire.sent_frames(client)) or (None,)
        answer = wire.response(stream.stream_id, 400, b"body")
        client.receive_data(answer + wire.ping(payload or bytes(8), ack=True), wire.NOW)
        client.events.clear()
    assert not client.closed
    assert client.open_streams == 0
