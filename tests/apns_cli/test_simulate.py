import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from apns_cli.command import apns
from apns_simulator import make_provider_key
from tests.apns_cli.facts import read_facts

SIMULATE = [sys.executable, "-m", "apns_cli", "simulate"]


@contextmanager
def simulating(*options: str) -> "Generator[subprocess.Popen[str], None, None]":
    with subprocess.Popen(
        [*SIMULATE, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def stop(process: "subprocess.Popen[str]", signal_number: int = signal.SIGINT) -> str:
    """End the simulator as Ctrl-C does; return what it still had to print."""
    process.send_signal(signal_number)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    return output


def read_until(process: "subprocess.Popen[str]", end: str) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or end not in lines[-1]:
        line = process.stdout.readline()
        assert line
        lines.append(line)
    return "".join(lines)


def read_ready(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    ready: dict[str, Any] = json.loads(process.stdout.readline())
    return ready


def paste(printed: str) -> "subprocess.CompletedProcess[str]":
    """Paste what leads the other commands to the simulator, and what sends a notification."""
    exports = [line for line in printed.splitlines() if line.startswith("export ")]
    sending = printed[printed.index("apns send") :].partition("\n\n")[0]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", "\n".join([*exports, sending])],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_the_printed_lines_can_be_pasted_into_a_shell() -> None:
    with simulating() as process:
        printed = read_until(process, "Ctrl-C")
        pasted = paste(printed)
        summary = stop(process)
    assert (pasted.returncode, pasted.stderr) == (0, "")
    assert read_facts(pasted.stdout)["Outcome"] == "accepted"
    facts = read_facts(summary)
    assert facts["Connections"] == "1"
    assert facts["Requests processed"] == "1"
    assert facts["Accepted"] == "1"
    assert facts["Violations of the protocol"] == "0"


def test_the_environment_is_in_a_file_for_a_shell_to_read(tmp_path: Path) -> None:
    environment = tmp_path / "simulator.env"
    environment.write_text("of another run")
    # What is in it, however it is called, is one value.
    directory = tmp_path / "it's here; $HOME"
    directory.mkdir()
    ca, key = directory / "ca.pem", directory / "key.p8"
    with simulating(
        *("--json", "--env-out", str(environment), "--ca-out", str(ca), "--key-out", str(key))
    ) as process:
        ready = read_ready(process)
        names = ["APNS_SERVER", "APNS_CA_FILE", "APNS_KEY_FILE", "APNS_KEY_ID", "APNS_TEAM_ID"]
        values = " ".join(f'"${name}"' for name in names)
        read = subprocess.run(
            ["sh", "-c", f'. "$1"; printf "%s\\n" {values}', "sh", str(environment)],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        stop(process)
    server = f"{ready['host']}:{ready['port']}"
    assert read.stdout.splitlines() == [
        *(server, str(ca), str(key), ready["key_id"], ready["team_id"])
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [directory.name, environment.name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names")
def test_the_environment_may_go_through_a_pipe_or_a_link(tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    with simulating("--json", "--env-out", str(pipe)) as process:
        assert pipe.read_text().startswith("export APNS_SERVER=")
        read_ready(process)
        stop(process)
    assert pipe.is_fifo()
    link.symlink_to(file)
    with simulating("--json", "--env-out", str(link)) as process:
        read_ready(process)
        stop(process)
    assert link.is_symlink()
    assert file.read_text().startswith("export APNS_SERVER=")


def test_what_it_prints_fits_a_terminal_of_80_columns() -> None:
    with simulating() as process:
        printed = read_until(process, "Ctrl-C") + stop(process)
    # A temporary directory lies where it lies.
    lines = [line for line in printed.splitlines() if tempfile.gettempdir() not in line]
    assert max(map(len, lines)) <= 80


def test_files_go_with_it_unless_they_are_asked_for(tmp_path: Path) -> None:
    ca, key = tmp_path / "ca.pem", tmp_path / "key.p8"
    with simulating("--json", "--ca-out", str(ca), "--key-out", str(key)) as process:
        kept = read_ready(process)
        stop(process)
    with simulating("--json") as process:
        gone = read_ready(process)
        assert Path(gone["key_file"]).exists()
        stop(process)
    assert (kept["ca_file"], kept["key_file"]) == (str(ca), str(key))
    assert ca.exists()
    assert key.exists()
    assert not Path(gone["ca_file"]).exists()
    assert not Path(gone["key_file"]).exists()


@pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX")
def test_only_its_owner_reads_the_key_even_where_all_could_read_the_file(tmp_path: Path) -> None:
    key = tmp_path / "key.p8"
    key.write_text("an older key")
    key.chmod(0o644)
    with simulating("--json", "--key-out", str(key)) as process:
        read_ready(process)
        stop(process)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_json_is_a_line_at_first_and_one_at_last(signal_number: int) -> None:
    with simulating("--json", "--environment", "production") as process:
        ready = read_ready(process)
        last = stop(process, signal_number)
    assert list(ready) == [*("url", "host", "port", "ca_file", "key_file", "key_id", "team_id")]
    assert ready["url"] == f"https://127.0.0.1:{ready['port']}"
    assert json.loads(last) == {
        "connections": 0,
        "processed": 0,
        "accepted": 0,
        "rejected": {},
        "unprocessed": {},
        "streams_before_acceptance": 0,
        "peak_streams": 0,
        "header_bytes": 0.0,
        "violations": 0,
    }


def test_names_the_violations_of_a_client() -> None:
    with simulating() as process:
        printed = read_until(process, "Ctrl-C")
        ca = printed.split("export APNS_CA_FILE=")[1].split()[0]
        url = printed.split("https://")[1].split()[0]
        host, _, port = url.partition(":")
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((host, int(port)), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=host) as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while tls.recv(4096):
                pass
        summary = stop(process)
    assert "connection 1: " in summary


def test_a_port_that_is_taken_costs_no_files(tmp_path: Path) -> None:
    ca, key = tmp_path / "ca.pem", tmp_path / "key.p8"
    ca.write_text("of another")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = CliRunner().invoke(
            apns, ["simulate", "--port", port, "--ca-out", str(ca), "--key-out", str(key)]
        )
    assert result.exit_code == 1
    assert "apns simulate: " in result.stderr
    assert ca.read_text() == "of another"
    assert not key.exists()


def test_a_configuration_with_keys_needs_none_of_its_own(tmp_path: Path) -> None:
    key = make_provider_key()
    trusted = {key.key_id: {"team_id": key.team_id, "public_key_pem": key.public_key_pem}}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"trusted_keys": trusted}))
    with simulating("--json", "--config", str(config)) as process:
        ready = read_ready(process)
        stop(process)
    assert (ready["key_file"], ready["key_id"], ready["team_id"]) == (None, None, None)
    with simulating("--config", str(config)) as process:
        printed = read_until(process, "Ctrl-C")
        stop(process)
    assert "curl" in printed
    assert "APNS_CA_FILE" in printed
    assert "APNS_KEY" not in printed
    assert "apns send" not in printed


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--reject", "dead"], "rule 1 is not hexadecimal digits"),
        (
            ["--reject", "dead=BadTopic", "--reject", "xyz=BadTopic"],
            "rule 2 is not hexadecimal digits",
        ),
        (["--reject", "dead=Nonsense"], "rule 1 has none of Apple's reasons"),
        (["--temper", "/no/such/file"], "'--temper': cannot be read (No such file"),
        (["--temper", '{"x": 1}'], "--temper"),
        (["--config", '{"latency": -1}'], "latency"),
        (["--config", "{"], "--config"),
        (["--config", '{"authentication": "none"}', "--key-out", "k"], "--key-out"),
        (
            ["--config", '{"trusted_keys": {"K": {"team_id": "T", "public_key_pem": "x"}}}'],
            "--config",
        ),
        (["--environment", "staging"], "--environment"),
        (["--port", "65536"], "--port"),
    ],
)
def test_mistakes_are_named(options: list[str], complaint: str) -> None:
    result = CliRunner().invoke(apns, ["simulate", *options])
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_the_options_reach_the_simulator(tmp_path: Path) -> None:
    temper = tmp_path / "temper.json"
    temper.write_text('{"uppercase_apns_id": true}')
    options = ["--config", '{"rejections": {"00": {"status": 400, "reason": "BadTopic"}}}']
    with simulating(*options, "--reject", "0000=Unregistered", "--temper", str(temper)) as process:
        printed = read_until(process, "Ctrl-C")
        pasted = paste(printed)
        summary = stop(process)
    assert pasted.returncode == 1
    assert read_facts(pasted.stdout)["Why"] == "410 Unregistered"
    facts = read_facts(summary)
    assert facts["Rejected"] == "1"
    assert facts["Unregistered"] == "1"
