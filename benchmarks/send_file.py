"""Proves `apns send-file` on a million lines: how fast, in how much memory, and once each.

Sends to a real nginx, whose access log says what it received, and to the simulator, whose ledger
does: a whole run, one that is killed on its way and resumed, one that is interrupted and resumed.

    python -m benchmarks.send_file                              a million, and 100,000 simulated
    python -m benchmarks.send_file --count 0 --simulated 5000   the simulator alone
    python -m benchmarks.send_file --phase killed               of the three, this one
    python -m benchmarks.send_file --quick                      some thousands

Prints one JSON object. Exit code 1 says that something in it is not as it must be: ``failures``.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias, final

from apns_simulator import ProviderKey, SimulatorProcess, make_provider_key
from tests.peers.servers import running

Json: TypeAlias = dict[str, Any]
Counts: TypeAlias = bytearray
"""Line -> how often; the first has the number 1."""

PHASES: Final = ("whole", "killed", "interrupted")
QUICK_COUNT: Final = 20_000
QUICK_SIMULATED: Final = 6_000
TRIES: Final = 5
"""Of a run that is to be stopped: where this process was not woken in time, it ends by itself."""
REQUESTS_A_CONNECTION: Final = 20_000
"""Then nginx sends GOAWAY. What a request costs it grows with those before on the connection: from
36 µs of CPU to 200 after 900,000."""
MAX_RSS: Final = 150.0
"""MiB."""

# A device token is the line's number times an odd number, modulo 2^256: it looks like any other,
# and leads back to the line without a table.
FACTOR: Final = 0x9E3779B97F4A7C15F39CC0605CEDC8341082276BF3A27251F86C6A11D0C18E95
INVERSE: Final = pow(FACTOR, -1, 1 << 256)


def device_token(line: int) -> str:
    return f"{line * FACTOR % (1 << 256):064x}"


def line_of(token: str) -> int:
    return int(token, 16) * INVERSE % (1 << 256)


# ── servers ──


@final
@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs now."""

    environment: dict[str, str]
    """How `apns` reaches it."""
    received: Callable[[int], Counts]
    """How often it received what is sent for each of so many lines."""


@contextmanager
def nginx(folder: Path) -> Generator[Server]:
    # The option is the end of a directive, after which there may be another: APNs sends an id.
    access_log = (
        "paths.log paths buffer=64k flush=100ms; "
        "add_header apns-id eabeae54-14a8-11e5-b60b-1697f925ec7b"
    )
    log = folder / "paths.log"

    def received(count: int) -> Counts:
        wait_until_it_rests(log)
        counts = Counts(count + 1)
        with log.open() as lines:
            for path in lines:
                counts[line_of(path.rstrip().rpartition("/")[2])] += 1
        return counts

    with running(
        "nginx",
        folder,
        access_log=access_log,
        max_concurrent_streams=1_000,
        keepalive_requests=REQUESTS_A_CONNECTION,
    ) as server:
        place = f"{server.host}:{server.port}"
        yield Server(environment(folder, place, server.ca_pem, make_provider_key()), received)


@contextmanager
def simulator(folder: Path) -> Generator[Server]:
    with SimulatorProcess() as process:

        def received(count: int) -> Counts:
            counts = Counts(count + 1)
            for entry in process.ledger().entries:
                counts[line_of(entry.device_token)] += 1
            return counts

        place = f"{process.host}:{process.port}"
        yield Server(environment(folder, place, process.ca_pem, process.provider_key), received)


SERVERS: Final = {"nginx": nginx, "simulator": simulator}


def environment(folder: Path, place: str, ca_pem: str, key: ProviderKey) -> dict[str, str]:
    ca_file, key_file = folder / "ca.pem", folder / "key.p8"
    ca_file.write_text(ca_pem)
    key_file.touch(0o600)
    key_file.write_text(key.private_key_pem)
    return {
        "APNS_SERVER": place,
        "APNS_CA_FILE": str(ca_file),
        "APNS_KEY_FILE": str(key_file),
        "APNS_KEY_ID": key.key_id,
        "APNS_TEAM_ID": key.team_id,
    }


def wait_until_it_rests(log: Path) -> None:
    """Return when nothing was written for a second: what a killed client had sent is read on."""
    size = -1
    while size != (size := log.stat().st_size):
        time.sleep(1)


# ── the command ──


@final
@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended."""

    exit_code: int
    report: Json | None
    rss: float
    """MiB, at its most."""
    cpu: float
    """Seconds."""


@final
class Command:
    """`apns send-file` on one input, in a process of its own."""

    def __init__(self, server: Server, tokens: Path) -> None:
        self._environment = os.environ | server.environment
        self._tokens = tokens
        self.results = tokens.with_name(f"{tokens.name}.results.jsonl")

    def run(self, *options: str, until: int = 0, then: signal.Signals | None = None) -> Ended:
        """Run it to its end; or until so many lines have an outcome, and then send a signal."""
        arguments = ("send-file", "--app", "com.example.app", "--body", "Your table is ready.")
        command = [sys.executable, "-m", "apns_cli", *arguments, "--json", *options]
        with subprocess.Popen(  # noqa: S603 - our own interpreter with our own module
            [*command, str(self._tokens)], env=self._environment, stdout=subprocess.PIPE, text=True
        ) as process:
            outcomes = self._outcomes()
            rss = 0.0
            while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
                # Not what wait4 tells: that has the size of this process in it, which forked.
                rss = max(rss, peak_rss(process.pid))
                if then is not None and next(outcomes) >= until:
                    process.send_signal(then)
                    then = None
                time.sleep(0.002 if then is not None else 0.05)
            process.returncode = os.waitstatus_to_exitcode(ended[1])
            output = process.stdout.read() if process.stdout is not None else ""
        usage = ended[2]
        report = json.loads(output) if output else None
        return Ended(process.returncode, report, rss, usage.ru_utime + usage.ru_stime)

    def _outcomes(self) -> Iterator[int]:
        """Yield how many lines there are in the results, each time it is asked."""
        count, place = 0, 0
        while True:
            if self.results.exists():
                with self.results.open("rb") as file:
                    file.seek(place)
                    new = file.read()
                count, place = count + new.count(b"\n"), place + len(new)
            yield count

    def recorded(self, count: int) -> Counts:
        """Return how many records each line has; what is cut short is none."""
        counts = Counts(count + 1)
        if self.results.exists():
            with self.results.open() as lines:
                for line in lines:
                    if line.endswith("\n"):
                        counts[json.loads(line)["line"]] += 1
        return counts


def peak_rss(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    peaks = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    # A process that has ended has none.
    return int(next(peaks, "0")) / 1024


# ── the proof ──


class TooLate(Exception):  # noqa: N818 - named for what is wrong with it
    """The command had done all of it when the signal came, which proves nothing."""


@final
class Proof:
    """What was measured, and what is not as it must be."""

    def __init__(self, name: str, count: int, chosen: Sequence[str]) -> None:
        self._name = name
        self._count = count
        self._chosen = chosen
        # Not where nginx sends GOAWAY, and nothing is in flight; and a way from the end, as what is
        # in flight when SIGINT comes is waited for.
        self._stop_at = count * 33 // 100
        self.failures: list[str] = []

    def run(self) -> Json:
        """Run what is chosen, each against a server of its own."""
        proofs = {"whole": self._whole, "killed": self._killed, "interrupted": self._interrupted}
        found: Json = {"lines": self._count}
        for phase in self._chosen:
            say(f"{self._name}, {self._count:,} lines: {phase}")
            for left in reversed(range(TRIES)):
                try:
                    found[phase] = self._anew(proofs[phase])
                    break
                except TooLate:
                    self._must(left, f"{phase}: stopped before its end, in {TRIES} tries")
        return found

    def _anew(self, proof: Callable[[Server, Command], Json]) -> Json:
        with TemporaryDirectory(prefix="apns-") as directory:
            folder = Path(directory)
            tokens = folder / "tokens.csv"
            with tokens.open("w") as file:
                for line in range(1, self._count + 1):
                    file.write(f"{device_token(line)}\n")
            with SERVERS[self._name](folder) as server:
                return proof(server, Command(server, tokens))

    def _whole(self, server: Server, command: Command) -> Json:
        ended = command.run()
        self._must(ended.exit_code == 0, "whole: exit code is 0")
        self._must_have_one_record_each(command, "whole")
        self._must(set(server.received(self._count)[1:]) == {1}, "whole: each was received once")
        return self._figures(ended)

    def _killed(self, server: Server, command: Command) -> Json:
        killed = command.run(until=self._stop_at, then=signal.SIGKILL)
        before = command.recorded(self._count)
        if sum(before) == self._count:
            raise TooLate
        self._must(killed.exit_code == -signal.SIGKILL, "killed: by the signal")
        at_the_kill = server.received(self._count)
        lines = range(1, self._count + 1)
        # Those that the server has, and that have no outcome.
        in_doubt = {line for line in lines if at_the_kill[line] and not before[line]}
        self._must(
            all(at_the_kill[line] for line in lines if before[line]),
            "killed: what is on record was received",
        )

        ended = command.run("--resume")
        self._must(ended.exit_code == 0, "resumed: exit code is 0")
        self._must_have_one_record_each(command, "resumed")
        after = server.received(self._count)
        twice = {line for line in lines if after[line] == 2}
        self._must(set(after[1:]) <= {1, 2}, "resumed: each was received once or twice")
        self._must(twice == in_doubt, "resumed: twice were those without an outcome at the kill")
        return {
            "on_record_at_the_kill": sum(before),
            "received_at_the_kill": sum(at_the_kill),
            "received_twice": len(twice),
            "resumed": self._figures(ended),
        }

    def _interrupted(self, server: Server, command: Command) -> Json:
        stopped = command.run(until=self._stop_at, then=signal.SIGINT)
        before = command.recorded(self._count)
        if sum(before) == self._count:
            raise TooLate
        self._must(stopped.exit_code == 1, "interrupted: exit code is 1")
        self._must(sum(before) > 0, "interrupted: what was in flight is on record")
        self._must(
            before == server.received(self._count), "interrupted: all that was sent is on record"
        )

        ended = command.run("--resume")
        self._must(ended.exit_code == 0, "resumed after SIGINT: exit code is 0")
        self._must_have_one_record_each(command, "resumed after SIGINT")
        self._must(
            set(server.received(self._count)[1:]) == {1}, "resumed after SIGINT: each received once"
        )
        return {
            "on_record_at_the_end": sum(before),
            "stopped": None if stopped.report is None else stopped.report["stopped"],
            "resumed": self._figures(ended),
        }

    def _must_have_one_record_each(self, command: Command, phase: str) -> None:
        recorded = command.recorded(self._count)
        self._must(set(recorded[1:]) == {1}, f"{phase}: each line has one record")

    def _figures(self, ended: Ended) -> Json:
        report = ended.report or {}
        sent = report.get("accepted", 0) - report.get("earlier", 0)
        self._must(report.get("accepted") == self._count, "all were accepted")
        self._must(0 < ended.rss < MAX_RSS, f"less than {MAX_RSS:g} MiB")
        return {
            "seconds": report.get("seconds"),
            "per_second": report.get("per_second"),
            "cpu_us_a_line": round(ended.cpu / sent * 1e6, 1) if sent else None,
            "peak_rss_mib": round(ended.rss, 1),
        }

    def _must(self, holds: object, what: str) -> None:
        if not holds:
            self.failures.append(f"{self._name}: not so: {what}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="lines to send to nginx")
    parser.add_argument("--simulated", type=int, default=100_000, help="lines to the simulator")
    parser.add_argument(
        "--phase", action="append", choices=PHASES, help="of these; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="some thousands of each")
    options = parser.parse_args()
    counts = {"nginx": options.count, "simulator": options.simulated}
    if options.quick:
        counts = {"nginx": QUICK_COUNT, "simulator": QUICK_SIMULATED}
    found: Json = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
    }
    failures: list[str] = []
    for name, count in counts.items():
        if count:
            proof = Proof(name, count, options.phase or PHASES)
            found[name] = proof.run()
            failures += proof.failures
    print(json.dumps({**found, "failures": failures}, indent=2))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
