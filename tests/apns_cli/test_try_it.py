"""The lines of "Try it without Apple" are run as they stand in docs/cli.md."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apns_cli.facts import read_facts

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def read_block(name: str) -> str:
    """Return the shell lines below the mark of this name."""
    block = re.search(rf"<!-- test: {name} -->\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    return block[1]


def test_every_block_for_a_shell_is_run() -> None:
    assert PAGE.read_text().count("```sh") == 2


@pytest.mark.skipif(os.name != "posix", reason="written for a shell")
def test_the_lines_to_try_it_without_apple(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "COLUMNS": "80"}
    with subprocess.Popen(
        ["bash", "-c", f"exec {read_block('simulator')}"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    ) as simulator:
        assert simulator.stdout is not None
        try:
            while "Ctrl-C" not in simulator.stdout.readline():
                assert simulator.poll() is None
            tried = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", read_block("try-it")],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=50,
            )
            simulator.send_signal(signal.SIGINT)
            summary, _ = simulator.communicate(timeout=20)
        finally:
            simulator.kill()
    assert tried.returncode == 0, tried.stderr
    (complaint,) = tried.stderr.splitlines()
    assert "410 Unregistered: stop sending" in complaint
    assert tried.stdout.count('"outcome": "accepted"') == 2
    for line in ("exit code 1", "Deleted."):
        assert f"\n{line}\n" in tried.stdout
    assert read_facts(tried.stdout)["APNs would take it"] == "yes"
    facts = read_facts(summary)
    # Three notifications; create, list and delete; two broadcasts.
    assert facts["Accepted"] == "8"
    assert facts["Unregistered"] == "1"
    assert facts["Violations of the protocol"] == "0"
