import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

import apns_cli.send as send_module
from apns_cli.results import fingerprint
from apns_core import Accepted, Notification, Outcome
from apns_simulator import SimulatorConfig, SimulatorThread, Temper
from tests.apns_cli.conftest import Simulated
from tests.apns_cli.facts import read_facts

TOKEN = "ab" * 32
HELLO = ("send", "--app", "com.example.app", "--body", "Hello")


def test_one_notification_to_one_device(simulated: Simulated) -> None:
    result = simulated.run(*HELLO, TOKEN)
    assert (result.exit_code, result.stderr) == (0, "")
    facts = read_facts(result.stdout)
    (entry,) = simulated.simulator.ledger().entries
    assert facts["Outcome"] == "accepted"
    assert facts["Device"] == fingerprint(TOKEN)
    assert facts["apns-id"] == entry.apns_id
    assert (entry.device_token, entry.topic) == (TOKEN, "com.example.app")
    assert TOKEN not in result.output
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_every_option_is_sent(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Notification] = []

    def send_all(
        _command: str,
        _client: object,
        requests: list[Notification],
        on_outcome: Callable[[Outcome[object]], None],
    ) -> None:
        for request in requests:
            sent.append(request)
            on_outcome(Accepted(request, None))

    monkeypatch.setattr(send_module, "send_all", send_all)
    apns_id = "00000000-0000-0000-0000-00000000000a"
    simulated.run(
        *HELLO,
        *(
            "--push-type",
            "alert",
            "--priority",
            "5",
            "--expiration",
            "1h",
            "--collapse-id",
            "score",
        ),
        *("--data", "order:=7", "--data", "name=Ada", "--apns-id", apns_id.upper(), TOKEN),
    )
    (notification,) = sent
    assert notification.route.topic == "com.example.app"
    assert notification.route.priority == 5
    assert notification.lifetime == 3600
    assert notification.apns_id == apns_id
    assert (b"apns-collapse-id", b"score") in notification.extra_fields
    assert json.loads(notification.payload) == {
        "aps": {"alert": "Hello"},
        "order": 7,
        "name": "Ada",
    }


def test_several_devices_of_which_one_is_dead(simulated: Simulated) -> None:
    simulated.simulator.reject("dead", "Unregistered")
    result = simulated.run(*HELLO, TOKEN, "dead", "cd")
    assert result.exit_code == 1
    rows = [line.split() for line in result.stdout.splitlines() if "sha256:" in line]
    assert rows == [
        ["0", fingerprint(TOKEN), "accepted"],
        ["1", fingerprint("dead"), "rejected", "410", "Unregistered"],
        ["2", fingerprint("cd"), "accepted"],
    ]
    assert "1 rejected, 410 Unregistered: stop sending to this device token" in result.stderr


def test_json_is_a_line_for_each_device(simulated: Simulated) -> None:
    simulated.simulator.reject("dead", "BadDeviceToken")
    result = simulated.run(*HELLO, "--json", "cd", "dead")
    assert result.exit_code == 1
    lines = sorted(map(json.loads, result.stdout.splitlines()), key=lambda line: line["index"])
    assert [line["device"] for line in lines] == [fingerprint("cd"), fingerprint("dead")]
    assert [line["outcome"] for line in lines] == ["accepted", "rejected"]
    assert lines[1]["reason"] == "BadDeviceToken"
    assert "check --environment" in result.stderr


def test_device_tokens_come_from_a_file_and_show_only_if_asked(
    simulated: Simulated, tmp_path: Path
) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text(f"# of the test\n\n{TOKEN}\n  cd\n")
    result = simulated.run(*HELLO, "--json", "--show-tokens", "--tokens-file", str(file), "ef")
    assert result.exit_code == 0
    lines = sorted(map(json.loads, result.stdout.splitlines()), key=lambda line: line["index"])
    assert [line["device"] for line in lines] == ["ef", TOKEN, "cd"]


def test_device_tokens_come_by_standard_input(simulated: Simulated) -> None:
    result = simulated.run(*HELLO, "--tokens-file", "-", stdin=f"{TOKEN}\ncd\n")
    assert result.exit_code == 0
    assert simulated.simulator.ledger().accepted_by_device() == {TOKEN: 1, "cd": 1}


def test_a_file_of_device_tokens_may_begin_with_a_byte_order_mark(
    simulated: Simulated, tmp_path: Path
) -> None:
    file = tmp_path / "tokens.txt"
    file.write_bytes(f"\ufeff{TOKEN}\r\ncd\r\n".encode())
    for name, stdin in ((str(file), None), ("-", file.read_bytes())):
        assert simulated.run(*HELLO, "--tokens-file", name, stdin=stdin).exit_code == 0
    assert simulated.simulator.ledger().accepted_by_device() == {TOKEN: 2, "cd": 2}


def test_a_payload_is_sent_as_it_stands(simulated: Simulated, tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_bytes(b' {"aps" : {"alert" : "Hello"}}\n')
    options = ("send", "--topic", "com.example.app.voip", "--push-type", "voip")
    result = simulated.run(*options, "--payload", str(file), "cd")
    assert result.exit_code == 0
    (entry,) = simulated.simulator.ledger().entries
    assert entry.topic == "com.example.app.voip"


def test_a_certificate_may_stand_for_the_topic(simulated: Simulated, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    certificate.touch(0o600)
    trustme.CA().issue_cert("provider").private_key_and_cert_chain_pem.write_to_path(certificate)
    config = SimulatorConfig(authentication="none", default_topic="com.example.app")
    with SimulatorThread(config) as simulator:
        Path(simulated.env["APNS_CA_FILE"]).write_text(simulator.ca_pem)
        simulated.env |= {
            "APNS_SERVER": f"{simulator.host}:{simulator.port}",
            "APNS_CERTIFICATE": str(certificate),
        }
        del simulated.env["APNS_KEY_FILE"]
        result = simulated.run("send", "--body", "Hello", "cd")
        assert (result.exit_code, result.stderr) == (0, "")
        (entry,) = simulator.ledger().entries
    # As it came: the simulator read it in the certificate's place.
    assert (entry.topic, entry.status) == ("", 200)


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("send", "--body", "x", "cd"), "--app, or its topic"),
        (("send", "--app", "a", "--topic", "a", "--body", "x", "cd"), "takes the place"),
        (HELLO, "no device token"),
        ((*HELLO, "cd", "xyz"), "DEVICE_TOKEN 2: device_token: not"),
        ((*HELLO, "--tokens-file", "-"), "--tokens-file, line 2: device_token: not"),
        ((*HELLO, "--apns-id", "x", "cd", "ef"), "--apns-id names one notification"),
        ((*HELLO, "--apns-id", "x", "cd"), "apns_id: not a UUID"),
        ((*HELLO, "--collapse-id", "x" * 65, "cd"), "collapse_id: longer"),
        ((*HELLO, "--push-type", "nonsense", "cd"), "--push-type"),
        ((*HELLO, "--push-type", "voip", "cd"), "--payload"),
        ((*HELLO, "--priority", "7", "cd"), "--priority"),
        ((*HELLO, "--expiration", "60", "cd"), "1970"),
        ((*HELLO, "--timeout", "0", "cd"), "--timeout"),
        ((*HELLO, "--timeout", "1e10", "cd"), "--timeout"),
        ((*HELLO, "--key-id", "short", "cd"), "key_id"),
    ],
)
def test_mistakes_are_named_and_nothing_is_sent(
    args: tuple[str, ...], complaint: str, simulated: Simulated
) -> None:
    result = simulated.run(*args, stdin="cd\nnot hexadecimal\n")
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert "not hexadecimal" not in result.stderr.replace("not 2 to 200 hexadecimal", "")
    assert simulated.simulator.ledger().connections == []


def test_tokens_that_are_no_text(simulated: Simulated) -> None:
    result = simulated.run(*HELLO, "--tokens-file", "-", stdin=b"cd\n\xff\n")
    assert result.exit_code == 2
    assert "no text in UTF-8" in result.stderr


def test_says_why_nothing_could_be_sent(simulated: Simulated) -> None:
    del simulated.env["APNS_CA_FILE"]
    result = simulated.run_until_said("no connection", *HELLO, "--json", "cd")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["cause"] == "deadline"
    assert "the server's certificate was not trusted" in result.stderr
    assert "to send it again cannot make a duplicate" in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX")
def test_after_ctrl_c_every_notification_has_its_outcome(simulated: Simulated) -> None:
    # Answers the first, which is waited for; then no more.
    simulated.simulator.set_temper(Temper(silent_after=1))
    with subprocess.Popen(
        simulated.command(*HELLO, "--json", TOKEN, "cd", "ef"),
        env=os.environ | simulated.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    lines = [json.loads(line) for line in (first + output).splitlines()]
    assert process.returncode == 1
    assert sorted(line["index"] for line in lines) == [0, 1, 2]
    assert lines[0]["outcome"] == "accepted"
    assert {line["outcome"] for line in lines[1:]} <= {"unknown", "unprocessed"}
    assert {line["cause"] for line in lines[1:]} == {"closed"}
    assert "Traceback" not in errors
