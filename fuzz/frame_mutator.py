"""Changes inputs that are frames in such a way that most of them are frames still.

An input is a few leading octets, which choose a state, and then what a server sends. A fuzzer that
changes octets breaks a length soon, and with it all that follows. Here frames are dropped, doubled,
exchanged, moved to other streams, given other flags, or cut at once; the fuzzer's own mutations go
into one payload, whose length is set anew.

Floods are longer than inputs should be: a frame of a type that nobody uses stands for so and so
many of the frames behind it (`expand`).
"""

from collections.abc import Callable
from random import Random
from typing import Final

__all__ = [
    "HEAD_SIZE",
    "REPEATS",
    "Mutate",
    "expand",
    "frame",
    "mutate_frames",
    "repeat",
    "split_frames",
]

Mutate = Callable[[bytes, int], bytes]
"""The fuzzer's own mutation of plain octets: takes the octets and the greatest length."""

HEAD_SIZE: Final = 9


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    """Write one frame; no rule is looked at but that of the head (RFC 9113 §4.1)."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


def split_frames(octets: bytes) -> list[bytes]:
    """Cut octets into frames; the last may be cut short."""
    parts: list[bytes] = []
    while octets:
        end = HEAD_SIZE + int.from_bytes(octets[:3])
        parts.append(octets[:end])
        octets = octets[end:]
    return parts


def repeat(times: int, *frames: bytes) -> bytes:
    """Write frames so that `expand` makes that many of them; ``times`` is one of `REPEATS`."""
    return frame(_REPEAT, REPEATS.index(times), len(frames) - 1) + b"".join(frames)


def expand(octets: bytes) -> bytes:
    """Put the frames of floods in the place of what stands for them.

    Two floods an input: more would cost time and show nothing. Nor is one longer than 20,000 frames
    or some 300,000 octets.
    """
    if _MARK not in octets:
        return octets
    parts = split_frames(octets)
    expanded: list[bytes] = []
    floods = at = 0
    while at < len(parts):
        part = parts[at]
        at += 1
        if part[:4] != _MARK or len(part) < HEAD_SIZE or floods == _MOST_FLOODS:
            expanded.append(part)
            continue
        floods += 1
        group = parts[at : at + 1 + (part[8] & 3)]
        at += len(group)
        times = REPEATS[part[4] % len(REPEATS)]
        size = sum(map(len, group))
        times = max(1, min(times, _MOST_FRAMES // max(1, len(group)), _MOST_OCTETS // max(1, size)))
        expanded += group * times
    return b"".join(expanded)


_REPEAT: Final = 0xEE
_MARK: Final = bytes((0, 0, 0, _REPEAT))
REPEATS: Final = (2, 3, 7, 8, 9, 10, 11, 12, 40, 100, 300, 1_001, 1_200, 5_000, 10_100, 20_000)
_MOST_FLOODS: Final = 2
_MOST_FRAMES: Final = 20_000
_MOST_OCTETS: Final = 300_000


def mutate_frames(data: bytes, max_size: int, seed: int, *, lead: int, plain: Mutate) -> bytes:
    """Return a neighbour of an input that begins with ``lead`` octets of its own."""
    rng = Random(seed)  # noqa: S311 - the fuzzer's seed: a run can be replayed
    if rng.random() < _PLAIN_SHARE or len(data) <= lead:
        return plain(data, max_size)
    head, parts = data[:lead], split_frames(data[lead:])
    if rng.random() < _LEAD_SHARE:
        head = rng.randbytes(lead)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(_CHANGES)(parts, rng, plain)
    return (head + b"".join(parts))[:max_size]


_PLAIN_SHARE: Final = 0.15
_LEAD_SHARE: Final = 0.1
_STREAM_IDS: Final = (0, 1, 3, 5, 7, 9, 11, 13, 15, 17, 2, 0x7FFFFFFF, 0x80000001)
_NUMBERS: Final = (0, 1, 2, 5, 7, 8, 9, 16_384, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1)
_BLOCKS: Final = (
    b"\x88",
    b"\x8d",
    b"\x88\xbe",
    b"\x08\x03103",
    b"\x88\x0f\x0d\x013",
    b"\x08\x03410\x0f\x0d\x0239",
    b"\x20\x3f\xe1\x1f\x88",
    b"\x88\x40\x07apns-id\x011",
    b"\x88\x00\x07Apns-Id\x011",
    b"\x00\x07apns-id\x011\x88",
    # As APNs answers; and the same with what an earlier one has left in the table.
    b"\x88\x40\x07apns-id\x24" + b"8a3f6f3e-6d0c-4a55-9d0c-1b9a9f0c8f11",
    b"\x88\x00\x07apns-id\x24" + b"9b4f6f3e-6d0c-4a55-9d0c-1b9a9f0c8f22",
    b"\x88\x7e\x24" + b"ac5f6f3e-6d0c-4a55-9d0c-1b9a9f0c8f33",
    b"\x88\x0f\x2f\x24" + b"bd6f6f3e-6d0c-4a55-9d0c-1b9a9f0c8f44",
)
_BODIES: Final = (b"", b"x", b'{"reason":"Unregistered","timestamp":1}', b"y" * 5_000)


def _drop(parts: list[bytes], rng: Random, plain: Mutate) -> None:
    del plain
    if parts:
        del parts[rng.randrange(len(parts))]


def _double(parts: list[bytes], rng: Random, plain: Mutate) -> None:
    del plain
    if parts:
        at = rng.randrange(len(parts))
        parts[at:at] = [parts[at]] * rng.choice((1, 1, 1, 10))


def _move(parts: list[bytes], rng: Random, plain: Mutate) -> None:
    del plain
    if parts:
        part = parts.pop(rng.randrange(len(parts)))
        parts.insert(rng.randint(0, len(parts)), part)


def _change_head(parts: list[bytes], rng: Random, plain: Mutate) -> None:
    """Another type, other flags or another stream."""
    del plain
    at = _any_whole(parts, rng)
    if at is None:
        return
    part = bytearray(parts[at])
    match rng.randrange(4):
        case 0:
            part[3] = rng.randrange(12)
        case 1:
            part[4] ^= 1 << rng.randrange(8)
        case _:
            part[5:9] = rng.choice(_STREAM_IDS).to_bytes(4)
    parts[at] = bytes(part)


def _change_payload(parts: list[bytes], rng: Random, plain: Mutate) -> None:
    at = _any_whole(parts, rng)
    if at is not None:
        head, payload = parts[at][:HEAD_SIZE], parts[at][HEAD_SIZE:]
        payload = plain(payload, len(payload) + 16) if payload else rng.randbytes(rng.randrange(12))
        parts[at] = frame(head[3], head[4], int.from_bytes(head[5:]), payload)


def _continue(parts: list[bytes], rng: Random, plain: Mutate) -> None:
    """Cut the field block of HEADERS in two, the rest in CONTINUATION."""
    del plain
    at = _any_whole(parts, rng)
    if at is not None and parts[at][3] == _HEADERS and parts[at][4] & _END_HEADERS:
        kind, flags, stream_id = parts[at][3], parts[at][4], int.from_bytes(parts[at][5:9])
        block = parts[at][HEAD_SIZE:]
        cut = rng.randint(0, len(block))
        parts[at : at + 1] = [
            frame(kind, flags & ~_END_HEADERS, stream_id, block[:cut]),
            frame(_CONTINUATION, _END_HEADERS, stream_id, block[cut:]),
        ]


def _insert(parts: list[bytes], rng: Random, plain: Mutate) -> None:
    """Put in a frame made from what breaks things: limits, and one more than limits."""
    del plain
    stream_id = rng.choice(_STREAM_IDS)
    number = rng.choice(_NUMBERS).to_bytes(4)
    made = (
        frame(0, rng.choice((0, 1)), stream_id, rng.choice(_BODIES)),
        frame(0, rng.choice((8, 9)), stream_id, b"\x03" + rng.choice(_BODIES) + bytes(3)),
        frame(1, rng.choice((0, 1, 4, 5)), stream_id, rng.choice(_BLOCKS)),
        frame(1, rng.choice((4, 5)), stream_id, rng.choice(_BLOCKS)),
        frame(1, rng.choice((5, 5, 0x2D)), stream_id, b"\x02" + bytes(5) + b"\x88" + bytes(2)),
        frame(3, 0, stream_id, rng.choice((0, 5, 7, 8)).to_bytes(4)),
        frame(4, 0, 0, rng.randrange(1, 9).to_bytes(2) + number),
        frame(4, 0, 0, b"\x00\x03" + rng.randrange(8).to_bytes(4)),
        frame(4, 0, 0, b"\x00\x04" + rng.randrange(64).to_bytes(4)),
        frame(4, 1),
        frame(6, rng.choice((0, 1)), 0, rng.randrange(4).to_bytes(8)),
        frame(7, 0, 0, rng.choice(_STREAM_IDS).to_bytes(4) + number + rng.choice(_BODIES)),
        frame(8, 0, stream_id, number),
        frame(8, 0, 0, rng.randrange(200).to_bytes(4)),
        frame(9, rng.choice((0, 4)), stream_id, rng.choice(_BLOCKS)),
        frame(_REPEAT, rng.randrange(16), rng.choice((0, 0, 0, 1))),
        frame(rng.randrange(256), rng.randrange(256), stream_id, rng.randbytes(rng.randrange(9))),
    )
    parts.insert(rng.randint(0, len(parts)), rng.choice(made))


def _any_whole(parts: list[bytes], rng: Random) -> int | None:
    whole = [at for at, part in enumerate(parts) if len(part) >= HEAD_SIZE]
    return rng.choice(whole) if whole else None


_HEADERS: Final = 1
_CONTINUATION: Final = 9
_END_HEADERS: Final = 4

_CHANGES: Final = (
    _drop,
    _double,
    _move,
    _change_head,
    _change_payload,
    _continue,
    _insert,
    _insert,
    _insert,
)
