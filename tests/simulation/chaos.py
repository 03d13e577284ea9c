"""Injects faults at random times: one table says how each is done."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from apns_simulator import GoAway, Rejection, SettingsChange
from tests.simulation.faults import Fault
from tests.simulation.host import Host, Link
from tests.simulation.servers import Server, ServerSide

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["INJECTIONS", "Chaos", "Injection"]

Injection: TypeAlias = Callable[["Chaos"], bool]
"""Injects a fault; returns whether there was anything to do it to."""

_NEVER: Final = 2**31 - 1
_HEX: Final = "23456789abcdef"
"""First digits of device tokens; 0 and 1 are rejected on good days too."""


@final
class Chaos:
    """The faults of one world, and the choice of whom they befall."""

    def __init__(self, world: "World", faults: tuple[Fault, ...]) -> None:
        self.world = world
        self.rng: Random = world.rng
        self.faults = faults
        self.active = True

    def strike(self, fault: Fault) -> None:
        """Inject one fault now, unless the faults have stopped."""
        if self.active and INJECTIONS[fault](self):
            self.world.injected[fault] += 1

    # Whom it befalls.

    def link(self) -> Link | None:
        """Return a connection that is up."""
        links = [
            link
            for host in self.world.hosts
            for link in host.links.values()
            if link.established and not link.closing
        ]
        return self.rng.choice(links) if links else None

    def server(self) -> Server:
        """Return a server."""
        return self.rng.choice(self.world.servers)

    def side(self) -> ServerSide | None:
        """Return a connection at its server."""
        sides = [side for server in self.world.servers for side in server.sides]
        return self.rng.choice(sides) if sides else None

    def host(self) -> Host:
        """Return a host."""
        return self.rng.choice(self.world.hosts)

    def duration(self) -> float:
        """Return how long something lasts: mostly short, sometimes beyond every deadline."""
        return self.rng.expovariate(1.0) * self.rng.choice((1.0, 8.0, 40.0))

    # How it is done.

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something later, unless the faults have stopped by then."""
        self.world.clock.after(seconds, lambda: action() if self.active else None)

    def mood(self, server: Server, name: str, **temper: object) -> bool:
        """Put a server in a mood for a while."""
        server.feel(name, **temper)
        self.later(self.duration(), partial(server.get_over, name))
        return True

    def note(self, who: str, what: str) -> bool:
        """Say what was done."""
        self.world.trace.note(who, what)
        return True


# ── the network ──


def _stall(chaos: Chaos) -> bool:
    link = chaos.link()
    if link is None or link.to_server is None or link.to_client is None:
        return False
    seconds = chaos.duration()
    chaos.rng.choice((link.to_server, link.to_client)).stall(seconds)
    return chaos.note(link.name, f"stalls for {seconds:.3f} s")


def _black_hole(chaos: Chaos, *, out: bool, back: bool) -> bool:
    link = chaos.link()
    if link is None or link.to_server is None or link.to_client is None:
        return False
    if out:
        link.to_server.swallow()
    if back:
        link.to_client.swallow()
    if chaos.rng.random() < 0.3:
        chaos.later(chaos.duration(), partial(_heal, link))
    return chaos.note(link.name, f"black hole {'out' * out}{'back' * back}")


def _heal(link: Link) -> None:
    for direction in (link.to_server, link.to_client):
        if direction is not None:
            direction.heal()


def _end_link(chaos: Chaos, *, keep: int, inside: bool = False) -> bool:
    """End both directions: with all that is on its way, nothing of it, or some."""
    link = chaos.link()
    if link is None or link.to_server is None or link.to_client is None:
        return False
    for direction in (link.to_server, link.to_client):
        direction.sever(chaos.rng.randrange(direction.in_flight + 1) if inside else keep)
    return chaos.note(link.name, "is ended by the network")


def _connects(chaos: Chaos, name: str) -> bool:
    chaos.world.connect_faults[name] = chaos.world.clock.now + chaos.duration()
    return chaos.note("network", f"connects: {name}")


# ── servers ──


def _overload(chaos: Chaos) -> bool:
    server = chaos.server()
    status, reason = chaos.rng.choice(
        (
            (429, "TooManyRequests"),
            (500, "InternalServerError"),
            (503, "ServiceUnavailable"),
            (503, "Shutdown"),
            (502, None),
        )
    )
    if chaos.rng.random() < 0.5:
        return chaos.mood(
            server,
            "overloaded",
            answer_status=status,
            answer_reason=reason,
            retry_after=chaos.rng.choice((None, None, 1, 7)),
        )
    return _reject_some(chaos, server, Rejection(status, reason))


def _reject_some(chaos: Chaos, server: Server, rejection: Rejection) -> bool:
    """Reject a fourteenth of all devices for a while."""
    digit = chaos.rng.choice(_HEX)
    server.reject(digit, rejection)
    chaos.world.clock.after(chaos.duration(), partial(server.reject, digit, None))
    return chaos.note(server.name, f"rejects some: {rejection.reason or rejection.status}")


def _refuse_tokens(chaos: Chaos) -> bool:
    reason = chaos.rng.choice(
        ("ExpiredProviderToken", "TooManyProviderTokenUpdates", "InvalidProviderToken")
    )
    chaos.world.tokens_are_refused = True
    server = chaos.server()
    if chaos.rng.random() < 0.3:
        rejection = Rejection.of(reason)
        return chaos.mood(
            server, "refuses tokens", answer_status=rejection.status, answer_reason=reason
        )
    return _reject_some(chaos, server, Rejection.of(reason))


def _flapping(chaos: Chaos) -> bool:
    server = chaos.server()
    if chaos.rng.random() < 0.5:
        return chaos.mood(server, "flapping", goaway_after=chaos.rng.choice((0, 0, 1, 3)))
    server.refuses_connects = True
    chaos.later(chaos.duration(), lambda: setattr(server, "refuses_connects", False))
    return chaos.note(server.name, "accepts no connections")


def _say_goaway(
    chaos: Chaos, side: ServerSide, goaway: GoAway, *, close_after: float | None
) -> None:
    if side.connection.closed:
        return
    chaos.note(side.name, f"GOAWAY, last stream {goaway.last_stream_id}")
    side.connection.send_goaway(goaway)
    side.pump()
    if close_after is not None:
        chaos.world.clock.after(close_after, partial(_close, side))


def _close(side: ServerSide) -> None:
    if not side.connection.closed:
        side.connection.close()
        side.pump()


def _goaway_abrupt(chaos: Chaos) -> bool:
    side = chaos.side()
    if side is None:
        return False
    reason = chaos.rng.choice(("", "Shutdown", "IdleTimeout", "TooManyProviderTokenUpdates"))
    goaway = GoAway.because(reason) if reason else GoAway(debug_data="bye \ud7ff")
    _say_goaway(chaos, side, goaway, close_after=chaos.rng.choice((0.0, 0.0, 0.1, 5.0)))
    return True


def _goaway_graceful(chaos: Chaos) -> bool:
    side = chaos.side()
    if side is None:
        return False
    _say_goaway(chaos, side, GoAway(_NEVER), close_after=None)
    delay = chaos.rng.choice((0.05, 1.0))
    chaos.world.clock.after(
        delay,
        partial(_say_goaway, chaos, side, GoAway(), close_after=chaos.rng.choice((1.0, 40.0))),
    )
    return True


def _goaway_twice(chaos: Chaos) -> bool:
    side = chaos.side()
    if side is None:
        return False
    goaway = GoAway.because("Shutdown")
    _say_goaway(chaos, side, goaway, close_after=None)
    chaos.world.clock.after(0.01, partial(_say_goaway, chaos, side, GoAway(), close_after=0.2))
    return True


def _goaway_fatal(chaos: Chaos) -> bool:
    side = chaos.side()
    if side is None:
        return False
    goaway = GoAway.because("BadCertificateEnvironment")
    _say_goaway(chaos, side, goaway, close_after=0.0)
    # Somebody notices in time, and starts the senders that have given up with other credentials.
    chaos.later(chaos.duration(), partial(_close_those_who_gave_up, chaos))
    return True


def _close_those_who_gave_up(chaos: Chaos) -> None:
    for host in chaos.world.hosts:
        if host.sender.failure is not None and host.number not in chaos.world.closing:
            chaos.world.closing.add(host.number)
            host.act(host.sender.close)


def _with_held_requests(chaos: Chaos, then: Callable[[ServerSide, list[int]], object]) -> bool:
    """Let a server read requests without acting on them for a while; then do something to them."""
    side = chaos.side()
    if side is None:
        return False
    side.connection.hold()
    chaos.note(side.name, "holds requests")

    def go_on() -> None:
        if not side.connection.closed:
            then(side, side.unprocessed_streams)
            side.connection.release(chaos.world.clock.now)
            side.pump()

    chaos.world.clock.after(chaos.rng.choice((0.05, 0.5, 3.0)), go_on)
    return True


def _goaway_middle(chaos: Chaos) -> bool:
    def then(side: ServerSide, streams: list[int]) -> None:
        # Streams are acted on in their order: whatever is above the line was not.
        acted = max((s for s in side.open_streams if s not in streams), default=0)
        line = chaos.rng.choice([s for s in streams if s > acted] or [_NEVER])
        _say_goaway(chaos, side, GoAway(line), close_after=chaos.rng.choice((0.5, 5.0)))

    return _with_held_requests(chaos, then)


def _reset_twice(chaos: Chaos) -> bool:
    def then(side: ServerSide, streams: list[int]) -> None:
        for stream_id in streams:
            if chaos.rng.random() < 0.5:
                side.connection.reset_stream(stream_id, 7, 5)

    return _with_held_requests(chaos, then)


def _with_unanswered_requests(chaos: Chaos, then: Callable[[ServerSide], object]) -> bool:
    """Let a server take its time over what it acts on; then do something to the requests."""
    side = chaos.side()
    if side is None:
        return False
    server = side.server
    server.simulator.config = replace(server.config, latency=2.0)

    def go_on() -> None:
        server.simulator.config = server.config
        if not side.connection.closed:
            then(side)
            side.pump()

    chaos.world.clock.after(chaos.rng.choice((0.1, 0.5, 1.5)), go_on)
    return True


def _resets(chaos: Chaos) -> bool:
    def then(side: ServerSide) -> None:
        for stream_id in side.open_streams:
            if chaos.rng.random() < 0.5:
                side.connection.reset_stream(stream_id, chaos.rng.choice((0, 1, 2, 5, 8, 11)))
                chaos.note(side.name, f"resets stream {stream_id}")

    return _with_unanswered_requests(chaos, then)


def _reset_all(chaos: Chaos) -> bool:
    def then(side: ServerSide) -> None:
        # And every stream there ever was, closed long ago.
        last = side.connection._wire.h2.highest_inbound_stream_id
        for stream_id in range(1, last + 1, 2)[-500:]:
            side.connection.reset_stream(stream_id, 8)
        chaos.note(side.name, f"resets all streams up to {last}")

    return _with_unanswered_requests(chaos, then)


def _settings(chaos: Chaos) -> bool:
    side = chaos.side()
    if side is None:
        return False
    change = SettingsChange(
        max_concurrent_streams=chaos.rng.choice((None, 0, 1, 2, 50, 1_000)),
        initial_window_size=chaos.rng.choice((None, 0, 20, 65_535, 2**20)),
        header_table_size=chaos.rng.choice((None, 0, 64, 300, 4_096, 2**32 - 1)),
    )
    side.connection.change_settings(change)
    side.pump()
    return chaos.note(side.name, f"SETTINGS {change}")


def _flood(chaos: Chaos) -> bool:
    side = chaos.side()
    if side is None:
        return False
    count = chaos.rng.choice((10, 300, 3_000))
    if chaos.rng.random() < 0.5:
        side.connection.send_raw(b"\x00\x00\x08\x06\x00\x00\x00\x00\x00pingping" * count)
    else:
        for _ in range(min(count, 300)):
            side.connection.change_settings(SettingsChange())
    side.pump()
    return chaos.note(side.name, f"floods, {count}")


def _malformed(chaos: Chaos) -> bool:
    def then(side: ServerSide) -> None:
        for stream_id in side.open_streams:
            if chaos.rng.random() < 0.5:
                side.answer_malformed(stream_id, list(chaos.rng.choice(_MALFORMED)))
                chaos.note(side.name, f"malformed answer on stream {stream_id}")

    return _with_unanswered_requests(chaos, then)


_MALFORMED: Final[tuple[tuple[tuple[bytes, bytes], ...], ...]] = (
    ((b"apns-id", b"x"),),
    ((b":status", b"2000"),),
    ((b":status", b"200"), (b":status", b"200")),
    ((b":status", b"200"), (b"Upper", b"x")),
    ((b":status", b"200"), (b"connection", b"close")),
    ((b":status", b"200"), (b":path", b"/")),
    ((b":status", b"200"), (b"x", b"a\r\nb")),
    ((b"x", b"y"), (b":status", b"200")),
    ((b":status", b"103"),),
)


def _garbage(chaos: Chaos) -> bool:
    side = chaos.side()
    if side is None:
        return False
    octets = chaos.rng.choice(
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\xff" * 40,
            b"\x00\x00\x00\x03\x00\x00\x00\x00\x01",
            b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
            b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x80",
            b"\x00\x00\x04\x05\x04\x00\x00\x00\x01\x00\x00\x00\x02",
        )
    )
    side.connection.send_raw(octets)
    side.pump()
    # h2 has not seen it: what this server says of stream states from now on means little.
    chaos.world.clock.after(chaos.rng.choice((0.0, 0.3)), partial(_close, side))
    return chaos.note(side.name, f"writes garbage, {len(octets)} octets")


def _crash(chaos: Chaos) -> bool:
    server = chaos.server()
    chaos.note(server.name, "crashes")
    for side in list(server.sides):
        side.connection.abort()
        side.pump()
    server.refuses_connects = True
    chaos.later(chaos.duration(), lambda: setattr(server, "refuses_connects", False))
    return True


def _server_mood(fault: Fault, *choices: Mapping[str, Any]) -> Injection:
    def inject(chaos: Chaos) -> bool:
        return chaos.mood(chaos.server(), fault, **chaos.rng.choice(choices))

    return inject


def _slow_answers(chaos: Chaos) -> bool:
    server = chaos.server()
    server.simulator.config = replace(server.config, latency=chaos.rng.choice((0.3, 3.0, 20.0)))
    chaos.later(chaos.duration(), lambda: setattr(server.simulator, "config", server.config))
    return chaos.note(server.name, "answers slowly")


# ── the machine, and those who use it ──


def _cancel(chaos: Chaos) -> bool:
    host = chaos.host()
    some = list(host.open.values())
    if not some:
        return False
    for push in chaos.rng.sample(some, min(len(some), chaos.rng.choice((1, 1, 5, 60)))):
        if push.number in host.open:
            chaos.rng.choice((host.cancel, host.cancel, host.withdraw))(push)
    return True


def _burst(chaos: Chaos) -> bool:
    chaos.world.offer(chaos.host(), chaos.rng.choice((10, 30, 60)))
    return True


def _close_sender(chaos: Chaos) -> bool:
    host = chaos.host()
    now = chaos.world.clock.now
    if not chaos.world.is_open(host):
        return False
    how = chaos.rng.choice(("aborts", "closes", "closes by a deadline"))
    chaos.note(host.name, how)
    chaos.world.closing.add(host.number)
    sender = host.sender
    if how == "aborts":
        host.act(sender.abort)
    elif how == "closes":
        host.act(sender.close)
    else:
        deadline = now + chaos.rng.choice((0.0, 0.5, 5.0))
        host.act(lambda now: sender.close(now, deadline=deadline))
    return True


def _slow_signing(chaos: Chaos) -> bool:
    chaos.host().machine.sign_latency = chaos.rng.choice((0.0, 0.5, 10.0))
    return True


def _failed_signing(chaos: Chaos) -> bool:
    chaos.world.signing_fails_until = chaos.world.clock.now + chaos.duration()
    return chaos.note("hosts", "cannot sign")


def _of_the_world(_chaos: Chaos) -> bool:
    """On from the beginning where it is on at all: see `World`."""
    return True


INJECTIONS: Final[Mapping[Fault, Injection]] = MappingProxyType(
    {
        Fault.JITTER: _of_the_world,
        Fault.SEGMENTS: _of_the_world,
        Fault.NARROW: _of_the_world,
        Fault.STALL: _stall,
        Fault.BLACK_HOLE: partial(_black_hole, out=True, back=True),
        Fault.BLACK_HOLE_OUT: partial(_black_hole, out=True, back=False),
        Fault.BLACK_HOLE_IN: partial(_black_hole, out=False, back=True),
        Fault.FIN: partial(_end_link, keep=2**62),
        Fault.RST: partial(_end_link, keep=0),
        Fault.CUT: partial(_end_link, keep=0, inside=True),
        Fault.SLOW_CONNECT: partial(_connects, name="slow"),
        Fault.REFUSED_CONNECT: partial(_connects, name="refused"),
        Fault.HANGING_CONNECT: partial(_connects, name="hangs"),
        Fault.OVERLOAD: _overload,
        Fault.FLAPPING: _flapping,
        Fault.GOAWAY_ABRUPT: _goaway_abrupt,
        Fault.GOAWAY_GRACEFUL: _goaway_graceful,
        Fault.GOAWAY_MIDDLE: _goaway_middle,
        Fault.GOAWAY_TWICE: _goaway_twice,
        Fault.GOAWAY_FATAL: _goaway_fatal,
        Fault.MUTE: _server_mood(Fault.MUTE, {"silent_after": 0}, {"silent_after": 5}),
        Fault.DEAF: _server_mood(
            Fault.DEAF,
            {"silent_after": 0, "silence": "everything"},
            {"silent_after": 7, "silence": "everything"},
        ),
        Fault.SLOW_ANSWERS: _slow_answers,
        Fault.LIMIT_DROP: _server_mood(Fault.LIMIT_DROP, {"limit_drop_on_rejection": True}),
        Fault.REFUSED_STREAMS: _server_mood(
            Fault.REFUSED_STREAMS, {"refuse_every": 1}, {"refuse_every": 2}, {"refuse_every": 5}
        ),
        Fault.RESET_TWICE: _reset_twice,
        Fault.RESETS: _resets,
        Fault.RST_FLOOD: _reset_all,
        Fault.TOKEN_REFUSED: _refuse_tokens,
        Fault.STARVED: _server_mood(Fault.STARVED, {"credit_windows": False}),
        Fault.SETTINGS: _settings,
        Fault.FLOOD: _flood,
        Fault.MALFORMED: _malformed,
        Fault.GARBAGE: _garbage,
        Fault.BODIES: _server_mood(
            Fault.BODIES,
            *({"body_style": style} for style in ("split", "empty", "absent", "html", "padded")),
            *({"body_style": style} for style in ("trailers", "unfinished", "huge")),
            {"informational": 3},
            {"informational": 9},
            {"omit_apns_id": True, "uppercase_apns_id": True},
        ),
        Fault.SERVER_CRASH: _crash,
        Fault.LATE_TIMER: _of_the_world,
        Fault.SLOW_SIGNING: _slow_signing,
        Fault.FAILED_SIGNING: _failed_signing,
        Fault.CANCELS: _cancel,
        Fault.BURSTS: _burst,
        Fault.CLOSES: _close_sender,
    }
)
assert set(INJECTIONS) == set(Fault)
