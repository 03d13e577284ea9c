"""What the kernel does to connections: outcomes stay honest, and sending goes on in time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def scenario(name: str, *tools: str) -> dict[str, Any]:
    """Run one in a namespace of its own, or skip where that is not to be had."""
    for tool in ("unshare", "ip", *tools):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to make a network namespace")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.network.scenarios", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["discrepancies"] == {}
    return report


def test_a_narrow_line_loses_nothing() -> None:
    report = scenario("narrow", "tc")
    assert report["outcomes"] == {"Accepted": 1_000}


def test_s21_packets_that_are_dropped_are_noticed_within_26_seconds() -> None:
    report = scenario("swallow", "iptables", "ss")
    assert report["longest_pause"] <= 26
    assert report["connections"] == 2
    assert sum(report["outcomes"].values()) == 3_000
    assert 0 < report["outcomes"]["Unknown"] <= 1_000
    assert set(report["outcomes"]) == {"Accepted", "Unknown"}


def test_sockets_that_are_killed_cost_no_more_than_what_was_in_flight() -> None:
    report = scenario("kill", "ss")
    if report["connections"] == 1:
        pytest.skip("this kernel kills no sockets (CONFIG_INET_DIAG_DESTROY)")
    assert report["longest_pause"] <= 5
    assert sum(report["outcomes"].values()) == 3_000
    assert report["outcomes"].get("Unknown", 0) <= 1_000
    assert set(report["outcomes"]) <= {"Accepted", "Unknown"}
