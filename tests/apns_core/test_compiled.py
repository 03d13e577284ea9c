"""Which form of the engine runs, compiled or plain Python; and that it makes no difference."""

import copy
import os
import pickle
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

import pytest

from apns_core import (
    Cause,
    ConnectionClosed,
    ConnectionConfig,
    GoAwayReceived,
    LimitChanged,
    SenderConfig,
    __compiled__,
)

REPOSITORY: Final = Path(__file__).parents[2]


SOURCE: Final = REPOSITORY / "src"


def compiles(path: Path) -> bool:
    """Return whether a build compiles the module, where it compiles."""
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    wheel = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]
    interpreted: list[str] = wheel["hooks"]["custom"]["interpreted"]
    return not any(path.match(pattern) for pattern in interpreted)


@pytest.mark.parametrize(
    "path",
    sorted(SOURCE.glob("apns_core/**/*.py")),
    ids=lambda path: path.relative_to(SOURCE).as_posix(),
)
def test_every_module_has_the_form_that_the_engine_claims(path: Path) -> None:
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    file = import_module(name).__file__
    assert file is not None
    assert file.endswith(tuple(EXTENSION_SUFFIXES)) == (__compiled__ and compiles(path))


@pytest.mark.skipif("APNS_FORM" not in os.environ, reason="APNS_FORM asks for neither form")
def test_the_form_is_the_one_that_was_asked_for() -> None:
    assert os.environ["APNS_FORM"] == ("compiled" if __compiled__ else "plain")


TRACES: Final = """
from apns_core import __compiled__
from tests.simulation.report import live
print(__compiled__, *[live(seed).trace_hash for seed in range(12)])
"""


@pytest.mark.skipif("APNS_OTHER_PYTHON" not in os.environ, reason="no Python with the other form")
def test_both_forms_write_the_same_bytes_at_the_same_times() -> None:
    printed = [
        subprocess.run(
            [python, "-c", TRACES], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout.split()
        for python in (sys.executable, os.environ["APNS_OTHER_PYTHON"])
    ]
    (mine, *traces), (other, *other_traces) = printed
    assert {mine, other} == {"True", "False"}
    assert len(traces) == 12
    assert traces == other_traces


@pytest.mark.parametrize(
    "value",
    [
        ConnectionConfig(max_streams=5),
        SenderConfig(max_queued=5),
        LimitChanged(5),
        GoAwayReceived(1, 0, None, "shutting down"),
        ConnectionClosed(Cause.RETIRED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_in_either_form_values_are_copied_and_pickled(value: object) -> None:
    assert copy.copy(value) == value
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301
