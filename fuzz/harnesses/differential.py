"""The same server to our client and to that of ``h2``: where they differ, a rule says why.

An input is an octet that chooses a state, and the server's frames. Both clients read them one by
one; after each, what they report and what they answer is compared. The first difference must be
explained by `fuzz.differences`, and ends the comparison: from there on their states differ.

Two things h2 is spared, so that the comparison goes on behind them. Bits that are reserved "MUST be
ignored when receiving" (RFC 9113 §4.1, §6.8, §6.9); h2 reads those of WINDOW_UPDATE and GOAWAY as
part of the number, and gets them as 0. And to h2 a connection is closed by GOAWAY, where streams up
to the last one go on (§6.8): a GOAWAY that is well-formed is taken here in its place.
"""

from collections import Counter
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
from fuzz.floods import Said
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
_RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 3, 4, 6, 7, 8


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
        self.octets: Counter[int] = Counter()
        """Of DATA, without padding, of a stream."""
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

    def go_away(self, payload: bytes, open_streams: list[int]) -> Verdict:
        """Take a GOAWAY, with the streams that were open until now.

        Those above its line are reset, as nobody acts on them any more; but a status decides.
        """
        last_stream_id = int.from_bytes(payload[:4]) & 0x7FFFFFFF
        ended: list[Ended] = []
        for stream_id in open_streams:
            if stream_id > last_stream_id:
                if self.statuses.get(stream_id, 0) >= _FINAL:
                    ended.append(self._end(stream_id))
                self.connection.reset_stream(stream_id)
        self.connection.data_to_send()
        code = int.from_bytes(payload[4:8])
        return Verdict(ended=tuple(ended), goaway=(last_stream_id, code))

    def _take(self, stream_id: int, event: DataReceived) -> None:
        self.octets[stream_id] += len(event.data or b"")
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
    line: int | None = None
    acknowledged = not first
    block_stream = 0
    said = Said()
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
            said=said,
            line=line,
            streams=len(ours.streams),
            acknowledged=acknowledged,
            block_stream=block_stream,
            some_closed=ours.some_closed,
        )
        open_streams = [each for each in ours.streams if ours.state_of(each) == "open"]
        case.ours = ours.receive(part)
        if len(part) < HEAD_SIZE + int.from_bytes(head[:3]):
            # Unfinished. h2 judges some frames by their heads; we wait, but for their lengths.
            assert case.ours in {Verdict(), _by_the_head(head, first=first)}
            return
        said.count(part[: HEAD_SIZE + 1])
        if _is_goaway(part) and not block_stream:
            case.theirs = theirs.go_away(case.payload, open_streams)
        else:
            case.theirs = theirs.receive(_without_reserved_bit(part))
        case.text = ours.text
        case.overlong = ours.is_overlong(stream_id)
        case.malformed = ours.finds_fault_with(stream_id)
        case.body_octets = theirs.octets[stream_id]
        case.their_status = theirs.statuses.get(stream_id)
        if case.ours != case.theirs:
            assert any(each.holds(case) for each in EXPLANATIONS), f"unexplained: {case}"
            return
        if case.ours.error is not None:
            return
        if case.ours.goaway is not None:
            line = case.ours.goaway[0]
        if case.kind in {1, 9}:
            block_stream = 0 if case.flags & 4 else stream_id
        acknowledged = acknowledged or (case.kind == _SETTINGS and bool(case.flags & 1))
        first = False


def _by_the_head(head: bytes, *, first: bool) -> Verdict:
    """Return what is to be done about a frame that is no good by its head; else nothing."""
    if first and (head[3] != _SETTINGS or head[4] & 1):
        return Verdict(error=ErrorCode.PROTOCOL_ERROR)
    if int.from_bytes(head[:3]) > _LONGEST:
        return Verdict(error=ErrorCode.FRAME_SIZE_ERROR)
    return Verdict()


def _is_goaway(part: bytes) -> bool:
    """Whether it is a GOAWAY in its form (RFC 9113 §6.8)."""
    on_connection = not int.from_bytes(part[5:9]) & 0x7FFFFFFF
    return part[3] == _GOAWAY and on_connection and len(part) >= HEAD_SIZE + 8


def _without_reserved_bit(part: bytes) -> bytes:
    if part[3] not in {_GOAWAY, _WINDOW_UPDATE} or len(part) == HEAD_SIZE:
        return part
    return part[:HEAD_SIZE] + bytes((part[HEAD_SIZE] & 0x7F,)) + part[HEAD_SIZE + 1 :]


_LONGEST: Final = 16_384


def mutate(data: bytes, max_size: int, seed: int, plain: Mutate) -> bytes:
    """Change the state or the frames."""
    return mutate_frames(data, max_size, seed, lead=1, plain=plain)


def seeds() -> Iterator[bytes]:
    """Yield every script of `server_bytes` in every state, and what else they may differ in."""
    for script in (*_scripts(), *server_bytes.scripts()):
        for state in range(len(_STATES)):
            yield bytes((state,)) + script


def _scripts() -> Iterator[bytes]:
    """Yield frames where one of the explanations might hide a mistake."""
    accepted = frame(1, 5, 1, b"\x88")
    goaway = frame(7, 0, 0, bytes((0, 0, 0, 5)) + bytes(4))
    for increment in (b"\x80\x00\x00\x09", b"\x80\x00\x00\x00", b"\xff\xff\xff\xff"):
        for stream_id in (0, 1, 3):
            yield frame(8, 0, stream_id, increment) + accepted
    yield frame(7, 0, 0, b"\x80\x00\x00\x05" + bytes(4)) + accepted + frame(1, 5, 7, b"\x88")
    # After GOAWAY streams go on, up to the last.
    yield goaway + accepted + frame(1, 4, 5, b"\x08\x03400") + frame(0, 1, 5, b"{}") + goaway
    yield frame(1, 4, 7, b"\x08\x03400") + goaway + frame(0, 1, 7, b"{}") + frame(3, 0, 7, bytes(4))
    yield goaway + frame(6, 0, 0, bytes(8)) + frame(4, 0, 0, b"\x00\x03" + bytes(4)) + goaway
    yield goaway + frame(7, 0, 0, bytes((0, 0, 0, 7)) + bytes(4))
    yield frame(1, 1, 3, b"\x88") + goaway
    # The identifier 8, and octets that look like it.
    yield frame(4, 0, 0, b"\x00\x03\x00\x08\x00\x08") + accepted
    yield frame(4, 0, 0, b"\x00\x08\x00\x00\x00\x02" + b"\x00\x03\x00\x00\x00\x01") + accepted
    # As many as may be, and one more.
    for number in (10, 11):
        yield frame(1, 4, 1, b"\x88") + frame(0, 0, 1) * number + frame(0, 1, 1)
    for number in (8, 9):
        yield frame(1, 4, 1, b"\x08\x03103") * number + accepted
        yield frame(1, 1, 1, b"\x88") + frame(9, 0, 1) * (number - 1) + frame(9, 4, 1)
    for number in (115, 116):
        yield frame(8, 0, 0, bytes((0, 0, 0, 1))) * number + accepted
    yield frame(4, 0, 0, b"\x00\x09\x00\x00\x00\x00" * 33)
    # One body of just what is kept, and one of an octet more.
    for octets in (1, 2):
        body = frame(0, 0, 1, b"x" * 3_276) * 5 + frame(0, 0, 1, b"x" * (octets + 2))
        yield frame(1, 4, 1, b"\x08\x03400") + body + frame(0, 1, 1)
    # Padding and a fragment.
    for fragment in (b"", b"\x88"):
        for padding in (0, 1, 255):
            padded = bytes((padding,)) + fragment + bytes(padding)
            yield frame(1, 0x0D, 1, padded)
            yield frame(1, 0x2D, 1, padded[:1] + bytes(5) + padded[1:])
