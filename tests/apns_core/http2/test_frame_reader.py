import pytest

from apns_core.http2.errors import RemoteProtocolError
from apns_core.http2.frame_reader import FrameReader
from tests.apns_core.http2 import wire

Seen = list[tuple[int, int, int, bytes]]


def make_reader() -> FrameReader[Seen]:
    """A reader whose handlers write down what they are given."""

    class Handler:
        def __init__(self, kind: int) -> None:
            self.kind = kind

        def __call__(
            self, owner: Seen, flags: int, stream_id: int, data: bytes, start: int, end: int
        ) -> None:
            owner.append((self.kind, flags, stream_id, data[start:end]))

    return FrameReader(tuple(Handler(kind) for kind in range(10)))


UNKNOWN = 9
END = wire.END_STREAM | wire.END_HEADERS

STREAM: list[tuple[bytes, list[tuple[int, int, int, bytes]]]] = [
    (wire.settings((1, 2)), [(wire.SETTINGS, 0, 0, b"\x00\x01\x00\x00\x00\x02")]),
    (wire.data(1, b"body", padding=2), [(wire.DATA, wire.PADDED, 1, b"\x02body\x00\x00")]),
    (wire.headers(1, b"block", ends=True), [(wire.HEADERS, END, 1, b"block")]),
    (
        wire.headers(3, b"\x02\x00\x00\x00\x00\x10block??", ends=True, extra=0x28),
        [(wire.HEADERS, END | 0x28, 3, b"block")],
    ),
    (
        wire.headers(5, b"a", ends=True, complete=False)
        + wire.continuation(5, b"")
        + wire.continuation(5, b"b", complete=True),
        # END_STREAM is that of HEADERS, wherever the block ends.
        [(wire.HEADERS, wire.END_STREAM, 5, b"ab")],
    ),
    (wire.frame(10, 7, 2**32 - 1, b"new"), [(UNKNOWN, 7, 2**31 - 1, b"new")]),
    (wire.frame(255, 0, 0), [(UNKNOWN, 0, 0, b"")]),
    (wire.ping(b"12345678"), [(wire.PING, 0, 0, b"12345678")]),
    (wire.window_update(0, 1), [(wire.WINDOW_UPDATE, 0, 0, b"\x00\x00\x00\x01")]),
    (wire.frame(0xEE, 0, 0, bytes(16_384)), [(UNKNOWN, 0, 0, bytes(16_384))]),
]


def test_all_frames_arrive_whole_however_they_are_cut() -> None:
    octets = b"".join(written for written, _ in STREAM)
    expected = [frame for _, read in STREAM for frame in read]
    for chunks in wire.cuts(octets):
        seen: Seen = []
        reader = make_reader()
        for chunk in chunks:
            reader.read(seen, chunk)
        assert seen == expected
        assert not reader._partial


def test_what_is_unfinished_is_bounded_and_can_be_let_go() -> None:
    seen: Seen = []
    reader = make_reader()
    reader.read(seen, wire.settings() + wire.headers(1, b"x" * 16_384, complete=False))
    reader.read(seen, wire.continuation(1, b"")[:5])
    assert len(seen) == 1
    assert len(reader._partial) == 5
    assert sum(map(len, reader._block)) == 16_384
    reader.forget()
    assert not reader._partial
    assert not reader._block


@pytest.mark.parametrize(
    "octets",
    [
        wire.ping(),
        wire.settings() + wire.frame(0, 0, 0),
        wire.settings() + wire.frame(wire.PING, 0, 1, bytes(8)),
        wire.settings() + wire.continuation(1, b""),
        wire.settings() + wire.continuation(0, b""),
        wire.settings() + wire.headers(1, b"", complete=False) + wire.continuation(0, b""),
        wire.settings() + wire.headers(1, b"", complete=False) + wire.data(1, b""),
        wire.settings() + wire.headers(1, b"", complete=False) + wire.continuation(1, b"") * 9,
        wire.settings() + b"\x00\x40\x01",
    ],
)
def test_rules_of_framing(octets: bytes) -> None:
    reader = make_reader()
    with pytest.raises(RemoteProtocolError):
        reader.read([], octets + bytes(9))
