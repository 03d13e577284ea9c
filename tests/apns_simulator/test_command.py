import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from apns_simulator import make_provider_key
from apns_simulator.command import main, write_key

COMMAND = [sys.executable, "-m", "apns_simulator"]


def test_says_what_to_do_next_and_stops_when_interrupted(tmp_path: Path) -> None:
    ca, key = tmp_path / "ca.pem", tmp_path / "key.p8"
    with subprocess.Popen(
        [*COMMAND, "--ca-out", str(ca), "--key-out", str(key), "--reject", "dead=Unregistered"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    text = "".join(lines)
    assert "https://127.0.0.1:" in text
    assert str(ca) in text
    assert str(key) in text
    assert ca.read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    if os.name == "posix":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


posix = pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX")


@posix
@pytest.mark.parametrize("mode", [None, 0o644, 0o666, 0o200])
def test_only_its_owner_reads_the_key_even_where_all_could_read_the_file(
    mode: int | None, tmp_path: Path
) -> None:
    path, key = tmp_path / "key.p8", make_provider_key()
    if mode is not None:
        path.write_text("an older key, and a longer one" * 100)
        path.chmod(mode)
    write_key(path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == key.private_key_pem


@posix
def test_nobody_else_can_read_a_file_that_has_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.p8"
    path.write_text("an older key")
    path.chmod(0o644)
    seen: list[str] = []

    def chmod(self: Path, mode: int) -> None:
        seen.append(self.read_text())
        os.chmod(self, mode)  # noqa: PTH101 - that of Path is replaced

    monkeypatch.setattr(Path, "chmod", chmod)
    write_key(path, make_provider_key())
    assert seen == [""]


@posix
def test_a_key_goes_through_a_pipe_too(tmp_path: Path) -> None:
    path, key = tmp_path / "pipe", make_provider_key()
    os.mkfifo(path, 0o640)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE, text=True) as reader:
        write_key(path, key)
        assert reader.communicate(timeout=10)[0] == key.private_key_pem
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_options_make_a_configuration(tmp_path: Path) -> None:
    temper = tmp_path / "temper.json"
    temper.write_text('{"goaway_after": 0}')
    options = [
        *("--control", "--count-only", "--environment", "production", "--no-authentication"),
        *("--latency", "0.5", "--reject", "ab=BadTopic", "--temper", str(temper)),
        *("--config", '{"rejections": {"cd": {"status": 400, "reason": "BadTopic"}}}'),
    ]
    done = subprocess.run(
        [*COMMAND, *options],
        input='{"command": "ledger"}\n[]\n',
        capture_output=True,
        text=True,
        check=True,
    )
    ready, ledger, error = (json.loads(line) for line in done.stdout.splitlines())
    assert ready["host"] == "127.0.0.1"
    assert ledger["keep_entries"] is False
    assert "TypeError" in error["error"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--reject", "dead=Nonsense"], "Nonsense"),
        (["--temper", "/no/such/file"], "/no/such/file"),
        (["--temper", '{"x": 1}'], "x"),
        (["--config", '{"latency": -1}'], "latency"),
        (["--host", "192.0.2.1"], "192.0.2.1"),
        (["--ca-out", "/no/such/directory/ca.pem"], "/no/such/directory"),
    ],
)
def test_mistakes_are_named(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2
    assert complaint in capsys.readouterr().err
