"""What machines, and those who use a sender, do to it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tests.simulation.faults import Fault

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos, Injection

__all__ = ["CALLER_FAULTS"]


def _cancel(chaos: "Chaos") -> bool:
    host = chaos.host()
    some = list(host.open.values())
    if not some:
        return False
    for push in chaos.rng.sample(some, min(len(some), chaos.rng.choice((1, 1, 5, 60)))):
        if push.number in host.open:
            chaos.rng.choice((host.cancel, host.cancel, host.withdraw))(push)
    return True


def _burst(chaos: "Chaos") -> bool:
    chaos.world.offer(chaos.host(), chaos.rng.choice((10, 30, 60)))
    return True


def _close_sender(chaos: "Chaos") -> bool:
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


def _slow_signing(chaos: "Chaos") -> bool:
    chaos.host().machine.sign_latency = chaos.rng.choice((0.0, 0.5, 10.0))
    return True


def _failed_signing(chaos: "Chaos") -> bool:
    chaos.world.signing_fails_until = chaos.world.clock.now + chaos.duration()
    return chaos.note("hosts", "cannot sign")


def _from_the_beginning(_chaos: "Chaos") -> bool:
    """On in all of a world where it is on at all: see `Machine`."""
    return True


CALLER_FAULTS: Final[Mapping[Fault, "Injection"]] = MappingProxyType(
    {
        Fault.LATE_TIMER: _from_the_beginning,
        Fault.SLOW_SIGNING: _slow_signing,
        Fault.FAILED_SIGNING: _failed_signing,
        Fault.CANCELS: _cancel,
        Fault.BURSTS: _burst,
        Fault.CLOSES: _close_sender,
    }
)
