"""Options that belong together: a command takes all of them as one value."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

__all__ = ["option_group", "refuse_others"]

D = TypeVar("D")
P = ParamSpec("P")
R = TypeVar("R")


def option_group(
    kind: type[D], options: Sequence[Callable[[Any], Any]], **fixed: object
) -> Callable[[Callable[Concatenate[D, P], R]], Callable[P, R]]:
    """Return a decorator: it gives a command these options, and their values as its first argument.

    ``kind`` is a dataclass with a field for each option, and for what is ``fixed``.
    """
    dataclass: Any = kind
    names = [field.name for field in fields(dataclass) if field.name not in fixed]

    def decorate(command: Callable[Concatenate[D, P], R]) -> Callable[P, R]:
        @functools.wraps(command)
        def with_group(*args: P.args, **kwargs: P.kwargs) -> R:
            taken = {name: kwargs.pop(name) for name in names}
            return command(kind(**fixed, **taken), *args, **kwargs)

        decorated: Callable[P, R] = with_group
        # The last one to be applied is the first in the help.
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def refuse_others(group: object, because: str, *, than: Sequence[str]) -> None:
    """Raise `click.UsageError` for an option of the group that was given and is not expected."""
    dataclass: Any = group
    for field in fields(dataclass):
        value = getattr(group, field.name)
        # Not by its truth: a badge of 0 is one.
        if field.name not in than and value is not None and value is not False:
            raise click.UsageError(f"{because}: leave out --{field.name.replace('_', '-')}")
