"""Window credit for what a server sends (RFC 9113 §5.2, §6.9)."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.http2.client import Client
from apns_core.http2.errors import ErrorCode
from apns_core.http2.stream import COMPLETE, LOST
from tests.apns_core.http2 import wire

FLOW = ErrorCode.FLOW_CONTROL_ERROR


def credit(frames: Iterable[wire.Sent], stream_id: int = 0) -> int:
    return sum(
        int.from_bytes(frame.payload)
        for frame in frames
        if frame.kind == wire.WINDOW_UPDATE and frame.stream_id == stream_id
    )


class Server:
    """Sends DATA no faster than it is allowed to, and fails where it would wait for ever."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.window = 65_535
        self.sent = 0

    def send(self, frame: bytes) -> None:
        octets = int.from_bytes(frame[:3])
        if octets > self.window:
            self.window += credit(wire.sent_frames(self.client))
        assert octets <= self.window, "no credit came back"
        self.window -= octets
        self.sent += octets
        self.client.receive_data(frame, wire.NOW)
        assert not self.client.closed


def test_c13_rejections_with_bodies_go_on_for_ever() -> None:
    """Peers that return no credit stall after 2,427 of them."""
    client = wire.open_client()
    client.receive_data(wire.window_update(0, 2**30), wire.NOW)
    server = Server(client)
    # The block refers to no table, so that its octets can be made once.
    head = wire.headers(1, wire.response_block(400))[9:]
    body = b"x" * 99
    for _ in range(20_000):
        stream = wire.send(client)
        stream_id = stream.stream_id
        client.receive_data(wire.headers(stream_id, head), wire.NOW)
        server.send(wire.data(stream_id, body, ends=True))
        assert stream.body == body
        client.events.clear()
    server.window += credit(wire.sent_frames(client))
    assert server.window + client.unreturned_credit == 65_535


def test_c13_fifteen_megabytes_of_padding() -> None:
    client = wire.open_client(4)
    server = Server(client)
    for stream_id in (1, 3, 5, 7):
        client.receive_data(wire.headers(stream_id, wire.response_block(400)), wire.NOW)
        frame = wire.data(stream_id, b"x", padding=255)
        for _ in range(15_000):
            server.send(frame)
        server.send(wire.data(stream_id, ends=True))
    assert server.sent > 15_000_000
    streams = wire.ended_streams(client.events)
    assert [(stream.end, len(stream.body)) for stream in streams] == [(COMPLETE, 15_000)] * 4


@pytest.mark.parametrize(
    "end",
    [
        wire.response(1),
        wire.rst_stream(1, 2),
        wire.goaway(0),
        wire.data(1, b"before headers"),
    ],
    ids=["answered", "reset by the server", "refused", "reset by us"],
)
def test_c13_closed_and_reset_streams(end: bytes) -> None:
    client = wire.open_client(1)
    client.receive_data(end, wire.NOW)
    server = Server(client)
    server.window -= client.unreturned_credit
    while server.sent < 13_000_000:
        server.send(wire.data(1, b"x" * 4_000, padding=200))
    server.window += credit(wire.sent_frames(client))
    assert server.window + client.unreturned_credit == 65_535


def test_c13_cancelled_streams() -> None:
    client = wire.open_client()
    stream = wire.send(client)
    client.receive_data(wire.headers(1, wire.response_block(200)), wire.NOW)
    client.cancel(stream)
    server = Server(client)
    while server.sent < 13_000_000:
        server.send(wire.data(1, b"x" * 10_000, padding=200))
    assert stream.body == b""
    server.send(wire.data(1, b"x" * 10_000, ends=True))
    assert client.open_streams == 0


def test_c13_a_stream_gets_its_credit_while_its_body_is_short() -> None:
    client = wire.open_client(1)
    client.receive_data(wire.headers(1, wire.response_block(200)), wire.NOW)
    window = total = 65_535
    for _ in range(1_000):
        client.receive_data(wire.data(1, b"x", padding=255), wire.NOW)
        window -= 257
        returned = credit(wire.sent_frames(client), stream_id=1)
        total += returned
        window += returned
        assert window > 30_000
    assert total > 250_000
    client.receive_data(wire.data(1, ends=True), wire.NOW)
    assert [stream.end for stream in wire.ended_streams(client.events)] == [COMPLETE]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 16_000), st.none() | st.integers(0, 255)),
        max_size=60,
    )
)
def test_c13_returned_and_outstanding_are_what_was_received(
    frames: list[tuple[int, int, int | None]],
) -> None:
    """Streams 1 to 19: answered and open, answered, waiting, reset, cancelled."""
    client = wire.open_client()
    streams = [wire.send(client) for _ in range(10)]
    for stream_id in (1, 3, 5):
        client.receive_data(wire.headers(stream_id, wire.response_block(200)), wire.NOW)
    client.receive_data(wire.response(7) + wire.rst_stream(9, 8), wire.NOW)
    client.cancel(streams[5])
    client.cancel(streams[0])
    client.data_to_send()
    received = returned = 0
    for index, size, padding in frames:
        octets = wire.data(2 * index + 1, bytes(size), padding=padding)
        client.receive_data(octets, wire.NOW)
        if client.closed:  # ten empty frames
            return
        received += len(octets) - 9
        returned += credit(wire.sent_frames(client))
        assert returned + client.unreturned_credit == received
        assert client.unreturned_credit <= 32_767


# ── a server that sends more than it may ──


def test_c12_more_than_the_connections_window() -> None:
    answers = b"".join(wire.headers(i, wire.response_block(200)) for i in (1, 3, 5, 7, 9))
    full = b"".join(wire.data(i, b"x" * 13_107) for i in (1, 3, 5, 7, 9))

    def make() -> Client:
        client = wire.open_client(5)
        client.receive_data(answers, wire.NOW)
        return client

    assert wire.feed(make, full).error is None
    fed = wire.feed(make, full + wire.data(9, b"y"))
    assert fed.error is not None
    assert (fed.error.code, fed.error.stream_id) == (FLOW, 0)
    assert wire.goaway_codes(fed.frames) == [FLOW]
    # The status decides, the cut body does not.
    assert {stream.end for stream in fed.streams} == {COMPLETE}


def test_c12_padding_counts() -> None:
    octets = wire.headers(1, wire.response_block(200)) + wire.data(1, b"x", padding=255) * 256
    fed = wire.feed(lambda: wire.open_client(2), octets)
    assert fed.error is not None
    assert fed.error.code == FLOW
    assert [stream.end for stream in fed.streams] == [COMPLETE, LOST]


def test_c12_more_than_a_streams_window_ends_the_stream() -> None:
    # The connection's credit is handed out in between, that of stream 1 is not yet due.
    client = wire.open_client(2)
    client.receive_data(
        wire.headers(1, wire.response_block(200)) + wire.headers(3, wire.response_block(200)),
        wire.NOW,
    )
    client.receive_data(wire.data(1, b"x", padding=255) * 100, wire.NOW)
    client.receive_data(wire.data(3, b"x", padding=255) * 50, wire.NOW)
    assert credit(wire.sent_frames(client)) > 32_767
    client.receive_data(wire.data(1, b"x", padding=255) * 154, wire.NOW)
    assert client.events == []
    client.receive_data(wire.data(1, b"x", padding=255) * 2, wire.NOW)
    (stream,) = wire.ended_streams(client.events)
    assert (stream.stream_id, stream.end, stream.status) == (1, COMPLETE, 200)
    assert stream.error is not None
    assert stream.error.code == FLOW
    assert not client.closed
    assert (1, FLOW) in wire.resets(wire.sent_frames(client))
    client.receive_data(wire.data(3, b"y", ends=True), wire.NOW)
    assert [s.stream_id for s in wire.ended_streams(client.events)] == [1, 3]
