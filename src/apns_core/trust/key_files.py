"""Reads files that hold private keys, and says when others than their owner may do so too."""

import os
import stat
import warnings
from pathlib import Path
from typing import Final

from apns_core.errors import InvalidField

__all__ = ["KeyFileWarning", "read_key_file"]


class KeyFileWarning(UserWarning):
    """A key file can be read or written by others than its owner."""


def read_key_file(field: str, path: str | os.PathLike[str], *, strict: bool) -> bytes:
    """Return what a key file holds. Of a file that others may use, warn the caller's caller.

    Raises `InvalidField` for ``field`` when the file cannot be read, and, if ``strict``, instead
    of the warning.
    """
    name = os.fsdecode(path)
    if "-----BEGIN" in name:
        raise InvalidField(field, "is the text of a key, not the name of a file; use from_pem")
    mode, contents = _read(field, name)
    if _HAS_MODES and mode & _OTHERS:
        problem = f"has mode {stat.S_IMODE(mode):04o}: others than its owner may use it"
        if strict:
            raise InvalidField(field, f"{problem} (chmod 600)")
        warnings.warn(f"the key file {problem}", KeyFileWarning, stacklevel=3)
    return contents


# The key of a token has 257 bytes, a PKCS#12 file with its chain less than 10 kB. This much holds
# any other key too, so that it can be named as such.
_MAX_FILE: Final = 65_536

# Windows has access lists; the mode that it reports says nothing of them.
_HAS_MODES: Final = os.name == "posix"
_OTHERS: Final = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


def _read(field: str, name: str) -> tuple[int, bytes]:
    """Return the mode and the contents of a file."""
    try:
        with Path(name).open("rb") as file:
            # The mode of what was opened: a link is followed once.
            return os.fstat(file.fileno()).st_mode, file.read(_MAX_FILE)
    except OSError as error:
        problem = error.strerror
    except ValueError:
        problem = "it has a NUL in it"
    # Not chained to the OSError: that one quotes the name, which may be a key after all.
    raise InvalidField(field, f"cannot be read: {problem}")
