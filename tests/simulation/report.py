"""What came of a world, and of many."""

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from tests.simulation.checks import Violation
from tests.simulation.clock import START
from tests.simulation.faults import Fault
from tests.simulation.world import World

__all__ = ["Report", "Totals", "live", "shrink"]


@final
@dataclass(frozen=True, slots=True)
class Report:
    """What came of one world. Travels between processes."""

    seed: int
    violation: str | None
    """None if there was none."""
    seconds: float
    """Virtual."""
    pushes: int
    connections: int
    outcomes: Counter[str]
    injected: Counter[Fault]
    trace_hash: str

    @property
    def verdict(self) -> str:
        """One line."""
        if self.violation is None:
            return f"seed {self.seed}: no violation"
        return (
            f"seed {self.seed}: VIOLATION: {self.violation}\n"
            f"    python -m tests.simulation --seed {self.seed}"
        )


def live(
    seed: int,
    show: Callable[[str], None] | None = None,
    *,
    without: frozenset[Fault] = frozenset(),
) -> Report:
    """Live through one world. Whatever is raised in it is a violation."""
    world = World(seed, without=without, show=show)
    violation: str | None = None
    try:
        world.run()
    except Violation as error:
        violation = f"after {world.clock.now - START:.6f} s: {error}"
    except Exception as error:  # noqa: BLE001 - the engine must raise nothing here
        # Not its text, which might quote a peer.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        violation = (
            f"after {world.clock.now - START:.6f} s: {type(error).__name__} raised at {where}"
        )
    return Report(
        seed,
        violation,
        world.clock.now - START,
        world.pushes,
        sum(host.connects for host in world.hosts),
        world.outcomes,
        world.injected,
        world.trace.hash,
    )


def shrink(seed: int) -> tuple[Fault, ...]:
    """Return faults of a world's that suffice for a violation: without any of them there is none.

    Empty where the world has no violation, or needs no fault for it.
    """
    without: frozenset[Fault] = frozenset()
    for fault in World(seed).faults:
        fewer = without | {fault}
        if live(seed, without=fewer).violation is not None:
            without = fewer
    if live(seed, without=without).violation is None:
        return ()
    return World(seed, without=without).faults


@final
@dataclass(slots=True)
class Totals:
    """What came of many."""

    seeds: int = 0
    seconds: float = 0.0
    pushes: int = 0
    connections: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    injected: Counter[Fault] = field(default_factory=Counter[Fault])
    violations: list[int] = field(default_factory=list[int])
    """The seeds to replay."""

    def add(self, report: Report) -> None:
        """Count one world."""
        self.seeds += 1
        self.seconds += report.seconds
        self.pushes += report.pushes
        self.connections += report.connections
        self.outcomes += report.outcomes
        self.injected += report.injected
        if report.violation is not None:
            self.violations.append(report.seed)

    def summary(self) -> str:
        """Many lines."""
        outcomes = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        lines = [
            f"{self.seeds} seeds, {self.seconds / 3600:.1f} virtual hours",
            f"{self.pushes} notifications, {self.connections} connections",
            f"outcomes: {outcomes}",
            f"{self.injected.total()} faults:",
            *(f"  {count:7} {fault}" for fault, count in self.injected.most_common()),
            f"{len(self.violations)} violations"
            + (f", seeds {self.violations}" if self.violations else ""),
        ]
        return "\n".join(lines)
