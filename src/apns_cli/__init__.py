"""The `apns` command."""

import sys
from typing import Final

__all__ = ["main"]

_OF_THE_EXTRA: Final = frozenset(("click", "rich", "h2", "trustme"))


def main() -> None:
    """Run the command line of this process and exit with its code."""
    try:
        # Imported here: a plain install has the script and not what the script needs.
        from apns_cli.command import apns  # noqa: PLC0415

        apns(prog_name="apns")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _OF_THE_EXTRA:
            raise
        sys.stderr.write(
            f"apns: the package {package} is missing. The command is an extra; install it with\n"
            "  pip install 'apns-core[cli]'\n"
        )
        sys.exit(2)
