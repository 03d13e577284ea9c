import io
import json
import sys
from base64 import urlsafe_b64encode

import jwt
import pytest

from apns_cli import provider_token
from apns_simulator import make_provider_key
from tests.apns_cli.conftest import Simulated
from tests.apns_cli.facts import read_facts

KEY = make_provider_key()
NOW = 1_800_000_000.5
GOOD = {"iss": "DEF123GHIJ", "iat": 1_800_000_000}
HEADERS = {"kid": "ABC123DEFG"}


def made(claims: dict[str, object], **headers: object) -> str:
    """Return a token that APNs would take but for what differs."""
    header = HEADERS | headers
    payload = json.dumps(GOOD | claims).encode()
    return jwt.PyJWS().encode(payload, KEY.private_key_pem, algorithm="ES256", headers=header)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_token, "time", lambda: NOW)


def test_signs_what_apns_takes(simulated: Simulated) -> None:
    result = simulated.run("token")
    assert (result.exit_code, result.stderr) == (0, "")
    text = result.stdout.removesuffix("\n")
    decoded = jwt.decode_complete(text, options={"verify_signature": False})
    key = simulated.simulator.provider_key
    assert decoded["header"] == {"alg": "ES256", "kid": key.key_id}
    assert decoded["payload"] == {"iss": key.team_id, "iat": 1_800_000_000}
    assert jwt.decode(text, key.public_key_pem, algorithms=["ES256"], options={"verify_iat": False})


def test_signs_in_json(simulated: Simulated) -> None:
    result = simulated.run("token", "--json")
    key = simulated.simulator.provider_key
    signed = json.loads(result.stdout)
    assert signed.pop("token").count(".") == 2
    assert signed == {
        "key_id": key.key_id,
        "team_id": key.team_id,
        "issued_at": 1_800_000_000,
        "expires_at": 1_800_003_600,
    }


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_warns_on_a_terminal_that_it_is_a_credential(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in simulated.env.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    provider_token.token.main([], standalone_mode=False)
    assert "a credential" in capsys.readouterr().err
    assert screen.getvalue().count(".") == 2


def test_without_standard_output_nobody_is_warned(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in simulated.env.items():
        monkeypatch.setenv(name, value)
    # As Python has it after ``>&-``.
    monkeypatch.setattr(sys, "stdout", None)
    provider_token.token.main([], standalone_mode=False)
    assert capsys.readouterr().err == ""


def test_no_key_is_wrong_usage(simulated: Simulated) -> None:
    del simulated.env["APNS_KEY_FILE"]
    result = simulated.run("token")
    assert result.exit_code == 2
    assert "no signing key" in result.stderr


@pytest.mark.parametrize("prefix", ["", "bearer ", " \n"])
def test_inspects_a_good_one(prefix: str, simulated: Simulated) -> None:
    text = f"{prefix}{made({})}\n"
    result = simulated.run("token", "--inspect", "-", stdin=text)
    assert (result.exit_code, result.stderr) == (0, "")
    assert read_facts(result.stdout) == {
        "Algorithm": "ES256",
        "Key id": "ABC123DEFG",
        "Team id": "DEF123GHIJ",
        "Issued at": "2027-01-15T08:00:00+00:00",
        "Age": "0:00:00",
        "APNs would take it": "yes",
    }
    result = simulated.run("token", "--inspect", "-", "--json", stdin=text)
    assert json.loads(result.stdout) == {
        "algorithm": "ES256",
        "key_id": "ABC123DEFG",
        "team_id": "DEF123GHIJ",
        "issued_at": 1_800_000_000,
        "age": 0,
        "acceptable": True,
        "problems": [],
    }


@pytest.mark.parametrize(
    ("text", "age", "problem"),
    [
        (made({"iat": 1_799_996_401}), "0:59:59", None),
        (made({"iat": 1_799_996_400}), "1:00:00", "older than 60 minutes"),
        (made({"iat": 1_700_000_000}), "1157 days, 9:46:40", "older than 60 minutes"),
        (made({"iat": 1_800_000_060}), "-0:00:59", "in the future"),
        (made({"iat": 1_800_000_000_000}), None, "iat is no whole number of UNIX seconds"),
        (made({"iat": 10**400}), None, "iat is no whole number"),
        (made({"iat": -1}), None, "iat is no whole number"),
        (made({"iat": "1800000000"}), None, "iat is no whole number"),
        (made({"iat": True}), None, "iat is no whole number"),
        (made({}, kid="short"), "0:00:00", "kid is no key id"),
        (made({"iss": "DEF123GHI\u00c4"}), "0:00:00", "iss is no team id"),
        (made({"iss": 7}), "0:00:00", "iss is no team id"),
        (jwt.encode(GOOD, "k" * 32, headers=HEADERS), "0:00:00", "alg is not ES256"),
    ],
    ids=lambda value: "" if isinstance(value, str) and "." in value else None,
)
def test_inspects_what_may_be_refused(
    text: str, age: str | None, problem: str | None, simulated: Simulated
) -> None:
    result = simulated.run("token", "--inspect", "-", stdin=text)
    facts = read_facts(result.stdout)
    assert facts.get("Age") == age
    assert facts["APNs would take it"] == ("yes" if problem is None else "NO")
    assert result.exit_code == (0 if problem is None else 1)
    assert (problem or "") in result.stderr


def parts(header: str, claims: str) -> str:
    """Return a token of these, word for word; nobody has signed it."""
    encoded = (urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in (header, claims))
    return ".".join((*encoded, "AAAA"))


@pytest.mark.parametrize(
    ("header", "claims", "lacks"),
    [
        ({"kid": None}, {"kid": "ABC123DEFG"}, "key_id"),
        ({"iss": "DEF123GHIJ"}, {"iss": None}, "team_id"),
        ({"iat": 1_800_000_000}, {"iat": None}, "issued_at"),
    ],
)
def test_a_field_in_the_other_part_does_not_count(
    header: dict[str, object], claims: dict[str, object], lacks: str, simulated: Simulated
) -> None:
    of_header = {"alg": "ES256"} | HEADERS | header
    of_claims = GOOD | claims
    text = parts(
        *(
            json.dumps({name: value for name, value in part.items() if value is not None})
            for part in (of_header, of_claims)
        )
    )
    result = simulated.run("token", "--inspect", "-", "--json", stdin=text)
    seen = json.loads(result.stdout)
    assert (result.exit_code, seen["acceptable"], seen[lacks]) == (1, False, None)


def test_a_claim_does_not_stand_in_for_the_algorithm(simulated: Simulated) -> None:
    text = parts('{"alg": "HS256", "kid": "ABC123DEFG"}', json.dumps(GOOD | {"alg": "ES256"}))
    result = simulated.run("token", "--inspect", "-", "--json", stdin=text)
    assert (result.exit_code, json.loads(result.stdout)["algorithm"]) == (1, "HS256")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", '[1, {"a": [NaN]}]'])
def test_json_has_no_numbers_that_are_none(value: str, simulated: Simulated) -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    text = parts('{"alg": "ES256", "kid": "ABC123DEFG"}', f'{{"iat": {value}, "iss": {value}}}')
    result = simulated.run("token", "--inspect", "-", "--json", stdin=text)
    seen = json.loads(result.stdout, parse_constant=refuse)
    assert (seen["issued_at"], seen["team_id"], seen["acceptable"]) == (None, None, False)
    assert simulated.run("token", "--inspect", "-", stdin=text).exit_code == 1


@pytest.mark.parametrize(
    "text",
    [b"", b"secret", b"a.b.c", b"\xff" * 20_000],
    ids=["empty", "text", "parts", "octets"],
)
def test_what_is_no_token_is_not_shown(text: bytes, simulated: Simulated) -> None:
    result = simulated.run("token", "--inspect", "-", stdin=text)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "this is no JWT" in result.stderr
    assert "secret" not in result.stderr


def test_what_a_token_holds_cannot_move_the_cursor(simulated: Simulated) -> None:
    result = simulated.run("token", "--inspect", "-", stdin=made({"iss": "\x1b[2J\n"}))
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert read_facts(result.stdout)["Team id"] == r"\x1b[2J\n"
