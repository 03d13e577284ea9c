import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_cli.results import fingerprint
from apns_cli.server_text import HIDDEN, without_secrets
from apns_core import Reason
from tests.apns_cli import echo_server
from tests.apns_cli.conftest import Simulated
from tests.apns_cli.echo_server import Answer, EchoServer
from tests.apns_cli.raw_server import CA

JWT = (
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IkFCQzEyM0RFRkcifQ."
    "eyJpc3MiOiJERUYxMjNHSElKIiwiaWF0IjoxODAwMDAwMDAwfQ." + 4 * "NobodyHas_Signed-It42" + "xy"
)
DEVICE = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
UUID = "eabeae54-14a8-11e5-b60b-1697f925ec7b"


@pytest.mark.parametrize(
    ("text", "without"),
    [
        (JWT, HIDDEN),
        (f"bad token: {JWT}.", f"bad token: {HIDDEN}"),
        (f"bearer{JWT}", f"bearer{HIDDEN}"),
        (f'{{"authorization": "bearer {JWT}"}}', f'{{"authorization": "bearer {HIDDEN}"}}'),
        (JWT.upper(), HIDDEN),
        (JWT[:60], HIDDEN),
        (JWT[-60:], HIDDEN),
        (JWT.rpartition(".")[2], HIDDEN),
        (DEVICE, HIDDEN),
        (DEVICE.upper(), HIDDEN),
        (f"/3/device/{DEVICE} is gone", f"/3/device/{HIDDEN} is gone"),
        (DEVICE[:20], HIDDEN),
        (f"no such device: {DEVICE[-16:]}…", f"no such device: {HIDDEN}…"),
        (f"token{DEVICE[:31]}", HIDDEN),
        (f"request {UUID} failed", f"request {UUID} failed"),
        (f"{UUID}{UUID}", HIDDEN),
        ("Stream 5 does not exist", "Stream 5 does not exist"),
        ("com.apple.push.ServerException: eyJ", "com.apple.push.ServerException: eyJ"),
        ("", ""),
    ],
)
def test_secrets_are_hidden(text: str, without: str) -> None:
    assert without_secrets(text, DEVICE) == without


def test_a_device_token_of_a_few_digits_is_hidden_as_a_word() -> None:
    assert without_secrets("BadDeviceToken: AD is no ad", "ad") == (
        f"BadDeviceToken: {HIDDEN} is no {HIDDEN}"
    )


def test_another_device_token_is_hidden_too() -> None:
    assert without_secrets(f"gone: {DEVICE}") == f"gone: {HIDDEN}"
    assert without_secrets(f"gone: {DEVICE}", "ab" * 32) == f"gone: {HIDDEN}"


@pytest.mark.parametrize("reason", Reason)
def test_no_documented_reason_is_hidden(reason: Reason) -> None:
    assert without_secrets(reason.value, DEVICE) == reason.value


@given(st.text(max_size=300), st.text(max_size=300), st.sampled_from((JWT, JWT[:100], DEVICE)))
def test_whatever_is_around_a_secret(before: str, after: str, secret: str) -> None:
    assert secret not in without_secrets(before + secret + after, DEVICE)


def test_long_texts_take_no_long_time() -> None:
    started = time.perf_counter()
    for text in ("eyJ" * 30_000, "eyJ." * 30_000, "a" * 90_000, "-" * 90_000, "ab " * 30_000):
        without_secrets(text, DEVICE)
    assert time.perf_counter() - started < 5


# ── commands, and a server that quotes what it was sent ──


def lead(simulated: Simulated, server: EchoServer, directory: Path) -> None:
    authorities = directory / "echo.pem"
    authorities.write_bytes(CA.cert_pem.bytes())
    simulated.env |= {
        "APNS_SERVER": f"127.0.0.1:{server.port}",
        "APNS_CA_FILE": str(authorities),
    }


APP = ("--app", "com.example.app")
COMMANDS = {
    "send": ("send", *APP, "--body", "Hello", "--timeout", "0.5", DEVICE),
    "sends": ("send", *APP, "--body", "Hello", "--timeout", "0.5", DEVICE, "ab" * 32),
    "broadcast": ("broadcast", *APP, "--event", "end", "QUJD"),
    "create": ("channels", "create", *APP, "--storage-policy", "none"),
    "list": ("channels", "list", *APP),
    "read": ("channels", "read", *APP, "QUJD"),
    "delete": ("channels", "delete", *APP, "--yes", "QUJD"),
    "doctor": ("doctor", "--timeout", "2"),
}
ANSWERS: list[tuple[Answer, str]] = [
    (echo_server.reason, "{jwt}"),
    (echo_server.reason, "{device} by {signature}"),
    (echo_server.ids, "{jwt}"),
]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(
    ("command", "answer", "template"),
    [
        *((command, *answer) for command in COMMANDS for answer in ANSWERS),
        ("create", echo_server.created, "{jwt}"),
        ("read", echo_server.push_type, "{signature}"),
        ("send", echo_server.goaway, "{jwt}"),
        ("doctor", echo_server.goaway, "bearer {jwt}"),
        ("doctor", echo_server.goaway, '{{"reason": "{device}"}}'),
    ],
)
def test_what_a_server_quotes_is_not_repeated(
    command: str,
    answer: Answer,
    template: str,
    *,
    as_json: bool,
    simulated: Simulated,
    tmp_path: Path,
) -> None:
    with EchoServer(answer, template) as server:
        lead(simulated, server, tmp_path)
        result = simulated.run(*COMMANDS[command], *(["--json"] if as_json else []))
    assert_has_none(result.stdout + result.stderr, server.secrets)


def assert_has_none(text: str, secrets: set[str]) -> None:
    """Check that no secret is in a text, nor a piece, in any case, however a table breaks it."""
    assert secrets
    text = "".join(text.split()).lower()
    for secret in secrets:
        assert secret[:40].lower() not in text
        assert secret[-40:].lower() not in text


@pytest.mark.parametrize("template", ["{device}", "{jwt}", "no {signature}"])
def test_results_and_summary_of_a_file_have_no_secrets(
    template: str, simulated: Simulated, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.csv"
    tokens.write_text("".join(f"{number:064x}\n" for number in range(2**200, 2**200 + 3)))
    with EchoServer(echo_server.reason, template) as server:
        lead(simulated, server, tmp_path)
        result = simulated.run("send-file", *APP, "--body", "Hello", str(tokens), "--json")
    results = Path(f"{tokens}.results.jsonl").read_text()
    assert len(server.secrets) >= 3
    assert_has_none(result.output + results, server.secrets)
    hidden = HIDDEN if template.startswith("{") else f"no {HIDDEN}"
    assert json.loads(result.stdout)["rejected"] == {hidden: 3}
    assert {json.loads(line)["reason"] for line in results.splitlines()} == {hidden}


def test_the_names_of_accepted_lines_have_no_secrets(simulated: Simulated, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.csv"
    tokens.write_text(f"{DEVICE}\n")
    with EchoServer(echo_server.ids, "{device}") as server:
        lead(simulated, server, tmp_path)
        result = simulated.run("send-file", *APP, "--body", "Hello", str(tokens))
    results = Path(f"{tokens}.results.jsonl").read_text()
    assert json.loads(results)["apns_id"] == HIDDEN
    assert_has_none(result.output + results, server.secrets)


def test_the_summary_has_no_secrets_of_earlier_results(
    simulated: Simulated, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.csv"
    tokens.write_text(f"{DEVICE}\n")
    record = {"line": 1, "device": fingerprint(DEVICE), "outcome": "rejected", "reason": DEVICE}
    Path(f"{tokens}.results.jsonl").write_text(json.dumps(record) + "\n")
    result = simulated.run("send-file", *APP, "--body", "Hello", str(tokens), "--resume", "--json")
    assert json.loads(result.stdout)["rejected"] == {HIDDEN: 1}


def test_a_channel_that_was_created_keeps_its_name_however_long(
    simulated: Simulated, tmp_path: Path
) -> None:
    channel_id = "QUJD" * 16
    with EchoServer(echo_server.created, channel_id) as server:
        lead(simulated, server, tmp_path)
        result = simulated.run(*COMMANDS["create"])
        in_json = simulated.run(*COMMANDS["create"], "--json")
    assert (result.stdout, result.stderr) == (f"{channel_id}\n", "")
    assert json.loads(in_json.stdout)["channel_id"] == channel_id
