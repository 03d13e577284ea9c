"""What all commands share: exit codes, tables, JSON, the progress bar, examples in the help."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import Final, Self, TypeAlias, final

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

__all__ = [
    "CONTEXT_SETTINGS",
    "EXIT_FAILED",
    "Fact",
    "ProgressBar",
    "complain",
    "examples",
    "print_facts",
    "print_json",
    "print_rows",
]

EXIT_FAILED: Final = 1
"""What was asked for was tried, and failed. click has 0 for done, and 2 for wrong usage."""

CONTEXT_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}

Fact: TypeAlias = tuple[str, str]
"""What is known, and its value. Facts whose name begins with a blank are details of the one above.
"""


def examples(*lines: str) -> str:
    """Return an epilog of commands to copy; the mark keeps click from joining the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def print_facts(title: str, facts: Iterable[Fact]) -> None:
    """Print a table on standard output, readable without colour and in 80 columns."""
    table = Table(
        title=Text(title, style="bold"), title_justify="left", box=SIMPLE, show_header=False
    )
    table.add_column("fact")
    table.add_column("value", justify="right")
    for name, value in facts:
        style = "dim" if name.startswith(" ") else ""
        table.add_row(Text(_encodable(name), style=style), Text(_encodable(value)))
    Console().print(table)


def print_rows(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of many columns, readable without colour; a cell too long is folded."""
    table = Table(title=Text(title, style="bold"), title_justify="left", box=SIMPLE)
    for name in names:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_encodable(cell)) for cell in row))
    Console().print(table)


def _encodable(text: str) -> str:
    """Return a text that UTF-8 has: the name of a file may have octets that are none."""
    return text.encode("utf-8", "backslashreplace").decode()


def print_json(members: Mapping[str, object]) -> None:
    """Print one JSON object in one line of standard output."""
    click.echo(json.dumps(members, allow_nan=False))


def complain(text: str) -> None:
    """Print on standard error what went wrong."""
    Console(stderr=True, soft_wrap=True).print(Text(text, style="bold red"))


@final
class ProgressBar:
    """How far along, how fast and until when: on standard error, if that is a terminal.

    It draws when it is told how far things are, and at most ten times a second: a thread of its own
    would take the interpreter from what it measures. A ``total`` that is not known is None.
    """

    def __init__(self, description: str, total: int | None) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
            disable=not console.is_terminal,
            expand=True,
        )
        self._task = self._progress.add_task(description, total=total)
        self._due = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(
        self,
        completed: int,
        *,
        total: int | None = None,
        describe: Callable[[], str] | None = None,
    ) -> None:
        """Say how many of the total are done. Cheap enough to be called for each of them.

        Another ``total``, and what ``describe`` returns, take the place of what was given before.
        """
        now = monotonic()
        if now >= self._due:
            self._due = now + _REDRAW_SECONDS
            self._progress.update(
                self._task,
                completed=completed,
                total=total,
                description=None if describe is None else describe(),
                refresh=True,
            )


_REDRAW_SECONDS: Final = 0.1


@final
class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s", justify="right")
