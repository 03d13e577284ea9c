"""Live through worlds, and say what came of it.

    python -m tests.simulation --seeds 0-499     a line for each violation, then totals
    python -m tests.simulation --seed 17         one world, with its trace
    python -m tests.simulation --shrink 17       the faults that a violation needs

Exit status 0 only where there was no violation.
"""

# ruff: noqa: T201 - it is a command: what it prints is what it is for.

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.report import Report, Totals, live, shrink

_CHUNK = 10
"""Seeds that a process takes at a time."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="replay one world and print its trace")
    what.add_argument("--shrink", type=int, help="find the fewest faults that violate a promise")
    what.add_argument("--seeds", type=_seeds, metavar="A-B", help="live through many worlds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _replay(options.seed)
    if options.shrink is not None:
        return _shrink(options.shrink)
    return _run(options.seeds, options.jobs)


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _replay(seed: int) -> int:
    report = live(seed, show=print)
    print(report.verdict)
    print(f"trace {report.trace_hash}")
    return 0 if report.violation is None else 1


def _shrink(seed: int) -> int:
    needed = shrink(seed)
    print(f"seed {seed}: {', '.join(needed) or 'no violation, or one that needs no fault'}")
    return 0


def _run(seeds: range, jobs: int) -> int:
    started = time.monotonic()
    totals = Totals()
    for report in _reports(seeds, jobs):
        totals.add(report)
        if report.violation is not None:
            print(report.verdict, flush=True)
    seconds = time.monotonic() - started
    print(totals.summary())
    print(f"{seconds:.0f} s with {jobs} processes: {totals.seeds / seconds:.1f} seeds a second")
    return 0 if not totals.violations else 1


def _reports(seeds: range, jobs: int) -> Iterator[Report]:
    if jobs == 1:
        yield from map(live, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(live, seeds, chunksize=_CHUNK)


if __name__ == "__main__":
    sys.exit(main())
