"""The command: ``python -m fuzz run|replay|pack``. See README.md.

``run`` prints one JSON line for each harness: what was executed, how fast, at what cost, what it
covered, and what it found. Its exit status is 1 if anything was found, or a harness did not run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from fuzz.corpus import kept, pack, unpack
from fuzz.dictionary import write_dictionary
from fuzz.harnesses import HARNESSES

_ROOT: Final = Path(__file__).parent.parent
_WORK: Final = _ROOT / ".fuzz"
"""Grown corpora, findings and logs; not kept in the repository."""

_INPUT_TIMEOUT: Final = 60
"""Seconds by the clock on the wall for one input; more is a finding. A flood that is traced takes
some, and many on a busy machine; the harnesses hold what they feed to CPU time."""
_MEMORY: Final = 1_024
"""Megabytes of one process; more is a finding."""


def main() -> int:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="fuzz for a time, and report")
    run.add_argument("--seconds", type=int, default=60, help="for each harness")
    run.add_argument("--seed", type=int, default=0, help="of the fuzzer; 0: another each time")
    run.add_argument("harnesses", nargs="*", metavar="HARNESS", help="all, if none is named")
    replay = commands.add_parser("replay", help="give files to a harness, without atheris")
    replay.add_argument("harness", choices=HARNESSES)
    replay.add_argument("files", nargs="+", type=Path)
    shrink = commands.add_parser("pack", help="keep, of the grown corpora, what adds coverage")
    shrink.add_argument("harnesses", nargs="*", metavar="HARNESS")
    chosen = parser.parse_args()
    if chosen.command == "replay":
        return _replay(chosen.harness, chosen.files)
    unknown = set(chosen.harnesses) - set(HARNESSES)
    if unknown:
        parser.error(f"no such harness: {', '.join(sorted(unknown))}")
    bad = False
    for name in chosen.harnesses or HARNESSES:
        runs = chosen.command == "run"
        report = _run(name, chosen.seconds, chosen.seed) if runs else _pack(name)
        print(json.dumps(report), flush=True)  # noqa: T201 - the report
        bad = bad or _is_bad(report)
    return int(bad)


def _is_bad(report: dict[str, Any]) -> bool:
    """Whether there are findings, or libFuzzer has failed, or has executed nothing."""
    failed = report.get("exit_status", 0) != 0 or report.get("executions", 1) == 0
    return failed or bool(report.get("findings"))


# ── run ──


def _run(name: str, seconds: int, seed: int) -> dict[str, Any]:
    harness = import_module(f"fuzz.harnesses.{name}")
    folder = _WORK / name
    corpus, findings = folder / "corpus", folder / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    unpack(kept(name), corpus)
    unpack(harness.seeds(), corpus)
    write_dictionary(_WORK / "dictionary")
    before = set(findings.iterdir())
    log = folder / "log"
    started = time.monotonic()
    status, cpu = _atheris(
        log,
        name,
        str(corpus),
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={harness.MAX_LENGTH}",
        f"-dict={_WORK / 'dictionary'}",
        f"-artifact_prefix={findings}/",
        f"-timeout={_INPUT_TIMEOUT}",
        # By itself libFuzzer keeps what takes 10 s, which is as much a matter of the machine.
        f"-report_slow_units={_INPUT_TIMEOUT}",
        f"-rss_limit_mb={_MEMORY}",
        "-print_final_stats=1",
        # Fields of lengths that grow slowly are what we have; reaching them is cheap.
        "-len_control=20",
    )
    new = sorted(set(findings.iterdir()) - before)
    return {
        "harness": name,
        **_statistics(log.read_text(errors="replace")),
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(cpu, 1),
        "corpus": sum(1 for _ in corpus.iterdir()),
        "exit_status": status,
        "log": str(log),
        "findings": [str(path.relative_to(_ROOT)) for path in new],
        "replay": [f"python -m fuzz replay {name} {path.relative_to(_ROOT)}" for path in new],
    }


def _atheris(log: Path, name: str, *arguments: str) -> tuple[int, float]:
    """Run `fuzz.target` to its end; return its exit status and its seconds of CPU."""
    command = [sys.executable, "-m", "fuzz.target", name, *arguments]
    # One seed for the order of sets: what is covered must not depend on it.
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, stdout=output, stderr=output, cwd=_ROOT, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


def _statistics(log: str) -> dict[str, Any]:
    """Read what libFuzzer says at its end, or as far as it came."""
    progress = re.findall(r"^#(\d+)\t.*?cov: (\d+) ft: (\d+)", log, re.MULTILINE)
    totals = dict(re.findall(r"^stat::(\w+):\s+(\d+)", log, re.MULTILINE))
    executions, edges, features = (int(each) for each in progress[-1]) if progress else (0, 0, 0)
    return {
        "executions": int(totals.get("number_of_executed_units", executions)),
        "executions_per_second": int(totals.get("average_exec_per_sec", 0)),
        "edges": edges,
        "features": features,
        "peak_mb": int(totals.get("peak_rss_mb", 0)),
    }


# ── replay ──


def _replay(name: str, files: list[Path]) -> int:
    check = import_module(f"fuzz.harnesses.{name}").check
    failed = 0
    for path in _files(files):
        try:
            check(path.read_bytes())
        except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
            traceback.print_exc()
            print(f"{path}: FAILED", flush=True)  # noqa: T201
            failed += 1
        else:
            print(f"{path}: passed", flush=True)  # noqa: T201
    return int(failed > 0)


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.iterdir()) if path.is_dir() else [path]


# ── pack ──


def _pack(name: str) -> dict[str, Any]:
    """Keep the fewest inputs that cover what all do together."""
    folder = _WORK / name
    corpus = folder / "corpus"
    unpack(kept(name), corpus)
    with TemporaryDirectory(dir=folder) as smallest:
        status, _ = _atheris(folder / "log", name, "-merge=1", smallest, str(corpus))
        inputs = [path.read_bytes() for path in Path(smallest).iterdir()]
    if status or not inputs:
        sys.exit(f"{name}: the merge failed, see {folder / 'log'}")
    return {"harness": name, "kept": pack(name, inputs), "octets": sum(map(len, inputs))}


if __name__ == "__main__":
    sys.exit(main())
