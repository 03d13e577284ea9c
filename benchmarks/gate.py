"""The gate on speed: is it as fast as it was, as far as a busy machine can tell? Under a minute.

Times are only compared with times of the same run. Instructions are compared with a committed
figure for the same kind of interpreter.

    python benchmarks/gate.py             check; ends with status 1 if a limit is broken
    python benchmarks/gate.py --update    write this interpreter's instruction count

What is not installed is skipped and said so; with ``APNS_REQUIRE_PEERS=1`` that breaks the gate.
"""

import argparse
import importlib.util
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, final

import instructions
from comparison import summarise
from environments import CACHE
from loopback import Authority, require
from machine import say
from nginx import nginx
from runner import Bench
from senders import SENDERS
from workloads import WORKLOADS

__all__ = ["Check", "Skipped", "instruction_check"]

ENGINE_TO_H2: Final = 0.12
"""At 20 in flight. It is 0.03 to 0.05; h2's own cost varies by a third from run to run."""
ENGINE_GROWTH: Final = 1.4
"""1,000 in flight to 20. It is 0.95 to 1.1: more live objects, more cache misses. A scan of all
streams for each request, which is what this is to catch, makes it 2.5."""
ADAPTER_TO_H2LOAD: Final = {"ours-pure-asyncio-send-many": 2.8, "ours-pure-trio-send-many": 3.2}
"""CPU a push. They are 1.4 to 2.1; on a busy machine a read brings less, which costs ours more than
h2load. A read for each TLS record, which is what this is to catch, makes it 6 and more."""
FLOOD_TO_H2: Final = 2.5
"""Frames a second, of the flood that it is least for. It is 3.3; a report that is made for each
error, which is what this is to catch, makes it 1.6."""
INSTRUCTIONS: Final = 0.10
"""Either way: what became cheaper is recorded too, or the next one may spend it unseen."""
ROUNDS: Final = 3
ADAPTER_SHARE: Final = 0.4
"""Of the pushes of a full comparison."""


@final
@dataclass(frozen=True, slots=True)
class Check:
    """A figure and where it must lie."""

    name: str
    value: float
    high: float
    low: float = 0.0
    advice: str = ""
    """What to do if it does not."""

    @property
    def holds(self) -> bool:
        """Whether it lies there."""
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        bounds = f"{self.low:,.9g} to {self.high:,.9g}" if self.low else f"at most {self.high:,.9g}"
        if self.high == math.inf:
            bounds = f"at least {self.low:,.9g}"
        verdict = "ok" if self.holds else f"BROKEN {self.advice}".rstrip()
        return f"{self.name}: {self.value:,.9g} ({bounds}) {verdict}"


@final
@dataclass(frozen=True, slots=True)
class Skipped:
    """A figure that cannot be taken here."""

    name: str
    reason: str

    @property
    def holds(self) -> bool:
        """Whether that is all right: not where the tools are promised."""
        return os.environ.get("APNS_REQUIRE_PEERS") != "1"

    def __str__(self) -> str:
        return f"{self.name}: skipped, {self.reason}"


def main() -> None:
    """Check, print, and end with 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--update", action="store_true", help="record the instruction count")
    if parser.parse_args().update:
        update()
        return
    broken = False
    for check in chain(engine(), worst_flood(), adapters(), instruction_count()):
        print(check, flush=True)
        broken |= not check.holds
    sys.exit(broken)


def engine() -> Iterator[Check | Skipped]:
    """Compare the engine with h2, and with itself under more load; samples take turns."""
    if importlib.util.find_spec("h2") is None:
        yield Skipped("engine to h2", "h2 is not installed")
        return
    samples: dict[tuple[str, int], list[float]] = {
        ("engine", 20): [],
        ("engine", 1_000): [],
        ("h2", 20): [],
    }
    for _ in range(ROUNDS):
        for (name, in_flight), values in samples.items():
            notifications = 10_000 if name == "engine" else 1_000
            seconds = WORKLOADS[name](notifications // in_flight, in_flight, "round trip")
            values.append(seconds / notifications)
    cost = {key: statistics.median(values) for key, values in samples.items()}
    yield Check(
        "engine to h2, 20 in flight", round(cost["engine", 20] / cost["h2", 20], 3), ENGINE_TO_H2
    )
    growth = round(cost["engine", 1_000] / cost["engine", 20], 3)
    yield Check("engine, 1,000 in flight to 20", growth, ENGINE_GROWTH)


def worst_flood() -> Iterator[Check | Skipped]:
    """Compare frames of no use a second with h2's."""
    if importlib.util.find_spec("h2") is None:
        yield Skipped("floods to h2", "h2 is not installed")
        return
    from floods import FLOODS, measure  # noqa: PLC0415 - it needs h2

    worst = min(map(measure, FLOODS), key=lambda result: result.ratio)
    yield Check(f"{worst.flood} to h2", round(worst.ratio, 2), high=math.inf, low=FLOOD_TO_H2)


def adapters() -> Iterator[Check | Skipped]:
    """Compare `send_many` with h2load, over TLS to nginx."""
    try:
        require("nginx", "nginx")
        require("h2load", "nghttp2-client")
    except RuntimeError as error:
        yield Skipped("adapters to h2load", str(error))
        return
    chosen = [one for one in SENDERS if one.name == "h2load" or one.name in ADAPTER_TO_H2LOAD]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder)
        bench = Bench(folder, authority, time_limit=30.0, share=ADAPTER_SHARE)
        bench.prepare(chosen, CACHE)
        with nginx(folder, authority) as server:
            for number in range(1, ROUNDS + 1):
                for sender in chosen:
                    bench.measure(sender, server, number)
    results = [{"name": one.name, **bench.results[one.name]} for one in chosen]
    summarise(results, baseline="h2load")
    for result in results:
        if result["error"]:
            raise SystemExit(f"{result['name']}: {result['error']}")
        if limit := ADAPTER_TO_H2LOAD.get(result["name"]):
            yield Check(f"{result['name']} to h2load", result["ratio"], limit)


def instruction_count() -> Iterator[Check | Skipped]:
    """Compare the instructions with what is recorded for such an interpreter."""
    figure = instructions.recorded().get(instructions.build())
    if figure is None:
        # Not the fault of missing tools: an interpreter that nobody has recorded is no failure.
        print(f"instructions: skipped, none recorded for {instructions.build()}")
        return
    try:
        counted = instructions.count()
    except RuntimeError as error:
        yield Skipped("instructions", str(error))
        return
    yield instruction_check(counted, figure)


def instruction_check(counted: int, figure: int) -> Check:
    """Return the check of a count against the recorded one."""
    return Check(
        "instructions a notification",
        counted,
        high=figure * (1 + INSTRUCTIONS),
        low=figure * (1 - INSTRUCTIONS),
        advice="(if meant: python benchmarks/gate.py --update)",
    )


def update() -> None:
    """Record this interpreter's count beside those of others."""
    figures = {**instructions.recorded(), instructions.build(): instructions.count()}
    instructions.RECORDED.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    say(f"{instructions.build()}: {figures[instructions.build()]:,}")


if __name__ == "__main__":
    main()
