"""What servers do to senders, in moods and in single acts."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from apns_simulator import GoAway, Rejection, SettingsChange
from tests.simulation.faults import Fault
from tests.simulation.servers import Server, ServerSide

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos, Injection

__all__ = ["SERVER_FAULTS"]

_NEVER: Final = 2**31 - 1
_HEX: Final = "23456789abcdef"
"""First digits of device tokens; 0 and 1 are rejected on good days too."""


def _overload(chaos: "Chaos") -> bool:
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


def _reject_some(chaos: "Chaos", server: Server, rejection: Rejection) -> bool:
    """Reject a fourteenth of all devices for a while."""
    digit = chaos.rng.choice(_HEX)
    server.reject(digit, rejection)
    chaos.world.clock.after(chaos.duration(), partial(server.reject, digit, None))
    return chaos.note(server.name, f"rejects some: {rejection.reason or rejection.status}")


def _refuse_tokens(chaos: "Chaos") -> bool:
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


def _flapping(chaos: "Chaos") -> bool:
    server = chaos.server()
    if chaos.rng.random() < 0.5:
        return chaos.mood(server, "flapping", goaway_after=chaos.rng.choice((0, 0, 1, 3)))
    server.refuses_connects = True
    chaos.later(chaos.duration(), lambda: setattr(server, "refuses_connects", False))
    return chaos.note(server.name, "accepts no connections")


def _say_goaway(
    chaos: "Chaos", side: ServerSide, goaway: GoAway, *, close_after: float | None
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


def _goaway_abrupt(chaos: "Chaos") -> bool:
    side = chaos.side()
    if side is None:
        return False
    reason = chaos.rng.choice(("", "Shutdown", "IdleTimeout", "TooManyProviderTokenUpdates"))
    goaway = GoAway.because(reason) if reason else GoAway(debug_data="bye \ud7ff")
    _say_goaway(chaos, side, goaway, close_after=chaos.rng.choice((0.0, 0.0, 0.1, 5.0)))
    return True


def _goaway_graceful(chaos: "Chaos") -> bool:
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


def _goaway_twice(chaos: "Chaos") -> bool:
    side = chaos.side()
    if side is None:
        return False
    goaway = GoAway.because("Shutdown")
    _say_goaway(chaos, side, goaway, close_after=None)
    chaos.world.clock.after(0.01, partial(_say_goaway, chaos, side, GoAway(), close_after=0.2))
    return True


def _goaway_fatal(chaos: "Chaos") -> bool:
    side = chaos.side()
    if side is None:
        return False
    goaway = GoAway.because("BadCertificateEnvironment")
    _say_goaway(chaos, side, goaway, close_after=0.0)
    # Somebody notices in time, and starts the senders that have given up with other credentials.
    chaos.later(chaos.duration(), partial(_close_those_who_gave_up, chaos))
    return True


def _close_those_who_gave_up(chaos: "Chaos") -> None:
    for host in chaos.world.hosts:
        if host.sender.failure is not None and host.number not in chaos.world.closing:
            chaos.world.closing.add(host.number)
            host.act(host.sender.close)


def _with_held_requests(chaos: "Chaos", then: Callable[[ServerSide, list[int]], object]) -> bool:
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


def _goaway_middle(chaos: "Chaos") -> bool:
    def then(side: ServerSide, streams: list[int]) -> None:
        # Streams are acted on in their order: whatever is above the line was not.
        acted = max((s for s in side.open_streams if s not in streams), default=0)
        line = chaos.rng.choice([s for s in streams if s > acted] or [_NEVER])
        _say_goaway(chaos, side, GoAway(line), close_after=chaos.rng.choice((0.5, 5.0)))

    return _with_held_requests(chaos, then)


def _reset_twice(chaos: "Chaos") -> bool:
    def then(side: ServerSide, streams: list[int]) -> None:
        for stream_id in streams:
            if chaos.rng.random() < 0.5:
                side.connection.reset_stream(stream_id, 7, 5)

    return _with_held_requests(chaos, then)


def _with_unanswered_requests(chaos: "Chaos", then: Callable[[ServerSide], object]) -> bool:
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


def _resets(chaos: "Chaos") -> bool:
    def then(side: ServerSide) -> None:
        for stream_id in side.open_streams:
            if chaos.rng.random() < 0.5:
                side.connection.reset_stream(stream_id, chaos.rng.choice((0, 1, 2, 5, 8, 11)))
                chaos.note(side.name, f"resets stream {stream_id}")

    return _with_unanswered_requests(chaos, then)


def _reset_all(chaos: "Chaos") -> bool:
    def then(side: ServerSide) -> None:
        # And every stream there ever was, closed long ago.
        last = side.connection._wire.h2.highest_inbound_stream_id
        for stream_id in range(1, last + 1, 2)[-500:]:
            side.connection.reset_stream(stream_id, 8)
        chaos.note(side.name, f"resets all streams up to {last}")

    return _with_unanswered_requests(chaos, then)


def _settings(chaos: "Chaos") -> bool:
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


def _flood(chaos: "Chaos") -> bool:
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


def _malformed(chaos: "Chaos") -> bool:
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


def _garbage(chaos: "Chaos") -> bool:
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


def _crash(chaos: "Chaos") -> bool:
    server = chaos.server()
    chaos.note(server.name, "crashes")
    for side in list(server.sides):
        side.connection.abort()
        side.pump()
    server.refuses_connects = True
    chaos.later(chaos.duration(), lambda: setattr(server, "refuses_connects", False))
    return True


def _server_mood(fault: Fault, *choices: Mapping[str, Any]) -> "Injection":
    def inject(chaos: "Chaos") -> bool:
        return chaos.mood(chaos.server(), fault, **chaos.rng.choice(choices))

    return inject


def _slow_answers(chaos: "Chaos") -> bool:
    server = chaos.server()
    server.simulator.config = replace(server.config, latency=chaos.rng.choice((0.3, 3.0, 20.0)))
    chaos.later(chaos.duration(), lambda: setattr(server.simulator, "config", server.config))
    return chaos.note(server.name, "answers slowly")


SERVER_FAULTS: Final[Mapping[Fault, "Injection"]] = MappingProxyType(
    {
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
    }
)
