"""Any order of what callers, an adapter, the clock and servers do to one `Sender`.

An input is a script of operations. Commands wait until an operation obeys one, well or badly; each
connection has a `ScriptedServer`, and outcomes are judged by the books of all of them.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from math import ceil
from random import Random
from typing import Final, NamedTuple

from apns_core.accounting import ConnectionState
from apns_core.commands import Command, Connect, ConnectionId, Disconnect, SignToken
from apns_core.connection import Connection
from apns_core.connection_config import ConnectionConfig
from apns_core.endpoints import Endpoint
from apns_core.outcomes import Outcome, Unknown, Unprocessed
from apns_core.retries import OnUnknown
from apns_core.sender import Sender, SenderConfig
from apns_core.tickets import DONE, IN_FLIGHT, QUEUED, Ticket
from fuzz.decisions import Decisions
from fuzz.letters import SIZES, Letter
from fuzz.patience import Patience
from fuzz.scripted_server import ScriptedServer

__all__ = ["MAX_LENGTH", "check", "seeds"]

MAX_LENGTH: Final = 512

_NOW: Final = 1_000.0
_UNIX_TIME: Final = 1_800_000_000.0
_ENDPOINT: Final = Endpoint("apns.test")
_CONFIGS: Final = tuple(
    SenderConfig(
        max_queued=queued,
        max_connections=connections,
        on_unknown=on_unknown,
        # Else the deadlines of requests come before the end of draining.
        connection=ConnectionConfig(drain_timeout=30.0 if connections == 3 else 5.0),
    )
    for queued in (20, 3)
    for connections in (3, 1)
    for on_unknown in OnUnknown
)
_PULLS: Final = (65_536, 1, 100, 1_000, 10_000)
_PAUSES: Final = (0.0, 0.01, 0.6, 1.0, 3.1, 9.0, 16.0, 31.0, 601.0, 1_201.0, 2_401.0)
_MOST_TICKETS: Final = 150
_MOST_SPINS: Final = 10
"""`handle_timeout` at one instant: one clock may set another, for each of the connections."""


_ROUNDING: Final = 1e-6
_AS_A_DURATION: Final = 7


class _Signed(NamedTuple):
    """A provider token that was signed."""

    issued_at: float
    """Monotonic seconds."""
    key: int
    """Which signing key it was asked of; each that replaces another has the next number."""


_TOKEN_LIFETIME: Final = 60 * 60.0
_TOKEN_KEPT: Final = 20 * 60.0
"""Apple's two rules: no token is older, and none is followed by another sooner on a connection."""
_TOKEN_KEPT_AT_MOST: Final = _TOKEN_KEPT + 60.0
"""Where its age admits that."""


class _Life:
    """One script and all that is known about it."""

    def __init__(self, script: Decisions) -> None:
        self.script = script
        self.now = _NOW
        choices = script.byte()
        self.token = bool(choices & 1)
        self.config = _CONFIGS[(choices >> 1) % len(_CONFIGS)]
        self.sender: Sender[int] = Sender(
            _ENDPOINT,
            rng=Random(0),  # noqa: S311 - a run can be replayed
            now=_NOW,
            unix_time=_UNIX_TIME,
            token_authentication=self.token,
            config=self.config,
        )
        self.tickets: list[Ticket[int]] = []
        self.letters: list[Letter] = []
        self.cancelled: set[int] = set()
        self.outcomes: dict[int, Outcome[int]] = {}
        self.commands: list[Command] = []
        self.connecting: set[ConnectionId] = set()
        self.servers: dict[ConnectionId, ScriptedServer] = {}
        """Of the connections that stand."""
        self.patience: dict[ConnectionId, Patience] = {}
        self.attempts: dict[int, list[tuple[ScriptedServer, int]]] = {}
        """Tag -> the streams that have carried it."""
        self.connected_at = -1e9
        self.signing: SignToken | None = None
        self.signing_key = 0
        """Of the signing under way."""
        self.key = 0
        self.signed = 0
        self.tokens: dict[bytes, _Signed] = {}
        """By their `authorization`."""
        self.newest: _Signed | None = None
        """By the key that holds."""
        self.in_use: dict[ConnectionId, tuple[_Signed, float]] = {}
        """What each connection has sent last, and when first."""
        self.ended = False
        """Whether `close` or `abort` was called."""

    # Callers.

    def submit(self) -> None:
        count, size = 1 + self.script.byte() % 8, self.script.pick(SIZES)
        for _ in range(count):
            if self.ended or not self.sender.room or len(self.tickets) >= _MOST_TICKETS:
                return
            tag = len(self.tickets)
            expiration, expires = self.expiration()
            letter = Letter.write(tag, size, expiration=expiration, expires=expires)
            self.letters.append(letter)
            self.tickets.append(self.sender.submit(letter.notification, tag, self.now))

    def expiration(self) -> tuple[int | timedelta | None, int | None]:
        """Choose one that is near, so that a retry may come too late; and what it comes to."""
        choice = self.script.byte() % 8
        if choice == _AS_A_DURATION:
            return timedelta(seconds=20), ceil(_UNIX_TIME - _NOW + self.now) + 20
        expires = (None, 0, int(_UNIX_TIME) + 20, int(_UNIX_TIME) + 30)[choice % 4]
        return expires, expires

    def cancel(self) -> None:
        if self.tickets:
            ticket = self.tickets[self.script.byte() % len(self.tickets)]
            if ticket.place in {QUEUED, IN_FLIGHT}:
                self.cancelled.add(ticket.tag)
            self.sender.cancel(ticket, self.now)

    def withdraw(self) -> None:
        if self.tickets:
            ticket = self.tickets[self.script.byte() % len(self.tickets)]
            if ticket.place == QUEUED:
                self.cancelled.add(ticket.tag)
            self.sender.withdraw(ticket.tag, self.now)

    def replace_key(self) -> None:
        self.sender.replace_token_key(self.now)
        if self.token:
            self.key += 1
            self.newest = None

    def close(self) -> None:
        self.ended = True
        pause = self.script.byte()
        self.sender.close(self.now, deadline=self.now + pause if pause else None)

    def abort(self) -> None:
        self.ended = True
        self.sender.abort(self.now)

    # The adapter.

    def obey(self) -> None:
        """Obey the oldest command, as well as the next decision says."""
        if not self.commands:
            return
        command = self.commands.pop(0)
        well = self.script.byte() & 3 != 3
        match command:
            case Connect(connection_id):
                self.connecting.add(connection_id)
                if well:
                    self.connect(connection_id)
            case Disconnect(connection_id):
                if connection_id in self.servers:
                    self.lose(connection_id)
                elif connection_id in self.connecting:
                    self.settle_connecting(connection_id, well=not well)
            case SignToken(issued_at):
                self.signing = None
                if well:
                    self.signed += 1
                    token = _Signed(issued_at - _UNIX_TIME + _NOW, self.signing_key)
                    self.tokens[b"bearer header.claims.%d" % self.signed] = token
                    if token.key == self.key:
                        self.newest = token
                    self.sender.token_signed(f"header.claims.{self.signed}", self.now)
                else:
                    self.sender.signing_failed(self.now)

    def settle_one(self) -> None:
        """Let one that is being made stand, or fail."""
        if self.connecting:
            self.settle_connecting(min(self.connecting), well=self.script.flag())

    def settle_connecting(self, connection_id: ConnectionId, *, well: bool) -> None:
        if well:
            self.connect(connection_id)
        else:
            self.connecting.discard(connection_id)
            self.sender.connect_failed(connection_id, self.now)

    def connect(self, connection_id: ConnectionId) -> None:
        self.connecting.discard(connection_id)
        self.servers[connection_id] = ScriptedServer(
            self.script, _ENDPOINT.host.encode(), token=self.token, number=connection_id
        )
        self.patience[connection_id] = Patience(self.config.connection, self.now)
        self.sender.connected(connection_id, self.now)

    def pull(self) -> None:
        connection_id = self.any_connection()
        if connection_id is not None:
            self.pull_from(connection_id, self.script.pick(_PULLS))

    def pull_from(self, connection_id: ConnectionId, max_bytes: int) -> None:
        server = self.servers[connection_id]
        known = len(server.opened)
        before = {id(ticket): ticket.attempts for ticket in self.tickets}
        output = self.sender.data_to_send(connection_id, max_bytes)
        server.read(output)
        carried = 0
        for ticket in self.tickets:
            if ticket.place == IN_FLIGHT and ticket.attempts > before[id(ticket)]:
                attempts = self.attempts.setdefault(ticket.tag, [])
                if self.config.on_unknown is OnUnknown.REPORT:
                    assert all(
                        former.is_proved_unprocessed(stream_id) or stream_id in former.answers
                        for former, stream_id in attempts
                    ), "sent again, though it may have been processed"
                attempts.append((server, ticket.stream_id))
                self.patience[connection_id].stir(self.now)
                carried += 1
                authorization = server.look_at(ticket.stream_id, self.letters[ticket.tag])
                if authorization:
                    self.judge_token(connection_id, authorization)
        assert carried == len(server.opened) - known
        server.look_at_bodies()

    def judge_token(self, connection_id: ConnectionId, authorization: bytes) -> None:
        """Hold a provider token to its age, and to how often a connection may change it."""
        assert authorization in self.tokens, "a provider token that nobody has signed"
        token = self.tokens[authorization]
        assert token.key == self.key, "a provider token of a key that was replaced"
        now = self.sender._now  # noqa: SLF001 - the instant that it was told last
        assert now < token.issued_at + _TOKEN_LIFETIME, "a provider token that has expired"
        former, since = self.in_use.get(connection_id, (None, now))
        if former is not token:
            assert token is self.newest, "a provider token that is not the newest"
            assert former is None or now >= since + _TOKEN_KEPT, "a change that comes too soon"
            self.in_use[connection_id] = token, now
        elif now >= since + _TOKEN_KEPT_AT_MOST:
            assert token is self.newest, "a provider token that is kept too long"

    def read(self) -> None:
        """Let a connection read what its server says."""
        connection_id = self.any_connection()
        if connection_id is not None:
            server = self.servers[connection_id]
            connection = self.connection(connection_id)
            server.listened_to = connection.state is not ConnectionState.CLOSED
            octets = self.script.pick(_SAYINGS)(server)
            if octets:
                self.patience[connection_id].stir(self.now)
            self.sender.receive_data(connection_id, octets, self.now)

    def end_of_file(self) -> None:
        connection_id = self.any_connection()
        if connection_id is not None:
            self.lose(connection_id)

    def lose(self, connection_id: ConnectionId) -> None:
        del self.servers[connection_id]
        self.sender.receive_eof(connection_id, self.now)

    def connection(self, connection_id: ConnectionId) -> Connection[int]:
        connection = self.sender._links[connection_id].connection  # noqa: SLF001 - no other way
        assert connection is not None
        return connection

    def any_connection(self) -> ConnectionId | None:
        ids = sorted(self.servers)
        return ids[self.script.byte() % len(ids)] if ids else None

    # The clock.

    def wait(self) -> None:
        """Let time pass as an adapter does: one timer, set to `poll_timeout`."""
        end = self.now + self.script.pick(_PAUSES)
        spins = 0
        while (due := self.sender.poll_timeout()) is not None and due <= end:
            spins = spins + 1 if due <= self.now else 0
            assert spins <= _MOST_SPINS, "a timer that is due, and due again"
            self.now = max(self.now, due)
            self.sender.handle_timeout(self.now)
            self.look()
            for connection_id in list(self.servers):
                self.pull_from(connection_id, 65_536)
            self.look()
        self.now = end
        for connection_id, server in self.servers.items():
            self.patience[connection_id].check(self.connection(connection_id), server, end)
        delayed = self.sender._delayed  # noqa: SLF001 - what comes of it may take until its deadline
        assert not [one for one in delayed if one[0] < end and one[2].place == QUEUED]

    # What always holds.

    def look(self) -> None:
        sender = self.sender
        for outcome in sender.outcomes():
            assert outcome.tag not in self.outcomes, "a second outcome"
            assert outcome.tag not in self.cancelled, "an outcome of what was cancelled"
            self.outcomes[outcome.tag] = outcome
            self.judge(outcome)
        for command in sender.commands():
            self.take(command)
        for connection_id in self.servers:
            self.patience[connection_id].look(self.connection(connection_id), self.now)
        places = [ticket.place for ticket in self.tickets]
        assert sender.queued == places.count(QUEUED)
        assert sender.in_flight == places.count(IN_FLIGHT)
        assert places.count(DONE) == len(self.outcomes) + len(self.cancelled)
        assert 0 <= sender.room <= self.config.max_queued
        unfinished = sender.queued + sender.in_flight
        assert sender.poll_timeout() is not None or not unfinished
        assert not sender.closed or not (unfinished or self.servers or self.connecting)

    def take(self, command: Command) -> None:
        match command:
            case Connect(connection_id):
                assert connection_id not in self.servers
                assert self.now - self.connected_at >= self.config.connect_floor - 1e-6
                assert sender_wants_one(self)
                self.connected_at = self.now
            case SignToken(issued_at):
                assert self.token
                assert self.signing is None, "two signings at once"
                assert issued_at == int(_UNIX_TIME - _NOW + self.now), "not signed for now"
                self.signing, self.signing_key = command, self.key
            case Disconnect():
                pass
        self.commands.append(command)

    def judge(self, outcome: Outcome[int]) -> None:
        """Hold an outcome to its time, and to what the books of all servers say."""
        assert self.now <= self.tickets[outcome.tag].deadline + _ROUNDING, "too late"
        attempts = self.attempts.get(outcome.tag, [])
        if isinstance(outcome, Unknown):
            assert any(stream_id in server.whole for server, stream_id in attempts)
        for server, stream_id in reversed(attempts):
            if isinstance(outcome, Unknown) and any(map(_may_have_acted, attempts)):
                # What may have been processed still may, whatever a later attempt was answered.
                return
            if server.hostile or stream_id in server.answers:
                assert server.says(stream_id, outcome), "another answer than was given"
                return
            if not server.is_proved_unprocessed(stream_id):
                # The last that may have been acted on: it decides.
                assert isinstance(outcome, Unknown), "called unprocessed without proof"
                return
        assert isinstance(outcome, Unprocessed), "known to be not"

    def finish(self) -> None:
        """Abort and lose all connections: everything has its outcome now, and it is closed."""
        self.abort()
        self.look()
        for connection_id in list(self.servers):
            self.pull_from(connection_id, 65_536)
            self.lose(connection_id)
        self.look()
        for command in self.commands:
            if isinstance(command, Connect):
                self.connecting.add(command.connection_id)
        for connection_id in list(self.connecting):
            self.settle_connecting(connection_id, well=False)
        self.look()
        assert sorted([*self.outcomes, *self.cancelled]) == list(range(len(self.tickets)))
        assert self.sender.closed
        assert self.sender.poll_timeout() is None


def _may_have_acted(attempt: tuple[ScriptedServer, int]) -> bool:
    """Whether nobody knows what came of an attempt."""
    server, stream_id = attempt
    unanswered = stream_id not in server.answers and not server.is_proved_unprocessed(stream_id)
    return server.hostile or unanswered


def sender_wants_one(life: _Life) -> bool:
    """Whether a connection may be asked for: something is queued."""
    return any(ticket.place == QUEUED for ticket in life.tickets)


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
    _Life.obey,
    _Life.pull,
    _Life.read,
    _Life.wait,
    _Life.cancel,
    _Life.end_of_file,
    _Life.settle_one,
    _Life.withdraw,
    _Life.replace_key,
    _Life.close,
    _Life.abort,
)


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
    """Yield an ordinary life under each configuration, and with each operation put in."""
    submit, obey, pull, read, wait = range(5)
    settings, acknowledge, accept, reject = range(4)
    ordinary = [
        bytes((submit, 3, 0, 0, 0, 0, 0)),
        bytes((pull, 0, 0)),
        bytes((read, 0, settings, 1, 20)),
        bytes((read, 0, acknowledge)),
        bytes((pull, 0, 0)),
        bytes((read, 0, accept, 0)),
        bytes((submit, 7, 2) + (0,) * 8),
        bytes((pull, 0, 0)),
        bytes((read, 0, accept, 1)),
        bytes((read, 0, reject, 0, 4, 7, 1)),
        bytes((wait, 2)),
    ]
    # Bodies that use up more than half of a window: credit is due.
    ordinary += [bytes((read, 0, reject, 0, 2, 8, 1))] * 4 + [bytes((pull, 0, 0))]
    connect = bytes((obey, 0))
    sign_and_connect = connect * 2
    for configuration in range(2 * len(_CONFIGS)):
        begin = sign_and_connect if configuration & 1 else connect
        yield b"".join((bytes((configuration,)), ordinary[0], begin, *ordinary[1:]))
    ordinary.insert(1, sign_and_connect)
    # A new provider token is due, and the connection may change to it.
    later = [bytes((wait, 10)), bytes((submit, 3, 0) + (7,) * 4), bytes((obey, 0, pull, 0, 0))]
    yield b"".join((b"\x01", *ordinary, *later))
    # A server that falls silent: at once, with requests in flight, while it is drained.
    nine, one = bytes((wait, 5)), bytes((wait, 3))
    for configuration in (0, 6):
        begun = bytes((configuration,)) + ordinary[0] + bytes((obey, 0))
        yield begun + bytes((wait, 6)) + nine
        in_flight = begun + b"".join(ordinary[2:6])
        yield in_flight + nine + one * 3 + nine + bytes((wait, 6))
        yield in_flight + bytes((read, 0, 7, 255, 0)) + nine + one
    extras = [bytes((operation, 3, 1, 0, 5)) for operation in range(len(_OPERATIONS))]
    extras += [bytes((read, 0, saying, 2, 1, 0, 5)) for saying in range(len(_SAYINGS))]
    for extra in extras:
        for at in range(1, len(ordinary), 2):
            yield b"".join((b"\x01", *ordinary[:at], extra, *ordinary[at:]))
