import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core.http2.client import Client, ConnectionEnded, GoAwayReceived
from apns_core.http2.errors import ErrorCode
from apns_core.http2.stream import COMPLETE, LOST, NOT_PROCESSED
from tests.apns_core.http2 import wire

HIGHEST = 2**31 - 1


def hundred() -> Client:
    return wire.open_client(100)


def ends(fed: wire.Fed) -> dict[int, int]:
    return {stream.stream_id: stream.end for stream in fed.streams}


def test_s8_the_highest_id_and_then_the_real_one() -> None:
    answers = b"".join(wire.response(stream_id) for stream_id in range(1, 121, 2))
    fed = wire.feed(hundred, wire.goaway(HIGHEST) + wire.goaway(119) + answers)
    assert fed.error is None
    assert ends(fed) == {
        stream_id: COMPLETE if stream_id <= 119 else NOT_PROCESSED for stream_id in range(1, 201, 2)
    }
    assert fed.client.open_streams == 0
    assert fed.client.going_away
    assert not fed.client.closed
    assert fed.frames == []
    # What was refused is reported in the order in which it was sent.
    refused = [stream.stream_id for stream in fed.streams if stream.end == NOT_PROCESSED]
    assert refused == list(range(121, 201, 2))


@pytest.mark.parametrize(
    ("first", "second", "legal"),
    [
        (HIGHEST, HIGHEST, True),
        (HIGHEST, 0, True),
        (5, 5, True),
        (5, 1, True),
        (5, 0, True),
        (0, 0, True),
        (1, 5, False),
        (0, 1, False),
        (5, HIGHEST, False),
    ],
)
def test_s9_the_id_never_rises(first: int, second: int, *, legal: bool) -> None:
    fed = wire.feed(hundred, wire.goaway(first) + wire.goaway(second))
    if legal:
        assert fed.error is None
        expected = {i: NOT_PROCESSED for i in range(1, 201, 2) if i > second}
    else:
        assert fed.error is not None
        assert fed.error.code == ErrorCode.PROTOCOL_ERROR
        # What the first frame freed stays free.
        expected = {i: NOT_PROCESSED if i > first else LOST for i in range(1, 201, 2)}
    assert ends(fed) == expected


@pytest.mark.parametrize("last_stream_id", [2, 4, 100, 2**31 - 2])
def test_s10_an_even_id(last_stream_id: int) -> None:
    fed = wire.feed(hundred, wire.goaway(last_stream_id))
    assert fed.error is not None
    assert fed.error.code == ErrorCode.PROTOCOL_ERROR
    assert set(ends(fed).values()) == {LOST}
    assert not fed.client.going_away


def test_s10_an_id_that_was_never_used() -> None:
    fed = wire.feed(hundred, wire.goaway(201) + wire.response(199))
    assert ends(fed) == {199: COMPLETE}
    assert fed.client.open_streams == 99


def test_s11_two_of_them_and_the_end_of_file() -> None:
    reason = b'{"reason":"BadCertificateEnvironment"}'
    fed = wire.feed(hundred, wire.goaway(0, 0, reason) + wire.goaway(0))
    client = fed.client
    client.receive_eof()
    seen = [event for event in fed.events if isinstance(event, GoAwayReceived)]
    assert seen == [GoAwayReceived(0, 0, reason), GoAwayReceived(0, 0, b"")]
    # The frame comes before the streams that it ends.
    assert fed.events[0] is seen[0]
    assert set(ends(fed).values()) == {NOT_PROCESSED}
    assert client.events == [ConnectionEnded(None)]


@given(st.integers(0, 2**32 - 1), st.binary(max_size=60))
def test_s11_any_code_and_any_debug_data(code: int, debug_data: bytes) -> None:
    fed = wire.feed(lambda: wire.open_client(1), wire.goaway(1, code, debug_data))
    assert fed.events == [GoAwayReceived(1, code, debug_data)]
    assert not fed.client.closed


def test_s12_cut_off_anywhere_after_it() -> None:
    rest = wire.response(1, 400, b"body") + wire.response(3) + wire.ping()
    first, second = len(wire.response(1, 400, b"body")), len(rest) - 17
    for cut in range(len(rest)):
        client = wire.open_client(3)
        client.receive_data(wire.goaway(3) + rest[:cut], wire.NOW)
        client.receive_eof()
        streams = {s.stream_id: s.end for s in wire.ended_streams(client.events)}
        status = len(wire.headers(1, wire.response_block(400)))
        assert first > status
        assert streams == {
            5: NOT_PROCESSED,
            1: COMPLETE if cut >= status else LOST,
            3: COMPLETE if cut >= second else LOST,
        }


def test_a_status_that_was_read_outweighs_a_goaway() -> None:
    fed = wire.feed(hundred, wire.headers(199, wire.response_block(429)) + wire.goaway(197))
    assert ends(fed) == {199: COMPLETE}
    assert fed.streams[0].status == 429


def test_bodies_held_back_of_what_will_be_answered_still_go() -> None:
    client = wire.open_client(0, (4, 0))
    streams = [wire.send(client, b"first"), wire.send(client, b"second")]
    client.data_to_send()
    client.receive_data(wire.goaway(1) + wire.settings((4, 100)), wire.NOW)
    client.data_to_send()
    client.send_held_back(10**6)
    assert [f.payload for f in wire.sent_frames(client)] == [b"first"]
    assert streams[1].end == NOT_PROCESSED
    assert not streams[1].end_stream_sent


@pytest.mark.parametrize("code", [ErrorCode.NO_ERROR, ErrorCode.SETTINGS_TIMEOUT])
def test_our_own_goaway_ends_the_connection(code: ErrorCode) -> None:
    client = wire.open_client(2)
    client.receive_data(wire.headers(1, wire.response_block(410)), wire.NOW)
    client.go_away(code)
    client.go_away(ErrorCode.INTERNAL_ERROR)
    client.receive_eof()
    client.receive_data(wire.response(3), wire.NOW)
    client.ping()
    assert [stream.end for stream in wire.ended_streams(client.events)] == [COMPLETE, LOST]
    assert client.events[-1] == ConnectionEnded(None)
    assert len(client.events) == 3
    frames = wire.sent_frames(client)
    assert wire.goaway_codes(frames) == [code]
    assert len(frames) == 1
    client.send_held_back(10**6)
    assert client.data_to_send() == b""
