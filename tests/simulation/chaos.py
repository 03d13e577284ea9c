"""Injects faults: chooses whom they befall and for how long."""

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias, final

from tests.simulation.caller_faults import CALLER_FAULTS
from tests.simulation.faults import Fault
from tests.simulation.host import Host
from tests.simulation.link import Link
from tests.simulation.network_faults import NETWORK_FAULTS
from tests.simulation.server_faults import SERVER_FAULTS
from tests.simulation.servers import Server, ServerSide

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["INJECTIONS", "Chaos", "Injection"]

Injection: TypeAlias = Callable[["Chaos"], bool]
"""Injects a fault; returns whether there was anything to do it to."""

INJECTIONS: Final[Mapping[Fault, "Injection"]] = MappingProxyType(
    {**NETWORK_FAULTS, **SERVER_FAULTS, **CALLER_FAULTS}
)


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
