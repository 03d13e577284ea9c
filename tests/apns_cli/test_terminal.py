import io
import os
from contextlib import redirect_stderr

import pytest

from apns_cli import terminal
from apns_cli.terminal import ProgressBar, complain, print_facts, print_json, print_rows


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal_80(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 80 columns. For `redirect_stderr`: pytest undoes what a fixture redirects."""
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80"), ("LINES", "25")):
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, in its only element."""
    now = [100.0]
    monkeypatch.setattr(terminal, "monotonic", lambda: now[0])
    return now


def test_the_bar_shows_how_far_it_is(terminal_80: Terminal, clock: list[float]) -> None:
    with redirect_stderr(terminal_80), ProgressBar("Sending", 200) as bar:
        bar.show(50)
        clock[0] += 1.0
        bar.show(100)
        drawn = terminal_80.getvalue()
    assert "Sending" in drawn
    assert " 50/200" in drawn
    assert "100/200" in drawn
    assert "/s" in drawn


def test_the_bar_tells_more_and_of_a_total_that_may_not_be_known(
    terminal_80: Terminal, clock: list[float]
) -> None:
    with redirect_stderr(terminal_80), ProgressBar("Sending", None) as bar:
        bar.show(50, describe=lambda: "49 accepted, 1 rejected")
        assert "49 accepted, 1 rejected" in terminal_80.getvalue()
        assert "50/?" in terminal_80.getvalue()
        clock[0] += 1.0
        bar.show(60, total=70)
        assert "60/70" in terminal_80.getvalue()


def test_the_bar_draws_at_most_ten_times_a_second(
    terminal_80: Terminal, clock: list[float]
) -> None:
    with redirect_stderr(terminal_80), ProgressBar("Sending", 200) as bar:
        bar.show(1)
        clock[0] += 0.09
        bar.show(2)
        assert "2/200" not in terminal_80.getvalue()
        clock[0] += 0.02
        bar.show(3)
        assert "3/200" in terminal_80.getvalue()


def test_the_bar_can_do_without_colour(
    terminal_80: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with redirect_stderr(terminal_80), ProgressBar("Sending", 200) as bar:
        bar.show(50)
    assert " 50/200" in terminal_80.getvalue()
    assert "\x1b[3" not in terminal_80.getvalue()


def test_there_is_no_bar_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("Sending", 200) as bar:
        bar.show(50)
    assert capsys.readouterr() == ("", "")


def test_facts_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts("[bold]title[/]", [("[red]fact", "[1, 2]"), ("  detail", "3")])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "[bold]title[/]"
    assert [line.split() for line in lines[2:4]] == [["[red]fact", "[1,", "2]"], ["detail", "3"]]


def test_names_of_files_that_are_no_text_are_printed_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = os.fsdecode(b"r\xe9sultats")
    print_facts("title", [("Results", name)])
    print_rows("title", ["file"], [[name]])
    assert capsys.readouterr().out.count("r\\udce9sultats") == 2


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1], "b": None})
    assert capsys.readouterr().out == '{"a": [1], "b": null}\n'


def test_complaints_go_to_standard_error_unwrapped(capsys: pytest.CaptureFixture[str]) -> None:
    complain("x" * 200)
    assert capsys.readouterr() == ("", "x" * 200 + "\n")
