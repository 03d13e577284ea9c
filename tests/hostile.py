"""The kinds of fault that a server, a network or a caller can have, and the tests of each.

A test that shows how one is survived carries its id in its name: ``test_s5_the_first_of_two_resets
decides``; ``test_h5_to_h11_…`` covers a range. `docs/hostile.md` is made from this table and from
those names:

    python -m tests.hostile --write docs/hostile.md
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent

GROUPS: Final[Mapping[str, str]] = {
    "H": "Header blocks and HPACK",
    "C": "Control frames and flow control",
    "S": "Streams and messages",
    "T": "TLS, secrets, input",
}


class Row(NamedTuple):
    fault: str
    """What the other side does."""
    answer: str
    """What comes of it here."""
    source: str
    """The rule; sections without a name are those of RFC 9113."""


ROWS: Final[Mapping[str, Row]] = {
    "H1": Row(
        "CONTINUATION without end",
        "GOAWAY(ENHANCE_YOUR_CALM) after 8 of them or 16 KiB",
        "6.10, 10.5.1",
    ),
    "H2": Row("Empty CONTINUATION without end", "the same: frames are counted, not octets", "10.5"),
    "H3": Row(
        "A block of references to a long table entry",
        "connection error before 16 KiB of fields are decoded",
        "10.5.1; RFC 7541 4.1",
    ),
    "H4": Row(
        "More fields than announced; a limit below our own request",
        "connection error; the request is `Unprocessed(LIMITS)` and uses no stream",
        "6.5.2, 10.5.1",
    ),
    "H5": Row(
        "A table size update that is too large, late or missing; a table that is changed and used",
        "GOAWAY(COMPRESSION_ERROR); each step costs the same",
        "RFC 7541 4.2, 6.3",
    ),
    "H6": Row(
        "HEADER_TABLE_SIZE of 0 or of 2^32-1",
        "literals only; never more than 4,096 octets of table",
        "6.5.2; RFC 7541 4.2",
    ),
    "H7": Row(
        "An integer without end, or above 2^32-1",
        "GOAWAY(COMPRESSION_ERROR) after six octets",
        "RFC 7541 5.1",
    ),
    "H8": Row("A string of 2 GiB, announced", "refused by its length alone", "RFC 7541 5.2"),
    "H9": Row(
        "Huffman: padding too long or not of ones, EOS inside",
        "GOAWAY(COMPRESSION_ERROR)",
        "RFC 7541 5.2",
    ),
    "H10": Row("Index 0, or beyond the table", "GOAWAY(COMPRESSION_ERROR)", "RFC 7541 2.3.3, 6.1"),
    "H11": Row("More bytes after a broken block", "they are not looked at", "4.3"),
    "H12": Row(
        "HEADERS on a stream that we reset",
        "decoded all the same, so that the table stays in step, then dropped",
        "4.3, 5.1",
    ),
    "H13": Row(
        "A malformed response",
        "RST_STREAM on its own stream; all others go on",
        "8.1.1, 8.2.1, 8.2.2, 8.3.2",
    ),
    "H14": Row(
        "content-length that does not fit, or comes twice with two values",
        "stream error; a status that was read decides",
        "8.1.1",
    ),
    "H15": Row(
        "Whatever other encoders make of a header list",
        "exact on the stories of fourteen encoders; ours is read by `hpack` and real servers",
        "RFC 7541",
    ),
    "C1": Row(
        "SETTINGS without end",
        "acknowledged up to 1,000 that the writer has not taken, then ENHANCE_YOUR_CALM",
        "6.5.3, 10.5",
    ),
    "C2": Row("SETTINGS of thousands of entries", "32 are taken; more end the connection", "6.5"),
    "C3": Row("SETTINGS with values out of bounds", "the error that the RFC names", "6.5.2"),
    "C4": Row(
        "No SETTINGS first: HTTP/1.1, another protocol, silence",
        "a failed connect, told as that; nothing was sent, all stays queued",
        "3.4",
    ),
    "C5": Row(
        "Our SETTINGS are never acknowledged",
        "SETTINGS_TIMEOUT after 20 s; no request is sent after that",
        "6.5.3",
    ),
    "C6": Row(
        "ACKs that nobody asked for",
        "of SETTINGS: PROTOCOL_ERROR; of PING: ignored, up to a budget",
        "6.5.3, 6.7",
    ),
    "C7": Row("PING without end", "answered first, within the same bound as SETTINGS", "6.7, 10.5"),
    "C8": Row(
        "WINDOW_UPDATE of 0, or beyond 2^31-1",
        "stream error, or on stream 0 connection error",
        "6.9, 6.9.1",
    ),
    "C9": Row("WINDOW_UPDATE without end", "a budget that follows what was sent", "10.5"),
    "C10": Row("A window made negative", "DATA waits until it is positive again", "6.9.2"),
    "C11": Row(
        "A window that stays at 0",
        "the deadline ends it as `Unprocessed`; a reset meanwhile is heard at once",
        "6.9",
    ),
    "C12": Row("More DATA than our window admits", "FLOW_CONTROL_ERROR", "6.9.1"),
    "C13": Row(
        "Millions of rejections with bodies, padding, DATA on closed streams",
        "every octet is credited back to the connection",
        "6.1, 6.9",
    ),
    "C14": Row(
        "PRIORITY, ALTSVC, unknown types",
        "ignored, up to a budget of frames that are of no use",
        "4.1, 5.5",
    ),
    "C15": Row(
        "A frame above 16,384 octets", "FRAME_SIZE_ERROR on its head; nothing is kept", "4.2"
    ),
    "C16": Row(
        "A frame of the wrong length or on the wrong stream; reserved bits",
        "the error that the RFC names; reserved bits are ignored",
        "4.1, 6",
    ),
    "S1": Row("PUSH_PROMISE", "PROTOCOL_ERROR: push is off", "6.6, 8.4"),
    "S2": Row("A frame on a stream that was never opened", "PROTOCOL_ERROR", "5.1"),
    "S3": Row(
        "Frames after the end of a stream",
        "STREAM_CLOSED; a late reset is ignored, and so is what crossed our own",
        "5.1",
    ),
    "S4": Row(
        "Resets without end",
        "a hundred unanswered within 30 s: the connection drains, another takes over; again and "
        "again, with growing delays",
        "10.5",
    ),
    "S5": Row("Two resets of one stream, 7 then 5", "the first decides", "5.4.2"),
    "S6": Row(
        "REFUSED_STREAM, for ever",
        "sent again at once, then with growing delays, seven attempts at most",
        "8.7",
    ),
    "S7": Row(
        "MAX_CONCURRENT_STREAMS falls below what is in flight, to 1 or 0",
        "nothing in flight is touched; the queue waits until it rises",
        "5.1.2",
    ),
    "S8": Row(
        "GOAWAY with the highest id, then with the real one",
        "answers up to it are waited for; those above go to another connection",
        "6.8",
    ),
    "S9": Row("A second GOAWAY with a higher id", "PROTOCOL_ERROR; outcomes by the first", "6.8"),
    "S10": Row("GOAWAY with an id that no client has", "even: PROTOCOL_ERROR; odd: legal", "6.8"),
    "S11": Row(
        "GOAWAY twice, the reason in the first; debug data of any bytes",
        "the first reason is kept; no bytes raise",
        "6.8",
    ),
    "S12": Row("GOAWAY, and the end in the midst of a frame", "GOAWAY decides", "6.8"),
    "S13": Row("1xx without end, 1xx with END_STREAM, 101", "stream error at the ninth", "8.1"),
    "S14": Row(
        "Empty DATA without end; a body in drips",
        "ENHANCE_YOUR_CALM at the eleventh; the deadline bounds the drip",
        "10.5",
    ),
    "S15": Row(
        "A body of megabytes", "16 KiB are kept, then RST_STREAM(CANCEL); the status decides", "8.1"
    ),
    "S16": Row(
        "An answer before the request is whole, then a reset",
        "the answer counts; the rest of the request is not sent",
        "8.1",
    ),
    "S17": Row("Trailers, well-formed and not", "skipped; a stream error", "8.1"),
    "S18": Row("Any frame in any state of a stream", "as section 5.1 has it", "5.1"),
    "S19": Row(
        "A connection that lives until its stream ids run out",
        "it drains in time, another takes over",
        "5.1.1",
    ),
    "S20": Row(
        "Bodies in pieces, empty, not JSON, with reasons unknown",
        "matched by stream; the status decides; the reason is kept as text or None",
        "8.1",
    ),
    "S21": Row(
        "A connection that is dead and does not say so",
        "PING after 10 s without a byte, dead 15 s later; what was in flight is `Unknown`",
        "6.7",
    ),
    "S22": Row(
        "429, 500, 503, Retry-After",
        "a budget of retries with full jitter; growing delays before another connection",
        "Apple",
    ),
    "S23": Row(
        "A server that accepts connections and ends them",
        "growing delays until a response comes; fatal reasons end the attempts",
        "Apple",
    ),
    "T1": Row(
        "An end without close_notify, a reset",
        "the same outcomes as after a clean end, on both adapters",
        "RFC 8446 6.1",
    ),
    "T2": Row("ALPN absent, or not h2", "refused after the handshake; nothing is sent", "3.2"),
    "T3": Row(
        "A certificate that is expired, unknown, of another host",
        "a failed connect that says which; the queue keeps",
        "RFC 8446 4.4.2.4",
    ),
    "T4": Row(
        "A client certificate that is refused after the handshake",
        "a failed connect whose text says so; nothing was sent",
        "RFC 8446 4.4.2.4",
    ),
    "T5": Row("TLS below 1.2, weak suites", "refused in the handshake", "9.2, 9.2.2"),
    "T6": Row("Renegotiation, authentication afterwards", "off", "9.2.1, 9.2.3"),
    "T7": Row(
        "Secrets in texts",
        "in no repr, log line, exception or traceback: looked for in all tests, at DEBUG",
        "-",
    ),
    "T8": Row(
        "CR, LF, NUL, spaces in any field",
        "refused by the field's name, or sent exactly as given",
        "8.2.1",
    ),
    "T9": Row("A key file that others may read", "a warning; strictly, an error", "-"),
    "T10": Row(
        "A provider token too old, or changed too often",
        "never older than 60 minutes, never two within 20 on one connection",
        "Apple",
    ),
    "T11": Row("I/O, clocks and randomness in the engine", "there are none; imports prove it", "-"),
    "T12": Row("Exceptions of others", "only our own leave the package", "-"),
}

_IDS: Final = re.compile(r"test_((?:[hcst]\d+_(?:to_)?)+)")


class Found(NamedTuple):
    path: str
    name: str


def rows_of(name: str) -> list[str]:
    """Return the ids that the name of a test carries."""
    match = _IDS.match(name)
    ids: list[str] = []
    to = False
    for word in match[1].upper().split("_") if match else ():
        if word == "TO":
            to = True
        elif word:
            first = int(ids[-1][1:]) + 1 if to else int(word[1:])
            ids += [f"{word[0]}{number}" for number in range(first, int(word[1:]) + 1)]
            to = False
    return ids


def all_tests() -> Iterator[Found]:
    """Find every test function, by the source alone."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield Found(path.relative_to(ROOT).as_posix(), node.name)


def found_by_row() -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {row: [] for row in ROWS}
    for test in all_tests():
        for row in rows_of(test.name):
            found[row].append(test)
    return found


def page() -> str:
    """Return the page as Markdown."""
    found = found_by_row()
    lines = [
        "# Hostile servers: what they may do, and what comes of it",
        "",
        "Made by `python -m tests.hostile`. Sections are those of RFC 9113 unless another source",
        "is named. Tests of the engine are fed each script as one chunk, byte by byte, and cut at",
        "random places, and must see the same events each time.",
    ]
    for letter, title in GROUPS.items():
        lines += ["", f"## {title}", "", "| | fault | answer | source |", "|---|---|---|---|"]
        rows = {row_id: row for row_id, row in ROWS.items() if row_id.startswith(letter)}
        lines += [
            f"| {row_id} | {row.fault} | {row.answer} | {row.source} |"
            for row_id, row in rows.items()
        ]
        lines.append("")
        for row_id in rows:
            lines.append(f"- **{row_id}**")
            lines += [f"  - `{test.path}::{test.name}`" for test in found[row_id]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--write", path]:
            Path(path).write_text(page())
        case _:
            sys.stdout.write(page())
