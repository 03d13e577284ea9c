"""Runs rounds until the time is up, and fails where one was wrong or something was kept.

python -m tests.soak --minutes 10            both adapters in turns
python -m tests.soak --minutes 1 --seed 17   begin with another chaos
"""

import argparse
import json
import sys
import time
from collections import Counter
from itertools import count
from typing import Final

from tests.soak.rounds import ADAPTERS, run_round, usage

WARM_UP: Final = 4
"""Rounds before what is held is looked at: caches fill, arenas are taken."""

GROWTH_KIB: Final = 30_000
"""Of resident memory after that: what a heap in pieces costs, and no leak of an hour."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Send through a network that misbehaves.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=4_000, help="notifications a round")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    outcomes: Counter[str] = Counter()
    treated: Counter[str] = Counter()
    faults: list[str] = []
    first = None
    rounds = 0
    for number in count():
        seed = options.seed + number
        adapter = list(ADAPTERS)[number % len(ADAPTERS)]
        done = run_round(adapter, seed, options.count)
        rounds += 1
        outcomes.update(done.counts)
        treated.update(done.treated)
        faults += [f"seed {seed}, {adapter}: {fault}" for fault in done.faults]
        held = usage()
        if number == WARM_UP:
            first = held
        sys.stderr.write(f"{seed} {adapter} {done.counts} {held}\n")
        if time.monotonic() >= end and number > WARM_UP:
            break
    last = usage()
    if first is not None:
        if last.files > first.files or last.threads > first.threads:
            faults.append(f"files or threads are left: {first} became {last}")
        if last.rss_kib > first.rss_kib + GROWTH_KIB:
            faults.append(f"memory grew: {first} became {last}")
    report = {
        "rounds": rounds,
        "outcomes": outcomes,
        "treatments": treated,
        "held_after_warm_up": None if first is None else vars_of(first),
        "held_at_last": vars_of(last),
        "faults": faults,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if faults else 0


def vars_of(held: object) -> dict[str, object]:
    return {name: getattr(held, name) for name in ("files", "threads", "rss_kib")}


if __name__ == "__main__":
    sys.exit(main())
