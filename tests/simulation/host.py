"""One machine with a sender: it does what an adapter does, by the book, and looks on.

It runs the production `Sender`: executes its commands, carries bytes, follows `poll_timeout`,
collects outcomes. Nothing here knows what a sender should decide; `checks` does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final, Literal, TypeAlias, final

from apns_core import (
    Cause,
    Command,
    Connect,
    ConnectionId,
    Disconnect,
    Endpoint,
    Notification,
    Outcome,
    Sender,
    SenderConfig,
    SignToken,
    Ticket,
    Unknown,
)
from tests.apns_core.world import describe
from tests.simulation.checks import (
    Violation,
    check_closed,
    check_step,
    check_tickets,
)
from tests.simulation.clock import START, Clock, Trace
from tests.simulation.keys import KEY
from tests.simulation.link import Link, Path
from tests.simulation.servers import UNIX_TIME, Act, Server

__all__ = ["ENDPOINT", "ConnectResult", "Host", "Machine", "Push"]

ENDPOINT: Final = Endpoint("apns.test")

ConnectResult: TypeAlias = tuple[Server | Literal["refused", "hangs"], float]
"""Who accepts the connection, if anybody, and the seconds that it takes beyond the round trips."""

_WALK_EVERY: Final = 16
"""Steps between two walks over all open tickets."""
_MOST_SPINS: Final = 3
"""`handle_timeout` at one instant with nothing to show for it: one clock may set another."""
_BOOK: Final = 1e-6
"""Seconds within which two instants are the same."""


@final
@dataclass(slots=True, eq=False)
class Push:
    """One notification, what servers did with it and what the sender said of it."""

    number: int
    notification: Notification = field(repr=False)
    submitted_at: float
    may_be_resent: bool
    """Whether policy allows to send it again after an unknown outcome."""
    acts: list[Act] = field(default_factory=list[Act])
    ticket: Ticket["Push"] | None = field(default=None, repr=False)
    last_sent: "tuple[Link, int] | None" = field(default=None, repr=False)
    """On which stream of which link it was last sent."""
    deadline: float = 0.0
    cancelled: bool = False
    outcome: Outcome["Push"] | None = field(default=None, repr=False)
    done_at: float = 0.0

    @property
    def name(self) -> str:
        """For the trace."""
        return f"push {self.number}"

    @property
    def summary(self) -> str:
        """The outcome in a word or two."""
        return "cancelled" if self.cancelled else describe(_numbered(self.outcome))


def _numbered(outcome: "Outcome[Push] | None") -> "Outcome[int] | None":
    # Only its kind, cause and reason are looked at.
    return outcome  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


@final
@dataclass(slots=True)
class Machine:
    """What sender runs where: all that a host is made of."""

    config: SenderConfig
    path: Path
    token_authentication: bool
    lateness: float = 0.0
    """Seconds by which a timer may be late."""
    sign_latency: float = 0.0


@final
class Host:
    """One machine, its sender, and after a restart the next one."""

    def __init__(
        self,
        number: int,
        clock: Clock,
        rng: Random,
        machine: Machine,
        *,
        connect: Callable[[], ConnectResult],
        sign: Callable[[], bool],
        trace: Trace,
    ) -> None:
        """``connect`` says what becomes of the next connect, ``sign`` whether signing succeeds."""
        self.number = number
        self.clock = clock
        self.rng = rng
        self.machine = machine
        self.trace = trace
        self.wants_room: Callable[[], None] = lambda: None
        """Called after each step: callers who wait may submit."""
        self.links: dict[ConnectionId, Link] = {}
        """Those that the sender has asked for and not been told to be over."""
        self.all_links: list[Link] = []
        self.open: dict[int, Push] = {}
        """Pushes that are neither done nor cancelled."""
        self.connects = 0
        self.connect_times: list[float] = []
        self.sign_times: list[tuple[float, bool]] = []
        """When this sender asked for tokens, and whether it got one."""
        self.outcomes: list[Push] = []
        """Done since the last restart."""
        self.timers_are_late = machine.lateness > 0
        self._connect_result = connect
        self._sign_succeeds = sign
        self._steps = 0
        self._wake_at: float | None = None
        self._spins = 0
        self.sender = self._make_sender()

    @property
    def name(self) -> str:
        """For the trace."""
        return f"host {self.number}"

    # ── what is done to it ──

    def act(self, sender_input: Callable[[float], object]) -> None:
        """Give the sender an input, and do what an adapter does after each."""
        sender_input(self.clock.now)
        self._spins = 0
        self.pump()

    def submit(self, push: Push) -> None:
        """Submit one; the caller pumps."""
        push.ticket = self.sender.submit(push.notification, push, self.clock.now)
        push.deadline = self.clock.now + self.machine.config.connection.request_timeout
        self.open[push.number] = push
        self.trace.note(self.name, f"submits {push.name}")

    def cancel(self, push: Push) -> None:
        """Cancel one that is not done."""
        assert push.ticket is not None
        del self.open[push.number]
        push.cancelled = True
        self.trace.note(self.name, f"cancels {push.name}")
        ticket = push.ticket
        self.act(partial(self.sender.cancel, ticket))

    def withdraw(self, push: Push) -> None:
        """Withdraw one if it is still queued."""
        assert push.ticket is not None
        if push.ticket.place == 0:
            del self.open[push.number]
            push.cancelled = True
        self.trace.note(self.name, f"withdraws {push.name}")
        self.act(partial(self.sender.withdraw, push))

    def restart(self) -> None:
        """Make another sender in place of one that is closed."""
        assert self.sender.closed
        self.trace.note(self.name, "restarts")
        self.sender = self._make_sender()

    def _make_sender(self) -> "Sender[Push]":
        self.connect_times.clear()
        self.sign_times.clear()
        self.outcomes.clear()
        self._wake_at = None
        return Sender(
            ENDPOINT,
            rng=self.rng,
            now=self.clock.now,
            unix_time=UNIX_TIME + self.clock.now - START,
            token_authentication=self.machine.token_authentication,
            config=self.machine.config,
        )

    # ── what an adapter does ──

    def pump(self) -> None:
        """Drain every output, until nothing more comes of it."""
        while True:
            for link in list(self.links.values()):
                link.write()
            outcomes = self.sender.outcomes()
            for outcome in outcomes:
                self._take(outcome)
            commands = self.sender.commands()
            for command in commands:
                self._execute(command)
            if not outcomes and not commands:
                break
            self._spins = 0
        self._steps += 1
        check_step(self)
        if self._steps % _WALK_EVERY == 0:
            check_tickets(self)
        if self.sender.closed:
            check_closed(self)
        self._arm()
        self.wants_room()

    def _take(self, outcome: Outcome[Push]) -> None:
        push = outcome.tag
        if push.outcome is not None:
            raise Violation(f"{push.name} has two outcomes")
        if push.cancelled:
            raise Violation(f"{push.name} was cancelled and has an outcome")
        push.outcome = outcome
        push.done_at = self.clock.now
        del self.open[push.number]
        self.outcomes.append(push)
        self.trace.note(self.name, f"{push.name}: {push.summary}")
        self._check_doubt(push, outcome)
        if push.done_at > push.deadline + self.machine.lateness + _BOOK:
            raise Violation(f"{push.name} ended {push.done_at - push.deadline:.3f} s too late")

    @staticmethod
    def _check_doubt(push: Push, outcome: Outcome[Push]) -> None:
        """Doubt is honest only where the server can have acted, and has not denied it."""
        if not isinstance(outcome, Unknown) or push.last_sent is None or push.may_be_resent:
            return
        link, stream_id = push.last_sent
        if not link.was_sent(stream_id):
            raise Violation(f"{push.name} is called unknown, and was never sent to its end")
        # What came behind an error of the connection was not read.
        if outcome.cause is not Cause.PROTOCOL_ERROR and link.answers.disowned(stream_id):
            raise Violation(f"{push.name} is called unknown, and the server has disowned it")

    def _execute(self, command: Command) -> None:
        match command:
            case Connect(connection_id, _, deadline):
                self._connect(connection_id, deadline)
            case Disconnect(connection_id, cause, deadline):
                self.trace.note(self.name, f"disconnects link {connection_id}: {cause}")
                self._disconnect(self.links[connection_id], deadline)
            case SignToken(issued_at):
                self.trace.note(self.name, "signs")
                self.clock.after(
                    self.machine.sign_latency, partial(self._sign, self.sender, issued_at)
                )

    def _connect(self, connection_id: ConnectionId, deadline: float) -> None:
        self.connects += 1
        self.connect_times.append(self.clock.now)
        link = self.links[connection_id] = Link(self, connection_id)
        self.all_links.append(link)
        result, delay = self._connect_result()
        latency = self.machine.path.latency
        if result == "hangs":
            self.trace.note(link.name, "connects, and hears nothing")
            self.clock.at(deadline, partial(self._connect_failed, link))
        elif result == "refused":
            self.trace.note(link.name, "connects, and is refused")
            self.clock.after(2 * latency, partial(self._connect_failed, link))
        else:
            self.trace.note(link.name, f"connects to {result.name}")
            # TCP, then TLS 1.3: two round trips.
            done = self.clock.now + 4 * latency + delay
            if done < deadline:
                self.clock.at(done, partial(self._connected, link, result))
            else:
                self.clock.at(deadline, partial(self._connect_failed, link))

    def _connected(self, link: Link, server: Server) -> None:
        if link.over:
            return
        link.establish(server)
        self.act(partial(self.sender.connected, link.connection_id))
        if link.side is not None:
            link.side.pump()

    def _connect_failed(self, link: Link) -> None:
        if link.over or link.established:
            return
        link.over = True
        del self.links[link.connection_id]
        self.trace.note(link.name, "is not made")
        self.act(partial(self.sender.connect_failed, link.connection_id))

    def _disconnect(self, link: Link, deadline: float) -> None:
        if link.established:
            link.close(deadline)
        elif self.rng.random() < 0.7:
            self._connect_failed(link)
        # Else it is made in the same moment: connected, and then the command comes once more. If
        # it is not made after all, that is told as ever.

    def _sign(self, sender: "Sender[Push]", issued_at: int) -> None:
        if sender is not self.sender or sender.closed:
            return
        succeeds = self._sign_succeeds()
        self.sign_times.append((self.clock.now, succeeds))
        if succeeds:
            jwt = KEY.sign(issued_at)
            self.act(lambda now: sender.token_signed(jwt, now))
        else:
            self.trace.note(self.name, "cannot sign")
            self.act(sender.signing_failed)

    # ── its timer ──

    def _arm(self) -> None:
        due = self.sender.poll_timeout()
        if due is None:
            if self.sender.queued or self.sender.in_flight:
                raise Violation("the sender waits for nothing, and has not ended everything")
            self._wake_at = None
            return
        if due != self._wake_at:
            self._wake_at = due
            late = self.rng.uniform(0.0, self.machine.lateness) if self.timers_are_late else 0.0
            self.clock.at(due + late, partial(self._wake, self.sender, due))

    def _wake(self, sender: "Sender[Push]", due: float) -> None:
        if sender is not self.sender or due != self._wake_at:
            return
        self._wake_at = None
        self._spins += 1
        if self._spins > _MOST_SPINS:
            raise Violation("poll_timeout stays in the past, and nothing comes of it")
        sender.handle_timeout(self.clock.now)
        spins = self._spins
        self.pump()
        after = sender.poll_timeout()
        if after is None or after > self.clock.now or self._spins < spins:
            self._spins = 0
