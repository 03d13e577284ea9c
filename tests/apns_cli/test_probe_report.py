import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_cli.exchange import Ending, Exchange, Request
from apns_cli.probe_report import (
    Connected,
    complaint,
    error_code_members,
    facts,
    members,
    printable,
)
from tests.apns_core.http2 import wire

REQUEST = Request(
    ((b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/"))
)
CONNECTED = Connected(url="https://a", address="127.0.0.1:443")

kinds = st.integers(0, 12)
any_frame = st.builds(
    wire.frame, kinds, st.integers(0, 255), st.sampled_from((0, 1, 2, 3)), st.binary(max_size=40)
)
likely = st.sampled_from(
    (
        wire.headers(1, wire.response_block(200, (b"x", b"\x1b[2J\xff"))),
        wire.response(1, 410, b'{"reason":"\\ud800","timestamp":1}'),
        wire.data(1, b"\xff\x00\x9b"),
        wire.goaway(1, 0xFFFF_FFFF, b'{"reason":"Shutdown"}'),
        wire.goaway(0, 2, b"\x1b]0;x\x07"),
        wire.rst_stream(1, 0xABCD),
        wire.settings((0xFFFF, 2**32 - 1)),
        wire.ping(),
    )
)


@given(st.lists(any_frame | likely, max_size=8), st.booleans(), st.booleans())
def test_whatever_a_server_sends_can_be_told(frames: list[bytes], eof: bool, late: bool) -> None:  # noqa: FBT001
    exchange = Exchange(REQUEST, now=wire.NOW)
    for frame in (wire.settings(), *frames):
        exchange.data_to_send()
        exchange.receive_data(frame, wire.NOW)
    if eof:
        exchange.receive_eof()
    if late and not exchange.answered:
        exchange.time_out()
    exchange.close()
    exchange.data_to_send()
    told = json.loads(json.dumps(dict(members(CONNECTED, exchange))))
    assert told["outcome"] == exchange.ending.value
    assert (complaint(CONNECTED, exchange) is None) == (exchange.ending is Ending.RESPONSE)
    for name, value in facts(CONNECTED, exchange):
        assert not set(name + value) & set(map(chr, (*range(10), *range(11, 32), 127, 0x9B)))
    if exchange.ending is Ending.PROTOCOL_ERROR and told["protocol_error"]["scope"] == "connection":
        assert told["goaway_sent"]["error_code"] == told["protocol_error"]["error_code"]


@pytest.mark.parametrize(
    ("code", "name"), [(0, "NO_ERROR"), (13, "HTTP_1_1_REQUIRED"), (14, None), (2**32 - 1, None)]
)
def test_error_codes_have_names(code: int, name: str | None) -> None:
    assert error_code_members(code) == {"error_code": code, "error_name": name}


def test_a_failed_connection() -> None:
    failed = Connected(url="https://a", stage="tls", problem="it broke")
    told = dict(members(failed, None))
    assert (told["outcome"], told["stage"]) == ("connect_failed", "tls")
    assert "response" not in told
    assert complaint(failed, None) == "tls: it broke"


def test_what_a_terminal_can_bear() -> None:
    assert printable("a\x1b[2Jb\x9bc\nd\N{SNOWMAN}") == "a\ufffd[2Jb\ufffdc\nd\N{SNOWMAN}"
