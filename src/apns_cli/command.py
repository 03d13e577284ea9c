"""`apns`: the group that holds the commands, one module each, imported when it is asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast, final

import click

from apns_cli.terminal import CONTEXT_SETTINGS, examples
from apns_cli.usage import Group
from apns_core import __compiled__, __version__

__all__ = ["apns"]

COMMANDS: Final[Mapping[str, str]] = {
    "send": "apns_cli.send",
    "send-file": "apns_cli.send_file",
    "broadcast": "apns_cli.broadcast",
    "channels": "apns_cli.channels",
    "token": "apns_cli.provider_token",
    "demo": "apns_cli.demo",
    "simulate": "apns_cli.simulate",
    "probe": "apns_cli.probe",
    "doctor": "apns_cli.doctor",
}
"""Command -> its module, which holds a function of that name, with underscores for hyphens."""


@final
class _LazyGroup(Group):
    """Imports no more than the command that runs: not every one needs a server or a loop."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        return cast("click.Command", getattr(import_module(module), cmd_name.replace("-", "_")))


@click.group(
    cls=_LazyGroup,
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns demo",
        "apns simulate --port 2197 --ca-out ca.pem --key-out key.p8",
    ),
)
@click.version_option(
    f"{__version__} ({'compiled' if __compiled__ else 'plain Python'})", prog_name="apns"
)
def apns() -> None:
    """Send Apple push notifications, and try out senders without Apple.

    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """
