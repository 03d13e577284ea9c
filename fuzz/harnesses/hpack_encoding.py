"""Our HPACK encoder against the decoders of ``hpack`` and of our own: the fields come out again.

An input is a script: fields to encode, table sizes of the peer, tokens that change.
"""

from collections.abc import Iterator
from typing import Final

from hpack import Decoder

from apns_core.field_blocks import FIELD_INDEXING, FieldBlocks
from apns_core.http2.hpack_decoder import Field, HpackDecoder
from apns_core.http2.hpack_encoder import HpackEncoder
from apns_core.requests.notification import Notification
from apns_core.requests.route import Route
from fuzz.decisions import Decisions

__all__ = ["MAX_LENGTH", "check", "seeds"]

MAX_LENGTH: Final = 512

_OWN_CAP: Final = 4_096
_TABLE_SIZES: Final = (0, 1, 64, 100, 256, 512, 1_024, 4_095, 4_096, 65_536, 2**32 - 1)
_NAMES: Final = (*FIELD_INDEXING, b":path", b":method", b":scheme", b"content-length", b"x")
_ROUTES: Final = tuple(
    Route.for_app(app, push_type)
    for app in ("com.example.app", "com.example." + "long" * 30)
    for push_type in ("alert", "background", "voip", "liveactivity")
)
_DEVICES: Final = ("00", "0123456789abcdef" * 4, "ff" * 80)


def check(data: bytes) -> None:
    """Encode one script, and decode it twice."""
    script = Decisions(data)
    peer = _Peer()
    encoder = HpackEncoder(FIELD_INDEXING)
    blocks = FieldBlocks(encoder, b"api.push.apple.com")
    blocks.set_authorization(b"bearer a")
    authorization = b"bearer a"
    while script.left:
        match script.byte() % 4:
            case 0:
                size = script.pick(_TABLE_SIZES)
                encoder.set_peer_limit(size)
                peer.limit(size)
            case 1:
                fields = [
                    (script.pick(_NAMES), script.some_octets()) for _ in range(script.byte() % 8)
                ]
                peer.read(encoder, encoder.encode(fields), fields)
            case 2:
                authorization = b"bearer " + script.some_octets() * (1 + script.byte() % 32)
                blocks.set_authorization(authorization)
            case _:
                request = _request(script)
                block = blocks.encode(request)
                peer.read(encoder, block, _fields_of(request, authorization))


class _Peer:
    """Reads what the encoder writes, as ``hpack`` does and as our own decoder does."""

    def __init__(self) -> None:
        self._theirs = Decoder()
        self._ours = HpackDecoder(max_table_size=_OWN_CAP, max_list_size=2**20)
        self._limit = _OWN_CAP

    def limit(self, size: int) -> None:
        """Announce another table size."""
        self._limit = size
        self._theirs.max_allowed_table_size = size
        self._ours.set_limit(size)

    def read(self, encoder: HpackEncoder, block: bytes, fields: list[Field]) -> None:
        """Decode a block and compare; then compare the tables."""
        theirs = [(bytes(each[0]), bytes(each[1])) for each in self._theirs.decode(block, raw=True)]
        assert theirs == fields, "hpack reads other fields"
        assert self._ours.decode(block) == fields, "we read other fields"
        table = self._theirs.header_table
        entries = [(bytes(name), bytes(value)) for name, value in table.dynamic_entries]
        assert entries == list(encoder.entries) == list(self._ours.entries)
        assert table.maxsize == encoder.table_size == min(self._limit, _OWN_CAP)


def _request(script: Decisions) -> Notification:
    optional = script.byte()
    return Notification(
        script.pick(_ROUTES),
        script.pick(_DEVICES),
        b"{}",
        expiration=script.byte() if optional & 1 else None,
        collapse_id=f"c{script.byte()}" if optional & 2 else None,
        apns_id=f"00000000-0000-0000-0000-{script.byte():012x}" if optional & 4 else None,
    )


def _fields_of(request: Notification, authorization: bytes) -> list[Field]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"api.push.apple.com"),
        (b":path", request.path),
        (b"authorization", authorization),
        *request.route.fields,
        *request.extra_fields,
    ]


# ── what to begin with ──


def seeds() -> Iterator[bytes]:
    """Yield pushes under every table size, with a token that changes in between."""
    push = b"\x03\x00\x00\x01" + b"\x03\x07\x05\x02\x09\x07\x03" + b"\x03\x01\x02\x00\x00"
    for size in range(len(_TABLE_SIZES)):
        yield bytes((0, size)) + push * 2 + b"\x02\x04next\x07" + push
        yield push + bytes((0, size)) + push + b"\x00\x00" + bytes((0, size)) + push
    for name in range(len(_NAMES)):
        yield b"\x01\x03" + bytes((name,)) + b"\x02ab" + bytes((name,)) + b"\x02ab\x02\x00" + push
