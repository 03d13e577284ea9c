import pytest

from apns_cli.exchange import MAX_KEPT, Ending, Exchange, Request
from apns_core.http2 import stream
from tests.apns_core.http2 import wire

NOW = wire.NOW
REQUEST = Request(
    ((b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/"))
)


def exchange(*octets: bytes, request: Request | None = REQUEST) -> Exchange:
    """Feed one piece after the other, each with its output read before."""
    made = Exchange(request, now=NOW)
    for piece in octets:
        made.data_to_send()
        made.receive_data(piece, NOW)
    return made


def test_asks_once_and_not_before_settings() -> None:
    made = exchange()
    assert [f.kind for f in wire.parse_frames(made.data_to_send())] == [wire.SETTINGS]
    made.receive_data(wire.settings((3, 0)), NOW)
    assert [f.kind for f in wire.parse_frames(made.data_to_send())] == [wire.SETTINGS]
    made.receive_data(wire.settings((3, 1)), NOW)
    kinds = [f.kind for f in wire.parse_frames(made.data_to_send())]
    assert sorted(kinds) == [wire.HEADERS, wire.SETTINGS]
    made.receive_data(wire.settings((3, 9)) + wire.rst_stream(1, 7), NOW)
    assert [f.kind for f in wire.parse_frames(made.data_to_send())] == [wire.SETTINGS]
    assert made.ending is Ending.RESET


def test_says_farewell_after_a_greeting() -> None:
    made = exchange(wire.settings((3, 1)), request=None)
    assert (made.answered, made.ending) == (True, Ending.GREETED)
    made.data_to_send()
    made.close()
    assert wire.goaway_codes(wire.parse_frames(made.data_to_send())) == [0]
    assert made.closed
    assert made.seen.goaway_sent == 0


def test_nothing_is_said_to_who_has_left() -> None:
    made = exchange(wire.settings())
    made.data_to_send()
    made.receive_eof()
    made.close()
    assert made.data_to_send() == b""
    assert (made.ending, made.seen.goaway_sent) == (Ending.CLOSED, None)


def test_what_is_told_one_by_one_has_a_bound() -> None:
    made = exchange(*[wire.settings() + wire.goaway(1)] * (MAX_KEPT + 5))
    assert (made.seen.settings_count, len(made.seen.settings)) == (MAX_KEPT + 5, MAX_KEPT)
    assert (made.seen.goaway_count, len(made.seen.goaways)) == (MAX_KEPT + 5, MAX_KEPT)


def test_what_comes_after_the_time_is_up_decides_nothing() -> None:
    made = exchange(wire.settings(), wire.SETTINGS_ACK)
    made.time_out()
    frames = wire.parse_frames(made.data_to_send())
    assert wire.resets(frames) == [(1, 8)]
    [ping] = [f.payload for f in frames if f.kind == wire.PING]
    made.receive_data(wire.ping(ping, ack=True) + wire.response(1), NOW)
    assert (made.ending, made.seen.timed_out) == (Ending.TIMEOUT, True)
    assert made.stream.end == stream.OPEN


@pytest.mark.parametrize(
    ("octets", "complete"),
    [
        (wire.response(1, 200, b"body"), True),
        (wire.headers(1, wire.response_block(200)), False),
        (wire.headers(1, wire.response_block(200)) + wire.rst_stream(1, 2), False),
        (wire.headers(1, wire.response_block(200)) + wire.ping(b"1"), False),
        (wire.response(1, 200, b"body") + wire.ping(b"1"), True),
    ],
)
def test_whether_a_body_is_whole(octets: bytes, *, complete: bool) -> None:
    assert exchange(wire.settings(), octets).body_complete is complete


def test_nothing_of_a_request_is_in_its_repr() -> None:
    request = Request(((b"authorization", b"bearer secret"),), b"secret")
    assert repr(request) == "Request()"
