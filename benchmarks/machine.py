"""What every result says about where it comes from: machine, versions, date."""

import datetime as dt
import os
import platform
import ssl
import subprocess
import sys
from importlib import metadata
from pathlib import Path

__all__ = ["ROOT", "cpu_model", "first_line", "provenance", "say"]

ROOT = Path(__file__).resolve().parent.parent


def provenance(*packages: str) -> dict[str, object]:
    """Return where and when this runs, with the versions of ``packages`` in this environment."""
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION,
        "load_average": round(os.getloadavg()[0], 2),
        "revision": revision(),
        "versions": {name: metadata.version(name) for name in ("apns-core", *packages)},
    }


def cpu_model() -> str:
    """Return what the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def revision() -> str:
    """Return the commit that is measured, with a mark when the source differs from it."""
    commit = first_line("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    changed = first_line("git", "-C", str(ROOT), "status", "--porcelain", "--", "src")
    return f"{commit}, changed" if changed else commit


def first_line(*command: str) -> str:
    """Return the first line that a command prints, on either output; "" if it cannot run."""
    try:
        done = subprocess.run(  # noqa: S603 - commands named in this folder
            command, capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "").strip()


def say(text: str) -> None:
    """Report progress, apart from the results on standard output."""
    print(text, file=sys.stderr, flush=True)
