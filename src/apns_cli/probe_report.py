"""What `apns probe` has seen: its JSON, its table, and the line that says what went wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from apns_cli.exchange import Ending, Exchange
from apns_cli.terminal import Fact
from apns_core.goaway import parse_debug_data
from apns_core.http2.client import GoAwayReceived
from apns_core.http2.errors import ErrorCode
from apns_core.reasons import parse_error_body

__all__ = [
    "SETTING_NAMES",
    "Connected",
    "complaint",
    "error_code_members",
    "facts",
    "members",
    "printable",
]

BODY_SHOWN: Final = 2_000
"""Characters of the response's body that are printed."""


@final
@dataclass(slots=True, kw_only=True)
class Connected:
    """How a connection was made, or was not; what HTTP/2 saw on it is in an `Exchange`."""

    url: str
    """Without the path."""
    address: str | None = None
    tls_version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    connect_ms: float | None = None
    """From the look-up of the name to the end of the TLS handshake."""
    stage: str | None = None
    """Where there was no connection to be had: resolve, connect, tls, alpn."""
    problem: str | None = None
    """Why there was no connection, or why it was lost."""


def members(report: Connected, exchange: Exchange | None) -> Iterator[tuple[str, object]]:
    """Yield the members of the JSON object; those that HTTP/2 has no part in alone without it."""
    yield "url", report.url
    yield "outcome", "connect_failed" if exchange is None else exchange.ending.value
    yield "address", report.address
    yield "connect_ms", report.connect_ms
    yield "tls_version", report.tls_version
    yield "cipher", report.cipher
    yield "alpn", report.alpn
    yield "stage", report.stage
    yield "problem", report.problem
    if exchange is None:
        return
    seen, response = exchange.seen, exchange.stream
    yield "response", _response(exchange) if response.status else None
    yield "reset", error_code_members(response.error_code) if response.error_code else None
    yield "waited_for", exchange.waits_for if seen.timed_out else None
    yield "protocol_error", _error_members(exchange) if exchange.error else None
    yield "settings", [[_setting_members(*entry) for entry in frame] for frame in seen.settings]
    yield "settings_count", seen.settings_count
    yield "settings_acknowledged", exchange.settings_acknowledged
    yield "goaways", [_goaway_members(goaway) for goaway in seen.goaways]
    yield "goaway_count", seen.goaway_count
    sent = seen.goaway_sent
    yield "goaway_sent", None if sent is None else error_code_members(sent)
    yield "pings_answered", seen.pings_answered
    yield "closed_by_peer", seen.closed


def _response(exchange: Exchange) -> dict[str, object]:
    response = exchange.stream
    said = parse_error_body(response.body)
    by_name = dict(response.fields)
    apns_id = by_name.get(b"apns-id")
    return {
        "status": response.status,
        "reason": said.reason_text,
        "timestamp": said.timestamp,
        "apns_id": None if apns_id is None else _text(apns_id),
        "fields": [[_text(name), _text(value)] for name, value in response.fields],
        "body": _text(response.body)[:BODY_SHOWN],
        "body_size": len(response.body),
        "body_complete": exchange.body_complete,
    }


def _goaway_members(goaway: GoAwayReceived) -> dict[str, object]:
    said = parse_debug_data(goaway.debug_data)
    return {
        "last_stream_id": goaway.last_stream_id,
        **error_code_members(goaway.error_code),
        "reason": None if said.reason is None else said.reason.value,
        "text": said.text,
    }


def _error_members(exchange: Exchange) -> dict[str, object]:
    error = exchange.error
    assert error is not None  # noqa: S101 - asked before
    return {
        "scope": "connection" if exchange.seen.error else "stream",
        "problem": str(error),
        "section": error.section,
        "stream_id": error.stream_id,
        **error_code_members(error.code),
        "frames": list(error.frames),
    }


def _setting_members(identifier: int, value: int) -> dict[str, object]:
    """Return one entry of SETTINGS for JSON; the name is null where RFC 9113 has none."""
    return {"id": identifier, "name": SETTING_NAMES.get(identifier), "value": value}


SETTING_NAMES: Final[Mapping[int, str]] = {
    0x1: "HEADER_TABLE_SIZE",
    0x2: "ENABLE_PUSH",
    0x3: "MAX_CONCURRENT_STREAMS",
    0x4: "INITIAL_WINDOW_SIZE",
    0x5: "MAX_FRAME_SIZE",
    0x6: "MAX_HEADER_LIST_SIZE",
    0x8: "ENABLE_CONNECT_PROTOCOL",
    0x9: "NO_RFC7540_PRIORITIES",
}
"""RFC 9113 §6.5.2, RFC 8441, RFC 9218."""


def error_code_members(code: int) -> dict[str, object]:
    """Return an error code of HTTP/2 for JSON; the name is null where RFC 9113 has none."""
    known = code in ErrorCode.__members__.values()
    return {"error_code": code, "error_name": ErrorCode(code).name if known else None}


def facts(report: Connected, exchange: Exchange) -> Iterator[Fact]:
    """Yield the rows of the table."""
    seen, response = exchange.seen, exchange.stream
    yield "Address", report.address or "-"
    if report.tls_version:
        yield "TLS", f"{report.tls_version}, {report.cipher}"
    for frame in seen.settings:
        yield "SETTINGS", "" if frame else "empty"
        for identifier, value in frame:
            yield f"  {SETTING_NAMES.get(identifier, f'{identifier:#06x}')}", f"{value:,}"
    if response.status:
        yield "Status", str(response.status)
        for name, contents in response.fields[1:]:
            yield f"  {printable(_text(name))}", printable(_text(contents))
        if response.body:
            yield "Body", printable(_text(response.body))[:BODY_SHOWN]
        if not exchange.body_complete:
            yield "  cut short", "yes"
    for goaway in seen.goaways:
        yield "GOAWAY", _code_name(goaway.error_code)
        yield "  last stream", str(goaway.last_stream_id)
        if text := parse_debug_data(goaway.debug_data).text:
            yield "  says", text
    yield "PINGs answered", f"{seen.pings_answered:,}"
    if seen.goaway_sent is not None:
        yield "GOAWAY sent", _code_name(seen.goaway_sent)


def _code_name(code: int) -> str:
    name = error_code_members(code)["error_name"]
    return str(name or f"{code:#x}")


def complaint(report: Connected, exchange: Exchange | None) -> str | None:
    """Say in one line what went wrong; None if a response came and no rule was broken."""
    if exchange is None:
        return f"{report.stage}: {report.problem}"
    match exchange.ending:
        case Ending.RESPONSE:
            return None
        case Ending.PROTOCOL_ERROR:
            return f"the server broke a rule: {exchange.error}"
        case Ending.RESET:
            name = _code_name(exchange.stream.error_code)
            return f"the server reset the stream instead of a response: {name}"
        case Ending.REFUSED:
            return "the server closes the connection (GOAWAY), and has not acted on the request"
        case Ending.CLOSED:
            why = f": {report.problem}" if report.problem else ""
            return f"the connection was closed while waiting for {exchange.waits_for}{why}"
        case _:
            return f"timed out while waiting for {exchange.waits_for}"


def printable(text: str) -> str:
    """Return what a server wrote, fit for a terminal: no control characters."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
