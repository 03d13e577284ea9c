"""Reads files that hold private keys, and says when others than their owner may do so too."""

import os
import stat
import warnings
from pathlib import Path
from typing import Final, cast

from apns_core.errors import InvalidField

__all__ = ["KeyFileWarning", "read_key_file"]


class KeyFileWarning(UserWarning):
    """A key file can be read or written by others than its owner."""


def read_key_file(field: str, path: str | os.PathLike[str], *, strict: bool) -> bytes:
    """Return what a key file holds. Of a file that others may use, warn the caller's caller.

    Raises `InvalidField` for ``field`` when the file cannot be read, and, if ``strict``, instead
    of the warning.
    """
    read = _read(path)
    if isinstance(read, str):
        # Whoever reports an error may show the locals of its frames; this one may be a key.
        del path
        raise InvalidField(field, read)
    mode, contents = read
    if _HAS_MODES and mode & _OTHERS:
        problem = f"has mode {stat.S_IMODE(mode):04o}: others than its owner may use it"
        if strict:
            del read, contents
            raise InvalidField(field, f"{problem} (chmod 600)")
        warnings.warn(f"the key file {problem}", KeyFileWarning, stacklevel=3)
    return contents


# The key of a token has 257 bytes, a PKCS#12 file with its chain less than 10 kB. This much holds
# any other key too, so that it can be named as such.
_MAX_FILE: Final = 65_536

# Windows has access lists; the mode that it reports says nothing of them.
_HAS_MODES: Final = os.name == "posix"
_OTHERS: Final = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


def _read(path: object) -> tuple[int, bytes] | str:
    """Return the mode and the contents of a file; or else what is wrong, without its name."""
    try:
        # PathLike or a text; whatever else it is, fsdecode says so by a TypeError.
        name = os.fsdecode(cast("str", path))
        if "-----BEGIN" in name:
            return "is the text of a key, not the name of a file; use from_pem"
        with Path(name).open("rb") as file:
            # The mode of what was opened: a link is followed once.
            return os.fstat(file.fileno()).st_mode, file.read(_MAX_FILE)
    except OSError as error:
        # Its text quotes the name, which may be a key after all.
        return f"cannot be read: {error.strerror}"
    except (TypeError, UnicodeError):
        return "cannot be read: it is no name of a file"
    except ValueError:
        return "cannot be read: it has a NUL in it"
