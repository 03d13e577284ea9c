"""A simulator for commands to reach, in the environment in which they look for it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from apns_cli.command import apns
from apns_simulator import SimulatorThread

PATIENCE = ("0.1", "1", "10")
"""Timeouts for what ends by one, in seconds. The first is over before anything was said where the
machine runs others just then: such a run has missed the moment, and is made again with the next."""


class Simulated:
    """A simulator, and the environment of a command that is to reach it."""

    def __init__(self, simulator: SimulatorThread, directory: Path) -> None:
        key = simulator.provider_key
        ca_file, key_file = directory / "ca.pem", directory / "key.p8"
        ca_file.write_text(simulator.ca_pem)
        key_file.touch(0o600)
        key_file.write_text(key.private_key_pem)
        self.simulator = simulator
        self.env = {
            "APNS_SERVER": f"{simulator.host}:{simulator.port}",
            "APNS_CA_FILE": str(ca_file),
            "APNS_KEY_FILE": str(key_file),
            "APNS_KEY_ID": key.key_id,
            "APNS_TEAM_ID": key.team_id,
            # Not as wide as where the tests run.
            "COLUMNS": "80",
        }

    def run(self, *args: str, stdin: str | bytes | None = None) -> Result:
        """Run `apns` with these arguments in this process."""
        result = CliRunner().invoke(apns, args, input=stdin, env=self.env)
        # A traceback says more than exit code 1.
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def run_until_said(self, expected: str, *args: str) -> Result:
        """Run `apns` with a timeout; with a longer one where that was over before it said so."""
        *tries, last = PATIENCE
        for seconds in tries:
            result = self.run(*args, "--timeout", seconds)
            if expected in result.stderr:
                return result
        return self.run(*args, "--timeout", last)

    def command(self, *args: str) -> list[str]:
        """Return how `apns` is started with these arguments in a process of its own."""
        return [sys.executable, "-m", "apns_cli", *args]


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[Simulated]:
    """A simulator of its own for each test."""
    with SimulatorThread() as simulator:
        yield Simulated(simulator, tmp_path)
