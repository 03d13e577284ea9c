from typing import Final

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from apns_core.http2.errors import RemoteProtocolError
from apns_core.http2.hpack_decoder import Field, HpackDecoder
from apns_core.http2.response_shapes import ResponseShapes
from apns_core.http2.responses import MalformedResponse, take_block
from apns_core.http2.stream import Stream
from tests.apns_core.http2 import wire

ID: Final = b"eabeae54-14a8-11e5-b60b-1697f925ec7b"
OTHER: Final = b"00000000-0000-4000-8000-000000000000"


class Side:
    """One connection's decoder, and what is done with a block that is not recognised."""

    def __init__(self) -> None:
        self.decoder = HpackDecoder(max_table_size=4_096, max_list_size=16_384)
        self.shapes = ResponseShapes(self.decoder)

    def decode(self, block: bytes) -> Stream:
        stream = Stream()
        generation, sizes = self.decoder.generation, self.decoder.sizes
        take_block(stream, self.decoder.decode(block), 1)
        self.shapes.learn(stream, block, generation, sizes)
        return stream

    def recognise(self, block: bytes) -> Stream | None:
        stream = Stream()
        # Amid others, as it is in what was read.
        data = b"before" + block + b"after"
        return stream if self.shapes.take(stream, data, 6, 6 + len(block)) else None


def facts(stream: Stream) -> object:
    return stream.status, stream.fields, stream.expected_length


def ids(*values: bytes) -> bytes:
    return b"".join(wire.literal(b"apns-id", value) for value in values)


OK: Final = b"\x88"
RECOGNISED: Final[dict[str, tuple[bytes, bytes]]] = {
    "the same": (OK, OK),
    "another id": (OK + ids(ID), OK + ids(OTHER)),
    "its name by index": (OK + b"\x0f\x27\x24" + ID, OK + b"\x0f\x27\x24" + OTHER),
    "never indexed": (OK + b"\x10\x01i\x24" + ID, OK + b"\x10\x01i\x24" + OTHER),
    "an id amid others": (
        OK + wire.literal(b"a", b"b") + ids(ID) + b"\x0f\x0d\x010",
        OK + wire.literal(b"a", b"b") + ids(OTHER) + b"\x0f\x0d\x010",
    ),
    "another status": (b"\x8c" + ids(ID), b"\x8c" + ids(OTHER)),
    "a long one": (OK + ids(b"x" * 5_000), OK + ids(b"y" * 5_000)),
    "a short value": (OK + wire.literal(b"date", b"now"), OK + wire.literal(b"date", b"now")),
    "one that is indexed": (OK + b"\x40\x01i\x24" + ID, OK + b"\x40\x01i\x24" + OTHER),
    "one too large to be indexed": (
        OK + b"\x40\x01i" + wire.integer(5_000, 7) + b"x" * 5_000,
        OK + b"\x40\x01i" + wire.integer(5_000, 7) + b"y" * 5_000,
    ),
    "as nginx does it": (
        OK + b"\x76\x82\x08\x41\x61\x01d\x5c\x010",
        OK + b"\x76\x82\x08\x41\x61\x01d\x5c\x010",
    ),
    "a coded value": (OK + b"\x00\x01a\x82\x08\x41", OK + b"\x00\x01a\x82\x08\x41"),
}


@pytest.mark.parametrize("first", RECOGNISED)
def test_a_block_like_one_before_is_recognised(first: str) -> None:
    before, block = RECOGNISED[first]
    side = Side()
    assert side.recognise(block) is None
    side.decode(before)
    stream = side.recognise(block)
    assert stream is not None
    other = Side()
    other.decode(before)
    assert facts(stream) == facts(other.decode(block))
    assert side.decoder.entries == other.decoder.entries


NOT_RECOGNISED: Final[dict[str, tuple[bytes, bytes]]] = {
    "another status": (OK + ids(ID), b"\x89" + ids(ID)),
    "another name": (OK + ids(ID), OK + wire.literal(b"apns-iD", ID)),
    "another length": (OK + ids(ID), OK + wire.literal(b"apns-i", ID + b"x")),
    "another short value": (OK + wire.literal(b"a", b"b"), OK + wire.literal(b"a", b"c")),
    "another end": (OK + ids(ID) + b"\x0f\x0d\x010", OK + ids(ID) + b"\x0f\x0d\x011"),
    "a line feed": (OK + ids(ID), OK + ids(ID[:-2] + b"\n1")),
    "NUL": (OK + ids(ID), OK + ids(ID[:-2] + b"\x001")),
    "a space at its end": (OK + ids(ID), OK + ids(ID[:-1] + b" ")),
    "two that vary": (OK + ids(ID, ID), OK + ids(ID, ID)),
    "one that is taken and indexed": (OK + b"\x40\x01a\x01b\xbe", OK + b"\x40\x01a\x01b\xbe"),
    "a table of another size": (b"\x3f\xe1\x1f" + OK, b"\x3f\xe1\x1f" + OK),
    "nothing": (OK, b""),
}


@pytest.mark.parametrize("first", NOT_RECOGNISED)
def test_any_other_block_is_not(first: str) -> None:
    before, block = NOT_RECOGNISED[first]
    side = Side()
    side.decode(before)
    assert side.recognise(block) is None


def test_what_is_taken_from_the_table_may_have_changed() -> None:
    side = Side()
    side.decode(OK + b"\x40\x01a\x01b")
    # By index now: 62 is a: b.
    side.decode(OK + b"\xbe")
    side.decode(OK)
    assert side.recognise(OK + b"\xbe")
    assert side.recognise(OK + b"\x40\x01a\x01b")
    assert side.recognise(OK + b"\xbe") is None
    assert side.recognise(OK)
    side.decoder.decode(b"\x40\x01c\x01d")
    assert side.decode(OK + b"\xbe").fields[1] == (b"c", b"d")
    # A name, this time.
    side.decode(OK + b"\x0f\x2f\x01x")
    assert side.recognise(OK + b"\x0f\x2f\x01x")
    side.decoder.decode(b"\x40\x01c\x01d")
    assert side.recognise(OK + b"\x0f\x2f\x01x") is None


def test_a_table_of_another_size_forgets() -> None:
    side = Side()
    side.decode(OK + b"\x40\x01a\x01b")
    side.decode(OK + b"\xbe")
    side.decode(b"\x20" + OK)
    assert side.recognise(OK + b"\xbe") is None


def test_an_update_that_is_due_is_not_overlooked() -> None:
    side = Side()
    side.decode(OK)
    side.decoder.set_limit(0)
    assert side.recognise(OK) is None
    with pytest.raises(RemoteProtocolError):
        side.decode(OK)


def test_streams_do_not_share_what_is_their_own() -> None:
    side = Side()
    first = side.decode(OK + ids(ID))
    second = side.recognise(OK + ids(OTHER))
    third = side.recognise(OK + ids(ID))
    assert second
    assert third
    assert [s.fields[1][1] for s in (first, second, third)] == [ID, OTHER, ID]


def test_few_are_kept() -> None:
    side = Side()
    for size in range(200):
        side.decode(OK + wire.literal(b"a", b"b" * size))
    assert len(side.shapes._by_key) <= 32


FIELDS: Final = st.sampled_from(
    (
        (b"apns-id", ID),
        (b"apns-id", OTHER),
        (b"apns-id", ID.upper()),
        (b"apns-id", ID[:-1] + b"\n"),
        (b"apns-id", ID[:-1] + b"\xe4"),
        (b"apns-unique-id", OTHER),
        (b"content-length", b"0"),
        (b"content-length", b"7"),
        (b"content-length", b"x"),
        (b"server", b"nginx"),
    )
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from((b"200", b"400", b"410")),
            st.lists(FIELDS, max_size=3),
            st.booleans(),  # of the server's encoder: what is indexed, what is coded
            st.booleans(),
            st.none() | st.sampled_from((0, 100, 4_096)),
        ),
        max_size=20,
    )
)
def test_it_makes_no_difference(
    responses: list[tuple[bytes, list[Field], bool, bool, int | None]],
) -> None:
    encoder = Encoder()
    reference = HpackDecoder(max_table_size=4_096, max_list_size=16_384)
    client = wire.open_client(len(responses))
    for number, (status, fields, plain, coded, table_size) in enumerate(responses):
        if table_size is not None:
            encoder.header_table_size = table_size
        all_fields = [(b":status", status), *fields]
        block = encoder.encode(((n, v, plain) for n, v in all_fields), huffman=coded)
        expected = Stream()
        try:
            take_block(expected, reference.decode(block), 1)
            problem = ""
        except MalformedResponse as malformed:
            problem = malformed.problem
        client.receive_data(wire.headers(1 + 2 * number, block, ends=True), wire.NOW)
        (stream,) = client.events
        client.events.clear()
        assert isinstance(stream, Stream)
        assert (stream.status, stream.fields) == (expected.status, expected.fields)
        if problem:
            assert problem in str(stream.error)
        elif expected.expected_length:
            assert "content-length" in str(stream.error)
        else:
            assert stream.error is None
        assert not client.closed
