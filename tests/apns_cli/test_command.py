import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import apns_cli
from apns_cli.command import COMMANDS, apns
from apns_core import __compiled__, __version__
from tests.apns_cli.conftest import Simulated


def run_python(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help_with_examples(command: list[str], option: str) -> None:
    result = CliRunner().invoke(apns, [*command, option], prog_name="apns")
    assert result.exit_code == 0
    _, _, examples = result.stdout.partition("Examples:\n")
    assert " ".join(["  apns", *command]) in examples
    assert max(map(len, result.stdout.splitlines())) <= 80
    # Not every terminal has more.
    assert result.stdout.isascii()


def test_each_name_is_that_of_its_command() -> None:
    result = CliRunner().invoke(apns, ["--help"])
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout


def test_the_list_of_commands_says_all_of_each_in_one_line() -> None:
    _, _, commands = CliRunner().invoke(apns, ["--help"]).stdout.partition("Commands:\n")
    assert commands
    assert "..." not in commands


def test_tells_its_version() -> None:
    result = CliRunner().invoke(apns, ["--version"])
    form = "compiled" if __compiled__ else "plain Python"
    assert (result.exit_code, result.stdout) == (0, f"apns, version {__version__} ({form})\n")


def test_wrong_usage() -> None:
    result = CliRunner().invoke(apns, ["frobnicate"])
    assert result.exit_code == 2
    assert "No such command 'frobnicate'" in result.stderr


@pytest.mark.parametrize("package", ["click", "rich", "h2", "trustme"])
def test_says_how_to_get_what_is_missing(package: str) -> None:
    # What is None in sys.modules cannot be imported.
    done = run_python(
        f"import sys; sys.modules[{package!r}] = None; sys.argv = ['apns', 'simulate']\n"
        "import apns_cli; apns_cli.main()"
    )
    assert done.returncode == 2
    assert "pip install 'apns-core[cli]'" in done.stderr
    assert package in done.stderr
    assert "Traceback" not in done.stderr


def test_does_not_blame_the_extra_for_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apns_cli.demo", None)
    monkeypatch.setattr(sys, "argv", ["apns", "demo"])
    with pytest.raises(ModuleNotFoundError, match=r"apns_cli\.demo"):
        apns_cli.main()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["token"],
        ["token", "--json"],
        ["send", "--app", "com.example.app", "--body", "Hello", "00fc"],
        ["send", "--app", "com.example.app", "--body", "Hello", "--json", "00fc"],
    ],
)
def test_output_that_cannot_be_written_is_told(arguments: list[str], simulated: Simulated) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            simulated.command(*arguments),
            env=os.environ | simulated.env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
        )
    assert done.returncode == 1
    assert done.stderr == "apns: standard output cannot be written: No space left on device\n"


def test_any_other_error_of_the_system_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        del args, kwargs
        raise FileNotFoundError(2, "No such file")

    monkeypatch.setattr("apns_cli.command.apns", fail)
    with pytest.raises(FileNotFoundError):
        apns_cli.main()


def test_a_command_imports_no_more_than_it_needs() -> None:
    done = run_python(
        "import sys; sys.modules['h2'] = None; sys.argv = ['apns', '--version']\n"
        "import apns_cli; apns_cli.main()"
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_page_has_each_option(name: str) -> None:
    section = read_section(f"`apns {name}`")
    if "(#reaching-apns)" in section:
        section += read_section("Reaching APNs")
    with apns.make_context("apns", [], resilient_parsing=True) as context:
        command = apns.get_command(context, name)
        assert command is not None
        for option in options_of(command):
            assert f"`{option}" in section


def read_section(title: str) -> str:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    _, _, section = page.partition(f"## {title}\n")
    assert section
    return section.partition("\n## ")[0]


def options_of(command: click.Command) -> Iterator[str]:
    """Yield all options of a command, or of those in a group."""
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            yield from options_of(subcommand)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield parameter.opts[0]
