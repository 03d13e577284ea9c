"""What a server sends, in every state of a connection: it may be anything, cut anywhere.

An input is an octet that chooses the state, and the server's octets, where floods are abbreviated.
Held: nothing is raised; what is kept has a bound, and so have floods and the time that they take;
the same comes of it however it is cut; the client's own output is well-formed; and each
notification in flight has one outcome at the end of file at the latest.

Bounds are written down here once more: those of the engine are what is checked.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import partial
from random import Random
from time import process_time
from typing import Any, Final, NamedTuple
from zlib import crc32

from apns_core.accounting import ConnectionState
from apns_core.connection import Connection
from apns_core.connection_config import ConnectionConfig
from apns_core.connection_events import ConnectionClosed, Event
from apns_core.outcomes import Accepted, Rejected, Unknown, Unprocessed
from apns_core.requests.broadcast import Broadcast, BroadcastRoute
from apns_core.requests.channels import (
    CreateChannel,
    DeleteChannel,
    ListChannels,
    ReadChannel,
    StoragePolicy,
)
from apns_core.requests.notification import Notification
from apns_core.requests.request import Request
from apns_core.requests.route import Route
from apns_core.tickets import Ticket
from apns_core.trust.provider_token import ProviderToken
from fuzz.floods import Said, check_floods, closed_streams, memory, memory_allowed
from fuzz.frame_mutator import (
    HEAD_SIZE,
    Mutate,
    expand,
    frame,
    mutate_frames,
    repeat,
    split_frames,
)

__all__ = ["MAX_LENGTH", "check", "mutate", "seeds"]

MAX_LENGTH: Final = 4_096

NOW: Final = 1_000.0
_TOKEN: Final = ProviderToken("header.claims.signature", NOW)
_NEXT_TOKEN: Final = ProviderToken("header.claims.another", NOW, 1)
_DEVICE: Final = "0123456789abcdef" * 4
_ROUTE: Final = Route("com.example.app")
_APP: Final = "com.example.app"
_CHANNEL: Final = "dHN0LXNyY2gtY2hubA=="
_LONGEST_ANSWERS: Final[dict[type, int]] = {ListChannels: 2**20}
_BROADCAST: Final = BroadcastRoute(_APP, _CHANNEL)
SHORT: Final = Notification(_ROUTE, _DEVICE, b'{"aps":{"alert":"hi"}}')
LONG: Final = Notification(_ROUTE, _DEVICE, b"x" * 4_096, collapse_id="long")

# ── states to meet it in ──


class Scene:
    """A connection, its tickets, and the events of both before and after."""

    def __init__(self, *, token: bool = True, table_size: int = 4_096) -> None:
        self.connection: Connection[int] = Connection(
            b"api.push.apple.com",
            now=NOW,
            token_authentication=token,
            config=ConnectionConfig(max_streams=50, header_table_size=table_size),
        )
        if token:
            self.connection.set_provider_token(_TOKEN)
        self.tickets: list[Ticket[int]] = []
        self.cancelled: set[int] = set()
        self.events: list[Event[int]] = []
        self.output = b""

    def submit(self, *requests: Request) -> None:
        """Queue them, tagged from 0 on."""
        for request in requests:
            ticket = self.connection.submit(request, len(self.tickets), NOW)
            self.tickets.append(ticket)

    def cancel(self, tag: int) -> None:
        """Withdraw one that has no outcome yet."""
        self.connection.cancel(self.tickets[tag], NOW)
        self.cancelled.add(tag)

    def receive(self, octets: bytes) -> None:
        """Let it read, and drain nothing."""
        self.connection.receive_data(octets, NOW)

    def drain(self) -> None:
        """Take all output and all events."""
        while output := self.connection.data_to_send():
            self.output += output
        self.events += self.connection.events()


def _fresh() -> Scene:
    scene = Scene()
    scene.submit(SHORT, LONG, SHORT)
    scene.drain()
    return scene


def _nothing_submitted() -> Scene:
    return Scene()


def _greeted(*entries: tuple[int, int], token: bool = True, table_size: int = 4_096) -> Scene:
    scene = Scene(token=token, table_size=table_size)
    scene.drain()
    scene.receive(_settings(*entries) + _SETTINGS_ACK)
    return scene


def _authentication_pending() -> Scene:
    scene = _greeted((3, 100))
    scene.submit(SHORT, LONG, SHORT)
    scene.drain()
    return scene


def _many_in_flight() -> Scene:
    """Streams 1 to 13 are open, and two more wait for the limit of 7."""
    scene = _greeted((3, 7), token=False)
    scene.submit(*[SHORT, LONG, SHORT] * 3)
    scene.drain()
    return scene


def _open_with_token() -> Scene:
    """Stream 1 was accepted; 3 to 9 are open, of which 5 has a status and part of a body."""
    scene = _greeted((3, 100))
    scene.submit(SHORT)
    scene.drain()
    scene.receive(frame(1, 5, 1, b"\x88"))
    scene.drain()
    scene.submit(SHORT, SHORT, SHORT, LONG)
    scene.drain()
    scene.receive(frame(1, 4, 5, b"\x08\x03400") + frame(0, 0, 5, b'{"reason":'))
    return scene


def _held_back() -> Scene:
    """Small windows: of stream 1 is sent half, of 5 ten octets, of 9 nothing."""
    scene = _greeted((3, 100), (4, 2_048), token=False)
    scene.submit(LONG, SHORT)
    scene.drain()
    scene.receive(_settings((4, 10)))
    scene.submit(LONG, SHORT)
    scene.drain()
    scene.receive(_settings((4, 0)))
    scene.submit(SHORT, LONG)
    scene.drain()
    return scene


def _window_used_up() -> Scene:
    """The connection's window is used up, in the middle of a body."""
    scene = _greeted((3, 100), token=False)
    scene.submit(*[LONG] * 20)
    scene.drain()
    return scene


def _cancelled() -> Scene:
    """Streams 1 and 5 were reset by us, with a PING under way."""
    scene = _greeted((3, 100), token=False)
    scene.submit(SHORT, SHORT, LONG, SHORT)
    scene.drain()
    scene.cancel(0)
    scene.cancel(2)
    scene.drain()
    return scene


def _going_away() -> Scene:
    """A GOAWAY has come that lets streams up to 5 end."""
    scene = _many_in_flight()
    scene.receive(frame(7, 0, 0, bytes(3) + b"\x05" + bytes(4) + b'{"reason":"Shutdown"}'))
    scene.drain()
    return scene


def _draining() -> Scene:
    scene = _many_in_flight()
    scene.connection.retire(NOW)
    scene.drain()
    return scene


def _token_changed() -> Scene:
    """A small HPACK table, a token in use and another to come."""
    scene = _greeted((1, 256), (3, 100))
    scene.submit(SHORT)
    scene.drain()
    scene.connection.set_provider_token(_NEXT_TOKEN)
    scene.submit(SHORT, SHORT)
    return scene


def _within_a_block() -> Scene:
    scene = _many_in_flight()
    scene.receive(frame(1, 1, 3, b"\x88\x40"))
    return scene


def _of_an_app() -> Scene:
    """Requests whose answers have a status, a body or fields of their own: 1 to 9."""
    scene = _greeted((3, 100), token=False)
    scene.submit(
        ListChannels(_APP),
        CreateChannel(_APP, StoragePolicy.NO_STORAGE),
        ReadChannel(_APP, _CHANNEL),
        DeleteChannel(_APP, _CHANNEL),
        Broadcast(_BROADCAST, b'{"aps":{}}', expiration=0),
    )
    scene.drain()
    return scene


def _small_table() -> Scene:
    """We have allowed 100 octets of table: the next block must begin with an update."""
    scene = _greeted((3, 100), token=False, table_size=100)
    scene.submit(SHORT, LONG, SHORT)
    scene.drain()
    return scene


def _closed() -> Scene:
    scene = _many_in_flight()
    scene.connection.close(NOW)
    scene.drain()
    return scene


def _settings(*entries: tuple[int, int]) -> bytes:
    return frame(4, 0, 0, b"".join(key.to_bytes(2) + value.to_bytes(4) for key, value in entries))


_SETTINGS_ACK: Final = frame(4, 1)

STATES: Final[tuple[Callable[[], Scene], ...]] = (
    _fresh,
    _nothing_submitted,
    partial(_greeted, (3, 0)),
    _authentication_pending,
    _many_in_flight,
    _open_with_token,
    _held_back,
    _window_used_up,
    _cancelled,
    _going_away,
    _draining,
    _token_changed,
    _within_a_block,
    _of_an_app,
    _small_table,
    _closed,
)

_FIRST_STATES: Final = 13
"""So many are chosen by most octets, the others by the highest: what is kept means the same."""


def _state(octet: int) -> Callable[[], Scene]:
    if octet < 16 * _FIRST_STATES:
        return STATES[octet % _FIRST_STATES]
    return STATES[_FIRST_STATES + octet % (len(STATES) - _FIRST_STATES)]


def _octet(state: int) -> int:
    """Return an octet that chooses a state."""
    if state < _FIRST_STATES:
        return state
    return next(octet for octet in range(255, 0, -1) if _state(octet) is STATES[state])


# ── what must hold ──


def check(data: bytes) -> None:
    """Feed one input in every way."""
    if not data:
        return
    make = _state(data[0])
    octets = expand(data[1:])
    flood = len(octets) > len(data)
    said = Said.all(octets)
    seed = crc32(data)
    first: _Found | None = None
    for chunks in _cuts(octets, seed):
        scene = make()
        before = len(scene.output)
        closed_before = closed_streams(scene.connection)
        began = process_time()
        for chunk in chunks:
            if len(chunk) == 1:
                # Responses that look alike are recognised; but here, each is decoded.
                scene.connection._http._shapes._by_key.clear()  # noqa: SLF001
            scene.receive(chunk)
            # Octet by octet, what is kept was seen by the other ways.
            if len(chunk) > 1:
                _check_bounds(scene)
        _check_bounds(scene)
        assert process_time() - began < said.seconds, "more work than frames"
        check_floods(scene.connection, said, closed_before)
        drained_by_itself = _ended_without_error(scene)
        scene.drain()
        if flood or not seed % _WALKS:
            assert memory(scene.connection) < memory_allowed(scene.tickets), (
                "what is kept has no bound"
            )
        found = _Found(
            [normal(event) for event in scene.events],
            scene.output[before:],
            scene.connection._http._decoder.entries,  # noqa: SLF001
        )
        if first is None:
            first = found
        _check_same(first, found, prefix=drained_by_itself)
        _check_end(scene)
    _check_with_drains(make(), octets, seed, said)


def mutate(data: bytes, max_size: int, seed: int, plain: Mutate) -> bytes:
    """Change the state or the frames."""
    return mutate_frames(data, max_size, seed, lead=1, plain=plain)


def _cuts(octets: bytes, seed: int) -> Iterator[Iterable[bytes]]:
    yield [octets]
    if len(octets) <= _EVERY_OCTET_BELOW:
        yield (octets[at : at + 1] for at in range(len(octets)))
    yield _cut_at_random(octets, seed)


def _cut_at_random(octets: bytes, seed: int) -> Iterator[bytes]:
    rng = Random(seed)  # noqa: S311 - from the input
    sizes = (2, 20, 200, 2_000) if len(octets) <= MAX_LENGTH else (2_000, 20_000)
    position = 0
    while position < len(octets):
        size = rng.randint(1, rng.choice(sizes))
        yield octets[position : position + size]
        position += size


# Octet by octet is the dearest way, and long inputs show nothing by it that short ones do not.
_EVERY_OCTET_BELOW: Final = 400

_WALKS: Final = 16
"""Of so many inputs without a flood, one's memory is walked through."""
_MOST_REPLIES: Final = 1_000
_LARGEST_REPLY: Final = HEAD_SIZE + 8
_RESET: Final = HEAD_SIZE + 4


def _check_bounds(scene: Scene) -> None:
    """Hold what a connection keeps, with nothing drained, to what its limits allow."""
    http = scene.connection._http  # noqa: SLF001
    reader = http._reader  # noqa: SLF001
    assert len(reader._partial) <= HEAD_SIZE + 16_384  # noqa: SLF001
    assert sum(map(len, reader._block)) <= 16_384  # noqa: SLF001
    opened = http.next_stream_id // 2
    # Replies are counted; a stream is reset once and credited twice at most, the connection too;
    # then there are what was there before, a PING and the GOAWAY.
    bound = _MOST_REPLIES * _LARGEST_REPLY + opened * 3 * _RESET + 10 * _LARGEST_REPLY
    assert http.output_size <= bound
    assert sum(len(n) + len(v) + 32 for n, v in http._decoder.entries) <= 4_096  # noqa: SLF001
    assert sum(len(n) + len(v) + 32 for n, v in http.encoder.entries) <= http.encoder.table_size
    assert http.encoder.table_size <= 4_096
    assert len(http._reset_ids) <= 1_024  # noqa: SLF001
    assert 0 <= http.window <= 2**31 - 1
    assert http.unreturned_credit <= 65_535
    for ticket in scene.tickets:
        assert len(ticket.body) <= (
            2**20 if isinstance(ticket.notification, ListChannels) else 16_384
        )
        assert sum(len(n) + len(v) + 32 for n, v in ticket.fields) <= 16_384
    assert scene.connection.capacity >= 0
    assert scene.connection.in_flight <= len(scene.tickets)


def _ended_without_error(scene: Scene) -> bool:
    connection = scene.connection
    # raw_events clears; what it gives is put back.
    events = connection.raw_events()
    connection._events = events  # noqa: SLF001
    return any(type(event) is ConnectionClosed and event.error is None for event in events)


class _Found(NamedTuple):
    """What came of one way of cutting."""

    events: list[Any]
    output: bytes
    table: tuple[tuple[bytes, bytes], ...]
    """What the server's encoder refers to."""


def _check_same(first: _Found, other: _Found, *, prefix: bool) -> None:
    assert other.events == first.events, "the same octets, cut elsewhere, gave other events"
    if prefix:
        # Drained in the middle: cut there, the connection is closed and the rest not read. At once,
        # frames behind it have had their answers before. Both end with GOAWAY.
        parts, firsts = split_frames(other.output)[:-1], split_frames(first.output)[:-1]
        assert parts == firsts[: len(parts)]
    else:
        assert other.output == first.output, "the same octets, cut elsewhere, gave another output"
        assert other.table == first.table, "the same octets, cut elsewhere, left another table"


def _check_end(scene: Scene) -> None:
    """End of file: every notification has one outcome, and nothing follows."""
    connection = scene.connection
    connection.receive_eof(NOW)
    scene.drain()
    tags = [event.tag for event in scene.events if isinstance(event, OUTCOMES)]
    assert sorted([*tags, *scene.cancelled]) == list(range(len(scene.tickets)))
    assert connection.state is ConnectionState.CLOSED
    assert isinstance(scene.events[-1], ConnectionClosed)
    assert sum(isinstance(event, ConnectionClosed) for event in scene.events) == 1
    assert (connection.in_flight, connection.capacity, connection.poll_timeout()) == (0, 0, None)
    scene.receive(_settings())
    assert not connection.events()
    assert not connection.data_to_send()
    check_output(scene.output)


def _check_with_drains(scene: Scene, octets: bytes, seed: int, said: Said) -> None:
    """Cut at random again, with all output drained and more submitted between the pieces."""
    closed_before = closed_streams(scene.connection)
    for chunk in _cut_at_random(octets, seed + 1):
        scene.receive(chunk)
        _check_bounds(scene)
        scene.drain()
        if scene.connection.capacity and len(scene.tickets) < _MOST_TICKETS:
            scene.submit(SHORT, LONG)
            scene.drain()
    check_floods(scene.connection, said, closed_before)
    _check_end(scene)


_MOST_TICKETS: Final = 60


def check_output(octets: bytes) -> None:
    """Hold a client's whole output to the rules that need no knowledge of the server's."""
    assert octets.startswith(_PREFACE)
    opened: set[int] = set()
    ended: set[int] = set()
    reset: set[int] = set()
    highest = -1
    for part in split_frames(octets.removeprefix(_PREFACE)):
        kind, flags, stream_id = part[3], part[4], int.from_bytes(part[5:9])
        assert len(part) == HEAD_SIZE + int.from_bytes(part[:3])
        assert kind in _KINDS_OF_A_CLIENT
        if kind == 1:
            assert stream_id % 2 == 1
            assert stream_id > highest
            highest = stream_id
            opened.add(stream_id)
        elif kind in {0, 3, 8, 9} and stream_id:
            assert stream_id in opened
        if kind == 0:
            assert not {stream_id} & (ended | reset)
        if kind == 3:
            assert stream_id not in reset, "two RST_STREAM for one stream"
            reset.add(stream_id)
        if kind in {0, 1} and flags & 1:
            ended.add(stream_id)
        if kind == 8:
            assert part[HEAD_SIZE:] != bytes(4)


_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_KINDS_OF_A_CLIENT: Final = frozenset((0, 1, 3, 4, 6, 7, 8, 9))
OUTCOMES: Final = (Accepted, Rejected, Unprocessed, Unknown)


def normal(event: Event[int]) -> tuple[Any, ...]:
    """Return all that an event says, comparable."""
    names = [each.name for each in fields(event) if each.name != "notification"]
    return (
        type(event).__name__,
        *(str(v) if isinstance(v := getattr(event, name), Exception) else v for name in names),
    )


# ── what to begin with ──


def seeds() -> Iterator[bytes]:
    """Yield every flood in a state where it is one, and every script in every state."""
    for scene, flood in _floods():
        yield bytes((_octet(STATES.index(scene)),)) + flood
    for script in scripts():
        for state in range(len(STATES)):
            yield bytes((_octet(state),)) + script


def scripts() -> Iterator[bytes]:
    """Yield what servers send: the well-behaved, and the faults that are known by name."""
    hello = _settings((3, 1_000), (4, 65_535), (6, 8_000)) + _SETTINGS_ACK
    rejected = frame(1, 4, 3, b"\x08\x03400\x40\x07apns-id\x011")
    body = b'{"reason":"BadDeviceToken"}'
    yield hello
    yield _settings() + frame(4, 1)
    yield frame(1, 5, 1, b"\x88\x40\x07apns-id\x011") + frame(1, 5, 3, b"\x88\xbe")
    for pattern in (b"\x40\x07apns-id", b"\x00\x07apns-id", b"\x40\x07apns-id"):
        blocks = [b"\x88" + pattern + b"\x24" + b"%036d" % number for number in range(4)]
        yield b"".join(frame(1, 5, 2 * at + 1, block) for at, block in enumerate(blocks))
        blocks[2:] = [b"\x88\xbf", b"\x88\x7e\x24" + b"%036d" % 9, b"\x88\xbe", b"\x88\xc0"]
        yield b"".join(frame(1, 5, 2 * at + 1, block) for at, block in enumerate(blocks))
    # What an index means changes in between.
    inserts = [b"\x88\x40\x07apns-id\x01%d" % number for number in range(3)]
    blocks = [
        inserts[0],
        b"\x88\xbe",
        inserts[1],
        b"\x88\xbe",
        b"\x88\xbf",
        inserts[2],
        b"\x88\xbf",
    ]
    yield b"".join(frame(1, 5, 2 * at + 1, block) for at, block in enumerate(blocks))
    yield frame(1, 5, 3, b"\x08\x03201\x00\x0fapns-channel-id\x04dGVz") + frame(1, 5, 7, b"\x89")
    yield frame(1, 4, 1, b"\x88") + frame(0, 0, 1, b"x" * 8_000) * 3 + frame(0, 1, 1, b"{}")
    yield (
        frame(1, 5, 1, b"\x3f\x45\x88")
        + frame(1, 5, 3, b"\x88\x40\x01a\x00")
        + frame(1, 5, 5, b"\xbe")
    )
    yield rejected + frame(0, 1, 3, body)
    yield rejected + frame(0, 8, 3, b"\x04" + body + bytes(4)) + frame(0, 1, 3)
    yield rejected + frame(3, 0, 3, bytes(4))
    yield frame(1, 8, 3, b"\x03" + bytes(3)) + frame(9, 4, 3, b"\x88")
    yield frame(1, 4, 3, b"\x88\x0f\x0d\x013") + frame(0, 0, 3, b"four") + frame(0, 1, 3)
    yield (
        frame(1, 4, 1, b"\x08\x03103") + frame(1, 4, 1, b"\x88") + frame(1, 5, 1, b"\x00\x01a\x01b")
    )
    yield frame(1, 1, 5, b"\x88\x40\x07apns") + frame(9, 0, 5) + frame(9, 4, 5, b"-id\x011")
    yield frame(1, 0x2D, 5, b"\x02" + bytes(5) + b"\x88" + bytes(2))
    yield frame(3, 0, 3, b"\x00\x00\x00\x07") + frame(3, 0, 3, b"\x00\x00\x00\x05")
    yield _settings((3, 1)) + _settings((4, 0)) + _settings((1, 0)) + _settings((1, 4_096))
    yield frame(8, 0, 0, b"\x00\x00\xff\xff") + frame(8, 0, 1, b"\x00\x00\x10\x00")
    yield frame(8, 0, 3, bytes(4)) + frame(8, 0, 0, b"\x7f\xff\xff\xff")
    yield frame(6, 0, 0, b"areyouon") + frame(6, 1, 0, (1).to_bytes(8))
    yield frame(7, 0, 0, b"\x7f\xff\xff\xff" + bytes(4)) + frame(
        7, 0, 0, bytes(3) + b"\x05" + bytes(4)
    )
    yield frame(7, 0, 0, bytes(8) + b'{"reason":"BadCertificateEnvironment"}') + frame(
        7, 0, 0, bytes(8)
    )
    yield frame(5, 4, 1, b"\x00\x00\x00\x02\x88") + frame(2, 0, 1, bytes(5))
    yield frame(0x0A, 0, 0, b"ALTSVC") + frame(0xFF, 0xFF, 0x7FFFFFFF, b"?")
    yield frame(1, 4, 1, b"\x08\x03403") + frame(0, 1, 1, b'{"reason":"ExpiredProviderToken"}')
    yield frame(1, 4, 1, b"\x08\x03500") + frame(0, 1, 1, b'{"reason":"InternalServerError"}')
    yield frame(1, 4, 1, b"\x08\x03413") + frame(0, 0, 1, b"x" * 2_000) * 10
    yield frame(0, 0, 1) * 12
    yield frame(1, 5, 1, b"\x3f\xe1\x1f\x20\x88\x82")
    yield frame(1, 5, 1, b"\x88\x0f\x0d\x83\xff\xff\xff")
    yield b"HTTP/1.1 400 Bad Request\r\nserver: awselb/2.0\r\n\r\n"
    yield b"\x15\x03\x03\x00\x02\x02\x28"
    yield b"\x00\x40\x01\x00\x00\x00\x00\x00\x01"
    yield frame(4, 0, 0, b"\x00\x05" + bytes(4))


def _floods() -> Iterator[tuple[Callable[[], Scene], bytes]]:
    """Yield what no connection puts up with; and bodies in very many pieces, which it does."""
    for useless in (
        frame(2, 0, 3, bytes(5)),
        frame(3, 0, 1, bytes(4)),
        frame(4),
        frame(6, 0, 0, b"areyouon"),
        frame(6, 1, 0, b"areyouon"),
        frame(7, 0, 0, bytes((0, 0, 0, 9)) + bytes(4)),
        frame(0xFF),
        frame(0, 0, 1),
        frame(1, 5, 1, b"\x88"),
    ):
        yield _cancelled, repeat(10_100, useless)
    yield _many_in_flight, repeat(300, frame(8, 0, 0, bytes((0, 0, 0, 1))))
    yield _many_in_flight, repeat(12, frame(1, 4, 3, b"\x08\x03103"))
    yield _many_in_flight, frame(1, 4, 3, b"\x88") + repeat(11, frame(0, 0, 3))
    yield _many_in_flight, frame(1, 1, 3, b"\x88") + repeat(9, frame(9, 0, 3))
    literal = b"\x00\x01a\x7f\xd1\x0e" + b"v" * 2_000
    yield _many_in_flight, frame(1, 1, 3, literal) + repeat(8, frame(9, 0, 3, literal))
    yield _many_in_flight, frame(1, 4, 3, b"\x88") + repeat(20_000, frame(0, 0, 3, b"x"))
    yield _many_in_flight, frame(1, 4, 3, b"\x88") + repeat(12, frame(0, 0, 3, b"x" * 2_000))
    # Each field that is inserted is referred to before the next.
    yield _cancelled, repeat(300, frame(1, 4, 3, b"\x88" + b"\x40\x00\x00\xbe" * 250))
