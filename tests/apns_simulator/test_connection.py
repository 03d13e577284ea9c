from collections.abc import Callable

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived, StreamEnded
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.apns_simulator.raw_client import PREFACE, RawClient, fields, make_simulator


def test_the_library_h2_agrees_with_what_it_reads() -> None:
    connection = make_simulator().accept(0.0)
    client = H2Connection(H2Configuration(header_encoding=None))
    client.initiate_connection()
    answered: list[tuple[int, bytes]] = []
    ended: list[int] = []

    def exchange() -> None:
        while data := client.data_to_send():
            connection.receive_data(data, 0.0)
            for event in client.receive_data(connection.data_to_send()):
                if isinstance(event, ResponseReceived):
                    answered.append((event.stream_id, dict(event.headers)[b":status"]))
                elif isinstance(event, StreamEnded):
                    ended.append(event.stream_id)

    exchange()
    client.receive_data(connection.data_to_send())
    for device in ("ab", "zz", "cd"):
        stream_id = client.get_next_available_stream_id()
        client.send_headers(stream_id, fields(device))
        client.send_data(stream_id, b"{}", end_stream=True)
        exchange()
    assert answered == [(1, b"200"), (3, b"400"), (5, b"200")]
    assert ended == [1, 3, 5]
    assert client.remote_settings.max_concurrent_streams == 1000
    assert client.remote_settings.max_header_list_size == 8000


def whole_conversation() -> tuple[bytes, list[int]]:
    """Return the bytes of a client that sends requests of all shapes, and where frames end."""
    recorder = RawClient(make_simulator())
    pieces = [PREFACE, SettingsFrame(0).serialize(), SettingsFrame(0, flags=["ACK"]).serialize()]
    for device in ("ab", "zz", "cd", "ef"):
        stream_id = 2 * len(pieces) + 1
        block = recorder.encoder.encode(fields(device))
        pieces += [
            HeadersFrame(
                stream_id, block[:5], flags=["PADDED", "PRIORITY"], pad_length=9
            ).serialize(),
            ContinuationFrame(stream_id, block[5:], flags=["END_HEADERS"]).serialize(),
            DataFrame(stream_id, b"{", flags=["PADDED"], pad_length=30).serialize(),
            PingFrame(0, b"between!").serialize(),
            DataFrame(stream_id, b"}", flags=["END_STREAM"]).serialize(),
        ]
    return b"".join(pieces), [len(piece) for piece in pieces]


CONVERSATION, PIECES = whole_conversation()


def ledger_of(cut: Callable[[bytes], list[bytes]]) -> tuple[str, bytes]:
    simulator = make_simulator()
    connection = simulator.accept(0.0)
    output = b""
    for piece in cut(CONVERSATION):
        connection.receive_data(piece, 0.0)
        output += connection.data_to_send()
    return simulator.ledger.to_json(), output


def by_frame(data: bytes) -> list[bytes]:
    ends = [sum(PIECES[: i + 1]) for i in range(len(PIECES))]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def test_cuts_make_no_difference() -> None:
    byte_by_byte = ledger_of(lambda data: [data[i : i + 1] for i in range(len(data))])
    assert byte_by_byte == ledger_of(by_frame)
    assert '"violation_count":0' in byte_by_byte[0]
    assert '"processed_count":4' in byte_by_byte[0]


def test_field_blocks_are_counted_without_padding_and_priority() -> None:
    simulator = make_simulator()
    connection = simulator.accept(0.0)
    for piece in by_frame(CONVERSATION):
        connection.receive_data(piece, 0.0)
        connection.data_to_send()
    encoder = RawClient(make_simulator()).encoder
    blocks = [len(encoder.encode(fields(device))) for device in ("ab", "zz", "cd", "ef")]
    assert connection.record.field_block_bytes == sum(blocks)
    assert simulator.ledger.field_block_bytes == sorted(blocks)[1] == sorted(blocks)[2]


BAD_FIELDS = {
    "upper-case name": [*fields(), ("Apns-Id", "x")],
    "name with a space": [*fields(), ("a b", "x")],
    "line feed in a value": [*fields(), ("a", "x\ny")],
    "value that ends with a space": [*fields(), ("a", "x ")],
    "connection": [*fields(), ("connection", "close")],
    "te": [*fields(), ("te", "gzip")],
    "unknown pseudo-header field": [(":status", "200"), *fields()],
    "pseudo-header field twice": [(":path", "/"), *fields()],
    "pseudo-header field late": [*fields(authority=None), ("a", "b"), (":authority", "x")],
    "no method": fields(method=None),
    "empty path": fields(path=""),
    "neither authority nor host": fields(authority=None),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_a_malformed_request_ends_its_stream_alone(case: str) -> None:
    client = RawClient(make_simulator())
    assert client.request().status == 200
    assert client.request(BAD_FIELDS[case]).resets[0] == 1
    assert client.request().status == 200
    ledger = client.simulator.ledger
    assert ledger.violation_count == 1
    assert ledger.by_unprocessed_cause == {"malformed": 1}


def test_trailers_te_is_fine() -> None:
    assert RawClient(make_simulator()).request([*fields(), ("te", "trailers")]).status == 200


CONNECTION_ERRORS: dict[str, tuple[bytes, int]] = {
    "frame too long": (b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", 6),
    "DATA on stream 0": (DataFrame(1, b"x").serialize().replace(b"\x01x", b"\x00x"), 1),
    "RST_STREAM for an idle stream": (RstStreamFrame(9, 8).serialize(), 1),
    "even stream": (HeadersFrame(2, b"\x82", flags=["END_HEADERS"]).serialize(), 1),
    "CONTINUATION from nowhere": (ContinuationFrame(1, b"", flags=["END_HEADERS"]).serialize(), 1),
    "index beyond the table": (HeadersFrame(1, b"\xff\x7f", flags=["END_HEADERS"]).serialize(), 1),
    "window increment of 0": (b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1),
    "window past 2^31-1": (WindowUpdateFrame(0, 2**31 - 1).serialize(), 3),
    "short GOAWAY": (b"\x00\x00\x04\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00", 6),
    "GOAWAY on a stream": (GoAwayFrame(0).serialize()[:8] + b"\x01" + b"\x00" * 8, 1),
}


@pytest.mark.parametrize("case", CONNECTION_ERRORS)
def test_a_connection_error_is_answered_and_written_down(case: str) -> None:
    data, error_code = CONNECTION_ERRORS[case]
    client = RawClient(make_simulator())
    client.send_bytes(data)
    assert [goaway.error_code for goaway in client.goaways] == [error_code]
    assert client.connection.closed
    assert client.simulator.ledger.violation_count == 1


def test_other_protocols_are_turned_away() -> None:
    simulator = make_simulator()
    connection = simulator.accept(0.0)
    connection.receive_data(b"GET / HTTP/1.1\r\n\r\n", 0.0)
    assert connection.closed
    assert simulator.ledger.violation_count == 1


def test_an_acknowledgement_of_nothing_is_noted() -> None:
    client = RawClient(make_simulator())
    client.send(SettingsFrame(0, flags=["ACK"]))
    assert "never sent" in client.simulator.ledger.violations[0]
    assert client.request().status == 200


def test_a_stream_reset_by_the_client() -> None:
    client = RawClient(make_simulator(latency=1.0))
    client.request()
    client.wait(1.0)
    stream_id, headers, _ = client.request_frames()
    client.send_bytes(headers)
    client.send(RstStreamFrame(stream_id, 8))
    late = client.request(now=1.0)
    client.send(RstStreamFrame(stream_id + 2, 8))
    client.wait(2.0)
    assert late.status is None
    ledger = client.simulator.ledger
    assert ledger.by_unprocessed_cause == {"reset by client": 1}
    assert [entry.answered for entry in ledger.entries] == [True, False]
    assert client.connection.record.resets_received == 2
    assert client.connection.open_streams == 0


def test_violations_hold_no_field_values() -> None:
    client = RawClient(make_simulator())
    client.request([*fields(), ("content-length", "secret")])
    client.request([*fields(), ("apns-topic", "secret\n")])
    assert client.simulator.ledger.violation_count
    assert "secret" not in client.simulator.ledger.violations[0]


def test_memory_does_not_grow_with_the_streams_that_are_over() -> None:
    simulator = make_simulator()
    client = RawClient(simulator)
    for _ in range(200):
        client.request()
    assert client.connection.open_streams == 0
    assert len(client.connection._wire.h2.streams) == 0
    assert len(client.connection._streams._requests) == 0


@settings(max_examples=200)
@given(st.data())
def test_no_bytes_make_it_raise(data: st.DataObject) -> None:
    mutable = bytearray(CONVERSATION)
    for _ in range(data.draw(st.integers(1, 5))):
        mutable[data.draw(st.integers(24, len(mutable) - 1))] = data.draw(st.integers(0, 255))
    connection = make_simulator().accept(0.0)
    for start in range(0, len(mutable), 97):
        connection.receive_data(bytes(mutable[start : start + 97]), 0.0)
        connection.data_to_send()
    connection.receive_eof(0.0)
    assert connection.closed


@given(st.binary(max_size=300))
def test_no_bytes_after_the_preface_make_it_raise(data: bytes) -> None:
    connection = make_simulator().accept(0.0)
    connection.receive_data(PREFACE + SettingsFrame(0).serialize() + data, 0.0)
    connection.data_to_send()
    connection.handle_timeout(1.0)
