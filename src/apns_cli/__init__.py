"""The `apns` command."""

import errno
import os
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
    except OSError as error:
        # Commands take what other files, and the network, do to them.
        if error.errno not in _FAILED_WRITES:
            raise
        # Or else the interpreter writes once more at its end, and has an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stderr.write(f"apns: standard output cannot be written: {error.strerror}\n")
        sys.exit(1)


_FAILED_WRITES: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO))
"""What a full disk says, or a broken one. click sees to a pipe that nobody reads."""
