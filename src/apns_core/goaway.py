"""GOAWAY debug data: what a server says, in whatever form, about closing a connection."""

from dataclasses import dataclass
from typing import Final, final

from apns_core.reasons import MAX_JSON_BYTES, Reason, parse_error_body

__all__ = ["MAX_TEXT", "GoAwayInfo", "parse_debug_data"]

MAX_TEXT: Final = 256
"""Characters of debug text that are kept. The longest seen from APNs has 50."""


@final
@dataclass(frozen=True, slots=True)
class GoAwayInfo:
    """What one GOAWAY says of itself; both None when it says nothing.

    APNs may send a second GOAWAY with nothing in it (jchambers/pushy#312): keep the first that
    has something.
    """

    reason: Reason | None = None
    """The documented reason, if the debug data is JSON that names one."""

    text: str | None = None
    """What was said, fit for a log: printable, one line, at most `MAX_TEXT` characters."""


def parse_debug_data(debug: bytes) -> GoAwayInfo:
    """Read the debug data of a GOAWAY. Takes any bytes and never raises: a peer wrote them.

    Apple documents a JSON object with ``reason`` ("Sending notification requests to APNs"). Seen
    as well are plain text from the HTTP/2 layer (``Stream 5 does not exist``) and nothing at all.
    RFC 9113 Section 6.8: debug data "carries no semantic value" and must be handled with care.
    """
    said = parse_error_body(debug)
    text = said.reason_text
    if text is None:
        text = debug[:MAX_JSON_BYTES].decode("utf-8", "replace")
    return GoAwayInfo(said.reason, _printable(text) or None)


def _printable(text: str) -> str:
    line = " ".join(text.split())[:MAX_TEXT]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
