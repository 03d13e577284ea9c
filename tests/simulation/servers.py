"""The servers behind the endpoint's name: simulated APNs, each with its moods."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, Final, final

from apns_core.reasons import DISPOSITIONS, Disposition, disposition, parse_reason
from apns_simulator import (
    LedgerEntry,
    Rejection,
    SettingsChange,
    SimulatedConnection,
    Simulator,
    SimulatorConfig,
    Temper,
)
from tests.simulation.clock import START, Clock, Trace
from tests.simulation.link import Direction

__all__ = ["UNIX_TIME", "Act", "Server", "ServerSide"]

UNIX_TIME = 1_800_000_000.0
"""The wall clock's reading at `START`."""


_WINDOW: Final = 65_535
"""Of a connection (RFC 9113 §6.9.2)."""
_STREAM_CREDIT: Final = 8_192
"""More than the largest body."""


@final
class Act:
    """One request that a server has acted on, whether or not anybody learnt of it."""

    __slots__ = ("_side", "_told_from", "at", "entry")

    def __init__(self, entry: LedgerEntry, side: "ServerSide", at: float) -> None:
        self.entry = entry
        self.at = at
        self._side = side
        self._told_from: int | None = None

    def answered(self, offset: int) -> None:
        """Note that the answer lies behind this octet of what the server has written."""
        self._told_from = offset

    @property
    def where(self) -> str:
        """For the trace."""
        return self._side.name

    @property
    def told(self) -> bool:
        """Whether the sender can have read the status."""
        return self._told_from is not None and self._side.to_client.delivered > self._told_from

    @property
    def accepted(self) -> bool:
        """Whether it was taken."""
        return self.entry.status == 200

    @property
    def disposition(self) -> Disposition:
        """What the sender's own table makes of the answer, or of the status where it is cut."""
        reason = None if self.entry.reason is None else parse_reason(self.entry.reason)
        return disposition(self.entry.status, reason)

    @property
    def may_be_retried(self) -> bool:
        """Whether an answer like this one is followed by another attempt."""
        status_only = disposition(self.entry.status, None)
        return not RETRIED.isdisjoint({self.disposition, status_only})


RETRIED = frozenset(
    {
        Disposition.RETRY_LATER,
        Disposition.RETRY_WITH_NEW_TOKEN,
        Disposition.RETRY_ON_NEW_CONNECTION,
    }
)
assert set(DISPOSITIONS.values()) >= RETRIED


@final
class ServerSide:
    """One connection at its server, with the direction that its answers take."""

    def __init__(self, server: "Server", connection: SimulatedConnection) -> None:
        self.server = server
        self.connection = connection
        self.to_client: Direction
        self.unanswered: list[Act] = []
        self._timer_at: float | None = None

    @property
    def name(self) -> str:
        """For the trace."""
        return f"server {self.server.number}.{self.connection.record.number}"

    # Inputs.

    def reads(self, data: bytes) -> None:
        """Take what has arrived."""
        self.connection.receive_data(data, self.server.clock.now)
        self.pump()

    def reads_end(self) -> None:
        """Learn that nothing more will arrive."""
        if not self.connection.closed:
            self.server.trace.note(self.name, "reads the end")
        self.connection.receive_eof(self.server.clock.now)
        self.pump()

    # Outputs.

    def pump(self) -> None:
        """Write what there is to write, enter new acts in the book, set the timer."""
        connection, server = self.connection, self.server
        server.look_at_ledger(self)
        offset = self.to_client.sent
        data = connection.data_to_send()
        if self.unanswered:
            for act in self.unanswered:
                if act.entry.answered:
                    act.answered(offset)
            self.unanswered = [act for act in self.unanswered if not act.entry.answered]
        if data:
            server.trace.wire(self.name, "writes", data)
            self.to_client.send(data)
        if connection.closed:
            if self in server.sides:
                server.trace.note(self.name, "aborts" if connection.aborted else "closes")
                del server.sides[self]
            if connection.aborted:
                self.to_client.sever(server.rng.randrange(200))
            else:
                self.to_client.finish()
            return
        due = connection.poll_timeout()
        if due is not None and (self._timer_at is None or due < self._timer_at):
            self._timer_at = due
            server.clock.at(due, self._on_timer)

    def _on_timer(self) -> None:
        if self._timer_at is not None and self._timer_at <= self.server.clock.now:
            self._timer_at = None
            self.connection.handle_timeout(self.server.clock.now)
            self.pump()

    # White-box: what a test of the sender may know of the server's inside.

    @property
    def open_streams(self) -> list[int]:
        """The streams that wait for an answer, lowest first."""
        requests = self.connection._streams._requests
        return sorted(stream for stream, request in requests.items() if not request.ignored)

    @property
    def unprocessed_streams(self) -> list[int]:
        """Those of them that the server has not acted on."""
        requests = self.connection._streams._requests
        return [stream for stream in self.open_streams if requests[stream].entry is None]

    @property
    def deaf(self) -> bool:
        """Whether it has stopped reading for good."""
        return self.connection._deaf

    def return_windows(self) -> None:
        """Give the sender the credit that it should have."""
        h2 = self.connection._wire.h2
        initial = self.server.config.initial_window_size
        self.connection.change_settings(SettingsChange(initial_window_size=initial))
        if missing := _WINDOW - h2.inbound_flow_control_window:
            self.connection.credit(missing)
        for stream_id in self.open_streams:
            # Of a request that is not read to its end; what was not credited adds to the new size.
            stream = h2.streams.get(stream_id)
            if stream is not None and not stream.closed and initial < _STREAM_CREDIT:
                self.connection.credit(_STREAM_CREDIT, stream_id)

    def answer_malformed(self, stream_id: int, fields: list[tuple[bytes, bytes]]) -> None:
        """Write a field block that no response may have, and no other answer."""
        h2 = self.connection._wire.h2
        block = h2.encoder.encode(fields)
        head = len(block).to_bytes(3) + b"\x01\x05" + stream_id.to_bytes(4)
        self.connection.send_raw(head + block)
        self.connection._streams._leave(stream_id, "malformed answer")


@final
class Server:
    """One server. Its temper is made of the moods that it is in just now."""

    def __init__(
        self,
        number: int,
        clock: Clock,
        rng: Random,
        config: SimulatorConfig,
        trace: Trace,
        on_act: Callable[[Act], None],
    ) -> None:
        self.number = number
        self.clock = clock
        self.rng = rng
        self.trace = trace
        self.config = config
        """As it is when nothing ails it."""
        self.simulator = Simulator(config, unix_time=UNIX_TIME, now=START, rng=rng)
        self.sides: dict[ServerSide, None] = {}
        """Its open connections, oldest first."""
        self.refuses_connects = False
        self._on_act = on_act
        self._moods: dict[str, dict[str, Any]] = {}
        self._entries_seen = 0

    @property
    def name(self) -> str:
        """For the trace."""
        return f"server {self.number}"

    def accept(self) -> ServerSide:
        """Begin a connection."""
        side = ServerSide(self, self.simulator.accept(self.clock.now))
        self.sides[side] = None
        return side

    def feel(self, mood: str, **temper: object) -> None:
        """Be in a mood from now on, on top of others."""
        self.trace.note(self.name, f"mood: {mood}")
        self._moods[mood] = temper
        self._apply()

    def get_over(self, mood: str) -> None:
        """End a mood."""
        if self._moods.pop(mood, None) is not None:
            self.trace.note(self.name, f"no more: {mood}")
            self._apply()

    def reject(self, prefix: str, rejection: Rejection | None) -> None:
        """Reject the devices whose token begins so; None accepts them again."""
        self.simulator.reject(prefix, rejection)

    def recover(self) -> None:
        """End all moods, and make good what would stay wrong on the connections there are.

        But not a limit that was lowered: to work around that is the sender's part.
        """
        self._moods.clear()
        self._apply()
        self.refuses_connects = False
        self.simulator.config = self.config
        for side in list(self.sides):
            if side.deaf:
                # It has lost what came meanwhile, and its tables with it.
                side.connection.abort()
            else:
                side.connection.release(self.clock.now)
                side.return_windows()
            side.pump()

    def look_at_ledger(self, side: ServerSide) -> None:
        """Enter what this connection has acted on."""
        entries = self.simulator.ledger.entries
        while self._entries_seen < len(entries):
            act = Act(entries[self._entries_seen], side, self.clock.now)
            self._entries_seen += 1
            side.unanswered.append(act)
            self._on_act(act)

    def _apply(self) -> None:
        temper = Temper()
        for mood in self._moods.values():
            temper = replace(temper, **mood)
        self.simulator.temper = temper
