"""One world: hosts, servers and the network between them, all of it drawn from one seed.

A world has two phases. In the first, faults of the kinds that its seed has switched on strike at
random times (safety: nothing untrue happens). Then all faults stop, and what the senders must come
back to is timed (liveness: something good happens).
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from math import ceil
from random import Random
from typing import Final, final
from uuid import UUID

from apns_core import (
    Accepted,
    Cause,
    Notification,
    OnUnknown,
    QueueFull,
    Route,
    Sender,
    Unprocessed,
)
from tests.simulation.audit import audit, check_act
from tests.simulation.chaos import Chaos
from tests.simulation.checks import Violation, check_quiet, check_tickets, check_times
from tests.simulation.clock import START, Clock, Trace
from tests.simulation.drawing import draw_machine, draw_server_config
from tests.simulation.faults import Fault, FaultCount, swarm
from tests.simulation.host import ConnectResult, Host, Push
from tests.simulation.servers import UNIX_TIME, Act, Server

__all__ = ["World"]

ROUTES: Final = (
    Route("com.example.app"),
    Route("com.example.app", "background"),
    Route.for_app("com.example.app", "voip"),
)

RECOVERY: Final = 300.0
"""Seconds within which a sender is well again when the faults have stopped: the longest backoff of
120 s, a connect, the stall timeout of a connection that was spoilt, and room for one of each more.
"""
PROMPT: Final = 5.0
"""Seconds for a notification to be accepted where nothing is wrong, beyond round trips."""
IN_A_ROW: Final = 4
"""Prompt acceptances that show a sender to be well."""
BATCH: Final = 12
GOOD_SIZE: Final = 30
"""Octets of their payloads."""
TRICKLE: Final = 3.0
"""Seconds between notifications while a sender recovers: without work nothing is found out."""

_MOST_KNOCKS: Final = 5

_LATE_ARRIVALS: Final = frozenset(
    {
        Fault.STALL,
        Fault.BLACK_HOLE,
        Fault.BLACK_HOLE_IN,
        Fault.BLACK_HOLE_OUT,
        Fault.NARROW,
        Fault.FAILED_SIGNING,
        Fault.SLOW_SIGNING,
        Fault.SETTINGS,
        Fault.STARVED,
    }
)
"""Faults by which a token that was fresh when it was sent may be stale when it is read."""


@final
class World:
    """Made of a seed; `run` lives it from beginning to end, and raises `Violation`."""

    def __init__(
        self,
        seed: int,
        *,
        without: frozenset[Fault] = frozenset(),
        show: Callable[[str], None] | None = None,
    ) -> None:
        """``without`` names faults that do not strike; ``show`` gets the trace, line by line."""
        self.seed = seed
        self.rng = rng = Random(seed)
        self.clock = Clock()
        self.trace = Trace(self.clock, show)
        self._drawn = swarm(rng)
        self.faults = tuple(fault for fault in self._drawn if fault not in without)
        self.chaos = Chaos(self, self.faults)
        self.injected: FaultCount = Counter()
        self.connect_faults: dict[str, float] = {}
        """What ails connecting -> until when."""
        self.tokens_are_refused = False
        """Whether servers refuse provider tokens for no reason."""
        self.signing_fails_until = START
        self.closing: set[int] = set()
        """Hosts whose sender was closed."""
        self.lives: list[list[Push]] = []
        """The pushes of each sender there was."""
        self.outcomes: Counter[str] = Counter()
        self.duration = rng.choice((10.0, 30.0, 30.0, 120.0, 600.0, 7_200.0, 43_200.0))
        """Of the first phase, in seconds."""
        self._pushes_wanted = rng.choice((20, 60, 60, 150))
        self._ending = False
        self.pushes = 0
        """Submitted so far."""
        self._knocks = 0
        self._by_device: dict[str, Push] = {}
        self._waiting: Counter[int] = Counter()
        self._life: dict[int, list[Push]] = {}
        self._small_bodies = rng.random() < 0.7
        token_authentication = rng.random() < 0.8
        self.servers = [
            self._make_server(number, token_authentication=token_authentication)
            for number in range(1, rng.choice((1, 1, 2, 3)) + 1)
        ]
        self.hosts = [
            self._make_host(number, token_authentication=token_authentication)
            for number in range(1, rng.choice((1, 1, 2)) + 1)
        ]

    # ── what it is made of ──

    def _make_server(self, number: int, *, token_authentication: bool) -> Server:
        config = draw_server_config(self.rng, token_authentication=token_authentication)
        return Server(number, self.clock, self.rng, config, self.trace, self._on_act)

    def _make_host(self, number: int, *, token_authentication: bool) -> Host:
        host = Host(
            number,
            self.clock,
            self.rng,
            draw_machine(self.rng, self.faults, token_authentication=token_authentication),
            connect=self._route,
            sign=lambda: self.clock.now >= self.signing_fails_until,
            trace=self.trace,
        )
        host.wants_room = partial(self._on_step, host)
        self._begin_life(host)
        return host

    # ── its life ──

    def run(self) -> None:
        """Live through both phases, and look back."""
        self.trace.note("world", f"seed {self.seed}, faults: {', '.join(self.faults)}")
        self._schedule_callers()
        self._schedule_faults()
        self.clock.run(START + self.duration)
        self._stop_faults()
        for host in self.hosts:
            self._await_recovery(host)
        for host in self.hosts:
            self._send_batch(host)
        self._fall_silent()
        self._end()
        self._look_back()

    def _schedule_callers(self) -> None:
        for _ in range(self._pushes_wanted // 4):
            self._schedule_offer(START + self.rng.uniform(0.0, self.duration))

    def _schedule_offer(self, at: float) -> None:
        host = self.rng.choice(self.hosts)
        self.clock.at(at, partial(self.offer, host, self.rng.choice((1, 1, 1, 2, 5))))

    def _schedule_faults(self) -> None:
        if not self.faults:
            return
        count = self.rng.choice((5, 15, 40))
        for _ in range(count):
            at = START + self.rng.uniform(0.0, self.duration)
            # A fault that finds nothing in flight is none.
            for _ in range(ceil(self._pushes_wanted / 4 / count)):
                self._schedule_offer(at - self.rng.choice((0.0, 0.01, 0.1, 0.5)))
            # Of all that were drawn, so that the others strike when they would have.
            fault = self.rng.choice(self._drawn)
            if fault in self.faults:
                self.clock.at(at, partial(self.chaos.strike, fault))

    def _stop_faults(self) -> None:
        self.trace.note("world", "all faults stop")
        self.chaos.active = False
        self.connect_faults.clear()
        self.signing_fails_until = START
        for host in self.hosts:
            self._waiting[host.number] = 0
            host.timers_are_late = False
            host.machine.sign_latency = 0.0
            for link in host.all_links:
                for direction in (link.to_server, link.to_client):
                    if direction is not None:
                        direction.heal()
        for server in self.servers:
            for digit in "23456789abcdef":
                server.reject(digit, None)
            server.recover()

    def _await_recovery(self, host: Host) -> None:
        """Submit one after the other until several in a row are accepted at once."""
        limit = self.clock.now + RECOVERY + self._closing_time(host)
        in_a_row = 0
        while in_a_row < IN_A_ROW:
            if self.clock.now > limit:
                raise Violation(f"{host.name} is not well again after {RECOVERY:.0f} s")
            in_a_row = in_a_row + 1 if self._is_well(host) else 0

    def _is_well(self, host: Host) -> bool:
        if not self._is_open_for(host):
            self.clock.run(self.clock.now + TRICKLE)
            return False
        began = self.clock.now
        has_given_up = host.sender.failure is not None
        push = self._make_push(host, good=True)
        host.submit(push)
        host.pump()
        if has_given_up:
            self._check_given_up(host, push)
            return True
        self.clock.run(began + TRICKLE)
        return isinstance(push.outcome, Accepted) and push.done_at - began <= PROMPT

    def _check_given_up(self, host: Host, push: Push) -> None:
        outcome = push.outcome
        if not isinstance(outcome, Unprocessed) or outcome.cause is not Cause.FATAL:
            raise Violation(f"{push.name} did not end at once, although {host.name} has given up")

    def _send_batch(self, host: Host) -> None:
        """Submit some at once: they are accepted as fast as the way there and back allows."""
        if host.sender.failure is not None:
            return
        # One stream at a time in the worst case, and a window that fills again and again.
        path = host.machine.path
        round_trip = 2 * path.latency * (1 + path.jitter) + 0.05 + 500 / path.bandwidth
        each = round_trip * (2 + ceil(GOOD_SIZE / 20))
        timeout = host.machine.config.connection.request_timeout
        count = max(1, min(BATCH, int(timeout / 2 / each)))
        pushes = [self._make_push(host, good=True) for _ in range(count)]
        began = self.clock.now
        rest = list(pushes)
        limit = began + PROMPT + count * each
        while self.clock.now < limit:
            while rest and host.sender.room:
                host.submit(rest.pop(0))
                host.pump()
            if all(push.outcome is not None for push in pushes):
                break
            if not self.clock.step(limit):
                break
        slow = [push for push in pushes if not isinstance(push.outcome, Accepted)]
        if slow:
            raise Violation(
                f"{host.name} is not back at its full rate: {len(slow)} of {count} are not"
                f" accepted after {self.clock.now - began:.1f} s, first {slow[0].summary}"
            )

    def _fall_silent(self) -> None:
        """Wait for the last frame to arrive; then the ends of each connection agree."""
        self.clock.run(self.clock.now + 40.0)
        for host in self.hosts:
            check_tickets(host)
            for link in host.links.values():
                if (
                    link.established
                    and not link.closing
                    and link.side is not None
                    and not link.side.connection.closed
                    and not link.side.open_streams
                ):
                    check_quiet(link)

    def _end(self) -> None:
        self._ending = True
        for host in self.hosts:
            self.closing.add(host.number)
            if not host.sender.closed:
                host.act(host.sender.close)
        limit = self.clock.now + max(self._closing_time(host) for host in self.hosts)
        while not all(host.sender.closed for host in self.hosts):
            if not self.clock.step(limit):
                raise Violation("a sender does not close")
        self.clock.run(self.clock.now + 60.0)

    def _look_back(self) -> None:
        for host in self.hosts:
            check_times(host)
        for life in self.lives:
            self.outcomes += audit(life)
        self.trace.note("world", f"ends: {dict(sorted(self.outcomes.items()))}")

    # ── callers ──

    def offer(self, host: Host, count: int) -> None:
        """Submit so many, each as soon as there is room."""
        self._waiting[host.number] += count
        self._on_step(host)
        host.pump()

    def is_open(self, host: Host) -> bool:
        """Whether its sender takes notifications, and has a use for them."""
        return host.number not in self.closing and host.sender.failure is None

    def _is_open_for(self, host: Host) -> bool:
        return host.number not in self.closing and host.sender.room > 0

    def _on_step(self, host: Host) -> None:
        if host.number in self.closing:
            if host.sender.closed and not self._ending:
                self.clock.after(0.1, partial(self._restart, host, host.sender))
            return
        submitted = False
        while self._waiting[host.number] and host.sender.room:
            self._waiting[host.number] -= 1
            host.submit(self._make_push(host))
            submitted = True
        if submitted:
            host.pump()
        elif self._waiting[host.number] and self._knocks < _MOST_KNOCKS:
            self._knock(host)

    def _knock(self, host: Host) -> None:
        """Try to submit where there is no room: it is refused, and nothing is changed."""
        self._knocks += 1
        push = self._make_push(host)
        queued = host.sender.queued
        try:
            host.sender.submit(push.notification, push, self.clock.now)
        except QueueFull:
            self._life[host.number].remove(push)
            self.pushes -= 1
            if host.sender.queued != queued:
                raise Violation("a refused notification has changed the queue") from None
        else:
            raise Violation("a notification was taken where there is no room")

    def _make_push(self, host: Host, *, good: bool = False) -> Push:
        """``good``: small, and to a device that no server rejects."""
        rng = self.rng
        self.pushes += 1
        first = rng.choice("23456789abcdef") if good else rng.choice("0123456789abcdef")
        token = first + f"{rng.getrandbits(252):063x}"
        size = GOOD_SIZE if good or self._small_bodies else rng.choice((30, 100, 1_000, 4_000))
        collapse_id = rng.choice((None, None, "score"))
        unix_now = int(UNIX_TIME + self.clock.now - START)
        notification = Notification(
            rng.choice(ROUTES),
            token,
            b'{"aps":{"alert":"Hello"}}'.ljust(size),
            collapse_id=collapse_id,
            expiration=rng.choice((None, None, 0, unix_now + 3_600)),
            apns_id=None if rng.random() < 0.8 else UUID(int=rng.getrandbits(128)),
        )
        policy = host.machine.config.on_unknown
        push = Push(
            self.pushes,
            notification,
            self.clock.now,
            may_be_resent=policy is OnUnknown.RESEND
            or (policy is OnUnknown.RESEND_IF_COLLAPSIBLE and collapse_id is not None),
        )
        self._by_device[token] = push
        self._life[host.number].append(push)
        return push

    # ── closing and beginning again ──

    def _begin_life(self, host: Host) -> None:
        self._life[host.number] = []
        self.lives.append(self._life[host.number])

    def _restart(self, host: Host, closed: Sender[Push]) -> None:
        if host.sender is not closed:
            return
        check_times(host)
        host.restart()
        self._begin_life(host)
        self.closing.discard(host.number)

    @staticmethod
    def _closing_time(host: Host) -> float:
        """Seconds after which a sender that was closed must be so."""
        config = host.machine.config
        connection = config.connection
        # What is queued has its deadline; then what is in flight on a draining connection.
        return (
            connection.request_timeout
            + connection.drain_timeout
            + connection.settings_timeout
            + config.connect_timeout
            + config.disconnect_timeout
            + 5.0
        )

    # ── the network ──

    def _route(self) -> ConnectResult:
        """What becomes of the next connect: which server a fresh look-up of the name leads to."""
        now = self.clock.now
        ails = {name for name, until in self.connect_faults.items() if now < until}
        server = self.rng.choice(self.servers)
        if "hangs" in ails:
            return "hangs", 0.0
        if "refused" in ails or server.refuses_connects:
            return "refused", 0.0
        return server, self.rng.choice((0.5, 5.0, 30.0)) if "slow" in ails else 0.0

    def _tokens_come_in_order(self) -> bool:
        """Whether servers judge tokens in the order, and at the time, in which they were sent.

        A request is judged at its end. One whose body waits for a window may be behind the next.
        """
        return _LATE_ARRIVALS.isdisjoint(self.faults) and (
            self._small_bodies
            and all(server.config.initial_window_size > GOOD_SIZE for server in self.servers)
        )

    def _on_act(self, act: Act) -> None:
        push = self._by_device.get(act.entry.device_token)
        if push is None:
            raise Violation("a server got what nobody has submitted")
        self.trace.note(
            act.where,
            f"acts on {push.name}: {act.entry.reason or act.entry.status}",
        )
        check_act(push, act)
        if (
            act.entry.reason in {"ExpiredProviderToken", "TooManyProviderTokenUpdates"}
            and not self.tokens_are_refused
            and self._tokens_come_in_order()
        ):
            raise Violation(f"the sender's tokens earn {act.entry.reason}")
