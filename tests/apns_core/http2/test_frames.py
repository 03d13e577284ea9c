import pytest
from hyperframe.frame import Frame, GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame
from hyperframe.frame import WindowUpdateFrame as WindowFrame

from apns_core.http2 import frames
from apns_core.http2.errors import ErrorCode, RemoteProtocolError

EIGHT = b"8 octets"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (frames.settings(()), SettingsFrame(0)),
        (frames.settings(((2, 0), (4, 2**32 - 1))), SettingsFrame(0, {2: 0, 4: 2**32 - 1})),
        (frames.ping(EIGHT), PingFrame(0, EIGHT)),
        (frames.ping(EIGHT, frames.ACK), PingFrame(0, EIGHT, flags=["ACK"])),
        (frames.rst_stream(2**31 - 1, 8), RstStreamFrame(2**31 - 1, 8)),
        (frames.window_update(0, 1), WindowFrame(0, 1)),
        (frames.window_update(5, 2**31 - 1), WindowFrame(5, 2**31 - 1)),
        (frames.goaway(0, 11), GoAwayFrame(0, 0, 11)),
        (frames.goaway(2**31 - 1, 0), GoAwayFrame(0, 2**31 - 1, 0)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Frame) else "",
)
def test_frames_are_what_hyperframe_writes(ours: bytes, theirs: Frame) -> None:
    assert ours == theirs.serialize()


NONE, PAD, PRIO = 0, frames.PADDED, frames.PRIORITY_FIELDS
FRAME_SIZE = ErrorCode.FRAME_SIZE_ERROR
PROTOCOL = ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("kind", "flags", "payload", "expected"),
    [
        ("DATA", NONE, b"", b""),
        ("DATA", NONE, b"body", b"body"),
        ("DATA", PAD, b"\x00", b""),
        ("DATA", PAD, b"\x00body", b"body"),
        ("DATA", PAD, b"\x02body--", b"body"),
        ("DATA", PAD, b"\x04----", b""),
        ("DATA", PAD, b"", FRAME_SIZE),
        ("DATA", PAD, b"\x01", PROTOCOL),
        ("DATA", PAD, b"\x05----", PROTOCOL),
        ("DATA", PAD, b"\xff----", PROTOCOL),
        # The priority flag means nothing on DATA.
        ("DATA", PRIO, b"body", b"body"),
        ("HEADERS", NONE, b"", b""),
        ("HEADERS", PRIO, b"12345", b""),
        ("HEADERS", PRIO, b"12345block", b"block"),
        ("HEADERS", PRIO, b"1234", FRAME_SIZE),
        ("HEADERS", PRIO, b"", FRAME_SIZE),
        ("HEADERS", PAD | PRIO, b"\x0012345block", b"block"),
        ("HEADERS", PAD | PRIO, b"\x0312345block---", b"block"),
        ("HEADERS", PAD | PRIO, b"\x0312345---", b""),
        ("HEADERS", PAD | PRIO, b"\x0412345---", PROTOCOL),
        ("HEADERS", PAD | PRIO, b"\x001234", FRAME_SIZE),
        ("HEADERS", PAD | PRIO, b"\x00", FRAME_SIZE),
        ("HEADERS", PAD | PRIO, b"", FRAME_SIZE),
    ],
)
def test_unpadded(kind: str, flags: int, payload: bytes, expected: bytes | ErrorCode) -> None:
    # Between other octets, as frames lie in a chunk.
    chunk, start, end = b"\xfebefore" + payload + b"after", 7, 7 + len(payload)
    if isinstance(expected, ErrorCode):
        with pytest.raises(RemoteProtocolError) as caught:
            frames.unpadded(kind, flags, chunk, start, end)
        assert caught.value.code == expected
    else:
        first, last = frames.unpadded(kind, flags, chunk, start, end)
        assert chunk[first:last] == expected


def test_rules_are_numbered_like_the_types() -> None:
    assert [rule.name for rule in frames.FRAME_RULES] == [
        "DATA",
        "HEADERS",
        "PRIORITY",
        "RST_STREAM",
        "SETTINGS",
        "PUSH_PROMISE",
        "PING",
        "GOAWAY",
        "WINDOW_UPDATE",
        "CONTINUATION",
    ]
    for number, rule in enumerate(frames.FRAME_RULES):
        assert getattr(frames, rule.name) == number


@pytest.mark.parametrize("rule", frames.FRAME_RULES, ids=lambda rule: rule.name)
def test_c16_rules_name_place_and_length(rule: frames.FrameRule) -> None:
    for stream_id in (0, 1, 2**31 - 1):
        for length in (0, 3, 4, 5, 6, 7, 8, 9, 16_384):
            # What RFC 9113 §6.1 to §6.10 say, in the words of a second table.
            places = {
                "SETTINGS": "0",
                "PING": "0",
                "GOAWAY": "0",
                "WINDOW_UPDATE": "0n",
            }.get(rule.name, "n")
            lengths = {"PRIORITY": 5, "RST_STREAM": 4, "PING": 8, "WINDOW_UPDATE": 4}
            if ("n" if stream_id else "0") not in places:
                expected = PROTOCOL
            elif length != lengths.get(rule.name, length):
                expected = FRAME_SIZE
            else:
                rule.check(stream_id, length)
                continue
            with pytest.raises(RemoteProtocolError, match=rule.name) as caught:
                rule.check(stream_id, length)
            assert caught.value.code == expected
            assert caught.value.section == rule.section
