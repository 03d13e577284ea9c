"""The same server to our client and to that of ``h2``: where they differ, a rule says why.

An input is an octet that chooses a state, and the server's frames. Both clients read them one by
one; after each, what they report and what they answer is compared. The first difference must be
explained by `fuzz.differences`, and ends the comparison: from there on their states differ.
"""

from collections.abc import Iterator
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError

from apns_core.http2.client import Client, ConnectionEnded, GoAwayReceived
from apns_core.http2.errors import ErrorCode
from apns_core.http2.limits import MAX_BODY_SIZE, MAX_HEADER_LIST
from apns_core.http2.stream import COMPLETE, RESET, Stream
from fuzz.differences import EXPLANATIONS, NO_STATUS, Case, Ended, Verdict
from fuzz.frame_mutator import HEAD_SIZE, Mutate, frame, mutate_frames, split_frames
from fuzz.harnesses import server_bytes

__all__ = ["MAX_LENGTH", "check", "mutate", "seeds"]

MAX_LENGTH: Final = 4_096

_NOW: Final = 1_000.0
_REQUEST: Final = (
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"api.push.apple.com"),
    (b":path", b"/3/device/00"),
)
_BODY: Final = b"{}"
_FINAL: Final = 200
_RST_STREAM, _SETTINGS, _PING, _GOAWAY = 3, 4, 6, 7


# ── both clients ──


class _Ours:
    """Our client, with the requests of a state."""

    def __init__(self) -> None:
        self.client = Client({}, now=_NOW)
        self.streams: dict[int, Stream] = {}
        self.text = ""
        self.client.data_to_send()

    def request(self) -> None:
        stream = Stream()
        self.client.send_request(stream, self.client.encoder.encode(_REQUEST), _BODY)
        self.streams[stream.stream_id] = stream
        self.client.data_to_send()

    def reset(self, stream_id: int) -> None:
        self.client.cancel(self.streams[stream_id])
        self.client.data_to_send()

    def state_of(self, stream_id: int) -> str:
        if not stream_id:
            return "connection"
        if stream_id not in self.streams:
            return "idle"
        stream = self.streams[stream_id]
        return "closed" if stream.end or stream.abandoned else "open"

    @property
    def some_closed(self) -> bool:
        return any(self.state_of(stream_id) == "closed" for stream_id in self.streams)

    def is_overlong(self, stream_id: int) -> bool:
        stream = self.streams.get(stream_id)
        return stream is not None and (stream.expected_length or 0) < 0

    def finds_fault_with(self, stream_id: int) -> bool:
        stream = self.streams.get(stream_id)
        return stream is not None and stream.error is not None

    def receive(self, octets: bytes) -> Verdict:
        client = self.client
        client.receive_data(octets, _NOW)
        events, client.events = client.events, []
        ended: list[Ended] = []
        goaway = None
        for event in events:
            if isinstance(event, Stream) and event.end in {COMPLETE, RESET} and not client.closed:
                if event.end == COMPLETE:
                    whole = event.body, tuple(event.fields)
                    ended.append(Ended(event.stream_id, "complete", event.status, *whole))
                else:
                    ended.append(Ended(event.stream_id, "reset", event.error_code))
            elif isinstance(event, GoAwayReceived):
                goaway = event.last_stream_id, event.error_code
            elif isinstance(event, ConnectionEnded) and event.error is not None:
                self.text = str(event.error)
        return _verdict(client.data_to_send(), ended, goaway)


class _Theirs:
    """The client of h2, with the same requests."""

    def __init__(self) -> None:
        config = H2Configuration(
            client_side=True, header_encoding=None, normalize_inbound_headers=False
        )
        self.connection = H2Connection(config)
        self.connection.initiate_connection()
        self.connection.decoder.max_header_list_size = MAX_HEADER_LIST
        self.connection.data_to_send()
        self.statuses: dict[int, int] = {}
        self._bodies: dict[int, bytes] = {}
        self._fields: dict[int, tuple[tuple[bytes, bytes], ...]] = {}

    def request(self) -> None:
        stream_id = self.connection.get_next_available_stream_id()
        self.connection.send_headers(stream_id, list(_REQUEST))
        self.connection.send_data(stream_id, _BODY, end_stream=True)
        self.connection.data_to_send()

    def reset(self, stream_id: int) -> None:
        self.connection.reset_stream(stream_id, ErrorCode.CANCEL)
        self.connection.ping((1).to_bytes(8))
        self.connection.data_to_send()

    def receive(self, octets: bytes) -> Verdict:
        ended: list[Ended] = []
        goaway = None
        events: list[Event] = []
        error = None
        try:
            events = self.connection.receive_data(octets)
        except ProtocolError as raised:
            error = int(raised.error_code)
        for event in events:
            match event:
                case ResponseReceived() | InformationalResponseReceived():
                    # h2 takes any octets for a status.
                    status = dict(event.headers or [])[b":status"]
                    number = int(status) if status.isdigit() and len(status) == 3 else 0
                    self.statuses[event.stream_id or 0] = number if number >= 100 else NO_STATUS
                    read = ((bytes(name), bytes(value)) for name, value in event.headers or [])
                    self._fields[event.stream_id or 0] = tuple(read)
                case DataReceived(stream_id=int(stream_id)):
                    self._take(stream_id, event)
                case StreamEnded(stream_id=int(stream_id)):
                    ended.append(self._end(stream_id))
                case StreamReset(stream_id=int(stream_id)) if event.remote_reset:
                    if self.statuses.get(stream_id, 0) >= _FINAL:
                        ended.append(self._end(stream_id))
                    else:
                        ended.append(Ended(stream_id, "reset", int(event.error_code or 0)))
                case ConnectionTerminated():
                    goaway = event.last_stream_id or 0, int(event.error_code or 0)
                case _:
                    pass
        verdict = _verdict(self.connection.data_to_send(), ended, goaway)
        return verdict if error is None else verdict._replace(error=error)

    def _take(self, stream_id: int, event: DataReceived) -> None:
        body = self._bodies.get(stream_id, b"") + (event.data or b"")
        self._bodies[stream_id] = body[:MAX_BODY_SIZE]
        length = event.flow_controlled_length
        if length:
            self.connection.acknowledge_received_data(length, stream_id)

    def _end(self, stream_id: int) -> Ended:
        body, fields = self._bodies.get(stream_id, b""), self._fields.get(stream_id, ())
        return Ended(stream_id, "complete", self.statuses.get(stream_id, 0), body, fields)


def _verdict(output: bytes, ended: list[Ended], goaway: tuple[int, int] | None) -> Verdict:
    """Read what a client has written; its WINDOW_UPDATE are a matter of taste."""
    error = None
    resets: list[tuple[int, int]] = []
    acknowledgements: list[bytes] = []
    for part in split_frames(output):
        payload = part[HEAD_SIZE:]
        if part[3] == _GOAWAY:
            error = int.from_bytes(payload[4:8])
        elif part[3] == _RST_STREAM:
            resets.append((int.from_bytes(part[5:9]), int.from_bytes(payload)))
        elif part[3] in {_SETTINGS, _PING} and part[4] & 1:
            acknowledgements.append(part)
    return Verdict(error, tuple(resets), tuple(acknowledgements), tuple(ended), goaway)


# ── the comparison ──

_GREETING: Final = (frame(4, 0, 0, b"\x00\x03" + (100).to_bytes(4)), frame(4, 1))


def _fresh(ours: _Ours, theirs: _Theirs) -> bool:
    del ours, theirs
    return True


def _greeted(ours: _Ours, theirs: _Theirs) -> bool:
    for octets in _GREETING:
        ours.receive(octets)
        theirs.receive(octets)
    return False


def _five_streams(ours: _Ours, theirs: _Theirs) -> bool:
    _greeted(ours, theirs)
    for _ in range(5):
        ours.request()
        theirs.request()
    return False


def _one_cancelled(ours: _Ours, theirs: _Theirs) -> bool:
    _five_streams(ours, theirs)
    ours.reset(3)
    theirs.reset(3)
    return False


_STATES: Final = (_five_streams, _fresh, _greeted, _one_cancelled)
"""Each returns whether the server's first frame is still to come."""


def check(data: bytes) -> None:
    """Compare both over one input."""
    if not data:
        return
    ours, theirs = _Ours(), _Theirs()
    first = _STATES[data[0] % len(_STATES)](ours, theirs)
    goaway = False
    for part in split_frames(data[1:]):
        head = part[:HEAD_SIZE].ljust(HEAD_SIZE, b"\x00")
        stream_id = int.from_bytes(head[5:9]) & 0x7FFFFFFF
        case = Case(
            kind=head[3],
            flags=head[4],
            stream_id=stream_id,
            payload=part[HEAD_SIZE:],
            stream_state=ours.state_of(stream_id),
            first=first,
            goaway_before=goaway,
            some_closed=ours.some_closed,
        )
        case.ours = ours.receive(part)
        if len(part) < HEAD_SIZE + int.from_bytes(head[:3]):
            # Unfinished. h2 judges some frames by their heads; we wait, but for their lengths.
            assert case.ours == Verdict() or ours.text.startswith(_BY_THE_HEAD)
            return
        case.theirs = theirs.receive(part)
        case.text = ours.text
        case.overlong = ours.is_overlong(stream_id)
        case.malformed = ours.finds_fault_with(stream_id)
        case.their_status = theirs.statuses.get(stream_id)
        if case.ours != case.theirs:
            assert any(each.holds(case) for each in EXPLANATIONS), f"unexplained: {case}"
            return
        if case.ours.error is not None:
            return
        goaway = goaway or case.ours.goaway is not None
        first = False


_BY_THE_HEAD: Final = ("a frame of ", "the server speaks no HTTP/2")


def mutate(data: bytes, max_size: int, seed: int, plain: Mutate) -> bytes:
    """Change the state or the frames."""
    return mutate_frames(data, max_size, seed, lead=1, plain=plain)


def seeds() -> Iterator[bytes]:
    """Yield every script of `server_bytes` in every state."""
    for script in server_bytes.scripts():
        for state in range(len(_STATES)):
            yield bytes((state,)) + script
