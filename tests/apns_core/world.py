"""A sender, a simulated APNs and the network between them, in one thread and in virtual time.

`World` does what an adapter does, by the book: it executes the sender's commands, carries bytes,
follows `poll_timeout`, collects outcomes. `World.check` holds the outcomes against the simulator's
ledger. Everything random comes from one seed.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from random import Random
from typing import Final, Literal, TypeAlias

from apns_core import (
    Accepted,
    Command,
    Connect,
    ConnectionId,
    Disconnect,
    Endpoint,
    Notification,
    OnUnknown,
    Outcome,
    Rejected,
    Route,
    Sender,
    SenderConfig,
    SignToken,
    Ticket,
    Unknown,
    Unprocessed,
)
from apns_simulator import (
    LedgerEntry,
    ProviderKey,
    SimulatedConnection,
    Simulator,
    SimulatorConfig,
    Temper,
    make_provider_key,
)

ENDPOINT: Final = Endpoint("apns.test")
ROUTE: Final = Route("com.example.app")
PAYLOAD: Final = b'{"aps":{"alert":"Hello"}}'
ONE: Final = SenderConfig(max_connections=1, max_queued=1_000)
"""One connection at a time, and room for a thousand: what most tests are about."""
UNIX_TIME: Final = 1_800_000_000.0
START: Final = 1_000.0
"""Where the monotonic clock stands at first; not 0, which would hide a forgotten addition."""

Action: TypeAlias = Callable[[], object]
ConnectResult: TypeAlias = Literal["ok", "refused", "hangs"]

_MOST_WAKE_UPS: Final = 20
"""`handle_timeout` at one and the same instant; more means that it announces what it never does."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """What lies between the sender and the servers. Times are seconds."""

    latency: float = 0.02
    """One way."""
    segments: bool = False
    """Whether what is sent arrives in pieces of random size, at random intervals."""
    pull: int = 65_536
    """`max_bytes` of each pull from the sender."""


@dataclass
class Submitted:
    """One notification and what came of it."""

    number: int
    ticket: Ticket[int]
    deadline: float
    cancelled: bool = False
    outcome: Outcome[int] | None = None
    done_at: float = 0.0


class SimulatedLink:
    """One TCP connection: two directions that keep the order of what is sent in each."""

    def __init__(self, world: "World", connection_id: ConnectionId) -> None:
        self.world = world
        self.connection_id = connection_id
        self.server: SimulatedConnection | None = None
        self.established = False
        """Whether the sender was told that it is connected, and not yet that it is gone."""
        self.abandoned = False
        """Whether the sender gave it up while it was being made."""
        self.closing = False
        self.black_hole = False
        """Nothing arrives any more, in either direction, and nobody is told."""
        self._server_heard_eof = False
        self._to_server_at = 0.0
        self._to_client_at = 0.0

    def write(self, data: bytes) -> None:
        """Send bytes to the server."""
        for piece in self.world.cut(data):
            self._to_server_at = self.world.arrival(self._to_server_at)
            self.world.at(self._to_server_at, partial(self._server_reads, piece))

    def close(self, deadline: float) -> None:
        """Close from the sender's side, when all that was written has been sent."""
        if self.closing:
            return
        self.closing = True
        self._to_server_at = self.world.arrival(self._to_server_at)
        self.world.at(self._to_server_at, self._server_reads_eof)
        answered = self.world.now + 2 * self.world.network.latency
        self.world.at(deadline if self.black_hole else min(answered, deadline), self.lose)

    def cut(self) -> None:
        """Break it in the middle: what is under way arrives nowhere."""
        self.black_hole = True
        self.lose()
        if self.server is not None:
            self.server.receive_eof(self.world.now)

    def lose(self) -> None:
        """Tell the sender that it is gone."""
        if self.established:
            self.established = False
            self.world.note("eof", self.connection_id)
            self.world.sender.receive_eof(self.connection_id, self.world.now)

    def pump_server(self) -> None:
        """Carry what the server has written."""
        server = self.server
        if server is None or self._server_heard_eof:
            return
        data = server.data_to_send()
        for piece in self.world.cut(data):
            self._to_client_at = self.world.arrival(self._to_client_at)
            self.world.at(self._to_client_at, partial(self._client_reads, piece))
        if server.closed:
            self._server_heard_eof = True
            self._to_client_at = self.world.arrival(self._to_client_at)
            self.world.at(self._to_client_at, self._client_reads_eof)

    def _server_reads(self, data: bytes) -> None:
        if self.server is not None and not self.black_hole:
            self.server.receive_data(data, self.world.now)
            self.pump_server()

    def _server_reads_eof(self) -> None:
        if self.server is not None and not self.black_hole:
            self.server.receive_eof(self.world.now)
            self._server_heard_eof = True

    def _client_reads(self, data: bytes) -> None:
        if self.established and not self.black_hole:
            self.world.sender.receive_data(self.connection_id, data, self.world.now)

    def _client_reads_eof(self) -> None:
        if not self.black_hole:
            self.lose()


class World:
    """One sender against one simulated APNs."""

    def __init__(
        self,
        *,
        seed: int = 0,
        config: SenderConfig | None = None,
        apns: SimulatorConfig | None = None,
        temper: Temper | None = None,
        network: Network | None = None,
        key: ProviderKey | None = None,
        token_authentication: bool = True,
    ) -> None:
        """``key``: sign real tokens, which the simulator verifies; else it looks at none."""
        self.rng = Random(seed)
        self.now = START
        self.config = config or ONE
        self.network = network or Network()
        self.sender: Sender[int] = Sender(
            ENDPOINT,
            rng=Random(seed),
            now=self.now,
            unix_time=UNIX_TIME,
            token_authentication=token_authentication,
            config=self.config,
        )
        self.simulator = Simulator(
            apns or SimulatorConfig(authentication="none"),
            unix_time=UNIX_TIME,
            now=self.now,
            rng=Random(seed),
            temper=temper,
        )
        self.connects: Callable[[int], ConnectResult] = lambda _number: "ok"
        """What becomes of the so-manieth attempt to connect; 1 is the first."""
        self.sign: Callable[[int], str | None] = _signer(key)
        """Makes a JWT of an ``iat``; None when it fails."""
        self.sign_latency = 0.0
        self.submitted: list[Submitted] = []
        self.links: dict[ConnectionId, SimulatedLink] = {}
        self.commands: list[tuple[float, Command]] = []
        self.trace: list[tuple[float, str, int]] = []
        self.wake_ups = 0
        self.unfinished = 0
        """Notifications offered or submitted, not cancelled and without an outcome."""
        self._offered = 0
        self._agenda: list[tuple[float, int, Action]] = []
        self._made = 0
        self._woken_at = (0.0, 0)

    # ── what tests do ──

    def submit(
        self,
        count: int = 1,
        *,
        payload: bytes = PAYLOAD,
        expiration: int | None = None,
        collapse_id: str | None = None,
    ) -> list[Ticket[int]]:
        """Submit so many notifications, each to a device of its own."""
        tickets = [
            self._submit(
                Notification(
                    ROUTE,
                    device_token(len(self.submitted)),
                    payload,
                    expiration=expiration,
                    collapse_id=collapse_id,
                )
            )
            for _ in range(count)
        ]
        self.pump()
        return tickets

    def offer(self, count: int) -> None:
        """Submit so many more, each as soon as there is room."""
        self._offered += count
        self.unfinished += count
        self.pump()

    def cancel(self, ticket: Ticket[int]) -> None:
        """Cancel; it has no effect on what has its outcome."""
        submitted = self.submitted[ticket.tag]
        if submitted.outcome is None and not submitted.cancelled:
            submitted.cancelled = True
            self.unfinished -= 1
        self.sender.cancel(ticket, self.now)
        self.pump()

    def at(self, when: float, action: Action) -> None:
        """Do something at a time. Equal times keep their order."""
        self._made += 1
        heapq.heappush(self._agenda, (when, self._made, action))

    def after(self, seconds: float, action: Action) -> None:
        """Do something so many seconds from now."""
        self.at(self.now + seconds, action)

    def run(self, seconds: float | None = None) -> None:
        """Let time pass: so many seconds, or until every notification has its outcome."""
        until = None if seconds is None else self.now + seconds
        while until is not None or self.unfinished:
            if not self._step(until):
                break
        if until is not None:
            self.now = until

    def finish(self) -> None:
        """Close the sender, let everything come to its end, and `check`."""
        self.run()
        self.sender.close(self.now)
        self.settle()
        self.check()

    def settle(self) -> None:
        """Let everything come to its end after `close` or `abort`."""
        self.pump()
        while not self.sender.closed or self._agenda:
            assert self._step(None), "the sender waits for nothing, and is not closed"
        assert self.sender.poll_timeout() is None

    # ── what tests ask ──

    @property
    def connect_times(self) -> list[float]:
        """When connections were begun."""
        return [when for when, command in self.commands if isinstance(command, Connect)]

    @property
    def signings(self) -> list[float]:
        """When tokens were asked for."""
        return [when for when, command in self.commands if isinstance(command, SignToken)]

    @property
    def live_links(self) -> list[SimulatedLink]:
        """The links that the sender counts as connected, oldest first."""
        return [link for link in self.links.values() if link.established]

    def outcomes(self) -> list[Outcome[int] | None]:
        """All outcomes, in the order of submission."""
        return [one.outcome for one in self.submitted]

    def tally(self) -> Counter[str]:
        """Count outcomes: by kind, and what was not accepted by cause or reason as well."""
        return Counter(describe(outcome) for outcome in self.outcomes())

    def attempts(self) -> Counter[str]:
        """Device token -> how often a server has seen it, processed or not, on streams read."""
        return self.simulator.ledger.processed_by_device()

    def check(self) -> None:
        """Assert that every notification has one outcome, true by the ledger, and no rule broke."""
        ledger = self.simulator.ledger
        assert ledger.violations == []
        entries: defaultdict[str, list[LedgerEntry]] = defaultdict(list)
        for entry in ledger.entries:
            entries[entry.device_token].append(entry)
        for one in self.submitted:
            self._check_one(one, entries[device_token(one.number)])
        assert self.sender.queued == 0
        assert self.sender.in_flight == 0
        assert self.sender.room == self.config.max_queued
        assert not self.sender._former
        times = self.connect_times
        for before, after in pairwise(times):
            assert after - before >= self.config.connect_floor - 1e-9

    def _check_one(self, one: Submitted, entries: list[LedgerEntry]) -> None:
        accepted = [entry for entry in entries if entry.status == 200]
        outcome = one.outcome
        if self.config.on_unknown is OnUnknown.REPORT:
            assert len(accepted) <= 1, "it was delivered twice"
        if one.cancelled:
            assert outcome is None
            return
        assert outcome is not None, "it has no outcome"
        assert outcome.tag == one.number
        assert one.done_at <= one.deadline + 1e-6
        if isinstance(outcome, Accepted):
            assert any(entry.answered for entry in accepted)
        elif isinstance(outcome, Rejected):
            answers = {(entry.status, entry.reason) for entry in entries if entry.answered}
            # Not every body says why, or can be read.
            told = {(status, None) for status, _ in answers} | answers
            assert (outcome.status, outcome.reason_text) in told
            assert not accepted or self.config.on_unknown is not OnUnknown.REPORT
        elif isinstance(outcome, Unprocessed):
            assert entries == [], "the server has acted on it"

    # ── what an adapter does ──

    def pump(self) -> None:
        """Drain every output of the sender, until nothing more comes of it."""
        busy = True
        while busy:
            self._write()
            outcomes = self.sender.outcomes()
            for outcome in outcomes:
                self._record(outcome)
            commands = self.sender.commands()
            for command in commands:
                self._execute(command)
            busy = bool(outcomes or commands)
            while self._offered and self.sender.room:
                self._offered -= 1
                self.unfinished -= 1
                token = device_token(len(self.submitted))
                self._submit(Notification(ROUTE, token, PAYLOAD))
                busy = True

    def _submit(self, notification: Notification) -> Ticket[int]:
        number = len(self.submitted)
        ticket = self.sender.submit(notification, number, self.now)
        self.submitted.append(Submitted(number, ticket, ticket.deadline))
        self.unfinished += 1
        return ticket

    def _write(self) -> None:
        for link in list(self.links.values()):
            while link.established and not link.closing:
                data = self.sender.data_to_send(link.connection_id, self.network.pull)
                if not data:
                    break
                link.write(data)

    def _record(self, outcome: Outcome[int]) -> None:
        one = self.submitted[outcome.tag]
        assert one.outcome is None, "it has two outcomes"
        assert not one.cancelled, "it was cancelled"
        self.unfinished -= 1
        one.outcome = outcome
        one.done_at = self.now
        self.note(describe(outcome), outcome.tag)

    def _execute(self, command: Command) -> None:
        self.commands.append((self.now, command))
        match command:
            case Connect(connection_id, _, deadline):
                self.note("connect", connection_id)
                self._connect(SimulatedLink(self, connection_id), deadline)
            case Disconnect(connection_id, _, deadline):
                self.note("disconnect", connection_id)
                self._disconnect(self.links[connection_id], deadline)
            case SignToken(issued_at):
                self.note("sign", issued_at)
                self.after(self.sign_latency, lambda: self._sign(issued_at))

    def _connect(self, link: SimulatedLink, deadline: float) -> None:
        self.links[link.connection_id] = link
        result = self.connects(len(self.links))
        if result == "hangs":
            self.at(deadline, lambda: self._connect_failed(link))
        elif result == "refused":
            self.after(2 * self.network.latency, lambda: self._connect_failed(link))
        else:
            # TCP, then TLS 1.3: two round trips.
            self.after(4 * self.network.latency, lambda: self._connected(link))

    def _connected(self, link: SimulatedLink) -> None:
        if link.abandoned:
            return
        link.established = True
        link.server = self.simulator.accept(self.now)
        self.sender.connected(link.connection_id, self.now)
        link.pump_server()

    def _connect_failed(self, link: SimulatedLink) -> None:
        if not link.abandoned:
            link.abandoned = True
            self.sender.connect_failed(link.connection_id, self.now)

    def _disconnect(self, link: SimulatedLink, deadline: float) -> None:
        if link.established:
            self._write()
            link.close(deadline)
        else:
            self._connect_failed(link)

    def _sign(self, issued_at: int) -> None:
        jwt = self.sign(issued_at)
        if jwt is None:
            self.sender.signing_failed(self.now)
        else:
            self.sender.token_signed(jwt, self.now)

    # ── time ──

    def _step(self, until: float | None) -> bool:
        """Go to the next thing that happens, and let it; False if there is none by ``until``."""
        wake_up = self.sender.poll_timeout()
        agenda = self._agenda[0][0] if self._agenda else None
        timers = [
            (timer, link)
            for link in self.links.values()
            if link.server is not None and (timer := link.server.poll_timeout()) is not None
        ]
        timer = min((when for when, _ in timers), default=None)
        when = min((at for at in (agenda, wake_up, timer) if at is not None), default=None)
        if when is None or (until is not None and when > until):
            return False
        # Only the sender may be late, when it has just learnt what it should have done.
        self.now = max(self.now, when)
        if when == agenda:
            heapq.heappop(self._agenda)[2]()
        elif when == timer:
            for due, link in timers:
                if due == when and link.server is not None:
                    link.server.handle_timeout(self.now)
                    link.pump_server()
        else:
            self._wake_up()
        self.pump()
        return True

    def _wake_up(self) -> None:
        at, times = self._woken_at
        self._woken_at = (self.now, times + 1 if at == self.now else 1)
        assert times < _MOST_WAKE_UPS or at < self.now, "poll_timeout is in the past for good"
        self.wake_ups += 1
        self.sender.handle_timeout(self.now)

    def arrival(self, not_before: float) -> float:
        """Return when something sent now arrives."""
        delay = self.network.latency
        if self.network.segments:
            delay *= self.rng.uniform(0.5, 1.5)
        return max(self.now + delay, not_before)

    def cut(self, data: bytes) -> list[bytes]:
        """Return the segments in which bytes arrive."""
        if not self.network.segments or len(data) < 2:
            return [data] if data else []
        cuts = sorted(self.rng.sample(range(1, len(data)), min(3, len(data) - 1)))
        return [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def note(self, what: str, number: int) -> None:
        """Add a line to the trace: two runs with one seed have the same."""
        self.trace.append((self.now, what, number))


def device_token(number: int) -> str:
    """Return the device of the so-manieth notification; 0 is the first."""
    return f"{number:064x}"


def describe(outcome: Outcome[int] | None) -> str:
    """Name an outcome in a word or two: its kind, then its cause or reason."""
    match outcome:
        case None:
            return "none"
        case Accepted():
            return "accepted"
        case Rejected(reason_text=reason, status=status):
            return f"rejected {reason or status}"
        case Unprocessed(cause=cause):
            return f"unprocessed {cause.name}"
        case Unknown(cause=cause):
            return f"unknown {cause.name}"


def token_authority() -> tuple[ProviderKey, SimulatorConfig]:
    """Return a key, and a simulated APNs that trusts it and no other."""
    key = make_provider_key()
    return key, SimulatorConfig(trusted_keys=key.trusted())


def _signer(key: ProviderKey | None) -> Callable[[int], str | None]:
    return key.sign if key is not None else "token-{}".format
