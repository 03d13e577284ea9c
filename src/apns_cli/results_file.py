"""The results file of `apns send-file`: a line of JSON for each line of the input, as they come.

What is flushed is the system's: a process that is killed loses nothing of it, and cuts short the
last line at most. `ResultsFile.resume` leaves out what is to be sent again, and does so in one
step: the file is replaced.
"""

import json
import os
import re
import stat
import sys
import tempfile
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Final, Self, TypeAlias, cast, final

from apns_cli.server_text import without_secrets
from apns_cli.tally import Tally

if sys.platform != "win32":
    import fcntl

__all__ = ["Earlier", "Record", "ResultsFile", "UnfitResults", "reason_of"]

Record: TypeAlias = Mapping[str, object]
"""The members of one line: ``line``, ``device``, ``outcome`` and those of the outcome."""

COPIED_AT_ONCE: Final = 1_000
"""Lines."""

LINES_UNDER_WAY: Final = 1_000_000
"""More than may be in flight: how far a line's number may exceed what the file can hold."""

SHORTEST: Final = 40
"""Octets; no line of results is shorter."""


@final
class UnfitResults(Exception):  # noqa: N818 - named for what is wrong with it
    """A results file that this command did not write, or cannot use. The text says why."""


@final
class Earlier:
    """Which lines have an outcome from before, and to which devices they went: 5 octets a line."""

    def __init__(self) -> None:
        self.tally: Final = Tally()
        self.count = 0
        self.last = 0
        """The last line that has one."""
        self._has = bytearray(1)
        self._fingerprints = array("I", (0,))

    def add(self, line: int, device: str) -> None:
        """Note that a line has an outcome. ``device``: its fingerprint."""
        missing = line + 1 - len(self._has)
        if missing > 0:
            self._has.extend(bytes(missing))
            self._fingerprints.frombytes(bytes(missing * self._fingerprints.itemsize))
        self._has[line] = 1
        self._fingerprints[line] = _number(device)
        self.count += 1
        self.last = max(self.last, line)

    def __contains__(self, line: int) -> bool:
        return line < len(self._has) and self._has[line] == 1

    def is_of(self, line: int, device: str) -> bool:
        """Whether the outcome of a line is that of the device with this fingerprint."""
        return self._fingerprints[line] == _number(device)


@final
class ResultsFile:
    """An open results file, for its owner alone, and locked against another run."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._unwritten = b""

    @classmethod
    def create(cls, path: Path, *, overwrite: bool) -> Self:
        """Make an empty one. Raises FileExistsError, OSError, `UnfitResults`."""
        flags = os.O_CREAT if overwrite else os.O_CREAT | os.O_EXCL
        descriptor = _open(path, flags)
        try:
            # An older file keeps its mode otherwise.
            path.chmod(0o600)
            os.ftruncate(descriptor, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @classmethod
    def resume(
        cls,
        path: Path,
        keep: Callable[[Record], bool],
        check: Callable[[Earlier], None],
    ) -> tuple[Self, Earlier]:
        """Go on with one, less the lines that ``keep`` does not want and a last one cut short.

        There need not be one. Raises OSError, `UnfitResults`, and what ``check`` raises of what was
        kept; the file is then as it was.
        """
        try:
            old = _open(path, 0)
        except FileNotFoundError:
            return cls.create(path, overwrite=False), Earlier()
        with os.fdopen(old, "rb") as file:
            path = path.resolve()
            new, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            try:
                _lock(new)
                results = cls(new)
                earlier = results._take_over(file, keep)
                check(earlier)
                results.sync()
                if sys.platform == "win32":
                    file.close()
                # While the old one is locked still: nobody finds one that is not.
                Path(name).replace(path)
            except BaseException:
                os.close(new)
                with suppress(OSError):
                    Path(name).unlink()
                raise
        return results, earlier

    def _take_over(self, file: BufferedReader, keep: Callable[[Record], bool]) -> Earlier:
        earlier = Earlier()
        size = os.fstat(file.fileno()).st_size
        greatest = size // SHORTEST + LINES_UNDER_WAY
        for number, text in enumerate(file, 1):
            ended = text.endswith(b"\n")
            record = _record(text, greatest)
            if record is None:
                if not ended and (number > 1 or _may_begin_a_record(text)):
                    break  # cut short by the end of the process: no outcome on record
                raise UnfitResults(f"line {number} is not one that apns send-file writes")
            line = cast("int", record["line"])
            if line not in earlier and keep(record):
                earlier.add(line, cast("str", record["device"]))
                # Whoever wrote it may not have looked for secrets.
                detail = without_secrets(reason_of(record))
                earlier.tally.add(str(record["outcome"]), detail)
                self.append(text.decode() if ended else text.decode() + "\n")
            if len(self._lines) >= COPIED_AT_ONCE:
                self.flush()
        self.flush()
        return earlier

    def append(self, line: str) -> None:
        """Add a line, which ends with a line break; `flush` writes it."""
        self._lines.append(line)

    def flush(self) -> None:
        """Hand all lines to the system. Raises OSError; what is not written is kept."""
        if self._lines:
            self._unwritten += "".join(self._lines).encode()
            self._lines.clear()
        while self._unwritten:
            written = os.write(self._descriptor, self._unwritten)
            self._unwritten = self._unwritten[written:]

    @property
    def unwritten(self) -> int:
        """How many lines are not in the file, or not to their end."""
        return len(self._lines) + self._unwritten.count(b"\n")

    def sync(self) -> None:
        """Have the disk keep what was flushed, through a loss of power too. Raises OSError."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Flush and close. Raises OSError; it is closed then."""
        try:
            self.flush()
            self.sync()
        finally:
            os.close(self._descriptor)


def _number(device: str) -> int:
    """Return a fingerprint as the number that it is in hexadecimal."""
    return int(device.removeprefix("sha256:"), 16)


def _open(path: Path, flags: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0) | flags, 0o600)
    try:
        _own(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _own(descriptor: int, path: Path) -> None:
    """See that it is a file, and used by no other run."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UnfitResults("is not a regular file")
    _lock(descriptor)
    # Another run may have replaced it just before.
    if not os.path.samestat(status, path.stat()):
        raise UnfitResults(_IN_USE)


def _lock(descriptor: int) -> None:
    """Keep other runs away until the descriptor is closed; the system sees to it at the end."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnfitResults(_IN_USE) from None


_IN_USE: Final = "another apns send-file writes to it"


def _record(text: bytes, greatest: int) -> Record | None:
    """Read one line; None if it is none of ours."""
    try:
        document: object = json.loads(text.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    record = cast("dict[str, object]", document)
    line, device, outcome = (record.get(name) for name in ("line", "device", "outcome"))
    if type(line) is not int or not 0 < line <= greatest:
        return None
    if outcome == "invalid":
        return record
    if not isinstance(outcome, str) or outcome not in _REASONS:
        return None
    return record if isinstance(device, str) and _FINGERPRINT(device) else None


def _may_begin_a_record(text: bytes) -> bool:
    """Whether what is cut short may be ours, where no whole line says whose file it is.

    After a loss of power it may be NULs.
    """
    return text.startswith(_BEGINNING) or _BEGINNING.startswith(text.rstrip(b"\0"))


_BEGINNING: Final = b'{"line":'


def reason_of(record: Record) -> str:
    """Return why it has the outcome that it has: reason, cause, or else the status."""
    reason = record.get(_REASONS[str(record["outcome"])])
    return str(record.get("status") if reason is None else reason)


_REASONS: Final = {
    "accepted": "status",
    "rejected": "reason",
    "unprocessed": "cause",
    "unknown": "cause",
}
_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{8}").fullmatch
