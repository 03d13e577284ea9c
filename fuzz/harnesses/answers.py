"""What APNs says in words: GOAWAY debug data, bodies of rejections, answers about channels.

An input is an octet that chooses a status and a field, and then the body.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from apns_core.goaway import MAX_TEXT, parse_debug_data
from apns_core.reasons import MAX_REASON_TEXT, Disposition, Reason, disposition, parse_error_body
from apns_core.requests.channels import (
    Channel,
    ChannelList,
    ChannelRequest,
    CreateChannel,
    CreatedChannel,
    DeleteChannel,
    DeletedChannel,
    ListChannels,
    ReadChannel,
    StoragePolicy,
    Unreadable,
)

__all__ = ["MAX_LENGTH", "check", "seeds"]

MAX_LENGTH: Final = 5_000

_STATUSES: Final = (200, 201, 204, 400, 403, 410, 429, 500, 503, 599, 999, 100)
_CHANNEL_IDS: Final = (None, "dHN0LXNyY2gtY2hubA==", "", "not base64!", "A" * 256)
_REQUESTS: Final[tuple[ChannelRequest, ...]] = (
    CreateChannel("com.example.app", StoragePolicy.NO_STORAGE),
    ReadChannel("com.example.app", "dHN0LXNyY2gtY2hubA=="),
    DeleteChannel("com.example.app", "dHN0LXNyY2gtY2hubA=="),
    ListChannels("com.example.app"),
)
_RESULTS: Final = (Channel, ChannelList, CreatedChannel, DeletedChannel, Unreadable)


@dataclass(frozen=True)
class _Answer:
    status: int
    apns_request_id: str | None
    channel_id: str | None
    body: bytes


def check(data: bytes) -> None:
    """Read one body as everything that it could be."""
    choice, body = data[0] if data else 0, data[1:]
    status = _STATUSES[choice % len(_STATUSES)]
    said = parse_error_body(body)
    if said.reason is not None:
        assert isinstance(said.reason, Reason)
        assert said.reason_text
    if said.reason_text is not None:
        assert 0 < len(said.reason_text) <= MAX_REASON_TEXT
        said.reason_text.encode()
    if said.timestamp is not None:
        assert type(said.timestamp) is int
        assert 0 <= said.timestamp < 2**63
    assert isinstance(disposition(status, said.reason), Disposition)
    _check_debug_data(body)
    answer = _Answer(status, None, _CHANNEL_IDS[choice % len(_CHANNEL_IDS)], body)
    for request in _REQUESTS:
        result = request.result(answer)
        assert isinstance(result, _RESULTS)
        if isinstance(result, Unreadable):
            assert repr(result) == repr(replace(result, body=b"")), "it shows what was said"
        _check_channel_ids(result)


def _check_debug_data(debug: bytes) -> None:
    info = parse_debug_data(debug)
    assert info.reason is None or info.text
    if info.text is not None:
        assert 0 < len(info.text) <= MAX_TEXT
        assert info.text.isprintable()
        info.text.encode()


def _check_channel_ids(result: object) -> None:
    """What is read as a channel id can be sent back."""
    ids: tuple[str, ...] = ()
    if isinstance(result, ChannelList):
        ids = result.channel_ids
    elif isinstance(result, CreatedChannel):
        ids = (result.channel_id,)
    for channel_id in ids:
        ReadChannel("com.example.app", channel_id)


def seeds() -> Iterator[bytes]:
    """Yield Apple's bodies, and JSON of every other shape."""
    documents: list[object] = [{"reason": reason.value} for reason in Reason]
    documents += [
        {"reason": "Unregistered", "timestamp": 1_700_000_000_000},
        {"reason": "\ud800", "timestamp": True},
        {"reason": None, "timestamp": -1},
        {"reason": "", "timestamp": 2**63},
        {"channels": ["dHN0LXNyY2gtY2hubA==", "AAAA"]},
        {"channels": [1, None]},
        {"message-storage-policy": 1, "push-type": "LiveActivity"},
        {"messageStoragePolicy": "0", "pushType": "liveactivity"},
        [],
        "reason",
        1e300,
    ]
    for number, document in enumerate(documents):
        yield bytes((number % 256,)) + json.dumps(document).encode()
    yield b"\x00" + b"[" * 4_096
    yield b"\x00" + b"9" * 4_900
    yield b'\x05{"reason":' + b'"x' + b"y" * 4_000
    yield b"\x00Stream 5 does not exist\r\n\x1b[2J\xff"
    yield b"\x00<html><body>502 Bad Gateway</body></html>"
