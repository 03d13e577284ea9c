from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from apns_cli.command import apns
from apns_cli.usage import Command, FilePath, Group
from apns_simulator import make_provider_key

PROVIDER_TOKEN = make_provider_key().sign(1_800_000_000)
DEVICE_TOKEN = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
PAYLOAD = '{"aps":{"alert":"confidential"}}'
SEND = ("send", "--app", "com.example.app", "--body", "Hello")


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("token", "--inspect", PROVIDER_TOKEN), "'--inspect': cannot be read ("),
        (("token", PROVIDER_TOKEN), "1 unexpected extra argument"),
        (("doctor", DEVICE_TOKEN, PROVIDER_TOKEN), "2 unexpected extra arguments"),
        (("demo", DEVICE_TOKEN), "1 unexpected extra argument"),
        (("simulate", DEVICE_TOKEN), "1 unexpected extra argument"),
        (("probe", "http://localhost", DEVICE_TOKEN), "1 unexpected extra argument"),
        (("broadcast", "--app", "a", "x", DEVICE_TOKEN), "1 unexpected extra argument"),
        (("channels", "list", "--app", "a", DEVICE_TOKEN), "1 unexpected extra argument"),
        (("send-file", "a.csv", DEVICE_TOKEN), "1 unexpected extra argument"),
        ((DEVICE_TOKEN,), "no such command"),
        ((PROVIDER_TOKEN,), "no such command"),
        (("channels", DEVICE_TOKEN), "no such command"),
        (("send", "--app", "a", "--payload", PAYLOAD, "cd"), "'--payload': cannot be read"),
        (("broadcast", "--app", "a", "--payload", PAYLOAD, "x"), "'--payload': cannot be read"),
        ((*SEND, "--tokens-file", DEVICE_TOKEN), "'--tokens-file': cannot be read (No such"),
        (("probe", "--body", PAYLOAD, "http://localhost"), "'--body': cannot be read"),
        (("broadcast", "--app", "a", "--content-state", DEVICE_TOKEN, "x"), "'--content-state'"),
        ((*SEND, "--push-type", DEVICE_TOKEN, "cd"), "'--push-type': is none of alert, "),
        ((*SEND, "--priority", DEVICE_TOKEN, "cd"), "'--priority': is none of 10, 5, 1"),
        ((*SEND, "--badge", DEVICE_TOKEN, "cd"), "'--badge': is no whole number"),
        ((*SEND, "--port", DEVICE_TOKEN, "cd"), "'--port': is no whole number, from 1 to 65535"),
        ((*SEND, "--expiration", DEVICE_TOKEN, "cd"), "'--expiration': is neither"),
        ((*SEND, "--timeout", DEVICE_TOKEN, "cd"), "'--timeout': is no number of seconds above 0"),
        (("probe", "--linger", "-1", "localhost"), "is no number of seconds from 0, up to 3600"),
        (("demo", "--count", DEVICE_TOKEN), "'--count': is no whole number, 1 or more"),
        ((*SEND, "--environment", PROVIDER_TOKEN, "cd"), "is none of production, development"),
        ((*SEND, "--server", PROVIDER_TOKEN, "cd"), "server: is not"),
        (
            (*SEND, "--key", DEVICE_TOKEN, "--key-id", "A" * 10, "--team-id", "B" * 10, "cd"),
            "Error: key: cannot be read",
        ),
        (("send-file", *SEND[1:], DEVICE_TOKEN), "--format"),
        (("send-file", *SEND[1:], "--format", "csv", DEVICE_TOKEN), "INPUT: cannot be opened ("),
        (("simulate", "--reject", DEVICE_TOKEN), "'--reject': rule 1 is not"),
        (("simulate", "--reject", f"dead={PROVIDER_TOKEN}"), "'--reject': rule 1 has none"),
        (("simulate", "--temper", PROVIDER_TOKEN), "'--temper': cannot be read ("),
        (("simulate", "--config", DEVICE_TOKEN), "'--config': cannot be read ("),
    ],
)
def test_a_misplaced_value_is_not_repeated(
    args: tuple[str, ...], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key.p8").touch(0o600)
    (tmp_path / "key.p8").write_text(make_provider_key().private_key_pem)
    env = {"APNS_KEY_FILE": "key.p8", "APNS_KEY_ID": "K" * 10, "APNS_TEAM_ID": "T" * 10}
    result = CliRunner().invoke(apns, args, env=env)
    assert result.exit_code == 2
    assert named in result.stderr
    for secret in pieces(args):
        assert secret not in result.output


def pieces(args: tuple[str, ...]) -> Iterator[str]:
    """Yield what of the arguments must not be seen."""
    for secret in (DEVICE_TOKEN, PROVIDER_TOKEN, "confidential"):
        if any(secret in arg for arg in args):
            yield secret


@pytest.mark.parametrize("seconds", ["nan", "-nan", "inf", "-inf", "Infinity", "1e400", "NAN"])
@pytest.mark.parametrize(
    "command",
    [
        ("doctor", "--timeout"),
        ("probe", "http://127.0.0.1:1", "--timeout"),
        ("probe", "http://127.0.0.1:1", "--linger"),
        (*SEND, "cd", "--timeout"),
        ("send-file", *SEND[1:], "a.csv", "--timeout"),
        ("broadcast", "--app", "a", "--event", "end", "x", "--timeout"),
        ("channels", "list", "--app", "a", "--timeout"),
    ],
)
def test_nan_and_infinity_are_no_seconds(command: tuple[str, ...], seconds: str) -> None:
    result = CliRunner().invoke(apns, [*command, seconds])
    assert result.exit_code == 2
    assert f"'{command[-1]}': is no number of seconds" in result.stderr


def test_a_slip_in_the_name_of_a_command_is_repeated() -> None:
    assert "'sned'" in CliRunner().invoke(apns, ["sned"]).stderr
    assert "'--sned'" in CliRunner().invoke(apns, ["--sned"]).stderr


def test_a_directory_in_place_of_a_file(tmp_path: Path) -> None:
    @click.command(cls=Command)
    @click.option("--ca", type=FilePath(dir_okay=False, path_type=Path))
    def show(ca: Path) -> None:
        click.echo(ca)

    result = CliRunner().invoke(show, ["--ca", str(tmp_path)])
    assert (result.exit_code, str(tmp_path) in result.stderr) == (2, False)
    assert "'--ca': is no file that can be read" in result.stderr
    assert CliRunner().invoke(show, ["--ca", str(tmp_path / "x")]).exit_code == 0


def test_completion_does_not_mind_arguments_that_are_too_many() -> None:
    with apns.make_context("apns", [], resilient_parsing=True) as context:
        command = apns.get_command(context, "token")
        assert isinstance(command, Command)
        assert command.make_context("token", ["x"], context, resilient_parsing=True).args == ["x"]


def test_every_command_is_one_that_shows_nothing() -> None:
    with apns.make_context("apns", [], resilient_parsing=True) as context:
        for name in apns.list_commands(context):
            command = apns.get_command(context, name)
            assert isinstance(command, Command | Group)
            if isinstance(command, Group):
                assert all(isinstance(inner, Command) for inner in command.commands.values())
