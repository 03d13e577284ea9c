"""Any order of what callers, the clock and a server do to one `Connection`.

An input is a script of operations, after the manner of quinn's fuzz target ``streams.rs``. A
`ScriptedServer` reads what the connection writes, and outcomes are judged by its book.
"""

from collections.abc import Callable, Iterator
from typing import Final

from apns_core.accounting import ConnectionState
from apns_core.connection import Connection
from apns_core.connection_config import ConnectionConfig
from apns_core.connection_events import ConnectionClosed, Event
from apns_core.outcomes import Accepted, Rejected, Unknown, Unprocessed
from apns_core.tickets import DONE, IN_FLIGHT, QUEUED, Ticket
from apns_core.trust.provider_token import ProviderToken
from fuzz.decisions import Decisions
from fuzz.letters import SIZES, Letter
from fuzz.patience import Patience
from fuzz.scripted_server import ScriptedServer

__all__ = ["MAX_LENGTH", "check", "seeds"]

MAX_LENGTH: Final = 512

_NOW: Final = 1_000.0
_AUTHORITY: Final = b"api.push.apple.com"
_MAX_STREAMS: Final = 30
_CONFIGS: Final = (
    ConnectionConfig(max_streams=_MAX_STREAMS),
    # Else the deadlines of requests come before the end of draining.
    ConnectionConfig(max_streams=_MAX_STREAMS, drain_timeout=5.0),
)
_PULLS: Final = (65_536, 1, 100, 1_000, 10_000)
_PAUSES: Final = (0.0, 0.01, 1.0, 9.0, 16.0, 31.0, 3_601.0)
_OUTCOMES: Final = (Accepted, Rejected, Unprocessed, Unknown)
_MOST_TICKETS: Final = 200
_LARGEST_REQUEST: Final = 4_096 + 1_024
"""Payload, field block and heads of a request, generously."""


class _Life:
    """One script and all that is known about it."""

    def __init__(self, script: Decisions) -> None:
        self.script = script
        self.now = _NOW
        choices = script.byte()
        self.token = bool(choices & 1)
        config = _CONFIGS[choices >> 1 & 1]
        self.connection: Connection[int] = Connection(
            _AUTHORITY, now=_NOW, token_authentication=self.token, config=config
        )
        self.authorization = b""
        """Of the provider token that was set last."""
        self.tickets: list[Ticket[int]] = []
        self.letters: list[Letter] = []
        self.cancelled: set[int] = set()
        self.outcomes: dict[int, Event[int]] = {}
        self.stream_of: dict[int, int] = {}
        """Tag -> the stream that carried it."""
        self.server = ScriptedServer(script, _AUTHORITY, token=self.token)
        self.patience = Patience(config, _NOW)
        self.closed = 0

    # Callers.

    def submit(self) -> None:
        if self.connection.state in _ENDING or len(self.tickets) >= _MOST_TICKETS:
            return
        count, size = 1 + self.script.byte() % 8, self.script.pick(SIZES)
        for _ in range(count):
            tag = len(self.tickets)
            letter = Letter.write(tag, size, expiration=None, expires=None)
            self.letters.append(letter)
            self.tickets.append(self.connection.submit(letter.notification, tag, self.now))

    def cancel(self) -> None:
        if self.tickets:
            ticket = self.tickets[self.script.byte() % len(self.tickets)]
            if ticket.place in {QUEUED, IN_FLIGHT}:
                self.cancelled.add(ticket.tag)
            self.connection.cancel(ticket, self.now)

    def set_token(self) -> None:
        if self.token:
            number = self.script.byte() % 4
            token = ProviderToken(f"header.claims.{number}", self.now, number)
            self.connection.set_provider_token(token)
            self.authorization = b"bearer header.claims.%d" % number

    def pull(self) -> None:
        max_bytes = self.script.pick(_PULLS)
        before = self.connection._http.output_size  # noqa: SLF001 - it may be above the bound already
        output = self.connection.data_to_send(max_bytes)
        assert len(output) <= max(before, max_bytes) + _LARGEST_REQUEST
        self.server.read(output)
        for ticket in self.tickets:
            if ticket.place == IN_FLIGHT and ticket.tag not in self.stream_of:
                self.stream_of[ticket.tag] = ticket.stream_id
                self.patience.stir(self.now)
                authorization = self.server.look_at(ticket.stream_id, self.letters[ticket.tag])
                assert authorization in {b"", self.authorization}, "not the token that was set last"
        self.server.look_at_bodies()

    def retire(self) -> None:
        self.connection.retire(self.now)

    def close(self) -> None:
        self.connection.close(self.now)

    # The clock.

    def wait(self) -> None:
        """Let time pass as an adapter does: one timer, set to `poll_timeout`."""
        end = self.now + self.script.pick(_PAUSES)
        spins = 0
        while (due := self.connection.poll_timeout()) is not None and due <= end:
            spins = spins + 1 if due <= self.now else 0
            assert spins <= _MOST_SPINS, "a timer that is due, and due again"
            self.now = max(self.now, due)
            self.connection.handle_timeout(self.now)
            self.look()
        self.now = end
        self.patience.check(self.connection, self.server, end)

    def early_timeout(self) -> None:
        self.connection.handle_timeout(self.now)

    # The server.

    def read(self) -> None:
        """Let the connection read what the server says."""
        self.server.listened_to = self.connection.state is not ConnectionState.CLOSED
        octets = self.script.pick(_SAYINGS)(self.server)
        self.connection.receive_data(octets, self.now)
        if octets:
            self.patience.stir(self.now)

    def end_of_file(self) -> None:
        self.server.unheard = True
        self.connection.receive_eof(self.now)

    # What always holds.

    def look(self) -> None:
        connection = self.connection
        places = [ticket.place for ticket in self.tickets]
        for event in connection.events():
            assert not self.closed, "an event after the end"
            if isinstance(event, ConnectionClosed):
                self.closed += 1
            elif isinstance(event, _OUTCOMES):
                assert event.tag not in self.outcomes, "a second outcome"
                assert event.tag not in self.cancelled, "an outcome of what was cancelled"
                self.outcomes[event.tag] = event
                self.judge(event)
        places = [ticket.place for ticket in self.tickets]
        assert connection.in_flight == places.count(IN_FLIGHT)
        assert places.count(DONE) == len(self.outcomes) + len(self.cancelled)
        assert 0 <= connection.capacity <= connection.limit <= _MAX_STREAMS
        assert (connection.state is ConnectionState.CLOSED) == bool(self.closed)
        self.patience.look(connection, self.now)
        due = connection.poll_timeout()
        assert (due is not None) or not (connection.in_flight or places.count(QUEUED))

    def judge(
        self, outcome: Accepted[int] | Rejected[int] | Unprocessed[int] | Unknown[int]
    ) -> None:
        """Hold an outcome to its time, and to what was sent and said."""
        assert self.now <= self.tickets[outcome.tag].deadline + _ROUNDING, "too late"
        stream_id = self.stream_of.get(outcome.tag, 0)
        server = self.server
        assert server.says(stream_id, outcome), "another answer than was given"
        if isinstance(outcome, Unknown):
            assert stream_id in server.whole, "unknown, though the request was never sent whole"
            assert server.hostile or not server.is_proved_unprocessed(stream_id), "known to be not"
        elif isinstance(outcome, Unprocessed):
            assert server.is_proved_unprocessed(stream_id), "called unprocessed without proof"

    def finish(self) -> None:
        """End of file: everything has its outcome now."""
        self.pull()
        self.look()
        self.connection.receive_eof(self.now)
        self.look()
        assert self.closed == 1
        assert sorted([*self.outcomes, *self.cancelled]) == list(range(len(self.tickets)))
        self.server.read(self.connection.data_to_send())
        assert not self.connection.data_to_send()
        assert self.connection.poll_timeout() is None


_ENDING: Final = (ConnectionState.DRAINING, ConnectionState.CLOSED)
_MOST_SPINS: Final = 3
_ROUNDING: Final = 1e-6

_SAYINGS: Final = (
    ScriptedServer.settings,
    ScriptedServer.acknowledge,
    ScriptedServer.accept,
    ScriptedServer.reject,
    ScriptedServer.reset,
    ScriptedServer.credit,
    ScriptedServer.ping,
    ScriptedServer.go_away,
    ScriptedServer.anything,
)

_OPERATIONS: Final[tuple[Callable[[_Life], None], ...]] = (
    _Life.submit,
    _Life.pull,
    _Life.read,
    _Life.wait,
    _Life.cancel,
    _Life.set_token,
    _Life.early_timeout,
    _Life.retire,
    _Life.end_of_file,
    _Life.close,
)
"""In the order of how often they should come; a fuzzer's octets are small ones first."""


def check(data: bytes) -> None:
    """Live one life."""
    script = Decisions(data)
    life = _Life(script)
    while script.left:
        script.pick(_OPERATIONS)(life)
        life.look()
    life.finish()


# ── what to begin with ──


def seeds() -> Iterator[bytes]:
    """Yield an ordinary life, and one with each operation put in everywhere."""
    submit, pull, read, wait, set_token, retire = 0, 1, 2, 3, 5, 7
    settings, acknowledge, accept, reject = range(4)
    for token in (0, 1):
        ordinary = [
            bytes((token,)),
            bytes((set_token, 1)) if token else b"",
            bytes((submit, 3, 0)),
            bytes((pull, 0)),
            bytes((read, settings, 1, 20)),
            bytes((read, acknowledge)),
            bytes((pull, 0)),
            bytes((read, accept, 0)),
            bytes((submit, 7, 2)),
            bytes((pull, 0)),
            bytes((read, accept, 1)),
            bytes((read, accept, 0)),
            # Bodies that use up more than half of a window: credit is due.
            *[bytes((read, reject, 0, 2, 8, 1))] * 4,
            bytes((pull, 0)),
        ]
        yield b"".join(ordinary)
        extras = [bytes((operation, 3, 1, 0, 5)) for operation in range(len(_OPERATIONS))]
        extras += [bytes((read, saying, 2, 1, 0, 5)) for saying in range(len(_SAYINGS))]
        for extra in extras:
            for at in range(4, len(ordinary), 2):
                yield b"".join((*ordinary[:at], extra, *ordinary[at:]))
    # A server that falls silent: at once, with requests in flight, while it is drained.
    yield bytes((0, submit, 3, 0, pull, 0, wait, 4, wait, 3, pull, 0))
    in_flight = bytes((submit, 3, 0, pull, 0, read, settings, 1, 20, read, acknowledge, pull, 0))
    for first in (0, 2):
        begun = bytes((first,)) + in_flight
        yield begun + bytes((wait, 3, wait, 2, wait, 2, pull, 0, wait, 2, wait, 2, wait, 4))
        yield begun + bytes((read, 6, wait, 3, wait, 2, wait, 2, read, 6, wait, 4, pull, 0))
        yield begun + bytes((retire, wait, 3, pull, 0, wait, 2))
