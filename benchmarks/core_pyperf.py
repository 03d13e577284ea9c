"""The workloads under pyperf: many processes, calibrated loops.

    python benchmarks/core_pyperf.py --engines engine,h2 --fast -o core.json

Takes pyperf's own options besides.
"""

import argparse

import pyperf

from workloads import IN_FLIGHT, WORKLOADS

PARTS = ("round trip", "send", "receive")


def pass_on(command: list[str], options: argparse.Namespace) -> None:
    """Give our own option to the worker processes."""
    command.extend(("--engines", options.engines))


def main() -> None:
    """Measure; pyperf prints, or writes the file that it is told to."""
    runner = pyperf.Runner(add_cmdline_args=pass_on)
    runner.argparser.add_argument("--engines", default=",".join(WORKLOADS))
    options = runner.parse_args()
    for name in options.engines.split(","):
        for in_flight in IN_FLIGHT:
            for part in PARTS:
                runner.bench_time_func(
                    f"{name}/{in_flight}/{part}",
                    WORKLOADS[name],
                    in_flight,
                    part,
                    inner_loops=in_flight,
                )


if __name__ == "__main__":
    main()
