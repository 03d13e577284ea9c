"""CPU time of the engine without I/O, beside h2 and jh2 doing the same requests in the same run.

    python benchmarks/core.py            a table: sending, receiving and both, measured by pyperf
    python benchmarks/core.py --json     the same as one JSON object
    python benchmarks/core.py --quick    round trips alone, without pyperf, within 40 s, as JSON
    python benchmarks/core.py --growth   does the ten millionth cost more than the first? (minutes)
    python benchmarks/core.py --compiled .venv-compiled/bin/python

With ``--compiled`` the engine is measured once more, in an environment where it is compiled.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from machine import provenance, say
from workloads import IN_FLIGHT, WORKLOADS, form, opened, round_trips

QUICK_ROUNDS: Final = 3
QUICK_NOTIFICATIONS: Final = {"engine": 10_000, "h2": 1_000, "jh2": 1_000}
QUICK_SECONDS: Final = 20.0
"""After these no further round is begun: on a busy machine one has to do."""
PYPERF: Final = ("--quiet", "--processes=6", "--values=3", "--warmups=1", "--min-time=0.05")
"""Short samples, for there are 36 things to measure; the processes are what differs most."""
GROWTH: Final = 10_000_000
GROWTH_PART: Final = 100_000
GROWTH_BATCH: Final = 500


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="end within 40 seconds, as JSON")
    parser.add_argument("--growth", action="store_true", help="10,000,000 on one connection")
    parser.add_argument("--compiled", help="an interpreter whose apns_core is compiled")
    parser.add_argument("--engine-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.growth:
        result = {"growth": growth(GROWTH), "provenance": provenance()}
    else:
        result = quick(engine_only=options.engine_only) if options.quick else thorough()
        if not options.engine_only:
            add_compiled(result, options.compiled, quick=options.quick)
    if options.json or options.quick:
        json.dump(result, sys.stdout, indent=None if options.quick else 1)
        print()
    else:
        show(result)


def installed(*, engine_only: bool = False) -> list[str]:
    """Return the engines that can be measured here, ours first."""
    if engine_only:
        return ["engine"]
    found = [name for name in WORKLOADS if name == "engine" or importlib.util.find_spec(name)]
    for name in WORKLOADS.keys() - set(found):
        say(f"{name} is not installed; it is not measured")
    return found


def quick(*, engine_only: bool = False) -> dict[str, Any]:
    """Take a few samples in this process, engines taking turns; medians."""
    names = installed(engine_only=engine_only)
    samples: dict[tuple[str, int], list[float]] = {(e, n): [] for e in names for n in IN_FLIGHT}
    start = time.monotonic()
    for number in range(QUICK_ROUNDS):
        if number and time.monotonic() - start > QUICK_SECONDS:
            say(f"the machine is busy: {number} of {QUICK_ROUNDS} rounds")
            break
        for (name, in_flight), values in samples.items():
            batches = max(1, QUICK_NOTIFICATIONS[name] // in_flight)
            seconds = WORKLOADS[name](batches, in_flight, "round trip")
            values.append(seconds / (batches * in_flight) * 1e6)
    medians = {key: statistics.median(values) for key, values in samples.items()}
    return assemble(names, medians)


def thorough() -> dict[str, Any]:
    """Have pyperf measure all parts in processes of their own."""
    names = installed()
    us, deviations = by_pyperf(sys.executable, names)
    result = assemble(names, {(e, n): us[e, n, "round trip"] for e in names for n in IN_FLIGHT})
    result["parts"] = parts(us, deviations)
    return result


def assemble(names: list[str], us: dict[tuple[str, int], float]) -> dict[str, Any]:
    """Return the object that is printed, for these µs of a round trip."""
    result: dict[str, Any] = {
        "us_per_notification": {str(n): round(us["engine", n], 2) for n in IN_FLIGHT}
    }
    for name in names[1:]:
        result[f"{name}_us_per_notification"] = {str(n): round(us[name, n], 1) for n in IN_FLIGHT}
        result[f"ratio_to_{name}"] = {
            str(n): round(us["engine", n] / us[name, n], 3) for n in IN_FLIGHT
        }
    result["form"] = form()
    result["python"] = platform.python_version()
    result["machine"] = platform.machine()
    result.update({name: metadata.version(name) for name in (*names[1:], "hpack")})
    result["provenance"] = provenance(*names[1:])
    return result


def by_pyperf(
    python: str, names: list[str]
) -> tuple[dict[tuple[str, int, str], float], dict[tuple[str, int, str], float]]:
    """Return medians and standard deviations in µs, by engine, number in flight and part."""
    import pyperf  # noqa: PLC0415 - only the thorough form needs it

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "core.json"
        script = Path(__file__).with_name("core_pyperf.py")
        command = [python, str(script), *PYPERF, "--engines", ",".join(names)]
        command += ["--inherit-environ", "PYTHONPATH", "-o", str(output)]
        say(f"pyperf measures {', '.join(names)} with {python}; this takes minutes")
        subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603
        suite = pyperf.BenchmarkSuite.load(str(output))
    medians: dict[tuple[str, int, str], float] = {}
    deviations: dict[tuple[str, int, str], float] = {}
    for benchmark in suite.get_benchmarks():
        name, in_flight, part = benchmark.get_name().split("/")
        medians[name, int(in_flight), part] = benchmark.median() * 1e6
        deviations[name, int(in_flight), part] = benchmark.stdev() * 1e6
    return medians, deviations


def parts(
    us: dict[tuple[str, int, str], float], deviations: dict[tuple[str, int, str], float]
) -> list[dict[str, Any]]:
    """Return a row for each engine, number in flight and part."""
    return [
        {
            "engine": name,
            "in_flight": in_flight,
            "part": part,
            "us": round(value, 2),
            "deviation": round(deviations[name, in_flight, part], 2),
        }
        for (name, in_flight, part), value in us.items()
    ]


def add_compiled(result: dict[str, Any], python: str | None, *, quick: bool) -> None:
    """Measure the engine once more in another interpreter, which has it compiled."""
    result["compiled"] = None
    if python is None:
        say("no --compiled interpreter: the compiled engine is not measured")
        return
    script = str(Path(__file__).resolve())
    # PYTHONPATH may name a source tree, which would hide the compiled package.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603
        [python, script, "--quick", "--engine-only"],
        check=True,
        env=environ,
        stdout=subprocess.PIPE,
    )
    compiled: dict[str, Any] = json.loads(done.stdout)
    if compiled["form"] != "compiled":
        raise SystemExit(f"apns_core is not compiled in {python}")
    if not quick:
        us, deviations = by_pyperf(python, ["engine"])
        compiled["us_per_notification"] = {
            str(n): round(us["engine", n, "round trip"], 2) for n in IN_FLIGHT
        }
        compiled["parts"] = parts(us, deviations)
    result["compiled"] = compiled


def growth(total: int) -> dict[str, Any]:
    """Send ``total`` on one connection; compare the cost of the last with that of the first.

    Machines drift while it runs. So the old connection is also compared with one made anew, the
    two taking turns at the end.
    """
    batches = GROWTH_PART // GROWTH_BATCH

    def cost(seconds: float, notifications: int) -> float:
        return round(seconds / notifications * 1e6, 3)

    connection, stream_id = opened(), 3
    first = last = 0.0
    for part in range(total // GROWTH_PART):
        last = round_trips(connection, stream_id, batches, GROWTH_BATCH, "round trip")
        stream_id += 2 * GROWTH_PART
        first = first or last
        if part % 10 == 9:
            say(f"{(part + 1) * GROWTH_PART:,}: {cost(last, GROWTH_PART)} µs")
    old_seconds = new_seconds = 0.0
    new, new_stream_id = opened(), 3
    for _ in range(batches):
        old_seconds += round_trips(connection, stream_id, 2, GROWTH_BATCH, "round trip")
        new_seconds += round_trips(new, new_stream_id, 2, GROWTH_BATCH, "round trip")
        stream_id += 4 * GROWTH_BATCH
        new_stream_id += 4 * GROWTH_BATCH
    return {
        "notifications": total,
        "part": GROWTH_PART,
        "in_flight": GROWTH_BATCH,
        "first_us": cost(first, GROWTH_PART),
        "last_us": cost(last, GROWTH_PART),
        "last_to_first": round(last / first, 3),
        "old_us": cost(old_seconds, 2 * GROWTH_PART),
        "new_us": cost(new_seconds, 2 * GROWTH_PART),
        "old_to_new": round(old_seconds / new_seconds, 3),
        "form": form(),
    }


def show(result: dict[str, Any]) -> None:
    """Print a table."""
    if "growth" in result:
        for name, value in result["growth"].items():
            print(f"{name:>15} {value}")
        return
    rows = [(result["form"], row) for row in result["parts"]]
    if result["compiled"]:
        rows += [("compiled", row) for row in result["compiled"]["parts"]]
    print(f"CPython {result['python']}; µs of CPU a notification")
    print(f"{'engine':>10} {'form':>9} {'in flight':>10} {'part':>11} {'µs':>8} {'±':>6}")
    for which, row in rows:
        engine_form = which if row["engine"] == "engine" else ""
        print(
            f"{row['engine']:>10} {engine_form:>9} {row['in_flight']:>10} {row['part']:>11} "
            f"{row['us']:>8.2f} {row['deviation']:>6.2f}"
        )


if __name__ == "__main__":
    main()
