"""What holds at every step, as far as it can be seen from outside, and where it cannot from inside.

Each check raises `Violation`. The numbers are those of the invariants in docs/simulation.md.
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Final, final

from apns_core.http2 import frames
from apns_core.http2.errors import ErrorCode
from apns_core.tickets import DONE, IN_FLIGHT, QUEUED
from apns_core.trust.provider_token import SIGNING_FLOOR, SIGNING_RETRY

if TYPE_CHECKING:
    from tests.simulation.host import Host, Push
    from tests.simulation.link import Link

__all__ = [
    "AnswerTap",
    "FrameTap",
    "Violation",
    "check_closed",
    "check_quiet",
    "check_step",
    "check_tickets",
    "check_times",
]

_EPSILON: Final = 1e-6
_CARRIES_END_STREAM: Final = (frames.DATA, frames.HEADERS)


@final
class Violation(Exception):  # noqa: N818 - it is a finding, and no error of the program
    """The sender broke a promise. The text holds neither secrets nor personal data."""


@final
class FrameTap:
    """Reads the heads of the frames that a sender writes, by RFC 9113 §4.1 alone."""

    def __init__(self) -> None:
        self._preface = len(frames.PREFACE)
        self._last_stream = -1
        self._farewell = False
        self.ended: set[int] = set()
        """Streams whose END_STREAM was written."""

    def read(self, data: bytes, *, server_spoke: bool) -> None:
        """Look at what is written at once, which is always a number of whole frames."""
        position, self._preface = self._preface, 0
        size = len(data)
        while position < size:
            if self._farewell:
                raise Violation("a frame after our own GOAWAY (10)")
            length = int.from_bytes(data[position : position + 3])
            kind, flags = data[position + 3], data[position + 4]
            stream_id = int.from_bytes(data[position + 5 : position + 9])
            position += 9 + length
            if position > size:
                raise Violation("a frame that is not written whole")
            if kind == frames.HEADERS:
                if not server_spoke:
                    raise Violation("a request before the server has spoken (3)")
                if stream_id % 2 == 0 or stream_id <= self._last_stream:
                    raise Violation("stream ids that are even, or do not rise (4)")
                self._last_stream = stream_id
            elif kind == frames.GOAWAY:
                self._farewell = True
            if kind in _CARRIES_END_STREAM and flags & frames.END_STREAM:
                self.ended.add(stream_id)


@final
class AnswerTap:
    """Reads what has reached a sender: which streams the server has disowned, by its own words."""

    def __init__(self) -> None:
        self._buffer = b""
        self._first_reset: dict[int, int] = {}
        self._last_stream_id = frames.HIGHEST_STREAM_ID

    def read(self, data: bytes) -> None:
        """Look at what has arrived, cut anywhere."""
        buffer = self._buffer + data
        position = 0
        while position + 9 <= len(buffer):
            end = position + 9 + int.from_bytes(buffer[position : position + 3])
            if end > len(buffer):
                break
            kind = buffer[position + 3]
            word = int.from_bytes(buffer[position + 9 : position + 13]) & 0x7FFF_FFFF
            if kind == frames.GOAWAY:
                self._last_stream_id = min(self._last_stream_id, word)
            elif kind == frames.RST_STREAM:
                stream_id = int.from_bytes(buffer[position + 5 : position + 9])
                self._first_reset.setdefault(stream_id, word)
            position = end
        self._buffer = buffer[position:]

    def disowned(self, stream_id: int) -> bool:
        """Whether the server has said that it did not act on a stream (RFC 9113 §6.8, §8.7)."""
        refused = self._first_reset.get(stream_id) == ErrorCode.REFUSED_STREAM
        return refused or stream_id > self._last_stream_id


def check_step(host: "Host") -> None:
    """Look at what costs little, after every step of a sender."""
    sender = host.sender
    unfinished = sender.queued + sender.in_flight
    if unfinished != len(host.open):
        raise Violation(f"{len(host.open)} are neither done nor cancelled, not {unfinished} (1)")
    if not 0 <= sender.room <= host.machine.config.max_queued:
        raise Violation("room out of range")
    for link in host.links.values():
        side = link.side
        if side is None:
            continue
        # h2 in the server's role and the simulator's own book: limits, windows, states, HPACK.
        if side.server.simulator.ledger.violation_count:
            raise Violation(f"the server saw: {side.server.simulator.ledger.violations[0]} (3, 5)")
        record = side.connection.record
        if host.machine.token_authentication and record.streams_before_acceptance > 1:
            raise Violation("a second stream before the token was accepted (3)")
    # 7: what is kept is bounded by what is unfinished.
    submissions = sender._submissions  # pyright: ignore[reportPrivateUsage]
    slack = 1_024 + 2
    if len(submissions._by_deadline) > slack + 3 * unfinished:  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]
        raise Violation("the order of deadlines grows (7)")
    if len(submissions._pending) > slack + 3 * unfinished:  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]
        raise Violation("the queue grows (7)")
    if len(sender._former) > unfinished:  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]
        raise Violation("former outcomes are kept of what has ended (7)")


def check_tickets(host: "Host") -> None:
    """Walk over all open tickets: each is in exactly one place, and its place knows of it (1)."""
    sender = host.sender
    pending = [t for t in sender._submissions._pending if t.place == QUEUED]  # pyright: ignore[reportUnknownMemberType]
    delayed = [ticket for _, _, ticket in sender._delayed if ticket.place == QUEUED]
    waiting = {id(ticket) for ticket in pending} | {id(ticket) for ticket in delayed}
    if len(waiting) != len(pending) + len(delayed):
        raise Violation("a ticket waits in two places (1)")
    if len(waiting) != sender.queued:
        raise Violation("a ticket is queued and waits nowhere, or the other way round (1)")
    late = host.clock.now - host.machine.lateness - _EPSILON
    if any(at < late for at, _, ticket in sender._delayed if ticket.place == QUEUED):
        raise Violation("another attempt is due and does not begin (8)")
    on_connections = 0
    for link in sender._links:
        connection = link.connection
        if connection is not None:
            on_connections += connection.in_flight
            if connection.in_flight > connection._http.open_streams:
                raise Violation("more in flight than streams (1)")
    if on_connections != sender.in_flight:
        raise Violation("a ticket is in flight on no connection, or on two (1)")
    for push in host.open.values():
        _check_ticket(push, waiting)
    for push in host.outcomes[-32:]:
        if push.ticket is not None and push.ticket.place != DONE:
            raise Violation(f"{push.name} was done, and is no more (2)")


def _check_ticket(push: "Push", waiting: set[int]) -> None:
    ticket = push.ticket
    assert ticket is not None
    if ticket.place == QUEUED:
        if id(ticket) not in waiting or ticket.connection is not None:
            raise Violation(f"{push.name} is queued and lost (1)")
    elif ticket.place == IN_FLIGHT:
        connection = ticket.connection
        if connection is None or connection._http._streams.get(ticket.stream_id) is not ticket:
            raise Violation(f"{push.name} is in flight and on no stream (1)")
    else:
        raise Violation(f"{push.name} has no outcome and is over (1)")


def check_closed(host: "Host") -> None:
    """A sender that is closed has nothing more to say or to do (10)."""
    sender = host.sender
    if host.open or sender.poll_timeout() is not None or sender.outcomes() or sender.commands():
        raise Violation("something comes of a sender that is closed (10)")
    if host.links:
        raise Violation("a sender is closed and has a connection (10)")


def check_quiet(link: "Link") -> None:
    """Compare both ends of a connection on which nothing is under way."""
    assert link.side is not None
    connection = link.host.sender._links[link.connection_id].connection
    assert connection is not None
    h2 = link.side.connection._wire.h2
    http = connection._http
    # 6: what the server has sent is credited back, but for less than half a window.
    if h2.outbound_flow_control_window + http.unreturned_credit != 65_535:
        raise Violation("the connection's receive window leaks (6)")
    if http.window != h2.inbound_flow_control_window:
        raise Violation("the ends disagree about the connection's send window (5)")
    # 9: the dynamic tables, entry by entry. Before a size update is written they may differ.
    if http.encoder._smallest_update is None:
        theirs = [(bytes(n), bytes(v)) for n, v in h2.decoder.header_table.dynamic_entries]
        if theirs != list(http.encoder.entries):
            raise Violation("the dynamic tables for requests differ (9)")


def check_times(host: "Host") -> None:
    """Look at when a sender has connected and signed."""
    floor = host.machine.config.connect_floor
    for before, after in pairwise(host.connect_times):
        if after - before < floor - _EPSILON:
            raise Violation("two connects within the floor")
    for (before, succeeded), (after, _) in pairwise(host.sign_times):
        least = SIGNING_FLOOR if succeeded else SIGNING_RETRY
        if after - before < least - host.machine.sign_latency - _EPSILON:
            raise Violation("tokens are signed too often")
