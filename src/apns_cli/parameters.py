"""Callbacks that read the values of options: instants and durations, JSON, the app's own keys."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import IO, BinaryIO, Final, TypeAlias, cast

import click

from apns_cli.strict_json import decode_json
from apns_core.requests.channels import StoragePolicy

__all__ = [
    "STORAGE_POLICIES",
    "When",
    "instant",
    "json_document",
    "json_object",
    "moment",
    "own_keys",
]

When: TypeAlias = int | datetime | timedelta
"""UNIX seconds, an aware instant, or a duration from now."""


STORAGE_POLICIES: Final[Mapping[str, StoragePolicy]] = {
    "none": StoragePolicy.NO_STORAGE,
    "most-recent": StoragePolicy.MOST_RECENT_MESSAGE,
}
"""What a channel keeps, as it is called on a command line."""


def moment(ctx: click.Context, param: click.Parameter, text: str | None) -> When | None:
    """Read ``1800000000``, ``2027-01-15T08:00:00Z``, ``1h30m`` or ``0``."""
    try:
        return None if text is None else _read_moment(text)
    except (ValueError, OverflowError):
        problem = "is neither UNIX seconds nor ISO 8601 with a zone nor a duration such as 1h30m"
        raise click.BadParameter(problem, ctx, param) from None


def _read_moment(text: str) -> When:
    if text.isdecimal():
        return _read_seconds(int(text))
    if text and (parts := _DURATION(text)) is not None:
        duration = timedelta(**{unit: int(count) for unit, count in parts.groupdict("0").items()})
        if duration > _LONGEST:
            raise click.BadParameter("is a duration that ends later than the year 5000")
        return duration
    when = datetime.fromisoformat(text)
    if when.utcoffset() is None:
        raise click.BadParameter("has no time zone: end it with Z, or with +02:00")
    return when


def _read_seconds(seconds: int) -> int:
    if 0 < seconds < _EARLIEST:
        raise click.BadParameter(f"{seconds} was in 1970; a duration has a unit, as {seconds}s")
    if seconds > _LATEST:
        raise click.BadParameter("is later than the year 5000: seconds, not milliseconds")
    return seconds


_DURATION: Final = re.compile(
    r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)?"
).fullmatch
_EARLIEST: Final = 365 * 86_400
_LATEST: Final = 10**11
_MOST_OCTETS: Final = 1 << 20
"""Of a JSON document: two hundred times what APNs takes, for what is spaced out."""
_LONGEST: Final = timedelta(seconds=_LATEST)


def instant(when: When | None) -> int | datetime | None:
    """Return the instant that it is, if it is counted from this moment."""
    return datetime.now(UTC) + when if isinstance(when, timedelta) else when


def json_object(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> dict[str, object] | None:
    """Read a JSON object in place, in a file, or on standard input (``-``)."""
    if text is None:
        return None
    if text.lstrip().startswith("{"):
        # Octets of the command line that are no UTF-8 are for `_object` to refuse.
        return _object(text.encode("utf-8", "surrogatepass"), ctx, param)
    try:
        with click.open_file(text, "rb") as file:
            return _object(_read(file, ctx, param), ctx, param)
    except OSError as error:
        raise click.BadParameter(f"cannot be read ({error.strerror})", ctx, param) from None


def json_document(
    ctx: click.Context, param: click.Parameter, file: BinaryIO | None
) -> bytes | None:
    """Read what is to be sent as it stands, and has to be a JSON object: of an `OpenFile`."""
    if file is None:
        return None
    data = _read(file, ctx, param)
    _object(data, ctx, param)
    return data


def _read(file: IO[bytes], ctx: click.Context, param: click.Parameter) -> bytes:
    # What is no file at all may have no end.
    data = file.read(_MOST_OCTETS + 1)
    if len(data) > _MOST_OCTETS:
        raise click.BadParameter("is longer than a mebibyte, and than APNs takes", ctx, param)
    return data


def _object(data: bytes, ctx: click.Context, param: click.Parameter) -> dict[str, object]:
    try:
        document = decode_json(data.decode())
    except json.JSONDecodeError as error:
        # Where, and not what: a payload is nobody's business.
        place = f"line {error.lineno}, column {error.colno}"
        raise click.BadParameter(f"is no JSON: {error.msg} at {place}", ctx, param) from None
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise click.BadParameter("is no JSON in UTF-8", ctx, param) from None
    if not isinstance(document, dict):
        raise click.BadParameter("is no JSON object", ctx, param)
    return cast("dict[str, object]", document)


def own_keys(
    ctx: click.Context, param: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, object] | None:
    """Read ``KEY=TEXT`` and ``KEY:=JSON``, of an option that may be repeated."""
    members: dict[str, object] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key.removesuffix(":"):
            raise click.BadParameter("is not KEY=TEXT or KEY:=JSON", ctx, param)
        if not key.endswith(":"):
            members[key] = text
            continue
        key = key.removesuffix(":")
        try:
            members[key] = decode_json(text)
        except (ValueError, RecursionError):
            raise click.BadParameter(f"{key}: no JSON follows :=", ctx, param) from None
    return members or None
