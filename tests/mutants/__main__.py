"""Kill mutants: make one deliberate mistake after another in a copy of `src`, and see a test fail.

    python -m tests.mutants            all of them
    python -m tests.mutants goaway     those whose name contains the word

Exit status 0 only where every mutant is killed. A mutant whose text no longer stands in its file is
an error too: the table must follow the code.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
SECONDS = 300
"""A test that hangs ends by its own limit, and has failed; this is more than many of those."""
ALL_TESTS_SECONDS = 600


def apply(mutant: Mutant, source: Path) -> None:
    """Make the mistake in a copy of the sources. Raises ValueError where it does not fit."""
    file = source / mutant.file
    text = file.read_text()
    if text.count(mutant.before) != 1:
        raise ValueError(
            f"{mutant.name}: its text stands {text.count(mutant.before)} times in {mutant.file}"
        )
    file.write_text(text.replace(mutant.before, mutant.after))


def killed(mutant: Mutant | None, tests: tuple[str, ...]) -> tuple[bool, str]:
    """Run ``tests`` against a mutated copy; return whether one failed, and the last line said."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            apply(mutant, source)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no"),
                *("-p", "no:cacheprovider"),
                *tests,
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{source}", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=ALL_TESTS_SECONDS if mutant is None else SECONDS,
            check=False,
        )
        lines = done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]]
        # 1 is "tests failed". Any other code means that nothing was tested, which kills nothing.
        if done.returncode not in (0, 1):
            raise RuntimeError(f"pytest ended with {done.returncode}: {lines[-1]}")
        return done.returncode == 1, lines[-1]


def judge(mutant: Mutant) -> tuple[Mutant, str]:
    """Return a mutant and what became of it."""
    try:
        dead, line = killed(mutant, mutant.tests)
    except subprocess.TimeoutExpired:
        return mutant, "killed (it hangs)"
    except (ValueError, RuntimeError) as error:
        return mutant, f"ERROR {error}"
    return mutant, f"killed ({line})" if dead else f"SURVIVED ({line})"


def main() -> int:
    """Judge the mutants, two at a time; print a line each."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    mutants = [mutant for mutant in MUTANTS if word in mutant.name]
    started = time.monotonic()
    tests = tuple(sorted({test for mutant in mutants for test in mutant.tests}))
    failed, line = killed(None, tests)
    if failed:
        print(f"the tests fail without any mutant: {line}")  # noqa: T201
        return 1
    survivors = 0
    with ThreadPoolExecutor(2) as pool:
        for mutant, verdict in pool.map(judge, mutants):
            print(f"{mutant.name:<44} {verdict}", flush=True)  # noqa: T201
            survivors += not verdict.startswith("killed")
    seconds = time.monotonic() - started
    print(f"{len(mutants) - survivors} of {len(mutants)} killed in {seconds:.0f} s")  # noqa: T201
    return 1 if survivors or not mutants else 0


if __name__ == "__main__":
    sys.exit(main())
