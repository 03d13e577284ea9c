import datetime as dt
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from apns_cli.access import (
    Access,
    Credentials,
    Service,
    access_options,
    key_options,
    parse_server,
)
from apns_core import Endpoint, InvalidField
from apns_simulator import make_provider_key
from tests.apns_core.trust import certificates

SEEN: list[Access] = []


@click.command
@access_options()
@click.argument("word")
def show(access: Access, word: str) -> None:
    SEEN.append(access)
    click.echo(f"{word} {access.endpoint().host}:{access.endpoint().port}")


@click.command
@access_options(Service.CHANNELS)
def show_channels(access: Access) -> None:
    click.echo(f"{access.endpoint().host}:{access.endpoint().port}")


@click.command
@access_options()
def connect(access: Access) -> None:
    access.client()
    click.echo("made")


@click.command
@key_options
def sign(credentials: Credentials) -> None:
    click.echo(repr(credentials.token_key()))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "AuthKey_ABC123DEFG.p8"
    path.touch(0o600)
    path.write_text(make_provider_key().private_key_pem)
    return path


@pytest.mark.parametrize(
    ("options", "endpoint"),
    [
        ((), "api.push.apple.com:443"),
        (("--environment", "development"), "api.sandbox.push.apple.com:443"),
        (("--port", "2197"), "api.push.apple.com:2197"),
        (("--server", "localhost:2197"), "localhost:2197"),
        (("--server", "https://127.0.0.1:8443"), "127.0.0.1:8443"),
        (("--server", "[::1]:8443"), "::1:8443"),
        (("--server", "https://localhost:8443/"), "localhost:8443"),
        (("--server", "localhost", "--port", "99"), "localhost:99"),
    ],
)
def test_where_it_goes(options: tuple[str, ...], endpoint: str) -> None:
    result = CliRunner().invoke(show, [*options, "to"])
    assert (result.exit_code, result.stdout) == (0, f"to {endpoint}\n")


def test_channels_have_hosts_and_ports_of_their_own() -> None:
    production = CliRunner().invoke(show_channels)
    development = CliRunner().invoke(show_channels, env={"APNS_ENVIRONMENT": "development"})
    assert production.stdout == "api-manage-broadcast.push.apple.com:2196\n"
    assert development.stdout == "api-manage-broadcast.sandbox.push.apple.com:2195\n"


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        ("production", "api-broadcast.push.apple.com"),
        ("development", "api-broadcast.sandbox.push.apple.com"),
    ],
)
def test_broadcasts_have_other_hosts_in_apples_samples(environment: str, host: str) -> None:
    CliRunner().invoke(show, ["--environment", environment, "to"])
    assert replace(SEEN.pop(), service=Service.BROADCAST).endpoint() == Endpoint(host)


@pytest.mark.parametrize(
    "server",
    ["http://host", "https://me@host", "host:x", "host:0", "", "a b", "https://", "ho!st", "[::1"],
)
def test_a_server_that_is_none(server: str) -> None:
    with pytest.raises(InvalidField, match=r"^server: is not HOST, .*--server"):
        parse_server(server)


@pytest.mark.parametrize(
    "server",
    ["ho\nst", "host\r\n", "\thost", "host ", "ho\x00st", "ho\x7fst", "ho\u2028st", "host:4\n43"],
)
def test_stray_characters_of_a_server_are_not_left_out(server: str) -> None:
    with pytest.raises(InvalidField, match=r"^server: is not HOST"):
        parse_server(server)


@pytest.mark.parametrize(
    "more", ["/path", "//", "?", "?x", "#", "#fragment", "/?x", "/#f", "/3/device/00?a=b#c"]
)
def test_more_than_a_server_is_not_left_out(more: str) -> None:
    for server in ("host", "host:443", "https://host:443"):
        with pytest.raises(InvalidField, match=r"^server: is not HOST"):
            parse_server(server + more)


@pytest.mark.parametrize(("days", "said"), [(-2, "expired on"), (20, "expires on"), (40, "")])
def test_a_certificate_that_expires_is_told_of(days: float, said: str, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    not_after = dt.datetime.now(dt.UTC) + dt.timedelta(days)
    certificate = certificates.provider_certificate(key, not_after=not_after)
    path = tmp_path / "push.pem"
    path.touch(0o600)
    path.write_bytes(certificates.certificate_pem(certificate) + certificates.key_pem(key))
    result = CliRunner().invoke(connect, ["--certificate", str(path)])
    assert (result.exit_code, result.stdout) == (0, "made\n")
    assert said in result.stderr
    assert bool(result.stderr) == bool(said)


def test_the_key_id_is_in_the_name_of_the_file(key_file: Path) -> None:
    result = CliRunner().invoke(sign, ["--key", str(key_file), "--team-id", "DEF123GHIJ"])
    assert result.stdout == "TokenKey(key_id='ABC123DEFG', team_id='DEF123GHIJ')\n"


def test_the_key_may_be_in_the_environment(key_file: Path) -> None:
    env = {"APNS_KEY": key_file.read_text(), "APNS_KEY_ID": "K" * 10, "APNS_TEAM_ID": "T" * 10}
    result = CliRunner().invoke(sign, env=env)
    assert result.stdout == f"TokenKey(key_id={'K' * 10!r}, team_id={'T' * 10!r})\n"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "no credentials"),
        (("--key", "AuthKey_ABC123DEFG.p8"), "team_id: is missing"),
        (("--key", "other.p8", "--team-id", "DEF123GHIJ"), "key_id: is missing"),
        (("--key", "AuthKey_ABC123DEFG.p8", "--team-id", "x"), "team_id: must be 10"),
        (
            ("--key", "AuthKey_ABC123DEFG.p8", "--team-id", "DEF123GHIJ", "--certificate", "a"),
            "not both",
        ),
        (("--certificate", "missing.pem"), "certificate: cannot be read"),
    ],
)
def test_credentials_that_are_wrong_usage(
    options: tuple[str, ...], complaint: str, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(key_file.parent)
    result = CliRunner().invoke(connect, options)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_warns_of_a_key_that_others_may_read(key_file: Path) -> None:
    key_file.chmod(0o644)
    result = CliRunner().invoke(connect, ["--key", str(key_file), "--team-id", "DEF123GHIJ"])
    assert (result.exit_code, result.stdout) == (0, "made\n")
    assert "mode 0644" in result.stderr


def test_a_password_on_the_command_line_is_refused() -> None:
    url = "http://me:secret@proxy.example"
    result = CliRunner().invoke(show, ["--proxy", url, "to"])
    assert result.exit_code == 2
    assert "secret" not in result.stderr
    result = CliRunner().invoke(show, ["to"], env={"APNS_PROXY": url})
    assert result.exit_code == 0
    assert "secret" not in repr(SEEN[-1])
