"""Senders side by side: CPU a push, pushes a second and header octets, over TLS 1.3 to nginx.

Every sender is a process of its own with the same request, on one machine, in rounds that take
turns. One that cannot finish is reported with its error, never left out.

    python benchmarks/compare.py                  a table, as Markdown
    python benchmarks/compare.py --json           one JSON object (progress goes to stderr)
    python benchmarks/compare.py --quick          one round with a tenth of the pushes
    python benchmarks/compare.py --only asyncio   senders whose name contains the word
    python benchmarks/compare.py --compiled .venv-compiled/bin/python

With ``--compiled`` ours are measured once more, in an environment where the core is compiled.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from comparison import summarise, table
from counting_server import counting_server
from environments import CACHE, ThisPython
from loopback import Authority
from machine import provenance, say
from nginx import nginx
from peers.contract import DEVICES, ENCODED
from runner import COUNTED, COUNTED_IN_FLIGHT, COUNTED_WARM_UP, IN_FLIGHT, WARM_UP, Bench
from senders import SENDERS, Sender, ours

ROUNDS: Final = 5
TIME_LIMIT: Final = 120.0
"""Seconds for one run of one sender, warm-up included."""


def main() -> None:
    """Measure and print."""
    options = arguments()
    senders = [*SENDERS, *compiled_senders(options.compiled)]
    chosen = [one for one in senders if options.only in one.name]
    if not chosen:
        raise SystemExit(f"no sender's name contains {options.only!r}")
    rounds = 1 if options.quick else options.rounds
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = Authority(folder)
        bench = Bench(folder, authority, options.time_limit, share=0.1 if options.quick else 1.0)
        bench.prepare(chosen, options.cache)
        server = stack.enter_context(nginx(folder, authority))
        for number in range(1, rounds + 1):
            for sender in chosen:
                bench.measure(sender, server, number)
        counter = stack.enter_context(counting_server(authority))
        for sender in chosen:
            bench.count_octets(sender, counter)
    rows: list[dict[str, Any]] = [
        {
            "name": sender.name,
            "label": sender.label,
            "kind": sender.kind,
            "pushes": bench.share_of(sender.pushes),
            "note": sender.note,
            "pinned": sender.pinned,
            **bench.results[sender.name],
        }
        for sender in chosen
    ]
    summarise(rows, baseline="h2load")
    result = {
        "provenance": provenance("trio", "uvloop"),
        "settings": {
            "server": server.version,
            "in_flight": IN_FLIGHT,
            "warm_up": bench.share_of(WARM_UP),
            "rounds": rounds,
            "time_limit": options.time_limit,
            "payload": len(ENCODED),
            "devices": len(DEVICES),
            "counted": COUNTED,
            "counted_warm_up": COUNTED_WARM_UP,
            "counted_in_flight": COUNTED_IN_FLIGHT,
        },
        "senders": rows,
    }
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
    else:
        print("\n".join(table(result)))


def arguments() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="one round, a tenth of the pushes")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="senders whose name contains this")
    parser.add_argument("--compiled", help="an interpreter whose apns_core is compiled")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the environments are")
    parser.add_argument("--time-limit", type=float, default=TIME_LIMIT, help="seconds a run")
    return parser.parse_args()


def compiled_senders(executable: str | None) -> Iterator[Sender]:
    """Yield ours once more, in an environment where the core is compiled."""
    if executable is None:
        say("no --compiled interpreter: the compiled core is not measured")
        return
    check = "import apns_core, sys; sys.exit(not getattr(apns_core, '__compiled__', False))"
    if subprocess.run([executable, "-c", check], check=False, cwd="/").returncode:  # noqa: S603
        raise SystemExit(f"apns_core is not compiled in {executable}")
    yield from ours(ThisPython(executable), "compiled")


if __name__ == "__main__":
    main()
