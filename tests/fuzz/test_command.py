"""The fuzzers' command: what counts as success."""

import json
import sys
from pathlib import Path

import pytest

from fuzz import __main__ as command

_DONE = "#9\tDONE   cov: 5 ft: 6 corp: 1/1b\nstat::number_of_executed_units: 9\n"


@pytest.mark.parametrize(
    ("status", "log", "exit_status"),
    [
        (0, _DONE, 0),
        (1, "ModuleNotFoundError: No module named 'atheris'\n", 1),
        (0, "", 1),
        (77, _DONE, 1),
    ],
    ids=["ran", "could not start", "executed nothing", "was ended"],
)
def test_a_harness_that_did_not_run_is_no_success(
    status: int,
    log: str,
    exit_status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def atheris(path: Path, *_: str) -> tuple[int, float]:
        path.write_text(log)
        return status, 0.0

    monkeypatch.setattr(command, "_WORK", tmp_path)
    monkeypatch.setattr(command, "_atheris", atheris)
    monkeypatch.setattr(sys, "argv", ["fuzz", "run", "--seconds", "1", "answers"])
    assert command.main() == exit_status
    report = json.loads(capsys.readouterr().out)
    assert (report["exit_status"], report["executions"]) == (status, 9 if log == _DONE else 0)
    assert report["findings"] == []


def test_a_finding_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def atheris(log: Path, *_: str) -> tuple[int, float]:
        log.write_text(_DONE)
        (log.parent / "findings" / "crash-1").touch()
        return 0, 0.0

    monkeypatch.setattr(command, "_ROOT", tmp_path)
    monkeypatch.setattr(command, "_WORK", tmp_path)
    monkeypatch.setattr(command, "_atheris", atheris)
    monkeypatch.setattr(sys, "argv", ["fuzz", "run", "answers"])
    assert command.main() == 1
    assert json.loads(capsys.readouterr().out)["findings"] == ["answers/findings/crash-1"]
