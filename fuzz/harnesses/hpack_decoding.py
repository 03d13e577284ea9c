"""Our HPACK decoder against that of ``hpack``: the same fields and the same table, or both refuse.

An input is an octet that chooses the limits, and then blocks, each after an octet that is its
length; 254 stands for a length in the next two octets, 255 for another table size that the peer has
acknowledged, which the next octet chooses.
"""

from collections.abc import Iterator
from typing import Final

from hpack import Decoder, Encoder, HPACKError, OversizedHeaderListError

from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.hpack_decoder import Field, HpackDecoder
from apns_core.http2.hpack_encoder import HpackEncoder
from apns_core.http2.limits import MAX_HEADER_LIST
from fuzz.decisions import Decisions

__all__ = ["EXPLAINED", "MAX_LENGTH", "check", "seeds"]

MAX_LENGTH: Final = 4_096

EXPLAINED: Final = {
    "an integer above 2^32-1": (
        "RFC 7541 §5.1: 'Integer encodings that exceed implementation limits -- in value or octet "
        "length -- MUST be treated as decoding errors.' Our limit is five octets after the prefix, "
        "and 2^32-1; that of hpack is ten octets."
    ),
}
"""What ours alone refuses: what its error says -> why it may. hpack alone refuses nothing."""

_LIST_SIZES: Final = (MAX_HEADER_LIST, 100, 0, 1_000)
_TABLE_SIZES: Final = (4_096, 0, 64, 256)
_LENGTH_FOLLOWS: Final = 254
_CHANGE_OF_LIMIT: Final = 255


def check(data: bytes) -> None:
    """Decode one input with both."""
    script = Decisions(data)
    limits = script.byte()
    table_size = _TABLE_SIZES[limits >> 2 & 3]
    list_size = _LIST_SIZES[limits & 3]
    ours = HpackDecoder(max_table_size=table_size, max_list_size=list_size)
    theirs = Decoder(max_header_list_size=list_size)
    theirs.header_table_size = theirs.max_allowed_table_size = table_size
    while script.left:
        length = script.byte()
        if length == _CHANGE_OF_LIMIT:
            size = script.pick(_TABLE_SIZES)
            ours.set_limit(size)
            theirs.max_allowed_table_size = size
            continue
        if length == _LENGTH_FOLLOWS:
            length = script.number(2)
        if not _decode_alike(ours, theirs, script.octets(length)):
            return


def _decode_alike(ours: HpackDecoder, theirs: Decoder, block: bytes) -> bool:
    """Return whether it goes on: a decoder that has refused is of no use."""
    fields: list[Field] | None = None
    refused: RemoteProtocolError | None = None
    try:
        fields = ours.decode(block)
    except RemoteProtocolError as error:
        refused = error
    try:
        expected = [(bytes(each[0]), bytes(each[1])) for each in theirs.decode(block, raw=True)]
    except HPACKError as error:
        assert refused is not None, f"ours takes what hpack refuses: {error!r}"
        if isinstance(error, OversizedHeaderListError) != (
            refused.code is ErrorCode.ENHANCE_YOUR_CALM
        ):
            assert _is_explained(refused), f"{refused!r} and {error!r}"
        return False
    if refused is not None:
        assert _is_explained(refused), f"ours alone refuses: {refused!r}"
        return False
    assert fields == expected
    table = [(bytes(name), bytes(value)) for name, value in theirs.header_table.dynamic_entries]
    assert list(ours.entries) == table
    return True


def _is_explained(refused: RemoteProtocolError) -> bool:
    return any(str(refused).startswith(problem) for problem in EXPLAINED)


# ── what to begin with ──


def seeds() -> Iterator[bytes]:
    """Yield answers as three encoders write them, and blocks that are wrong in one place."""
    answers = [
        [(b":status", b"200"), (b"apns-id", b"8a3f6f3e-6d0c-4a55-9d0c-1b9a9f0c8f11")],
        [(b":status", b"410"), (b"content-type", b"application/json"), (b"content-length", b"61")],
        [(b":status", b"200"), (b"apns-unique-id", b"8a3f6f3e"), (b"date", b"Sun, 22 Nov 2026")],
    ]
    for limits in range(16):
        for huffman in (False, True):
            theirs = Encoder()
            blocks = [theirs.encode(answer, huffman=huffman) for answer in answers * 2]
            yield bytes((limits,)) + b"".join(map(_with_length, blocks))
        ours = HpackEncoder({})
        yield bytes((limits,)) + b"".join(_with_length(ours.encode(answer)) for answer in answers)
    for block in _BLOCKS:
        yield b"\x00" + _with_length(b"\x88") + _with_length(block)
        yield b"\x00" + _with_length(b"\x40\x01a\x01b") + b"\xff\x01" + _with_length(block)


def _with_length(block: bytes) -> bytes:
    if len(block) < _LENGTH_FOLLOWS:
        return bytes((len(block),)) + block
    return bytes((_LENGTH_FOLLOWS,)) + len(block).to_bytes(2) + block


_BLOCKS: Final = (
    b"\x80",
    b"\xbe",
    b"\xff\x00",
    b"\xff\x80\x80\x80\x80\x10",
    b"\x7f" + b"\x80" * 12 + b"\x01",
    b"\x3f\xe1\x1f\x20\x88",
    b"\x3f\xe2\x1f",
    b"\x88\x20",
    b"\x20",
    b"\x40\x81\x1f\x00",
    b"\x40\x81\xff\x00",
    b"\x40\x84\xff\xff\xff\xff\x00",
    b"\x40\x82\x1f\xff\x00",
    b"\x00\x00\x00",
    b"\x10\x01a\x01b",
    b"\x4f\x01a",
    b"\x0f\x0d\x7f\xff\xff\xff\xff\x0f",
    b"\x40\x01a\x7e" + b"v" * 126,
    b"\xbe" * 100,
    # Long strings, raw and coded; as many fields as the list admits, and more.
    b"\x40\x01a\x7f\xf1\x0e" + b"v" * 2_032,
    b"\x40\x01a\xff\xf1\x0e" + b"\x1f" * 2_032,
    b"\x40\x01a\x7f\xf1\x1e" + b"v" * 4_080,
    b"\x40\x00\x00\xbe" * 256,
    b"\x40\x00\x00\xbe" * 256 + b"\xbe",
    b"\x82" * 500,
)
