"""What networks do to senders: stall, swallow, end and refuse."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tests.simulation.faults import Fault
from tests.simulation.link import Link

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos, Injection

__all__ = ["NETWORK_FAULTS"]


def _stall(chaos: "Chaos") -> bool:
    link = chaos.link()
    if link is None or link.to_server is None or link.to_client is None:
        return False
    seconds = chaos.duration()
    chaos.rng.choice((link.to_server, link.to_client)).stall(seconds)
    return chaos.note(link.name, f"stalls for {seconds:.3f} s")


def _black_hole(chaos: "Chaos", *, out: bool, back: bool) -> bool:
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


def _end_link(chaos: "Chaos", *, keep: int, inside: bool = False) -> bool:
    """End both directions: with all that is on its way, nothing of it, or some."""
    link = chaos.link()
    if link is None or link.to_server is None or link.to_client is None:
        return False
    for direction in (link.to_server, link.to_client):
        direction.sever(chaos.rng.randrange(direction.in_flight + 1) if inside else keep)
    return chaos.note(link.name, "is ended by the network")


def _drip(chaos: "Chaos") -> bool:
    link = chaos.link()
    if link is None or link.to_client is None:
        return False
    seconds = chaos.rng.choice((0.01, 0.5, 9.0))
    link.to_client.drip(seconds)
    chaos.later(chaos.duration(), partial(_heal, link))
    return chaos.note(link.name, f"drips, an octet each {seconds} s")


def _connects(chaos: "Chaos", name: str) -> bool:
    chaos.world.connect_faults[name] = chaos.world.clock.now + chaos.duration()
    return chaos.note("network", f"connects: {name}")


def _from_the_beginning(_chaos: "Chaos") -> bool:
    """On in all of a world where it is on at all: see `Path`."""
    return True


NETWORK_FAULTS: Final[Mapping[Fault, "Injection"]] = MappingProxyType(
    {
        Fault.JITTER: _from_the_beginning,
        Fault.SEGMENTS: _from_the_beginning,
        Fault.NARROW: _from_the_beginning,
        Fault.STALL: _stall,
        Fault.BLACK_HOLE: partial(_black_hole, out=True, back=True),
        Fault.BLACK_HOLE_OUT: partial(_black_hole, out=True, back=False),
        Fault.BLACK_HOLE_IN: partial(_black_hole, out=False, back=True),
        Fault.FIN: partial(_end_link, keep=2**62),
        Fault.RST: partial(_end_link, keep=0),
        Fault.CUT: partial(_end_link, keep=0, inside=True),
        Fault.IDLE_CUT: _from_the_beginning,
        Fault.DRIP: _drip,
        Fault.SLOW_CONNECT: partial(_connects, name="slow"),
        Fault.REFUSED_CONNECT: partial(_connects, name="refused"),
        Fault.HANGING_CONNECT: partial(_connects, name="hangs"),
    }
)
