"""Wrong usage, told by the name of the option and never by the value: a secret, misplaced perhaps.

`click` repeats what it cannot take. A provider token where a file belongs, or one argument too
many, would be in the log of whatever ran the command.
"""

import math
import re
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

import click
from click.types import IntParamType

__all__ = ["Command", "FilePath", "Group", "OneOf", "OpenFile", "Seconds", "Whole", "WholeFrom"]

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # generic since 8.2


class Command(click.Command):
    """A command that counts the arguments that are too many, and shows none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Do as `click.Command` does. Raises `click.UsageError`."""
        # Or else click refuses them in its own words.
        ctx.allow_extra_args = True
        extra = super().parse_args(ctx, args)
        if extra and not ctx.resilient_parsing:
            plural = "s" if len(extra) > 1 else ""
            raise click.UsageError(f"got {len(extra)} unexpected extra argument{plural}", ctx)
        return extra


class Group(click.Group):
    """A group of such commands."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Do as `click.Group` does, and repeat what may be a command's name with a slip in it."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            if not args or args[0].startswith("-") or _LIKE_A_COMMAND(args[0]):
                raise
        raise click.UsageError("there is no such command", ctx)


_LIKE_A_COMMAND: Final = re.compile(r"[a-z_-]{1,20}").fullmatch


@final
class OpenFile(click.File):
    """A file that is opened, or standard input."""

    def fail(
        self, message: str, param: click.Parameter | None = None, ctx: click.Context | None = None
    ) -> NoReturn:
        """Raise `click.BadParameter`, with what the system says."""
        del message
        error = sys.exception()
        why = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise click.BadParameter(f"cannot be read{why}", ctx, param) from None


@final
class FilePath(click.Path):
    """The path of a file, which need not be there."""

    def fail(
        self, message: str, param: click.Parameter | None = None, ctx: click.Context | None = None
    ) -> NoReturn:
        """Raise `click.BadParameter`."""
        del message
        raise click.BadParameter("is no file that can be read", ctx, param)


@final
class OneOf(_Choice):
    """One of a few words."""

    def fail(
        self, message: str, param: click.Parameter | None = None, ctx: click.Context | None = None
    ) -> NoReturn:
        """Raise `click.BadParameter`, with all of them."""
        del message
        raise click.BadParameter(f"is none of {', '.join(self.choices)}", ctx, param)


@final
class Whole(IntParamType):
    """Any whole number."""

    def fail(
        self, message: str, param: click.Parameter | None = None, ctx: click.Context | None = None
    ) -> NoReturn:
        """Raise `click.BadParameter`."""
        del message
        raise click.BadParameter("is no whole number", ctx, param)


@final
class WholeFrom(click.IntRange):
    """A whole number within limits."""

    def fail(
        self, message: str, param: click.Parameter | None = None, ctx: click.Context | None = None
    ) -> NoReturn:
        """Raise `click.BadParameter`, with the limits."""
        del message
        upwards = f"{self.min} or more" if self.max is None else f"from {self.min} to {self.max}"
        raise click.BadParameter(f"is no whole number, {upwards}", ctx, param)


@final
class Seconds(click.FloatRange):
    """A duration. Not a number, and for ever, are none, though Python reads both as numbers."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as click has it
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the number of seconds. Raises `click.BadParameter`."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail("", param, ctx)
        return seconds

    def fail(
        self, message: str, param: click.Parameter | None = None, ctx: click.Context | None = None
    ) -> NoReturn:
        """Raise `click.BadParameter`, with the limits."""
        del message
        least = f"{'above' if self.min_open else 'from'} {self.min:g}"
        most = "" if self.max is None else f", up to {self.max:g}"
        raise click.BadParameter(f"is no number of seconds {least}{most}", ctx, param)
