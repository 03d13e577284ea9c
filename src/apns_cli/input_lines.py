"""From a line of CSV or JSON Lines to the members of one notification, by their names."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias, cast, final

from apns_cli.input_file import MAX_LINE
from apns_core import InvalidField

__all__ = ["FORMATS", "MEMBERS", "LineFormat", "Members", "UnfitInput", "format_of"]

MEMBERS: Final = (
    "device_token",
    "payload",
    "topic",
    "push_type",
    "priority",
    "expiration",
    "collapse_id",
    "apns_id",
)
"""What a line may say: names of columns, or keys."""

Members: TypeAlias = Mapping[str, object]
"""Name -> value, as the line has it; of CSV always a text. What is empty or null is left out."""


@final
class UnfitInput(Exception):  # noqa: N818 - named for what is wrong with it
    """The input as a whole is not what it must be; nothing of it is shown in the text."""


class LineFormat(Protocol):
    """Reads the lines of one file: the first says how to read the others, which may be left out."""

    @property
    def names(self) -> Sequence[str]:
        """What of `MEMBERS` the lines may have; empty until the first was read."""
        ...

    def read(self, line: bytes) -> Members | None:
        """Return what a line says; None if there is no notification in it.

        Raises InvalidField, and `UnfitInput`.
        """
        ...


@final
class CsvLines:
    """A header row that names columns, then a notification a row; or device tokens alone.

    A row ends with its line, so that a stray quote spoils no other.
    """

    def __init__(self) -> None:
        self.names: Sequence[str] = ()

    def read(self, line: bytes) -> Members | None:
        """Return what a row says; None for the header, for an empty line and for a comment."""
        text = _text(line)
        if not self.names:
            return self._first(text.removeprefix("\ufeff").strip())
        if self.names is _DEVICE_TOKENS and '"' not in text:
            # Optimisation (benchmarks/send_file.py): most files are a list of device tokens.
            return None if not text or text[0] == "#" else {"device_token": text}
        if not text:
            return None
        cells = _cells(text)
        if len(cells) != len(self.names):
            raise InvalidField(
                "line", f"has {len(cells)} columns where the header has {len(self.names)}"
            )
        return {name: cell for name, cell in zip(self.names, cells, strict=True) if cell}

    def _first(self, text: str) -> Members | None:
        # Comments before a header are comments, whatever follows.
        if not text or text[0] == "#":
            return None
        cells = _cells(text)
        if "device_token" in cells:
            for place, name in enumerate(cells, 1):
                if name not in MEMBERS or name in cells[: place - 1]:
                    # Not the name: what is no header may be anything.
                    known = ", ".join(MEMBERS)
                    raise UnfitInput(
                        f"column {place} of the header is not, or not for the first "
                        f"time, one of {known}"
                    )
            self.names = tuple(cells)
            return None
        if len(cells) > 1:
            raise UnfitInput("the first line is no header: it names no column device_token")
        self.names = _DEVICE_TOKENS
        return {"device_token": cells[0]}


_DEVICE_TOKENS: Final = ("device_token",)


@final
class JsonLines:
    """An object a line; or a string, which is a device token."""

    names: Sequence[str] = MEMBERS

    def read(self, line: bytes) -> Members | None:
        """Return the members of an object; None for an empty line."""
        # Some editors begin a file with it.
        text = _text(line).removeprefix("\ufeff")
        if not text:
            return None
        try:
            document: object = json.loads(text)
        except json.JSONDecodeError as error:
            # Where, and not what: a payload is nobody's business.
            raise InvalidField("line", f"is no JSON: {error.msg}, column {error.colno}") from None
        except (RecursionError, ValueError):
            raise InvalidField("line", "is no JSON that can be read") from None
        if isinstance(document, str):
            return {"device_token": document}
        if not isinstance(document, dict):
            raise InvalidField("line", "is neither a JSON object nor a string")
        members = cast("dict[str, object]", document)
        if not members.keys() <= _KNOWN:
            raise InvalidField("line", f"has a key that is none of {', '.join(MEMBERS)}")
        return {name: value for name, value in members.items() if value is not None}


_KNOWN: Final = frozenset(MEMBERS)

FORMATS: Final[Mapping[str, Callable[[], LineFormat]]] = {"csv": CsvLines, "jsonl": JsonLines}

_SUFFIXES: Final = {
    ".csv": "csv",
    ".txt": "csv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


def format_of(path: Path) -> str | None:
    """Return the format that the suffix of a file's name tells, if it does."""
    return _SUFFIXES.get(path.suffix.lower())


def _text(line: bytes) -> str:
    if len(line) > MAX_LINE:
        raise InvalidField("line", f"longer than {MAX_LINE:,} octets")
    try:
        return line.decode().strip()
    except UnicodeDecodeError:
        raise InvalidField("line", "is no text in UTF-8") from None


def _cells(text: str) -> list[str]:
    try:
        (cells,) = csv.reader((text,), strict=True)
    except (csv.Error, ValueError):
        raise InvalidField("line", "is no row of CSV: see its quotes") from None
    return [cell.strip() for cell in cells]
