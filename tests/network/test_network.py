"""What the kernel does to connections: outcomes stay honest, and sending goes on in time."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).parents[2]

# Who is not root can be it within a namespace of users, where the system lets them.
UNSHARE = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net"]


def scenario(name: str, *tools: str, loop: str = "asyncio") -> dict[str, Any]:
    """Run one in a namespace of its own, or end the test where that is not to be had."""
    for tool in ("unshare", "ip", *tools):
        if shutil.which(tool) is None:
            not_to_be_had(f"{tool} is not installed")
    # It may be there and of no use: without the right, or without the kernel's part of it.
    for command in (["true"], *(["iptables", "-L"] for tool in tools if tool == "iptables")):
        tried = subprocess.run([*UNSHARE, *command], capture_output=True, check=False)
        if tried.returncode:
            not_to_be_had(f"no right to a network namespace, or not to {command[0]} in it")
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.network.scenarios", name, loop],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["discrepancies"] == {}
    return report


def not_to_be_had(reason: str) -> NoReturn:
    """Fail where ``APNS_REQUIRE_PEERS=1`` promises that all is there; skip elsewhere."""
    if os.environ.get("APNS_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.parametrize(
    ("promised", "ends_with"), [("1", pytest.fail.Exception), (None, pytest.skip.Exception)]
)
@pytest.mark.parametrize("missing", ["tool", "right"])
def test_what_is_missing_fails_only_where_it_is_promised(
    missing: str,
    promised: str | None,
    ends_with: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if missing == "right":
        for tool in ("unshare", "ip", "iptables"):
            (tmp_path / tool).write_text("#!/bin/sh\nexit 1\n")
            (tmp_path / tool).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("APNS_REQUIRE_PEERS", raising=False)
    if promised is not None:
        monkeypatch.setenv("APNS_REQUIRE_PEERS", promised)
    says = "unshare is not installed" if missing == "tool" else "no right to a network namespace"
    with pytest.raises(ends_with, match=says):
        scenario("swallow", "iptables")


def test_a_narrow_line_loses_nothing() -> None:
    report = scenario("narrow", "tc")
    assert report["outcomes"] == {"Accepted": 1_000}


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_s21_packets_that_are_dropped_are_noticed_within_26_seconds(loop: str) -> None:
    report = scenario("swallow", "iptables", "ss", loop=loop)
    assert report["longest_pause"] <= 26
    # On a machine that is short of time the second one may want company for a moment.
    assert report["connections"] in {2, 3}
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
