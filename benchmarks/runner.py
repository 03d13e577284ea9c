"""Runs the drivers of senders, each in a process of its own, and keeps what they report."""

import json
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from comparison import round_of
from counting_server import CountingServer
from environments import prepare
from loopback import HOST, Authority
from machine import ROOT, say
from nginx import Nginx
from senders import Sender

__all__ = [
    "COUNTED",
    "COUNTED_IN_FLIGHT",
    "COUNTED_WARM_UP",
    "IN_FLIGHT",
    "WARM_UP",
    "Bench",
]

IN_FLIGHT: Final = 500
WARM_UP: Final = 3_000
"""Enough for V8 to compile what is hot, and for HPACK tables and windows to settle."""
COUNTED_WARM_UP, COUNTED, COUNTED_IN_FLIGHT = 100, 200, 10
"""The runs that count header octets: h2 answers them, so they are small."""


@final
class Bench:
    """Runs drivers and keeps what they report, by name of the sender."""

    def __init__(
        self, folder: Path, authority: Authority, time_limit: float, *, share: float
    ) -> None:
        self._authority = authority
        self._time_limit = time_limit
        self._share = share
        self._commands: dict[str, list[str]] = {}
        self._key = folder / "provider-key.p8"
        write_provider_key(self._key)
        self.results: dict[str, dict[str, Any]] = {}

    def share_of(self, pushes: int) -> int:
        """Return how many of these pushes a run makes."""
        return max(1, int(pushes * self._share))

    def prepare(self, senders: Iterable[Sender], cache: Path) -> None:
        """Make the environments; a sender that cannot be installed has failed."""
        for sender in senders:
            result: dict[str, Any] = {"rounds": [], "error": None, "versions": {}}
            self.results[sender.name] = result
            try:
                command = prepare(sender.environment, sender.driver, cache)
            except (RuntimeError, OSError) as error:
                result["error"] = f"not installed: {error}"
            else:
                self._commands[sender.name] = [*command, *sender.arguments]

    def measure(self, sender: Sender, server: Nginx, number: int) -> None:
        """Run one round of one sender, unless an earlier one failed."""
        result = self.results[sender.name]
        if result["error"]:
            return
        before = server.accepted_connections()
        pushes = self.share_of(sender.pushes)
        try:
            done = self._run(sender, server.port, self.share_of(WARM_UP), pushes, IN_FLIGHT)
        except RuntimeError as error:
            result["error"] = f"round {number}: {error}"
            say(f"{number} {sender.name}: {error}")
            return
        measured = round_of(done)
        result["rounds"].append(measured)
        result["versions"] = done["versions"]
        # The one more is the reading of the status page.
        connections = server.accepted_connections() - before - 1
        result["connections"] = connections // sender.runs
        say(
            f"{number} {sender.name}: {measured['us_cpu']:.1f} µs of CPU, "
            f"{measured['per_second']:,.0f} a second"
        )
        if done["ok"] != pushes:
            result["error"] = f"round {number}: {pushes - done['ok']} of {pushes} not answered 200"

    def count_octets(self, sender: Sender, counter: CountingServer) -> None:
        """Count the header octets of a few pushes."""
        result = self.results[sender.name]
        if sender.name not in self._commands:
            return
        counter.reset()
        try:
            self._run(sender, counter.port, COUNTED_WARM_UP, COUNTED, COUNTED_IN_FLIGHT)
        except RuntimeError as error:
            result["header_octets"] = {"error": str(error)}
            return
        counts = counter.reset()
        steady = counts.blocks[-COUNTED:]
        result["header_octets"] = {
            "first": counts.blocks[0],
            "steady": round(sum(steady) / len(steady), 1),
            "fields": sorted(counts.fields),
        }

    def _run(
        self, sender: Sender, port: int, warm_up: int, count: int, in_flight: int
    ) -> dict[str, Any]:
        """Run a driver. Raises RuntimeError with its last words if it fails or takes too long."""
        ca = str(self._authority.ca)
        command = [
            *self._commands[sender.name],
            *("--host", HOST, "--port", str(port), "--ca", ca, "--key", str(self._key)),
            *("--warm-up", str(warm_up), "--count", str(count), "--in-flight", str(in_flight)),
        ]
        # For the senders that take no authority: each has one of these.
        trust = {"SSL_CERT_FILE": ca, "NODE_EXTRA_CA_CERTS": ca}
        environ = {**os.environ, **trust, "PYTHONPATH": pythonpath(sender), "PYTHONWARNINGS": ""}
        with subprocess.Popen(  # noqa: S603 - the drivers of this folder
            command,
            cwd=ROOT / "benchmarks",
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, errors = process.communicate(timeout=self._time_limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, errors = process.communicate()
                words = last_line(errors)
                raise RuntimeError(
                    f"not done after {self._time_limit:g} s" + (f": {words}" if words else "")
                ) from None
        if process.returncode:
            words = last_line(errors) or f"ended with status {process.returncode}"
            raise RuntimeError(words)
        done: dict[str, Any] = json.loads(last_line(output))
        return done


def pythonpath(sender: Sender) -> str:
    """Return where a driver finds modules: the drivers, and what was asked for from outside.

    Only ours see the latter: it may name a source tree to be measured.
    """
    outside = os.environ.get("PYTHONPATH", "") if sender.kind == "ours" else ""
    return os.pathsep.join(filter(None, (str(ROOT / "benchmarks"), outside)))


def write_provider_key(path: Path) -> None:
    """Write a throw-away key of the kind that Apple hands out."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.touch(0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def last_line(text: str) -> str:
    """Return the last line that is not empty, or ""."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
