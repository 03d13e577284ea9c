"""A scripted APNs, a connection to it, and the clock between them, without I/O.

The server's frames are built with hyperframe and hpack.Encoder, and the client's output is read
with hyperframe and hpack.Decoder: another codec than the one under test, so that a mistake is not
made twice.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from apns_core.accounting import ConnectionState
from apns_core.connection import Connection
from apns_core.connection_config import ConnectionConfig
from apns_core.connection_events import ConnectionClosed, Event, GoAwayReceived, LimitChanged
from apns_core.outcomes import Accepted, Outcome, Rejected, Unknown, Unprocessed
from apns_core.requests.notification import Notification
from apns_core.requests.request import Request
from apns_core.requests.route import Route
from apns_core.tickets import DONE, IN_FLIGHT, QUEUED, Ticket
from apns_core.trust.provider_token import ProviderToken

NOW: Final = 1_000.0
AUTHORITY: Final = b"api.push.apple.com"
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TOKEN: Final = ProviderToken("header.claims.signature", NOW)

ROUTE: Final = Route("com.example.app")
DEVICE: Final = "0123456789abcdef" * 4
NOTIFICATION: Final = Notification(ROUTE, DEVICE, b'{"aps":{"alert":"hi"}}')

REFUSED_STREAM: Final = 7
CANCEL: Final = 8
STREAM_CLOSED: Final = 5
NEVER: Final = 2**31 - 1

UNREGISTERED: Final = b'{"reason":"Unregistered","timestamp":1700000000000}'
BAD_DEVICE_TOKEN: Final = b'{"reason":"BadDeviceToken"}'
INTERNAL_SERVER_ERROR: Final = b'{"reason":"InternalServerError"}'

Fields = list[tuple[bytes, bytes]]


def reason(text: str) -> bytes:
    return b'{"reason":"%b"}' % text.encode()


# ── the server ──


@dataclass
class Seen:
    """One request as the server saw it."""

    stream_id: int
    fields: Fields
    body: bytes = b""
    ended: bool = False


class Peer:
    """Writes a server's frames, in whatever order a test likes; reads the client's."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self.decoder = Decoder()
        self._block = b""
        self._preface = PREFACE
        self.frames: list[Frame] = []
        """Everything that the client has sent."""
        self.requests: dict[int, Seen] = {}
        self.open: set[int] = set()
        """Streams opened, and closed by neither side."""
        self.pings: list[bytes] = []
        """PINGs to be answered."""
        self.settings_seen = 0
        self.credit = 65_535
        """Octets of DATA that the client's connection window still admits."""

    # Reading.

    def read(self, output: bytes) -> list[Frame]:
        """Take what the client has sent and return its frames; fail where it breaks a rule."""
        if self._preface and output:
            assert output.startswith(self._preface)
            output = output[len(self._preface) :]
            self._preface = b""
        frames: list[Frame] = []
        view = memoryview(output)
        while view:
            frame, length = Frame.parse_frame_header(view[:9])
            frame.parse_body(view[9 : 9 + length])
            assert len(view) >= 9 + length
            view = view[9 + length :]
            frames.append(frame)
            self._take(frame)
        self.frames += frames
        return frames

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, HeadersFrame):
            assert frame.stream_id % 2 == 1
            assert frame.stream_id > max(self.requests, default=0)
            self._block = frame.data
            self.requests[frame.stream_id] = Seen(frame.stream_id, [])
            self.requests[frame.stream_id].ended = "END_STREAM" in frame.flags
            self.open.add(frame.stream_id)
        if isinstance(frame, ContinuationFrame):
            self._block += frame.data
        if isinstance(frame, HeadersFrame | ContinuationFrame) and "END_HEADERS" in frame.flags:
            decoded = self.decoder.decode(self._block, raw=True)
            self.requests[frame.stream_id].fields = [(bytes(f[0]), bytes(f[1])) for f in decoded]
        elif isinstance(frame, DataFrame):
            seen = self.requests[frame.stream_id]
            assert not seen.ended
            seen.body += frame.data
            seen.ended = "END_STREAM" in frame.flags
        elif isinstance(frame, RstStreamFrame):
            assert frame.stream_id in self.requests
            self.open.discard(frame.stream_id)
        elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            self.pings.append(frame.opaque_data)
        elif isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self.settings_seen += 1
        elif isinstance(frame, WindowUpdateFrame) and not frame.stream_id:
            self.credit += frame.window_increment

    # Writing.

    def settings(
        self,
        *,
        limit: int | None = None,
        window: int | None = None,
        table: int | None = None,
        list_size: int | None = None,
    ) -> bytes:
        values = {
            SettingsFrame.HEADER_TABLE_SIZE: table,
            SettingsFrame.MAX_CONCURRENT_STREAMS: limit,
            SettingsFrame.INITIAL_WINDOW_SIZE: window,
            SettingsFrame.MAX_HEADER_LIST_SIZE: list_size,
        }
        if table is not None:
            self.decoder.max_allowed_table_size = table
        present = {key: value for key, value in values.items() if value is not None}
        return SettingsFrame(0, settings=present).serialize()

    def settings_ack(self) -> bytes:
        return SettingsFrame(0, flags=["ACK"]).serialize()

    def ping_acks(self) -> bytes:
        """Answer every PING that the client has sent."""
        answers = b"".join(PingFrame(0, data, flags=["ACK"]).serialize() for data in self.pings)
        self.pings.clear()
        return answers

    def ping(self, data: bytes = b"areyouon") -> bytes:
        return PingFrame(0, data).serialize()

    def window_update(self, increment: int, stream_id: int = 0) -> bytes:
        return WindowUpdateFrame(stream_id, increment).serialize()

    def goaway(self, last: int, debug_data: bytes = b"", code: int = 0) -> bytes:
        for stream_id in [stream_id for stream_id in self.open if stream_id > last]:
            self.open.discard(stream_id)
        return GoAwayFrame(0, last, code, debug_data).serialize()

    def reset(self, stream_id: int, *codes: int) -> bytes:
        self.open.discard(stream_id)
        return b"".join(RstStreamFrame(stream_id, code).serialize() for code in codes)

    def headers(
        self, stream_id: int, status: int, *fields: tuple[str, str], ends: bool = False
    ) -> bytes:
        if ends:
            self.open.discard(stream_id)
        block = self._encoder.encode([(":status", str(status)), *fields])
        flags = ["END_HEADERS", *(["END_STREAM"] if ends else [])]
        return HeadersFrame(stream_id, block, flags=flags).serialize()

    def trailers(self, stream_id: int, *fields: tuple[str, str]) -> bytes:
        self.open.discard(stream_id)
        block = self._encoder.encode(fields)
        return HeadersFrame(stream_id, block, flags=["END_HEADERS", "END_STREAM"]).serialize()

    def data(self, stream_id: int, body: bytes, *, ends: bool = False) -> bytes:
        if ends:
            self.open.discard(stream_id)
        self.credit -= len(body)
        assert self.credit >= 0, "the client owes the server credit"
        return DataFrame(stream_id, body, flags=["END_STREAM"] if ends else []).serialize()

    def accept(self, stream_id: int) -> bytes:
        return self.headers(stream_id, 200, ("apns-id", f"id-{stream_id}"), ends=True)

    def answer(self, stream_id: int, status: int, body: bytes = b"") -> bytes:
        if not body:
            return self.headers(stream_id, status, ends=True)
        return self.headers(stream_id, status) + self.data(stream_id, body, ends=True)


# ── a connection in a test ──


@dataclass
class Scene:
    """A connection, its peer and the clock. Each step drains all outputs, as an adapter does."""

    config: ConnectionConfig = field(default_factory=ConnectionConfig)
    token: ProviderToken | None = TOKEN
    """None: the connection authenticates by certificate."""
    now: float = NOW
    peer: Peer = field(default_factory=Peer)
    events: list[Event[int]] = field(default_factory=list[Event[int]])
    tickets: list[Ticket[int]] = field(default_factory=list[Ticket[int]])
    cancelled: set[int] = field(default_factory=set[int])
    """Tags that were withdrawn before they had an outcome: none may follow."""

    def __post_init__(self) -> None:
        self.connection: Connection[int] = Connection(
            AUTHORITY,
            now=self.now,
            token_authentication=self.token is not None,
            config=self.config,
        )
        if self.token is not None:
            self.connection.set_provider_token(self.token)

    # Steps.

    def feed(self, data: bytes) -> list[Event[int]]:
        """Let the connection read; return what came of it."""
        self.connection.receive_data(data, self.now)
        return self.drain()

    def submit(self, count: int = 1, notification: Request = NOTIFICATION) -> list[int]:
        """Submit notifications tagged 0, 1, 2, …; return the ids of the streams that opened."""
        before = set(self.peer.requests)
        for _ in range(count):
            tag = len(self.tickets)
            self.tickets.append(self.connection.submit(notification, tag, self.now))
        self.drain()
        return [stream_id for stream_id in self.peer.requests if stream_id not in before]

    def cancel(self, tag: int) -> list[Event[int]]:
        if self.tickets[tag].place in {QUEUED, IN_FLIGHT}:
            self.cancelled.add(tag)
        self.connection.cancel(self.tickets[tag], self.now)
        return self.drain()

    def drain(self) -> list[Event[int]]:
        """Send what there is to send and return new events."""
        while output := self.connection.data_to_send():
            self.peer.read(output)
        events = self.connection.events()
        self.events += events
        return events

    def advance(self, seconds: float) -> list[Event[int]]:
        """Let time pass as an adapter would: one timer, set to `poll_timeout` each time."""
        end = self.now + seconds
        events: list[Event[int]] = []
        spins = 0
        while (due := self.connection.poll_timeout()) is not None and due <= end:
            spins = spins + 1 if due <= self.now else 0
            # One clock may set another that is due at once. A timer that stays due spins for ever.
            assert spins <= 2
            self.now = max(self.now, due)
            self.connection.handle_timeout(self.now)
            events += self.drain()
        self.now = end
        return events

    def answer_pings(self) -> list[Event[int]]:
        return self.feed(self.peer.ping_acks())

    # States to start from.

    def greet(self, limit: int | None = 1_000, **values: int) -> list[Event[int]]:
        """Exchange SETTINGS."""
        self.drain()
        return self.feed(self.peer.settings(limit=limit, **values) + self.peer.settings_ack())

    def open(self, limit: int | None = 1_000, **values: int) -> None:
        """Exchange SETTINGS and have the first notification accepted; forget that it was."""
        self.greet(limit, **values)
        if self.token is not None:
            (stream_id,) = self.submit()
            self.feed(self.peer.accept(stream_id))
        self.events.clear()
        self.tickets.clear()

    # What came of it. Methods where a type checker would hold an earlier answer for the last one.

    def state(self) -> ConnectionState:
        return self.connection.state

    def has_events(self) -> bool:
        return self.connection.has_events

    def goaway(self) -> GoAwayReceived | None:
        return self.connection.goaway

    def blocked(self) -> bool:
        return self.connection.blocked

    def token_first_used_at(self) -> float | None:
        return self.connection.token_first_used_at

    @property
    def outcomes(self) -> list[Outcome[int]]:
        return [event for event in self.events if isinstance(event, OUTCOMES)]

    @property
    def closed(self) -> ConnectionClosed | None:
        return next((e for e in self.events if isinstance(e, ConnectionClosed)), None)

    @property
    def limits(self) -> list[int]:
        return [event.limit for event in self.events if isinstance(event, LimitChanged)]

    def sent(self, kind: type[Frame]) -> list[Frame]:
        return [frame for frame in self.peer.frames if isinstance(frame, kind)]

    @property
    def resets_sent(self) -> list[tuple[int, int]]:
        frames = [frame for frame in self.peer.frames if isinstance(frame, RstStreamFrame)]
        return [(frame.stream_id, frame.error_code) for frame in frames]

    @property
    def goaways_sent(self) -> list[int]:
        return [f.error_code for f in self.peer.frames if isinstance(f, GoAwayFrame)]

    @property
    def pings_sent(self) -> int:
        frames = [frame for frame in self.peer.frames if isinstance(frame, PingFrame)]
        return sum("ACK" not in frame.flags for frame in frames)

    def check(self) -> None:
        """What holds after every step, whatever the server and the caller have done."""
        connection = self.connection
        places = [ticket.place for ticket in self.tickets]
        assert connection.in_flight == places.count(IN_FLIGHT)
        # White-box: the queue is the connection's own.
        assert connection._submissions.queued == places.count(QUEUED)  # pyright: ignore[reportUnknownMemberType]
        finished = places.count(QUEUED) + places.count(IN_FLIGHT)
        assert connection._submissions.unfinished == finished  # pyright: ignore[reportUnknownMemberType]
        tags = [outcome.tag for outcome in self.outcomes]
        assert len(tags) == len(set(tags))
        assert not self.cancelled & set(tags)
        ended = places.count(DONE)
        assert ended == len(tags) + len(self.cancelled)
        ends = [i for i, e in enumerate(self.events) if isinstance(e, ConnectionClosed)]
        assert len(ends) <= 1
        assert (connection.state is ConnectionState.CLOSED) == bool(ends)
        assert connection.capacity >= 0


OUTCOMES: Final = (Accepted, Rejected, Unprocessed, Unknown)


# ── events to compare ──


def normal(event: Event[int]) -> tuple[Any, ...]:
    """All that an event says, short and comparable."""
    match event:
        case Accepted():
            return ("accepted", event.tag, event.apns_id, event.apns_unique_id)
        case Rejected():
            return ("rejected", event.tag, event.status, event.reason_text, event.timestamp_ms)
        case Unprocessed():
            return ("unprocessed", event.tag, event.cause)
        case Unknown():
            return ("unknown", event.tag, event.cause)
        case LimitChanged():
            return ("limit", event.limit)
        case GoAwayReceived():
            return ("goaway", event.last_stream_id, event.error_code, event.text)
        case ConnectionClosed():
            return ("closed", event.cause, None if event.error is None else str(event.error))


def normals(events: Iterable[Event[int]]) -> list[tuple[Any, ...]]:
    return [normal(event) for event in events]


# ── cutting ──


def cuts(octets: bytes) -> Iterator[list[bytes]]:
    """As one chunk, byte by byte, and at random cuts of several grains."""
    yield [octets]
    yield [octets[i : i + 1] for i in range(len(octets))]
    random = Random(1)
    for longest in (3, 30, 300):
        chunks: list[bytes] = []
        position = 0
        while position < len(octets):
            size = random.randint(1, longest)
            chunks.append(octets[position : position + size])
            position += size
        yield chunks


def feed_all_ways(make: Callable[[], Scene], script: Callable[[Scene], bytes]) -> Scene:
    """Feed what ``script`` writes in every way; fail unless all come to the same.

    Returns the scene that was fed at once.
    """
    first: Scene | None = None
    for index in range(5):
        scene = make()
        chunks = list(cuts(script(scene)))[index]
        for chunk in chunks:
            scene.connection.receive_data(chunk, scene.now)
        # Drained once: how output is cut depends on how input is.
        scene.drain()
        scene.check()
        if first is None:
            first = scene
        assert normals(scene.events) == normals(first.events)
        assert scene.connection.state is first.connection.state
        assert scene.connection.in_flight == first.connection.in_flight
        assert scene.connection.capacity == first.connection.capacity
        assert scene.connection.poll_timeout() == first.connection.poll_timeout()
    assert first is not None
    return first
