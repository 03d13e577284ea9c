from collections.abc import Callable

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.http2.client import Client, SettingsReceived
from apns_core.http2.errors import LocalProtocolError
from apns_core.http2.stream import COMPLETE, NOT_PROCESSED, RESET, Stream
from tests.apns_core.http2 import wire

INITIAL_WINDOW, MAX_FRAME = 4, 5


def test_it_opens_with_the_preface_and_settings() -> None:
    client = Client(wire.POLICY, now=wire.NOW, header_table_size=1_000)
    size = client.output_size
    output = client.data_to_send()
    assert len(output) == size
    assert client.output_size == 0
    assert output.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    (frame,) = wire.parse_frames(output)
    assert frame.kind == wire.SETTINGS
    assert frame.payload == wire.settings((1, 1_000), (2, 0), (4, 65_535), (6, 16_384))[9:]
    assert client.data_to_send() == b""


def test_the_servers_settings_are_acknowledged() -> None:
    client = Client(wire.POLICY, now=wire.NOW)
    client.data_to_send()
    assert (client.settings_received, client.settings_acknowledged) == (False, False)
    client.receive_data(wire.settings((3, 100), (6, 8_000)) + wire.SETTINGS_ACK, wire.NOW)
    assert (client.settings_received, client.settings_acknowledged) == (True, True)
    assert client.peer.max_concurrent_streams == 100
    assert client.peer.max_header_list_size == 8_000
    assert client.events == [SettingsReceived(100)]
    assert client.data_to_send() == wire.SETTINGS_ACK


# ── when nothing may be sent ──


def gone_away() -> Client:
    client = wire.open_client(1)
    client.receive_data(wire.goaway(1), wire.NOW)
    return client


def ended() -> Client:
    client = wire.open_client()
    client.receive_eof()
    return client


def exhausted() -> Client:
    client = wire.open_client()
    client.next_stream_id = 2**31 + 1
    return client


@pytest.mark.parametrize(
    "make", [lambda: Client(wire.POLICY, now=wire.NOW), gone_away, ended, exhausted]
)
def test_requests_out_of_season_change_nothing(make: Callable[[], Client]) -> None:
    client = make()
    client.data_to_send()
    before = (client.next_stream_id, client.open_streams, client.window)
    with pytest.raises(LocalProtocolError):
        wire.send(client)
    assert (client.next_stream_id, client.open_streams, client.window) == before
    assert client.data_to_send() == b""


def test_s19_the_last_stream_id_is_used_and_no_id_twice() -> None:
    client = wire.open_client()
    client.next_stream_id = 2**31 - 3
    streams = [wire.send(client), wire.send(client)]
    assert [stream.stream_id for stream in streams] == [2**31 - 3, 2**31 - 1]
    with pytest.raises(LocalProtocolError, match="used up"):
        wire.send(client)
    client.receive_data(wire.response(2**31 - 1) + wire.response(2**31 - 3), wire.NOW)
    assert [stream.end for stream in streams] == [COMPLETE, COMPLETE]
    assert client.open_streams == 0


# ── framing ──


def test_a_small_request_is_two_frames() -> None:
    client = wire.open_client()
    stream = Stream()
    block = client.encoder.encode(wire.REQUEST)
    client.send_request(stream, block, b"body")
    assert stream.end_stream_sent
    assert stream.stream_id == 1
    assert client.window == 65_531
    assert client.output_size == len(block) + 4 + 18
    assert wire.sent_frames(client) == [
        wire.Sent(wire.HEADERS, wire.END_HEADERS, 1, block),
        wire.Sent(wire.DATA, wire.END_STREAM, 1, b"body"),
    ]


def test_a_request_without_a_body_ends_with_its_headers() -> None:
    client = wire.open_client(0, (INITIAL_WINDOW, 0))
    stream = Stream()
    client.send_request(stream, b"block", b"")
    assert stream.end_stream_sent
    assert not client.window_blocked
    assert wire.sent_frames(client) == [
        wire.Sent(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, 1, b"block")
    ]


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 32_768, 40_000])
@pytest.mark.parametrize("body", [b"", b"body"])
def test_long_blocks_are_continued(size: int, body: bytes) -> None:
    client = wire.open_client()
    client.send_request(Stream(), b"h" * size, body)
    client.send_held_back(10**6)
    frames = wire.sent_frames(client)
    block = [frame for frame in frames if frame.kind != wire.DATA]
    assert b"".join(frame.payload for frame in block) == b"h" * size
    assert [frame.kind for frame in block] == (
        [wire.HEADERS] + [wire.CONTINUATION] * (max(size - 1, 0) // 16_384)
    )
    assert [bool(frame.flags & wire.END_HEADERS) for frame in block] == (
        [False] * (len(block) - 1) + [True]
    )
    assert bool(block[0].flags & wire.END_STREAM) == (not body)
    assert b"".join(frame.payload for frame in frames[len(block) :]) == body


def test_larger_frames_are_used_where_the_server_takes_them() -> None:
    client = wire.open_client(0, (MAX_FRAME, 20_000))
    client.send_request(Stream(), b"h" * 20_000, b"b" * 20_000)
    assert [len(frame.payload) for frame in wire.sent_frames(client)] == [20_000, 20_000]


def test_held_back_output_keeps_to_max_bytes_by_the_frame() -> None:
    client = wire.open_client()
    stream = wire.send(client, b"x" * 60_000)
    client.data_to_send()
    client.send_held_back(0)
    assert client.data_to_send() == b""
    assert not stream.end_stream_sent
    client.send_held_back(1)
    assert client.output_size == 16_384 + 9
    client.send_held_back(16_384 + 10)
    assert client.output_size == 2 * (16_384 + 9)
    client.send_held_back(10**6)
    assert sum(len(frame.payload) for frame in wire.sent_frames(client)) == 60_000
    client.send_held_back(10**6)
    assert client.data_to_send() == b""


# ── flow control (RFC 9113 §5.2, §6.9) ──


def test_the_connection_window_blocks_and_credit_frees() -> None:
    client = wire.open_client()
    first = wire.send(client, b"a" * 65_000)
    client.send_held_back(10**6)
    second = wire.send(client, b"b" * 1_000)
    client.send_held_back(10**6)
    assert (client.window, client.window_blocked) == (0, True)
    assert (first.end_stream_sent, second.end_stream_sent) == (True, False)
    client.data_to_send()
    client.send_held_back(10**6)
    assert client.data_to_send() == b""
    client.receive_data(wire.window_update(0, 464), wire.NOW)
    assert (client.window, client.window_blocked) == (464, False)
    client.send_held_back(10**6)
    assert (client.window, client.window_blocked) == (0, True)
    client.receive_data(wire.window_update(0, 10), wire.NOW)
    client.send_held_back(10**6)
    assert (client.window, client.window_blocked) == (9, False)
    assert second.end_stream_sent
    sent = b"".join(frame.payload for frame in wire.sent_frames(client))
    assert sent == b"b" * 465


def test_c11_a_stream_window_of_0_holds_one_stream_not_the_connection() -> None:
    client = wire.open_client(0, (INITIAL_WINDOW, 0))
    held = wire.send(client, b"held")
    other = wire.send(client, b"other")
    client.receive_data(wire.window_update(other.stream_id, 5), wire.NOW)
    client.send_held_back(10**6)
    assert (held.end_stream_sent, other.end_stream_sent) == (False, True)
    assert not client.window_blocked
    assert [f.payload for f in wire.sent_frames(client) if f.kind == wire.DATA] == [b"other"]


@pytest.mark.parametrize("frame", [wire.rst_stream(1, 7), wire.goaway(0)])
def test_c11_an_end_while_blocked_is_heard_at_once(frame: bytes) -> None:
    client = wire.open_client(0, (INITIAL_WINDOW, 0))
    held = wire.send(client, b"held")
    client.receive_data(frame, wire.NOW)
    assert held.end in {RESET, NOT_PROCESSED}
    assert not held.end_stream_sent
    assert client.open_streams == 0
    client.receive_data(wire.settings((INITIAL_WINDOW, 100)), wire.NOW)
    client.data_to_send()
    client.send_held_back(10**6)
    assert client.data_to_send() == b""


def test_c10_a_window_made_negative_waits_for_all_of_it() -> None:
    client = wire.open_client()
    stream = wire.send(client, b"x" * 20_000)
    client.data_to_send()
    client.send_held_back(1)
    client.receive_data(wire.settings((INITIAL_WINDOW, 1_000)), wire.NOW)
    client.data_to_send()
    # 16,384 sent of 1,000: the window stands at -15,384.
    for increment in (15_000, 384):
        client.receive_data(wire.window_update(1, increment), wire.NOW)
        client.send_held_back(10**6)
        assert client.data_to_send() == b""
    client.receive_data(wire.window_update(1, 1), wire.NOW)
    client.send_held_back(10**6)
    assert [len(frame.payload) for frame in wire.sent_frames(client)] == [1]
    client.receive_data(wire.settings((INITIAL_WINDOW, 65_535)), wire.NOW)
    client.data_to_send()
    client.send_held_back(10**6)
    assert stream.end_stream_sent
    assert [len(frame.payload) for frame in wire.sent_frames(client)] == [3_615]


class Ledger:
    """What the server has granted and got, kept beside the client's own books."""

    def __init__(self) -> None:
        self.client = wire.open_client()
        self.initial = 65_535
        self.connection = 65_535
        self.used: dict[int, int] = {}
        self.bodies: dict[int, bytes] = {}
        self.arrived: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.given_up: set[int] = set()
        self.streams: list[Stream] = []
        self.updates = 0

    def send(self, size: int) -> None:
        stream = wire.send(self.client, b"%d:" % len(self.streams) + b"x" * size)
        self.streams.append(stream)
        self.used[stream.stream_id] = 0
        self.arrived[stream.stream_id] = b""
        self.bodies[stream.stream_id] = b"%d:" % (len(self.streams) - 1) + b"x" * size

    def grant_all(self, size: int) -> None:
        self.initial = size
        self.client.receive_data(wire.settings((INITIAL_WINDOW, size)), wire.NOW)

    def grant(self, which: int, increment: int) -> None:
        self.updates += 1
        if self.updates > 4 + 22 * len(self.streams):
            return  # the next would be a flood
        if which >= len(self.streams):
            self.connection += increment
            self.client.receive_data(wire.window_update(0, increment), wire.NOW)
        else:
            stream_id = self.streams[which].stream_id
            self.used[stream_id] -= increment
            self.client.receive_data(wire.window_update(stream_id, increment), wire.NOW)

    def give_up(self, which: int, *, by_us: bool) -> None:
        if which < len(self.streams):
            stream = self.streams[which]
            if stream.stream_id not in self.given_up:
                self.drain(10**9)
                self.given_up.add(stream.stream_id)
                if by_us:
                    self.client.cancel(stream)
                else:
                    self.client.receive_data(wire.rst_stream(stream.stream_id, 8), wire.NOW)

    def drain(self, max_bytes: int) -> None:
        self.client.send_held_back(max_bytes)
        for frame in wire.sent_frames(self.client):
            if frame.kind != wire.DATA:
                continue
            assert frame.stream_id not in self.given_up
            size = len(frame.payload)
            self.connection -= size
            self.used[frame.stream_id] += size
            assert self.connection >= 0
            assert self.used[frame.stream_id] <= self.initial
            assert frame.stream_id not in self.ended
            self.arrived[frame.stream_id] += frame.payload
            if frame.flags & wire.END_STREAM:
                self.ended.add(frame.stream_id)
        assert self.client.window == self.connection


moves = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 40_000)),
        st.tuples(st.just("grant_all"), st.sampled_from((0, 1, 1_000, 16_384, 65_535, 200_000))),
        st.tuples(
            st.just("grant"), st.integers(0, 6), st.sampled_from((1, 3, 1_000, 16_384, 70_000))
        ),
        st.tuples(st.just("drain"), st.sampled_from((1, 10_000, 100_000))),
        st.tuples(st.just("give up"), st.integers(0, 4), st.booleans()),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=300)
@given(moves)
def test_c10_never_beyond_credit_and_all_arrives(moves: list[tuple[object, ...]]) -> None:
    ledger = Ledger()
    for move in moves:
        match move:
            case ("send", int(size)):
                ledger.send(size)
            case ("grant_all", int(size)):
                # What is framed already counts by the window of before.
                ledger.drain(1)
                ledger.grant_all(size)
            case ("grant", int(which), int(increment)):
                ledger.grant(which, increment)
            case ("give up", int(which), bool(by_us)):
                ledger.give_up(which, by_us=by_us)
            case (_, int(max_bytes)):
                ledger.drain(max_bytes)
            case _:
                raise AssertionError(move)
        assert not ledger.client.closed
    ledger.grant_all(10**6)
    ledger.grant(len(ledger.streams), 10**7)
    ledger.drain(10**9)
    for stream in ledger.streams:
        if stream.stream_id not in ledger.given_up:
            assert stream.end_stream_sent
            assert stream.stream_id in ledger.ended
            assert ledger.arrived[stream.stream_id] == ledger.bodies[stream.stream_id]
            assert not stream.unsent
    assert not ledger.client.window_blocked


# ── an independent server ──


class Server:
    """h2 in the server's role, back to back with a client; it checks all that h2 checks."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.initiate_connection()
        self.requests: dict[int, list[tuple[bytes, bytes]]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.complete: list[int] = []
        self.resets: list[int] = []

    def exchange(self, chunk: int = 10**9) -> None:
        """Carry bytes both ways until both are silent."""
        while True:
            self.client.send_held_back(20_000)
            output = self.client.data_to_send()
            self._take(output)
            answer = self.h2.data_to_send()
            for start in range(0, len(answer), chunk):
                self.client.receive_data(answer[start : start + chunk], wire.NOW)
            if not output and not answer:
                return

    def _take(self, output: bytes) -> None:
        for event in self.h2.receive_data(output):
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                self.requests[event.stream_id] = [(bytes(n), bytes(v)) for n, v in event.headers]
                self.bodies[event.stream_id] = bytearray()
            elif isinstance(event, DataReceived):
                self.bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.complete.append(event.stream_id)
            elif isinstance(event, StreamReset):
                self.resets.append(event.stream_id)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 70_000), min_size=1, max_size=8),
    st.sampled_from((0, 10, 5_000, 65_535, 1_000_000)),
    st.sampled_from((16_384, 30_000)),
    st.sampled_from((0, 100, 4_096)),
    st.sampled_from((3, 50, 1_000)),
)
def test_the_library_h2_takes_what_we_send_and_we_what_it_answers(
    sizes: list[int], window: int, frame: int, table: int, chunk: int
) -> None:
    client = Client(wire.POLICY, now=wire.NOW)
    server = Server(client)
    server.h2.update_settings({INITIAL_WINDOW: window, MAX_FRAME: frame, 1: table})
    server.exchange(chunk)
    streams: list[Stream] = []
    for size in sizes:
        streams.append(wire.send(client, b"x" * size))
        server.exchange(chunk)
    server.h2.update_settings({INITIAL_WINDOW: 100_000, 1: 4_096})
    server.exchange(chunk)
    for stream, size in zip(streams, sizes, strict=True):
        assert server.requests[stream.stream_id] == list(wire.REQUEST)
        assert len(server.bodies[stream.stream_id]) == size
    assert sorted(server.complete) == [stream.stream_id for stream in streams]
    for stream in reversed(streams):
        body = b'{"reason":"Unregistered"}' if stream.stream_id % 4 == 3 else b""
        fields = [(":status", "410" if body else "200"), ("apns-id", f"id-{stream.stream_id}")]
        server.h2.send_headers(stream.stream_id, fields, end_stream=not body)
        if body:
            server.h2.send_data(stream.stream_id, body[:5], pad_length=9)
            server.h2.send_data(stream.stream_id, body[5:], end_stream=True)
        server.exchange(chunk)
        assert stream.end == COMPLETE
        assert stream.body == body
        assert stream.status == (410 if body else 200)
        assert stream.fields[1] == (b"apns-id", b"id-%d" % stream.stream_id)
    assert client.open_streams == 0
    assert not client.closed
    assert wire.ended_streams(client.events) == streams[::-1]


def test_the_library_h2_hears_cancel_ping_and_goodbye() -> None:
    client = Client(wire.POLICY, now=wire.NOW)
    server = Server(client)
    server.exchange()
    streams = [wire.send(client) for _ in range(3)]
    server.exchange()
    client.cancel(streams[1])
    server.exchange()
    assert server.resets == [3]
    # h2 has answered the PING that followed the reset.
    assert client.open_streams == 2
    server.h2.ping(b"12345678")
    server.exchange()
    client.go_away()
    output = client.data_to_send()
    server.h2.receive_data(output)
    assert wire.goaway_codes(wire.parse_frames(output)) == [0]
    assert client.closed
