import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core.goaway import MAX_TEXT, GoAwayInfo, parse_debug_data
from apns_core.reasons import MAX_JSON_BYTES, Reason

NOTHING = GoAwayInfo()


@pytest.mark.parametrize(
    ("debug", "expected"),
    [
        # Seen from APNs.
        (
            b'{"reason":"BadCertificateEnvironment"}',
            GoAwayInfo(Reason.BAD_CERTIFICATE_ENVIRONMENT, "BadCertificateEnvironment"),
        ),
        (b"", NOTHING),
        (
            b"Maximum active streams violated for this endpoint.",
            GoAwayInfo(None, "Maximum active streams violated for this endpoint."),
        ),
        (b"Stream 5 does not exist", GoAwayInfo(None, "Stream 5 does not exist")),
        # JSON that says something else, or nothing.
        (b'{"reason": "Shutdown", "x": 1}', GoAwayInfo(Reason.SHUTDOWN, "Shutdown")),
        (b'{"reason":"NewIn2031"}', GoAwayInfo(None, "NewIn2031")),
        (b'{"reason":""}', GoAwayInfo(None, '{"reason":""}')),
        (b'{"reason":7}', GoAwayInfo(None, '{"reason":7}')),
        (b"[1]", GoAwayInfo(None, "[1]")),
        (b'{"reason":"Shut', GoAwayInfo(None, '{"reason":"Shut')),
        (b'{"reason":"\\ud800\\n\\u001b[2J"}', GoAwayInfo(None, "? \ufffd[2J")),
        # Text that must not reach a terminal or a log line as it is.
        (b" \r\n\t", NOTHING),
        (b"one\r\ntwo\tthree", GoAwayInfo(None, "one two three")),
        (b"\x1b[31mred\x00", GoAwayInfo(None, "\ufffd[31mred\ufffd")),
        ("a\u202eb".encode(), GoAwayInfo(None, "a\ufffdb")),
        (b"\xff\xfe", GoAwayInfo(None, "\ufffd\ufffd")),
        ("grüße".encode(), GoAwayInfo(None, "grüße")),
        # Too much of anything.
        (b"x" * 100_000, GoAwayInfo(None, "x" * MAX_TEXT)),
        (b"{" * 100_000, GoAwayInfo(None, "{" * MAX_TEXT)),
        (b" " * MAX_JSON_BYTES + b"late", NOTHING),
        (b" " * (MAX_JSON_BYTES - 4) + b"late", GoAwayInfo(None, "late")),
    ],
)
def test_parse_debug_data(debug: bytes, expected: GoAwayInfo) -> None:
    assert parse_debug_data(debug) == expected


@given(st.binary() | st.text().map(lambda text: json.dumps({"reason": text}).encode()))
def test_any_debug_data_makes_a_printable_line(debug: bytes) -> None:
    info = parse_debug_data(debug)
    assert info.reason is None or info.reason in Reason
    if info.text is None:
        assert info.reason is None
    else:
        assert 0 < len(info.text) <= MAX_TEXT
        assert info.text.isprintable()
        info.text.encode()
