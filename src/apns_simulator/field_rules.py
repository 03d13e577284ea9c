"""When a request is malformed (RFC 9113 sections 8.2 and 8.3)."""

import re
from typing import Final

__all__ = ["malformation"]

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+").fullmatch
_VALUE: Final = re.compile(
    rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
).fullmatch

PSEUDO: Final = frozenset({b":method", b":scheme", b":authority", b":path"})
MANDATORY: Final = (b":method", b":scheme", b":path")
CONNECTION_SPECIFIC: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)


def malformation(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Say what is wrong with a request's fields, without their values; ``None``: nothing."""
    pseudo: dict[bytes, bytes] = {}
    has_regular = False
    has_host = False
    for name, value in headers:
        if not _VALUE(value):
            return f"illegal characters in the value of {name!r}"
        if name.startswith(b":"):
            if name not in PSEUDO:
                return f"{name!r} is not a pseudo-header field of a request"
            if name in pseudo:
                return f"{name!r} comes twice"
            if has_regular:
                return f"{name!r} comes after a regular field"
            pseudo[name] = value
            continue
        has_regular = True
        if not _NAME(name):
            return f"{name!r} is not a field name in lower case"
        if name in CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
            return f"{name!r} is specific to a connection of HTTP/1.1"
        has_host = has_host or name == b"host"
    for name in MANDATORY:
        if not pseudo.get(name):
            return f"{name!r} is missing"
    return None if has_host or pseudo.get(b":authority") else "neither ':authority' nor 'host'"
