"""A sender against a model of APNs that speaks by hyperframe and hpack, in any order of events.

Beside `test_connection_model`, which has one connection: here are several that share a queue, are
made and lost, write in part and are read in part. The model keeps the book: what it has acted on,
what it has answered, and what of that has reached the sender.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from hyperframe.frame import DataFrame, Frame, SettingsFrame
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from apns_core import (
    Accepted,
    Cause,
    Connect,
    ConnectionConfig,
    ConnectionId,
    Disconnect,
    Endpoint,
    Notification,
    OnUnknown,
    Outcome,
    QueueFull,
    Rejected,
    Route,
    Sender,
    SenderConfig,
    SignToken,
    Ticket,
    Unknown,
    Unprocessed,
)
from apns_core.accounting import ConnectionState
from apns_core.connection import Connection
from apns_core.http2.limits import MAX_UNSENT_REPLIES
from apns_core.tickets import DONE, IN_FLIGHT, QUEUED
from tests.apns_core.peer import NEVER, NOW, Peer, reason

ROUTES: Final = (Route("com.example.app"), Route("com.example.app", "background"))
UNIX_TIME: Final = 1_800_000_000.0
MAX_QUEUED: Final = 12
MAX_STREAMS: Final = 20
WINDOW: Final = 65_535
LARGEST_REQUEST: Final = 6_000
"""Octets of the largest request here, with its head and what must go before it."""
REASONS: Final = {
    "BadDeviceToken": 400,
    "Unregistered": 410,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "ExpiredProviderToken": 403,
    "InvalidProviderToken": 403,
    "Shutdown": 503,
    "NewIn2031": 400,
}
RETRIED: Final = {429, 500, 503}
RETRIED_REASONS: Final = {"ExpiredProviderToken", "Shutdown"}


@dataclass
class Act:
    """The model has acted on a request."""

    answer: tuple[int, str | None] | None = None
    told: bool = False
    """Whether the status has reached the sender."""

    @property
    def may_be_retried(self) -> bool:
        if self.answer is None or not self.told:
            return False
        status, text = self.answer
        return status in RETRIED or text in RETRIED_REASONS


@dataclass
class Push:
    """One notification, from the caller's side and from the model's."""

    number: int
    may_be_resent: bool
    deadline: float
    ticket: Ticket[int]
    cancelled: bool = False
    outcome: Outcome[int] | None = None
    acts: list[Act] = field(default_factory=list[Act])
    last_sent: "tuple[Wire, int] | None" = None
    """On which stream of which connection it was last sent."""


class CountingPeer(Peer):
    """A peer that counts the sender's credit as well, as far as the sender can know of it."""

    def __init__(self) -> None:
        super().__init__()
        self.connection_window = WINDOW
        self.initial_window = WINDOW
        self.windows: dict[int, int] = {}
        """Stream -> credit beyond the initial window; negative for what was used."""
        self.table_sizes: deque[int | None] = deque()
        """Of each SETTINGS that the sender has not acknowledged: they bind it from then on."""

    def _take(self, frame: Frame) -> None:
        super()._take(frame)
        if isinstance(frame, SettingsFrame) and "ACK" in frame.flags:
            size = self.table_sizes.popleft()
            if size is not None:
                self.decoder.max_allowed_table_size = size
        if isinstance(frame, DataFrame):
            size = frame.flow_controlled_length
            self.connection_window -= size
            self.windows[frame.stream_id] = self.windows.get(frame.stream_id, 0) - size
            assert self.connection_window >= 0, "DATA beyond the connection's window"
            if size:
                assert self.initial_window + self.windows[frame.stream_id] >= 0

    def credit_sender(self, stream_id: int, increment: int) -> None:
        if stream_id:
            self.windows[stream_id] = self.windows.get(stream_id, 0) + increment
        else:
            self.connection_window += increment


class Wire:
    """One connection: the model's end, and what it has written that has not been read yet."""

    def __init__(self) -> None:
        self.peer = CountingPeer()
        self.established = False
        self.limit: int | None = None
        """As the sender knows it."""
        self.accepted = False
        """Whether an acceptance has reached the sender."""
        self.unread = b""
        self.written = 0
        self.read = 0
        self.effects: deque[tuple[int, Callable[[], object]]] = deque()
        """What the sender knows once it has read so many octets."""
        self.ended = False
        """Whether the server writes nothing more."""
        self.acts: dict[int, Act] = {}
        """By stream."""
        self.pushes: dict[int, int] = {}
        """Stream -> the push that it carries."""
        self.last_stream_id = NEVER
        self.disowned_above = NEVER
        """The last-stream-id that the sender knows."""
        self.first_resets: dict[int, int] = {}
        """Stream -> the code of the first RST_STREAM for it that the sender knows, where it did not
        know it to be disowned before."""
        self.broken = False
        """Whether the model has written what nobody can make sense of."""

    def write(self, data: bytes, effect: Callable[[], object] | None = None) -> None:
        if self.ended:
            return
        self.unread += data
        self.written += len(data)
        if effect is not None:
            self.effects.append((self.written, effect))

    def take(self, octets: int) -> bytes:
        """Let the sender read so many octets; what it learns by them counts from now on."""
        data, self.unread = self.unread[:octets], self.unread[octets:]
        self.read += len(data)
        while self.effects and self.effects[0][0] <= self.read:
            self.effects.popleft()[1]()
        return data

    def reset(self, stream_id: int, code: int) -> None:
        """Let the sender know of a RST_STREAM."""
        if stream_id <= self.disowned_above:
            self.first_resets.setdefault(stream_id, code)

    def streams(self, *, acted: bool | None = None) -> list[int]:
        """Return whole requests that await an answer, or only those (not) acted on yet."""
        return [
            stream_id
            for stream_id in sorted(self.peer.open)
            if self.peer.requests[stream_id].ended
            and stream_id <= self.last_stream_id
            and (acted is None or (stream_id in self.acts) == acted)
        ]


class SenderLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now: float = NOW
        self.woken_at: float = NOW
        self.wires: dict[ConnectionId, Wire] = {}
        self.connecting: dict[ConnectionId, float] = {}
        self.leaving: dict[ConnectionId, float] = {}
        self.signing: list[int] = []
        self.pushes: list[Push] = []
        self.by_token: dict[bytes, Push] = {}
        self.closing = False
        self.signed = 0

    @initialize(
        on_unknown=st.sampled_from(list(OnUnknown)),
        connections=st.integers(1, 3),
        timeout=st.sampled_from([5.0, 30.0]),
        warm=st.integers(0, 3),
    )
    def begin(self, on_unknown: OnUnknown, connections: int, timeout: float, warm: int) -> None:
        self.config = SenderConfig(
            max_queued=MAX_QUEUED,
            max_connections=connections,
            scale_after=0.1,
            surplus_after=5.0,
            on_unknown=on_unknown,
            connection=ConnectionConfig(max_streams=MAX_STREAMS, request_timeout=timeout),
        )
        self.sender: Sender[int] = Sender(
            Endpoint("apns.test"),
            rng=Random(1),
            now=self.now,
            unix_time=UNIX_TIME,
            config=self.config,
        )
        if warm:
            # Most of what matters happens on a connection that works.
            self.submit(warm, ROUTES[0], 300, None)
            self.go_smoothly(0)
            self.accept(0, 0, early=False)
            self.go_smoothly(0)

    # ── callers ──

    @rule(
        count=st.integers(1, 6),
        route=st.sampled_from(ROUTES),
        size=st.sampled_from([2, 300, 4_096]),
        collapse_id=st.none() | st.just("score"),
    )
    def submit(self, count: int, route: Route, size: int, collapse_id: str | None) -> None:
        if self.closing:
            return
        for _ in range(count):
            number = len(self.pushes)
            token = f"{number:064x}"
            request = Notification(route, token, b"x" * size, collapse_id=collapse_id)
            room = self.sender.room
            try:
                ticket = self.sender.submit(request, number, self.now)
            except QueueFull:
                assert room == 0
                return
            assert room > 0
            policy = self.config.on_unknown
            push = Push(
                number,
                policy is OnUnknown.RESEND
                or (policy is OnUnknown.RESEND_IF_COLLAPSIBLE and collapse_id is not None),
                self.now + self.config.connection.request_timeout,
                ticket,
            )
            self.pushes.append(push)
            self.by_token[b"/3/device/" + token.encode()] = push
        self.drain()

    @rule(index=st.integers(0, 100))
    def cancel(self, index: int) -> None:
        if self.pushes:
            push = self.pushes[index % len(self.pushes)]
            push.cancelled |= push.outcome is None
            self.sender.cancel(push.ticket, self.now)
            self.drain()

    @precondition(lambda self: self.rarely())
    @rule(seconds=st.none() | st.sampled_from([0.0, 3.0]))
    def close(self, seconds: float | None) -> None:
        self.closing = True
        self.sender.close(self.now, deadline=None if seconds is None else self.now + seconds)
        self.drain()

    # ── the machine ──

    @rule(seconds=st.sampled_from([0.01, 0.01, 0.2, 0.2, 1.0, 4.0, 16.0]))
    def tick(self, seconds: float) -> None:
        """Let time pass, with the sender's timer and the deadlines of its commands."""
        end = self.now + seconds
        spins = 0
        while True:
            dues = [*self.connecting.values(), *self.leaving.values()]
            timer = self.sender.poll_timeout()
            if timer is not None:
                dues.append(timer)
            due = min(dues, default=end + 1.0)
            if due > end:
                break
            spins = spins + 1 if due <= self.now else 0
            assert spins <= 10, "the timer stays in the past"
            self.now = max(self.now, due)
            for connection_id in [i for i, at in self.connecting.items() if at <= self.now]:
                self.refuse(connection_id)
            for connection_id in [i for i, at in self.leaving.items() if at <= self.now]:
                self.lose(connection_id)
            if timer is not None and timer <= self.now:
                self.sender.handle_timeout(self.now)
            self.drain()
        self.now = self.woken_at = end

    @precondition(lambda self: bool(self.connecting))
    @rule(works=st.sampled_from([True, True, True, False]))
    def finish_connecting(self, works: bool) -> None:  # noqa: FBT001
        connection_id = next(iter(self.connecting))
        if works:
            del self.connecting[connection_id]
            self.wires[connection_id].established = True
            self.sender.connected(connection_id, self.now)
        else:
            self.refuse(connection_id)
        self.drain()

    @precondition(lambda self: bool(self.signing))
    @rule(works=st.sampled_from([True, True, True, False]))
    def finish_signing(self, works: bool) -> None:  # noqa: FBT001
        self.signing.pop(0)
        if works:
            self.signed += 1
            self.sender.token_signed(f"header.claims.{self.signed}", self.now)
        else:
            self.sender.signing_failed(self.now)
        self.drain()

    @rule(index=st.integers(0, 5), room=st.sampled_from([1, 100, 1_000, 65_536]))
    def write(self, index: int, room: int) -> None:
        """Let a transport take about so many octets."""
        if wire_and_id := self.some_wire(index):
            self.pull(*wire_and_id, room)

    @rule(index=st.integers(0, 5), octets=st.sampled_from([1, 9, 20, 100, 10_000]))
    def read(self, index: int, octets: int) -> None:
        """Let a transport deliver so many octets of what the server has written."""
        if wire_and_id := self.some_wire(index):
            self.deliver(*wire_and_id, octets)

    @rule(index=st.integers(0, 5))
    def go_smoothly(self, index: int) -> None:
        """Let a connection be made, take all and deliver all, and the server greet."""
        while self.signing:
            self.finish_signing(works=True)
        if self.connecting:
            self.finish_connecting(works=True)
        if wire_and_id := self.some_wire(index):
            connection_id, wire = wire_and_id
            if not wire.written:
                self.announce(wire, limit=100)
                self.deliver(connection_id, wire, 1 << 20)
            self.pull(connection_id, wire, 65_536)
            wire.write(wire.peer.settings_ack() * wire.peer.settings_seen + wire.peer.ping_acks())
            wire.peer.settings_seen = 0
            self.deliver(connection_id, wire, 1 << 20)

    @rule(index=st.integers(0, 5), octets=st.integers(0, 60))
    def lose_connection(self, index: int, octets: int) -> None:
        """End a connection after so many more octets."""
        if self.rarely() and (wire_and_id := self.some_wire(index)):
            connection_id, wire = wire_and_id
            self.deliver(connection_id, wire, octets)
            if wire.established:
                self.lose(connection_id)
                self.drain()

    # ── the server ──

    @rule(
        index=st.integers(0, 5),
        limit=st.none() | st.sampled_from([0, 1, 3, 100]),
        window=st.none() | st.sampled_from([0, 100, 65_535, 2**31 - 1 - WINDOW]),
        table=st.none() | st.sampled_from([0, 70, 256, 4_096, 2**32 - 1]),
        frame_size=st.none() | st.sampled_from([16_384, 2**24 - 1]),
    )
    def change_settings(
        self,
        index: int,
        limit: int | None,
        window: int | None,
        table: int | None,
        frame_size: int | None,
    ) -> None:
        if wire_and_id := self.some_wire(index):
            _, wire = wire_and_id
            self.announce(wire, limit=limit, window=window, table=table, frame_size=frame_size)

    @rule(index=st.integers(0, 5), which=st.integers(0, 20), increment=st.integers(1, 9_000))
    def credit(self, index: int, which: int, increment: int) -> None:
        if wire_and_id := self.some_wire(index):
            _, wire = wire_and_id
            streams = [0, *sorted(wire.peer.open)]
            stream_id = streams[which % len(streams)]
            wire.write(
                wire.peer.window_update(increment, stream_id),
                partial(wire.peer.credit_sender, stream_id, increment),
            )

    @rule(index=st.integers(0, 5), which=st.integers(0, 20))
    def act(self, index: int, which: int) -> None:
        """Act on a request, and say nothing."""
        if picked := self.some_stream(index, which, acted=False):
            self.take_to_heart(*picked)

    @rule(index=st.integers(0, 5), which=st.integers(0, 20), early=st.booleans())
    def accept(self, index: int, which: int, early: bool) -> None:  # noqa: FBT001
        if picked := self.some_stream(index, which):
            wire, stream_id = picked
            act = self.take_to_heart(wire, stream_id)
            act.answer = (200, None)
            hints = wire.peer.headers(stream_id, 103) if early else b""
            wire.write(hints + wire.peer.accept(stream_id), partial(self.told, wire, act))

    @rule(
        index=st.integers(0, 5),
        which=st.integers(0, 20),
        text=st.sampled_from(list(REASONS)),
        cut=st.integers(0, 40),
        style=st.sampled_from(["whole", "whole", "absent", "unfinished"]),
    )
    def reject(self, index: int, which: int, text: str, cut: int, style: str) -> None:
        picked = self.some_stream(index, which)
        if picked is None:
            return
        wire, stream_id = picked
        body = reason(text)
        if len(body) > wire.peer.credit:
            return
        act = self.take_to_heart(wire, stream_id)
        act.answer = (REASONS[text], text)
        told = partial(self.told, wire, act)
        peer = wire.peer
        if style == "absent":
            wire.write(peer.headers(stream_id, REASONS[text], ends=True), told)
            return
        wire.write(peer.headers(stream_id, REASONS[text]), told)
        parts = peer.data(stream_id, body[:cut]) + peer.data(
            stream_id, body[cut:], ends=style == "whole"
        )
        wire.write(parts)
        if style == "unfinished":
            # Nothing more comes on it.
            peer.open.discard(stream_id)

    @rule(
        index=st.integers(0, 5),
        which=st.integers(0, 20),
        codes=st.sampled_from([(7,), (7, 5), (5,), (2, 7), (0,), (11,)]),
    )
    def reset(self, index: int, which: int, codes: tuple[int, ...]) -> None:
        if wire_and_id := self.some_wire(index):
            _, wire = wire_and_id
            streams = sorted(wire.peer.open)
            if codes[0] == 7:
                # Said of nothing that was acted on: that is its meaning (RFC 9113 §8.7).
                streams = [stream for stream in streams if stream not in wire.acts]
            if streams:
                stream_id = streams[which % len(streams)]
                learn = partial(wire.reset, stream_id, codes[0])
                wire.write(wire.peer.reset(stream_id, *codes), learn)

    @rule(
        index=st.integers(0, 5),
        above=st.none() | st.integers(0, 3),
        text=st.sampled_from(["", "Shutdown", "IdleTimeout"]),
    )
    def goaway(self, index: int, above: int | None, text: str) -> None:
        """Go away: for all streams to come, or for those beyond so many more than it acted on."""
        if wire_and_id := self.some_wire(index):
            _, wire = wire_and_id
            if not wire.written:
                return  # SETTINGS come first.
            last = NEVER if above is None else max([1, *wire.acts]) + 2 * above
            wire.last_stream_id = min(wire.last_stream_id, last)
            octets = wire.peer.goaway(wire.last_stream_id, reason(text) if text else b"")
            wire.write(octets, partial(setattr, wire, "disowned_above", wire.last_stream_id))

    @rule(index=st.integers(0, 5))
    def ping(self, index: int) -> None:
        if (wire_and_id := self.some_wire(index)) and wire_and_id[1].written:
            wire_and_id[1].write(wire_and_id[1].peer.ping())

    @precondition(lambda self: self.rarely())
    @rule(
        index=st.integers(0, 5),
        octets=st.sampled_from(
            [
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
                b"\x00\x00\x00\x03\x00\x00\x00\x00\x01",
                b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x80",
                b"\x00\x00\x04\x05\x04\x00\x00\x00\x01\x00\x00\x00\x02",
                b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
            ]
        ),
    )
    def break_the_rules(self, index: int, octets: bytes) -> None:
        if wire_and_id := self.some_wire(index):
            _, wire = wire_and_id
            wire.write(octets)
            wire.ended = wire.broken = True

    # ── help ──

    def rarely(self) -> bool:
        return len(self.pushes) % 5 == 4

    def some_wire(self, index: int) -> tuple[ConnectionId, Wire] | None:
        wires = [(i, wire) for i, wire in self.wires.items() if wire.established]
        return wires[index % len(wires)] if wires else None

    def some_stream(
        self, index: int, which: int, *, acted: bool | None = None
    ) -> tuple[Wire, int] | None:
        if wire_and_id := self.some_wire(index):
            connection_id, wire = wire_and_id
            self.pull(connection_id, wire, 65_536)
            if not wire.ended and (streams := wire.streams(acted=acted)):
                return wire, streams[which % len(streams)]
        return None

    def take_to_heart(self, wire: Wire, stream_id: int) -> Act:
        """Act on a request, once."""
        act = wire.acts.get(stream_id)
        if act is None:
            assert stream_id <= wire.last_stream_id
            act = wire.acts[stream_id] = Act()
            push = self.pushes[wire.pushes[stream_id]]
            if not push.may_be_resent:
                assert all(before.may_be_retried for before in push.acts), "sent twice"
            push.acts.append(act)
            assert len(push.acts) <= 3, "no end of attempts"
        return act

    @staticmethod
    def told(wire: Wire, act: Act) -> None:
        act.told = True
        assert act.answer is not None
        wire.accepted |= act.answer[0] == 200

    def announce(
        self,
        wire: Wire,
        *,
        limit: int | None = None,
        window: int | None = None,
        table: int | None = None,
        frame_size: int | None = None,
    ) -> None:
        values = {
            SettingsFrame.HEADER_TABLE_SIZE: table,
            SettingsFrame.MAX_CONCURRENT_STREAMS: limit,
            SettingsFrame.INITIAL_WINDOW_SIZE: window,
            SettingsFrame.MAX_FRAME_SIZE: frame_size,
        }
        present = {key: value for key, value in values.items() if value is not None}
        wire.peer.table_sizes.append(table)

        def learn() -> None:
            if limit is not None:
                wire.limit = limit
            elif wire.limit is None:
                wire.limit = MAX_STREAMS
            if window is not None:
                wire.peer.initial_window = window

        wire.write(SettingsFrame(0, settings=present).serialize(), learn)

    def pull(self, connection_id: ConnectionId, wire: Wire, room: int) -> None:
        data = self.sender.data_to_send(connection_id, room)
        assert len(data) <= room + LARGEST_REQUEST, "more output than was asked for"
        before = set(wire.peer.requests)
        wire.peer.read(data)
        opened = [stream for stream in wire.peer.requests if stream not in before]
        for stream_id in opened:
            fields = dict(wire.peer.requests[stream_id].fields)
            push = self.by_token[fields[b":path"]]
            push.last_sent = (wire, stream_id)
            wire.pushes[stream_id] = push.number
        if opened:
            assert wire.limit is not None, "a request before SETTINGS"
            allowed = min(wire.limit, MAX_STREAMS) if wire.accepted else min(wire.limit, 1)
            assert len(wire.peer.open) <= max(allowed, 0)
        if not wire.broken:
            self.tables_agree(connection_id, wire)
        self.drain()

    def tables_agree(self, connection_id: ConnectionId, wire: Wire) -> None:
        connection = self.connection_of(connection_id)
        if connection is None or connection._http.encoder._smallest_update is not None:
            return
        theirs = [
            (bytes(name), bytes(value))
            for name, value in wire.peer.decoder.header_table.dynamic_entries
        ]
        assert theirs == list(connection._http.encoder.entries)

    def deliver(self, connection_id: ConnectionId, wire: Wire, octets: int) -> None:
        data = wire.take(octets)
        if data:
            self.sender.receive_data(connection_id, data, self.now)
        self.drain()

    def refuse(self, connection_id: ConnectionId) -> None:
        del self.connecting[connection_id]
        del self.wires[connection_id]
        self.sender.connect_failed(connection_id, self.now)

    def lose(self, connection_id: ConnectionId) -> None:
        self.leaving.pop(connection_id, None)
        del self.wires[connection_id]
        self.sender.receive_eof(connection_id, self.now)

    def connection_of(self, connection_id: ConnectionId) -> Connection[int] | None:
        link = self.sender._links.get(connection_id)
        return None if link is None else link.connection

    def drain(self) -> None:
        for outcome in self.sender.outcomes():
            push = self.pushes[outcome.tag]
            assert push.outcome is None, "two outcomes"
            assert not push.cancelled, "an outcome after a cancel"
            push.outcome = outcome
            assert self.now <= push.deadline + 1e-6, "an outcome after the deadline"
            if isinstance(outcome, Unknown) and not push.may_be_resent:
                self.doubt_is_honest(push, outcome)
        for command in self.sender.commands():
            match command:
                case Connect(connection_id, _, deadline):
                    self.wires[connection_id] = Wire()
                    self.connecting[connection_id] = deadline
                case Disconnect(connection_id, _, deadline):
                    if connection_id in self.connecting:
                        self.refuse(connection_id)
                    else:
                        self.leaving[connection_id] = deadline
                case SignToken(issued_at):
                    self.signing.append(issued_at)

    @staticmethod
    def doubt_is_honest(push: Push, outcome: Unknown[int]) -> None:
        assert push.last_sent is not None
        wire, stream_id = push.last_sent
        assert wire.peer.requests[stream_id].ended, "never sent to its end"
        # What came behind an error of the connection was not read.
        if outcome.cause is not Cause.PROTOCOL_ERROR:
            # What comes first decides: a reset, or the GOAWAY that disowns the stream.
            assert wire.first_resets.get(stream_id, NEVER) != 7
            assert stream_id <= wire.disowned_above or stream_id in wire.first_resets

    # ── what always holds ──

    @invariant()
    def each_is_in_one_place(self) -> None:
        places = [push.ticket.place for push in self.pushes]
        assert self.sender.queued == places.count(QUEUED)
        assert self.sender.in_flight == places.count(IN_FLIGHT)
        for push in self.pushes:
            over = push.cancelled or push.outcome is not None
            assert (push.ticket.place == DONE) == over
        assert 0 <= self.sender.room <= MAX_QUEUED
        assert len(self.sender._former) <= self.sender.queued + self.sender.in_flight

    @invariant()
    def the_timer_is_set(self) -> None:
        due = self.sender.poll_timeout()
        # Time has passed only where `tick` has let it: what was due then has been done.
        assert all(t.place == DONE or at >= self.woken_at for at, _, t in self.sender._delayed)
        for push in self.pushes:
            if push.ticket.place != DONE:
                assert due is not None
                assert due <= push.deadline

    @invariant()
    def there_are_not_too_many_connections(self) -> None:
        usable = 0
        for connection_id in self.wires:
            connection = self.connection_of(connection_id)
            usable += connection_id not in self.leaving and (
                connection is None or connection.state not in _ENDING
            )
        assert usable <= self.config.max_connections

    def all_read(self) -> Iterator[tuple[Connection[int], Wire]]:
        """Yield the connections that live and have read all that their servers have written."""
        for connection_id, wire in self.wires.items():
            connection = self.connection_of(connection_id)
            if (
                connection is not None
                and connection.state is not ConnectionState.CLOSED
                and not wire.unread
                and not wire.broken
            ):
                yield connection, wire

    @invariant()
    def credit_is_returned(self) -> None:
        for connection, wire in self.all_read():
            if not connection._http.output_size:
                assert wire.peer.credit + connection._http.unreturned_credit == WINDOW

    @invariant()
    def tables_are_equal(self) -> None:
        """What the server's encoder refers to is what our decoder has, once all was read."""
        for connection, wire in self.all_read():
            theirs = wire.peer._encoder.header_table.dynamic_entries
            assert connection._http._decoder.entries == tuple(theirs)

    @invariant()
    def what_waits_to_be_written_is_bounded(self) -> None:
        for connection_id in self.wires:
            connection = self.connection_of(connection_id)
            if connection is not None:
                http = connection._http
                # Answers are counted; a stream is reset once and credited once at most; then there
                # are the preface, a PING, the connection's credit and GOAWAY.
                bound = 17 * MAX_UNSENT_REPLIES + 26 * (http.next_stream_id >> 1) + 200
                assert http.output_size <= bound

    @invariant()
    def outcomes_are_true(self) -> None:
        for push in self.pushes:
            told = [act.answer for act in push.acts if act.told]
            match push.outcome:
                case Accepted():
                    assert (200, None) in told
                case Rejected(status=status, reason_text=text):
                    assert status in {answer[0] for answer in told if answer}
                    assert text is None or (status, text) in told
                case Unprocessed():
                    assert not push.acts
                case Unknown():
                    assert push.ticket.attempts
                case None:
                    pass

    def teardown(self) -> None:
        if not hasattr(self, "sender"):
            return
        self.sender.close(self.now)
        self.drain()
        for _ in range(100):
            if self.sender.closed:
                break
            self.tick(4.0)
        assert self.sender.closed
        assert all(push.ticket.place == DONE for push in self.pushes)
        assert not self.wires
        self.outcomes_are_true()
        # Afterwards nothing happens, whatever comes.
        assert self.sender.poll_timeout() is None
        self.sender.handle_timeout(self.now + 1_000.0)
        assert self.sender.outcomes() == []
        assert self.sender.commands() == []


_ENDING: Final = (ConnectionState.DRAINING, ConnectionState.CLOSED)

TestSenderLife = SenderLife.TestCase
TestSenderLife.settings = settings(deadline=None, max_examples=150, stateful_step_count=50)
