"""A server's frames written by hand, a client to feed them to, and every way of cutting them up.

The writers here share no code with the client, so that a mistake is not made twice.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from apns_core.http2.client import (
    Client,
    ConnectionEnded,
    Event,
    GoAwayReceived,
    PingAcknowledged,
    SettingsReceived,
)
from apns_core.http2.errors import RemoteProtocolError
from apns_core.http2.hpack_decoder import Field
from apns_core.http2.hpack_encoder import Indexing
from apns_core.http2.stream import Stream

NOW: Final = 1_000.0

POLICY: Final = {
    b":authority": Indexing.INCREMENTAL,
    b"authorization": Indexing.ROTATING,
    b"apns-topic": Indexing.INCREMENTAL,
    b"apns-push-type": Indexing.INCREMENTAL,
    b"apns-priority": Indexing.INCREMENTAL,
    b"apns-id": Indexing.SEED,
    b"apns-expiration": Indexing.SEED,
    b"apns-collapse-id": Indexing.SEED,
}

REQUEST: Final[tuple[Field, ...]] = (
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"api.push.apple.com"),
    (b":path", b"/3/device/" + 32 * b"0f"),
    (b"apns-topic", b"com.example.application"),
)

# Frame types and flags, once more by hand.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITISED = 0x20


# ── frames ──


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4)
    return head + payload


def settings(*entries: tuple[int, int]) -> bytes:
    payload = b"".join(key.to_bytes(2) + value.to_bytes(4) for key, value in entries)
    return frame(SETTINGS, 0, 0, payload)


SETTINGS_ACK: Final = frame(SETTINGS, ACK)


def headers(
    stream_id: int, block: bytes, *, ends: bool = False, complete: bool = True, extra: int = 0
) -> bytes:
    flags = END_STREAM * ends | END_HEADERS * complete | extra
    return frame(HEADERS, flags, stream_id, block)


def continuation(stream_id: int, block: bytes, *, complete: bool = False) -> bytes:
    return frame(CONTINUATION, END_HEADERS * complete, stream_id, block)


def data(
    stream_id: int, body: bytes = b"", *, ends: bool = False, padding: int | None = None
) -> bytes:
    if padding is None:
        return frame(DATA, END_STREAM * ends, stream_id, body)
    payload = bytes((padding,)) + body + bytes(padding)
    return frame(DATA, END_STREAM * ends | PADDED, stream_id, payload)


def rst_stream(stream_id: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4))


def ping(payload: bytes = b"pingpong", *, ack: bool = False) -> bytes:
    return frame(PING, ACK * ack, 0, payload)


def goaway(last_stream_id: int, code: int = 0, debug_data: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, last_stream_id.to_bytes(4) + code.to_bytes(4) + debug_data)


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4))


# ── field blocks, raw and without any table ──


def integer(value: int, prefix: int, pattern: int = 0) -> bytes:
    top = (1 << prefix) - 1
    if value < top:
        return bytes((pattern | value,))
    octets = [pattern | top]
    value -= top
    while value > 127:
        octets.append(value % 128 + 128)
        value //= 128
    return bytes((*octets, value))


def literal(name: bytes, value: bytes, *, indexed: bool = False) -> bytes:
    pattern = b"\x40" if indexed else b"\x00"
    return pattern + integer(len(name), 7) + name + integer(len(value), 7) + value


def block(*fields: Field) -> bytes:
    return b"".join(literal(name, value) for name, value in fields)


def response_block(status: int = 200, *fields: Field) -> bytes:
    return block((b":status", b"%d" % status), *fields)


def response(stream_id: int, status: int = 200, body: bytes = b"") -> bytes:
    """A whole response: HEADERS, and DATA if there is a body."""
    if not body:
        return headers(stream_id, response_block(status), ends=True)
    return headers(stream_id, response_block(status)) + data(stream_id, body, ends=True)


# ── what a client has sent ──


@dataclass(frozen=True)
class Sent:
    kind: int
    flags: int
    stream_id: int
    payload: bytes


def parse_frames(octets: bytes) -> list[Sent]:
    """Take output apart, without the preface's magic."""
    octets = octets.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    sent: list[Sent] = []
    while octets:
        length = int.from_bytes(octets[:3])
        assert len(octets) >= 9 + length
        stream_id = int.from_bytes(octets[5:9])
        sent.append(Sent(octets[3], octets[4], stream_id, octets[9 : 9 + length]))
        octets = octets[9 + length :]
    return sent


def sent_frames(client: Client) -> list[Sent]:
    return parse_frames(client.data_to_send())


def resets(frames: Iterable[Sent]) -> list[tuple[int, int]]:
    return [(f.stream_id, int.from_bytes(f.payload)) for f in frames if f.kind == RST_STREAM]


def goaway_codes(frames: Iterable[Sent]) -> list[int]:
    return [int.from_bytes(f.payload[4:8]) for f in frames if f.kind == GOAWAY]


# ── clients ──


def open_client(
    requests: int = 0,
    *entries: tuple[int, int],
    body: bytes = b"{}",
    acknowledged: bool = True,
) -> Client:
    """A client past the exchange of SETTINGS with ``requests`` sent, its output read."""
    client = Client(POLICY, now=NOW)
    client.receive_data(settings(*entries), NOW)
    if acknowledged:
        client.receive_data(SETTINGS_ACK, NOW)
    for _ in range(requests):
        send(client, body)
    client.data_to_send()
    client.events.clear()
    return client


def send(client: Client, body: bytes = b"{}", stream: Stream | None = None) -> Stream:
    if stream is None:
        stream = Stream()
    client.send_request(stream, client.encoder.encode(REQUEST), body)
    return stream


def ended_streams(events: Iterable[Event]) -> list[Stream]:
    return [event for event in events if isinstance(event, Stream)]


def connection_error(events: Iterable[Event]) -> RemoteProtocolError | None:
    """The error that ended the connection; None if it lives or ended without one."""
    for event in events:
        if isinstance(event, ConnectionEnded):
            return event.error
    return None


# ── cutting ──

Normal = tuple[object, ...]


def normal(event: Event) -> Normal:
    """All that an event says, comparable."""
    match event:
        case Stream():
            return (
                "stream",
                event.stream_id,
                event.end,
                event.status,
                tuple(event.fields),
                event.body,
                event.error_code,
                _error(event.error),
                event.end_stream_sent,
                event.unsent,
            )
        case SettingsReceived():
            return ("settings", event.max_concurrent_streams)
        case GoAwayReceived():
            return ("goaway", event.last_stream_id, event.error_code, event.debug_data)
        case PingAcknowledged():
            return ("ping acknowledged",)
        case ConnectionEnded():
            return ("ended", _error(event.error))


def _error(error: RemoteProtocolError | None) -> Normal:
    if error is None:
        return ()
    return (error.code, error.section, error.stream_id, str(error), error.frames)


def cuts(octets: bytes, seed: int = 0) -> Iterator[list[bytes]]:
    """As one chunk, byte by byte, and at random cuts of several grains."""
    yield [octets]
    yield [octets[i : i + 1] for i in range(len(octets))]
    random = Random(seed)
    for longest in (2, 20, 200, 5_000):
        chunks: list[bytes] = []
        position = 0
        while position < len(octets):
            size = random.randint(0, longest)
            chunks.append(octets[position : position + size])
            position += size
        yield chunks


@dataclass
class Fed:
    """What came of feeding a client, the same for every way of cutting."""

    client: Client
    events: list[Event]
    frames: list[Sent]
    """What the client had to say to it."""

    @property
    def streams(self) -> list[Stream]:
        return ended_streams(self.events)

    @property
    def error(self) -> RemoteProtocolError | None:
        return connection_error(self.events)

    @property
    def resets(self) -> list[tuple[int, int]]:
        return resets(self.frames)


def feed(make: Callable[[], Client], octets: bytes) -> Fed:
    """Feed ``octets`` to a fresh client in every way; fail unless all ways are the same to it."""
    first: Fed | None = None
    facts: tuple[object, ...] = ()
    for chunks in cuts(octets):
        client = make()
        rest = iter(chunks)
        for chunk in rest:
            client.receive_data(chunk, NOW)
            if client.closed:
                # What follows is not looked at, whatever its cuts: at once is quicker.
                client.receive_data(b"".join(rest), NOW)
        events, client.events = client.events, []
        output = client.data_to_send()
        seen = (
            [normal(event) for event in events],
            output,
            client.closed,
            client.going_away,
            client.open_streams,
            client.window,
            client.unreturned_credit,
            client.peer,
        )
        if first is None:
            first, facts = Fed(client, events, parse_frames(output)), seen
        assert seen == facts
    assert first is not None
    check_ended_once(first.events)
    return first


def check_ended_once(events: Iterable[Event]) -> None:
    """Each stream ends at most once, and nothing follows the end of the connection."""
    events = list(events)
    streams = [id(event) for event in events if isinstance(event, Stream)]
    assert len(streams) == len(set(streams))
    ends = [index for index, event in enumerate(events) if isinstance(event, ConnectionEnded)]
    assert not ends or ends == [len(events) - 1]
