"""Processor instructions for one notification through the engine, counted by valgrind.

Unlike time, the count hardly depends on how busy the machine is. The same program runs twice, with
few and with many notifications; the difference leaves start-up out.

It does depend on the interpreter and how that was compiled, so figures are kept by `build`.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

from machine import ROOT
from workloads import form, opened, round_trips

__all__ = ["RECORDED", "build", "count", "recorded"]

RECORDED: Final = ROOT / "benchmarks" / "results" / "instructions.json"
IN_FLIGHT: Final = 100
FEW, MANY = 2, 12
"""Batches: 200 and 1,200 notifications. valgrind makes them some forty times slower."""


def build() -> str:
    """Name this interpreter, as far as the count depends on it: version, compiler, options."""
    flags = str(sysconfig.get_config_var("PY_CFLAGS") or "")
    level = next(iter(re.findall(r"-O\S", flags)[-1:]), "-O?")
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    optimised = " optimised" if "--enable-optimizations" in arguments else ""
    compiler = platform.python_compiler()
    version = ".".join(platform.python_version_tuple()[:2])
    return f"CPython {version}, {compiler} {level}{optimised}, {platform.machine()}, {form()}"


def recorded() -> dict[str, int]:
    """Return the committed figures: instructions a notification, by `build`."""
    figures: dict[str, int] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    return figures


def count() -> int:
    """Return instructions a notification. Raises RuntimeError without valgrind."""
    if shutil.which("valgrind") is None:
        raise RuntimeError("valgrind is not installed; on Debian: apt install valgrind")
    few, many = (collected(batches) for batches in (FEW, MANY))
    return round((many - few) / ((MANY - FEW) * IN_FLIGHT))


def collected(batches: int) -> int:
    """Run this file under valgrind; return what it has counted."""
    # The environment lies on the stack, and its size moves addresses: no more of it than needed.
    kept = ("PATH", "PYTHONPATH")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603
            [  # noqa: S607 - found on PATH on purpose
                "valgrind",
                "--tool=cachegrind",  # counts what callgrind counts, in two thirds of the time
                "--cache-sim=no",
                f"--cachegrind-out-file={Path(folder) / 'out'}",
                sys.executable,
                __file__,
                str(batches),
            ],
            env={**environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or found is None:
        raise RuntimeError(f"valgrind failed: {done.stderr[-500:]}")
    return int(found[1].replace(",", ""))


if __name__ == "__main__":
    round_trips(opened(), 3, int(sys.argv[1]), IN_FLIGHT, "round trip")
