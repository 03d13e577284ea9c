import pytest

from apns_core.http2.client import Client, SettingsReceived
from apns_core.http2.errors import ErrorCode
from apns_core.http2.stream import COMPLETE, LOST
from tests.apns_core.http2 import wire
from tests.cpu import Cpu

PROTOCOL = ErrorCode.PROTOCOL_ERROR
FLOW = ErrorCode.FLOW_CONTROL_ERROR
TABLE, STREAMS, WINDOW, FRAME = 1, 3, 4, 5


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ((2, 1), PROTOCOL),
        ((WINDOW, 2**31), FLOW),
        ((FRAME, 0), PROTOCOL),
        ((FRAME, 16_383), PROTOCOL),
        ((FRAME, 2**24), PROTOCOL),
    ],
)
def test_c3_values_out_of_bounds(entry: tuple[int, int], code: ErrorCode) -> None:
    fed = wire.feed(lambda: wire.open_client(1), wire.settings((3, 5), entry))
    assert fed.error is not None
    assert fed.error.code == code
    assert [(frame.kind, frame.flags) for frame in fed.frames] == [(wire.GOAWAY, 0)]
    assert [stream.end for stream in fed.streams] == [LOST]
    assert fed.client.peer.max_concurrent_streams is None


def test_c3_a_frame_size_of_0_ends_it_at_once() -> None:
    # A client of another make has looped for ever over CONTINUATION frames of no octets.
    client = wire.open_client(1)
    with Cpu() as cpu:
        client.receive_data(wire.settings((FRAME, 0)), wire.NOW)
        wire.resets(wire.sent_frames(client))
    assert cpu.seconds < 0.01
    assert client.closed


def test_c3_each_frame_is_acknowledged_and_reported() -> None:
    fed = wire.feed(
        lambda: wire.open_client(1), wire.settings((STREAMS, 1)) + wire.settings((STREAMS, 0))
    )
    assert fed.events == [SettingsReceived(1), SettingsReceived(0)]
    assert fed.frames == wire.parse_frames(wire.SETTINGS_ACK * 2)
    assert fed.client.peer.max_concurrent_streams == 0
    # A limit is the caller's affair: nothing in flight is touched by it.
    assert fed.client.open_streams == 1


def test_the_entries_are_reported_as_they_came() -> None:
    came = ((STREAMS, 1), (0xFACE, 7), (STREAMS, 2))
    fed = wire.feed(lambda: wire.open_client(1), wire.settings(*came) + wire.settings())
    assert [e.entries for e in fed.events if isinstance(e, SettingsReceived)] == [came, ()]


def test_h6_sizes_of_our_table_reach_the_next_block() -> None:
    client = wire.open_client(1)
    client.receive_data(wire.settings((TABLE, 0), (STREAMS, 9), (TABLE, 4_096)), wire.NOW)
    client.data_to_send()
    wire.send(client)
    block = wire.sent_frames(client)[0].payload
    # The smallest and the last, although both came in one frame (RFC 7541 §4.2).
    assert block.startswith(b"\x20\x3f\xe1\x1f")
    client.receive_data(wire.settings((TABLE, 2**32 - 1)), wire.NOW)
    client.data_to_send()
    wire.send(client)
    assert wire.sent_frames(client)[0].payload[0] == 0x83
    assert client.encoder.table_size == 4_096


def test_h5_our_own_table_size_holds_once_it_is_acknowledged() -> None:
    client = Client(wire.POLICY, now=wire.NOW, header_table_size=0)
    client.receive_data(wire.settings(), wire.NOW)
    streams = [wire.send(client) for _ in range(3)]
    # Before the ACK the server may still use the default ...
    entry = wire.literal(b"x", b"y", indexed=True)
    client.receive_data(wire.headers(1, b"\x88" + entry, ends=True), wire.NOW)
    client.receive_data(wire.SETTINGS_ACK, wire.NOW)
    # ... after it, the next block starts with an update.
    client.receive_data(wire.headers(3, b"\x20\x88" + entry, ends=True), wire.NOW)
    assert [stream.end for stream in streams[:2]] == [COMPLETE, COMPLETE]
    client.receive_data(wire.headers(5, b"\x88\xbe", ends=True), wire.NOW)
    error = wire.connection_error(client.events)
    assert error is not None
    assert error.code == ErrorCode.COMPRESSION_ERROR


@pytest.mark.parametrize("block", [b"\x88", b"", b"\x3f\xe1\x1f\x88", b"\x21\x88"])
def test_h5_no_update_or_too_large_a_one_after_the_acknowledgement(block: bytes) -> None:
    def make() -> Client:
        client = Client(wire.POLICY, now=wire.NOW, header_table_size=0)
        client.receive_data(wire.settings() + wire.SETTINGS_ACK, wire.NOW)
        wire.send(client)
        client.data_to_send()
        client.events.clear()
        return client

    fed = wire.feed(make, wire.headers(1, block, ends=True))
    assert fed.error is not None
    assert fed.error.code == ErrorCode.COMPRESSION_ERROR


# ── windows (RFC 9113 §6.9) ──


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (wire.window_update(0, 0), PROTOCOL),
        (wire.window_update(0, 2**31 - 1), FLOW),
        (wire.window_update(0, 2**31 - 65_534) * 2, FLOW),
    ],
)
def test_c8_the_connection_window(octets: bytes, code: ErrorCode) -> None:
    fed = wire.feed(lambda: wire.open_client(1), octets)
    assert fed.error is not None
    assert fed.error.code == code
    assert wire.goaway_codes(fed.frames) == [code]


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (wire.window_update(1, 0), PROTOCOL),
        (wire.window_update(1, 2**31 - 1), FLOW),
        (wire.window_update(1, 2**31 - 65_536 + 2) + wire.window_update(1, 1), FLOW),
    ],
)
def test_c8_a_streams_window(octets: bytes, code: ErrorCode) -> None:
    # Two octets of each stream's 65,535 are spent.
    fed = wire.feed(lambda: wire.open_client(2), octets + wire.response(3))
    assert fed.error is None
    assert fed.resets == [(1, code)]
    assert [(stream.stream_id, stream.status) for stream in fed.streams] == [(1, 0), (3, 200)]


def test_c8_the_highest_windows_are_legal() -> None:
    octets = wire.window_update(0, 2**31 - 65_536 + 2) + wire.window_update(1, 2**31 - 65_536 + 2)
    fed = wire.feed(lambda: wire.open_client(1), octets)
    assert (fed.error, fed.resets) == (None, [])
    assert fed.client.window == 2**31 - 1


def test_c8_an_initial_window_that_takes_a_stream_beyond_the_highest() -> None:
    def make() -> Client:
        client = wire.open_client(2)
        client.receive_data(wire.window_update(3, 3), wire.NOW)
        return client

    assert wire.feed(make, wire.settings((WINDOW, 2**31 - 2))).error is None
    fed = wire.feed(make, wire.settings((WINDOW, 2**31 - 1)))
    assert fed.error is not None
    assert fed.error.code == FLOW
    assert fed.error.section == "RFC 9113 §6.9.2"


def test_window_updates_on_closed_streams_are_ignored() -> None:
    octets = wire.response(1) + wire.window_update(1, 0) + wire.window_update(1, 2**31 - 1)
    fed = wire.feed(lambda: wire.open_client(1), octets)
    assert (fed.error, fed.resets) == (None, [])
