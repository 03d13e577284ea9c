import tracemalloc
from collections.abc import Iterable
from typing import Any, Final, SupportsIndex, cast

import pytest
from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apns_core import __compiled__
from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.hpack_decoder import STATIC_TABLE, Field, HpackDecoder, decode_huffman
from tests.apns_core.http2 import wire
from tests.cpu import Cpu

COMPRESSION: Final = ErrorCode.COMPRESSION_ERROR


def make(max_table_size: int = 4_096, max_list_size: int = 16_384) -> HpackDecoder:
    return HpackDecoder(max_table_size=max_table_size, max_list_size=max_list_size)


def huffman(octets: bytes) -> bytes:
    encoder = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
    return bytes(encoder.encode(octets))


def refused(
    decoder: HpackDecoder, block: bytes, section: str, code: ErrorCode = COMPRESSION
) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decoder.decode(block)
    assert caught.value.code == code
    assert caught.value.section == section


# ── RFC 7541 Appendix C: its examples, octet by octet ──

C3: Final = ("828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865")
C4: Final = ("828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf")
C6: Final = (
    (
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff"
        "6e919d29ad171863c78f0b97c8e9ae82ae43d3"
    ),
    "4883640effc1c0bf",
)


@pytest.mark.parametrize("blocks", [C3, C4])
def test_examples_of_requests(blocks: tuple[str, str]) -> None:
    decoder = make()
    first: list[Field] = [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"www.example.com"),
    ]
    assert decoder.decode(bytes.fromhex(blocks[0])) == first
    assert decoder.decode(bytes.fromhex(blocks[1])) == [*first, (b"cache-control", b"no-cache")]
    assert decoder.entries == ((b"cache-control", b"no-cache"), first[3])


def test_examples_of_responses_with_eviction() -> None:
    decoder = make(max_table_size=256)
    date = (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT")
    rest = [(b"cache-control", b"private"), date, (b"location", b"https://www.example.com")]
    assert decoder.decode(bytes.fromhex(C6[0])) == [(b":status", b"302"), *rest]
    assert decoder.decode(bytes.fromhex(C6[1])) == [(b":status", b"307"), *rest]
    assert decoder.entries == ((b":status", b"307"), rest[2], rest[1], rest[0])


# ── beside hpack ──

any_fields = st.lists(
    st.sampled_from(STATIC_TABLE)
    | st.tuples(st.binary(min_size=1, max_size=12), st.binary(max_size=40))
    | st.tuples(st.sampled_from((b"a", b"b")), st.sampled_from((b"", b"1" * 90))),
    max_size=8,
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(any_fields, st.booleans(), st.none() | st.integers(0, 4_096)), max_size=12)
)
def test_h15_blocks_of_an_independent_encoder(
    rounds: list[tuple[list[Field], bool, int | None]],
) -> None:
    encoder = Encoder()
    decoder = make(max_list_size=2**20)
    for fields, coded, size in rounds:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(fields, huffman=coded)
        assert decoder.decode(block) == fields
        theirs = cast("Iterable[Field]", encoder.header_table.dynamic_entries)
        assert decoder.entries == tuple((bytes(name), bytes(value)) for name, value in theirs)


octets_that_mean_something = st.lists(
    st.sampled_from(
        (
            b"\x82",
            b"\xbe",
            b"\xbf",
            b"\x80",
            b"\x20",
            b"\x3f\xe1\x1f",
            b"\x3e",
            b"\x40\x01a\x01b",
            b"\x40\x81\x1f\x81\x1f",
            b"\x10\x01a\x7f\x00" + b"x" * 127,
            b"\x44\x01/",
            b"\x7f\x00\x00",
            b"\xff\x00",
        )
    )
    | st.binary(max_size=4),
    max_size=12,
).map(b"".join)


@settings(deadline=None, max_examples=600)
@given(st.lists(octets_that_mean_something, min_size=1, max_size=4))
@example([b"\x3f\x80\x80\x80\x80\x80\x00"])
@example([b"\x40\x00\x00", b"\xbe"])
@example([b"\x00\x83\xff\xff\xff\x00"])
def test_any_octets_are_taken_or_refused_as_by_hpack(blocks: list[bytes]) -> None:
    ours = make(max_list_size=2**20)
    theirs = Decoder(max_header_list_size=2**20)
    for block in blocks:
        try:
            expected = [
                (bytes(name), bytes(value))
                for name, value in cast("Iterable[Field]", theirs.decode(block, raw=True))
            ]
        except HPACKError:
            with pytest.raises(RemoteProtocolError) as caught:
                ours.decode(block)
            assert caught.value.code == COMPRESSION
            return
        try:
            assert ours.decode(block) == expected
        except RemoteProtocolError as error:
            # The one rule that only we enforce: an integer takes at most five octets after its
            # prefix, where hpack lets zeros follow.
            assert "an integer" in str(error)  # noqa: PT017
            return
        entries = cast("Iterable[Field]", theirs.header_table.dynamic_entries)
        assert ours.entries == tuple((bytes(name), bytes(value)) for name, value in entries)


# ── one fault, one rule ──


def test_h3_a_small_block_cannot_unfold() -> None:
    decoder = make(max_list_size=16_384)
    decoder.decode(wire.literal(b"x", b"y" * 3_900, indexed=True))
    refused(decoder, b"\xbe" * 16_000, "RFC 9113 §10.5.1", ErrorCode.ENHANCE_YOUR_CALM)


def test_h4_the_limit_counts_as_the_rfc_does() -> None:
    # name + value + 32 for each field.
    block = wire.block((b"n" * 10, b"v" * 58), (b"n" * 20, b"v" * 48))
    assert len(make(max_list_size=200).decode(block)) == 2
    refused(make(max_list_size=199), block, "RFC 9113 §10.5.1", ErrorCode.ENHANCE_YOUR_CALM)


UPDATE_4096: Final = b"\x3f\xe1\x1f"


@pytest.mark.parametrize(
    ("limit", "block", "section"),
    [
        (4_096, b"\x3f\xe2\x1f", "RFC 7541 §6.3"),
        (4_096, b"\x3f\xe0\xff\xff\xff\x0f", "RFC 7541 §6.3"),
        (0, b"\x21", "RFC 7541 §6.3"),
        (4_096, b"\x82" + UPDATE_4096, "RFC 7541 §4.2"),
        (4_096, b"\x20\x82\x20", "RFC 7541 §4.2"),
        # The limit fell: the next block must start with an update.
        (1_024, b"\x82", "RFC 7541 §4.2"),
        (1_024, b"", "RFC 7541 §4.2"),
        (1_024, UPDATE_4096 + b"\x82", "RFC 7541 §6.3"),
        (0, b"\x82", "RFC 7541 §4.2"),
    ],
)
def test_h5_table_sizes_that_are_refused(limit: int, block: bytes, section: str) -> None:
    decoder = make()
    decoder.set_limit(limit)
    refused(decoder, block, section)


def test_h5_table_sizes_that_are_taken() -> None:
    decoder = make()
    entry = (b"x", b"y")
    decoder.decode(wire.literal(*entry, indexed=True))
    decoder.set_limit(1_024)
    assert decoder.decode(b"\x3f\xe1\x07\xbe") == [entry]
    assert decoder.decode(b"\xbe") == [entry]
    decoder.set_limit(8_192)
    assert decoder.decode(b"\xbe") == [entry]
    assert decoder.decode(b"\x3f\xe1\x3f\xbe") == [entry]
    assert decoder.decode(b"\x20") == []
    assert decoder.entries == ()
    refused(decoder, b"\xbe", "RFC 7541 §2.3.3")


def test_h5_alternating_updates_stay_linear() -> None:
    decoder = make()

    def seconds(updates: int) -> float:
        with Cpu() as cpu:
            for _ in range(updates // 1_000):
                assert decoder.decode((b"\x20" + UPDATE_4096) * 1_000) == []
        return cpu.seconds

    seconds(10_000)
    assert seconds(100_000) < 20 * max(seconds(10_000), 0.001)


def test_h5_references_between_insertions_cost_what_insertions_cost() -> None:
    def seconds(field: bytes) -> float:
        decoder = make(max_list_size=2**24)
        decoder.decode(wire.literal(b"a", b"", indexed=True) * 200)
        block = field * 10_000
        with Cpu() as cpu:
            decoder.decode(block)
        return cpu.seconds

    # A name of the table, inserted anew; the same and then a reference.
    insertion = wire.literal(b"a", b"", indexed=True)
    plain = min(seconds(insertion) for _ in range(3))
    # To walk over the table with each makes it fifteen times as much.
    assert min(seconds(b"\x7e\x00") for _ in range(3)) < 6 * plain
    assert min(seconds(insertion + b"\xbe") for _ in range(3)) < 6 * plain


def test_entries_go_oldest_first_and_a_huge_one_empties_the_table() -> None:
    decoder = make(max_table_size=100)
    decoder.decode(wire.literal(b"a", b"1", indexed=True) + wire.literal(b"b", b"2", indexed=True))
    assert list(decoder.entries) == [(b"b", b"2"), (b"a", b"1")]
    decoder.decode(wire.literal(b"c", b"3", indexed=True))
    assert list(decoder.entries) == [(b"c", b"3"), (b"b", b"2")]
    fields = decoder.decode(b"\xbe" + wire.literal(b"d", b"4" * 100, indexed=True))
    assert fields == [(b"c", b"3"), (b"d", b"4" * 100)]
    assert not decoder.entries


def test_name_may_come_from_the_entry_that_its_insertion_evicts() -> None:
    decoder = make(max_table_size=40)
    decoder.decode(wire.literal(b"name", b"1", indexed=True))
    assert decoder.decode(b"\x7e\x012") == [(b"name", b"2")]
    assert decoder.entries == ((b"name", b"2"),)


@pytest.mark.parametrize(
    "block",
    [
        # Prefixes of 7, 6, 5 and 4 bits; then the length of a string.
        b"\xff" + b"\x80" * 1_000_000,
        b"\x7f" + b"\x80" * 1_000_000,
        b"\x3f" + b"\x80" * 1_000_000,
        b"\x0f" + b"\x80" * 1_000_000,
        b"\x00\x7f" + b"\x80" * 1_000_000,
        b"\x3f\x80\x80\x80\x80\x80\x00",
        b"\xff\xff\xff\xff\xff\x7f",
        b"\xff\x81\xff\xff\xff\x0f",
    ],
)
def test_h7_integers_above_32_bits(block: bytes) -> None:
    with Cpu() as cpu:
        refused(make(), block, "RFC 7541 §5.1")
    assert cpu.seconds < 0.05


class Watched(bytes):
    """A block that knows how far it was read."""

    furthest = 0

    def __getitem__(self, at: SupportsIndex | slice) -> Any:  # noqa: ANN401 - an octet, or octets
        if isinstance(at, SupportsIndex):
            self.furthest = max(self.furthest, at.__index__())
        return super().__getitem__(at)


@pytest.mark.skipif(__compiled__, reason="compiled code reads octets without asking their owner")
@pytest.mark.parametrize("first", [b"\xff", b"\x7f", b"\x3f", b"\x0f"])
def test_h7_six_octets_tell(first: bytes) -> None:
    block = Watched(first + b"\x80" * 1_000_000)
    refused(make(), block, "RFC 7541 §5.1")
    assert block.furthest == 5


def test_h7_the_largest_integer_is_read() -> None:
    # 2^32-1 as a table size: read well, and then above our limit.
    with pytest.raises(RemoteProtocolError, match="a table size of 4294967295"):
        make().decode(b"\x3f\xe0\xff\xff\xff\x0f")


@pytest.mark.parametrize(
    "block", [b"\xff", b"\xff\x80", b"\x7f\x80", b"\x3f", b"\x0f", b"\x0f\xff"]
)
def test_h7_integers_that_are_cut_off(block: bytes) -> None:
    refused(make(), block, "RFC 7541 §5.1")


@pytest.mark.parametrize(
    "block",
    [
        b"\x00\x7f\x81\xff\xff\xff\x07" + bytes(93),
        b"\x00\x01a\x7f\x81\xff\xff\xff\x07" + bytes(91),
        b"\x40\xff\x81\xff\xff\xff\x07" + bytes(93),
        b"\x00\x02a",
        b"\x00\x01a\x02b",
        b"\x00\x01a",
        b"\x00",
        b"\x44",
    ],
)
def test_h8_strings_beyond_their_block(block: bytes) -> None:
    tracemalloc.start()
    refused(make(), block, "RFC 7541 §5.2")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000, "nothing is set aside for what is announced"


@pytest.mark.parametrize("index", [0, 62, 63, 2**32 - 1])
def test_h10_indices_that_are_none(index: int) -> None:
    refused(make(), wire.integer(index, 7, 0x80), "RFC 7541 §2.3.3")
    if index:
        refused(make(), wire.integer(index, 6, 0x40) + b"\x00", "RFC 7541 §2.3.3")
        refused(make(), wire.integer(index, 4) + b"\x00", "RFC 7541 §2.3.3")


def test_every_index_of_the_static_table() -> None:
    for number, field in enumerate(STATIC_TABLE, start=1):
        assert make().decode(wire.integer(number, 7, 0x80)) == [field]
        name = field[0]
        assert make().decode(wire.integer(number, 4) + b"\x01v") == [(name, b"v")]
        assert make().decode(wire.integer(number, 4, 0x10) + b"\x01v") == [(name, b"v")]
    assert len(STATIC_TABLE) == 61


# ── Huffman (RFC 7541 §5.2, Appendix B) ──


@given(st.binary(max_size=64))
def test_h9_every_string_up_to_64_octets(octets: bytes) -> None:
    assert decode_huffman(huffman(octets)) == octets


def test_h9_every_octet_beside_every_other() -> None:
    for first in range(256):
        octets = b"".join(bytes((first, second)) for second in range(256))
        assert decode_huffman(huffman(octets)) == octets


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        # "a" is 00011: three ones pad it.
        (b"\x1f\xff", "padding"),
        (b"\x1f\xff\xff\xff", "padding"),
        (b"\xff", "padding"),
        (b"\x1e", "padding"),
        (b"\x1b", "padding"),
        (b"\x18", "padding"),
        (b"\xff\xff\xff\xff", "EOS"),
        (b"\xff\xff\xff\xfc", "EOS"),
        (b"\x1f\xff\xff\xff\xf8", "EOS"),
    ],
)
def test_h9_padding_and_eos(octets: bytes, problem: str) -> None:
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match=problem) as caught:
            decode_huffman(octets)
        assert caught.value.code == COMPRESSION
        assert caught.value.section == "RFC 7541 §5.2"


def test_h9_padding_of_up_to_seven_bits() -> None:
    assert decode_huffman(b"") == b""
    assert decode_huffman(b"\x1f") == b"a"
    # Eight codes of five bits leave no padding, seven of them leave five.
    assert decode_huffman(huffman(b"a" * 8)) == b"a" * 8
    assert decode_huffman(huffman(b"a" * 7)) == b"a" * 7
    # "&" takes eight bits, so that "0" (five) and five "&" lack three; X (eight) too.
    assert decode_huffman(b"\xf8") == b"&"
    assert decode_huffman(b"\xf8\xf8") == b"&&"


@given(st.binary(max_size=12))
def test_h9_no_two_codings_of_one_string(octets: bytes) -> None:
    try:
        decoded = decode_huffman(octets)
    except RemoteProtocolError:
        return
    assert huffman(decoded) == octets
