"""One harness under atheris: ``python -m fuzz.target HARNESS [libFuzzer's arguments]``.

A process of its own, for libFuzzer ends the one it runs in. `fuzz.__main__` starts it.
"""

import shlex
import sys
from functools import partial
from importlib import import_module
from typing import Any, Final

__all__ = ["main"]

_INSTRUMENTED: Final = ["apns_core", "apns_cli", "apns_simulator.config"]
"""What guides the fuzzer. The libraries that we compare with are not what is looked for."""


def main() -> None:
    """Run one harness until libFuzzer has enough."""
    # No part of the test environment: it has no wheels for all Pythons that we run on.
    atheris: Any = import_module("atheris")
    name, *arguments = sys.argv[1:]
    # Nothing of ours may have been imported before, or it would not be instrumented.
    with atheris.instrument_imports(include=_INSTRUMENTED):
        harness: Any = import_module(f"fuzz.harnesses.{name}")
    options: dict[str, Any] = {}
    if hasattr(harness, "mutate"):
        options["custom_mutator"] = partial(_mutate, harness, partial(_plain, atheris))
    # libFuzzer starts itself anew for a merge, through a shell.
    command = shlex.join([sys.executable, "-m", "fuzz.target", name])
    atheris.Setup([command, *arguments], harness.check, **options)
    atheris.Fuzz()


def _plain(atheris: Any, data: bytes, max_size: int) -> bytes:  # noqa: ANN401
    # Looked up each time: atheris puts another in its place when it starts.
    changed: bytes = atheris.Mutate(data, max_size)
    return changed


def _mutate(harness: Any, plain: Any, data: bytes, max_size: int, seed: int) -> bytes:  # noqa: ANN401
    changed: bytes = harness.mutate(data, max_size, seed, plain)
    return changed


if __name__ == "__main__":
    main()
