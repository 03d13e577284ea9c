"""Words that a fuzzer would be long in finding, in libFuzzer's form: one ``"word"`` a line."""

from collections.abc import Iterator
from pathlib import Path

from apns_core.http2.hpack_decoder import STATIC_TABLE
from apns_core.reasons import Reason
from apns_core.requests.route import PushType
from fuzz.frame_mutator import frame

__all__ = ["write_dictionary"]


def write_dictionary(path: Path) -> None:
    """Write all words to a file for ``-dict``."""
    path.write_text("".join(f'"{_escaped(word)}"\n' for word in sorted(set(_words()))))


def _words() -> Iterator[bytes]:
    for kind in range(11):
        for flags in (0, 1, 4, 5):
            yield frame(kind, flags, 0)[3:]
            yield frame(kind, flags, 1)[3:]
    for identifier in range(1, 7):
        for number in (0, 1, 100, 16_384, 65_535, 2**31 - 1, 2**31, 2**32 - 1):
            yield identifier.to_bytes(2) + number.to_bytes(4)
    for name, value in STATIC_TABLE:
        yield name
        if value:
            yield value
    for reason in Reason:
        yield reason.encode()
        yield b'{"reason":"%b"}' % reason.encode()
    yield from (push_type.encode() for push_type in PushType)
    yield from _FIELDS
    yield from _TEXTS


def _escaped(word: bytes) -> str:
    return "".join(
        chr(octet) if 0x20 <= octet < 0x7F and octet not in b'"\\' else f"\\x{octet:02x}"
        for octet in word
    )


_FIELDS = (
    b"apns-id",
    b"apns-unique-id",
    b"apns-request-id",
    b"apns-channel-id",
    b"content-length",
    b"retry-after",
    b"transfer-encoding",
    b"connection",
)
_TEXTS = (
    b'"timestamp":1700000000000',
    b'{"channels":[',
    b'"message-storage-policy":',
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 407 ",
    b"\r\n\r\n",
    b"http://",
    b"socks5://",
    b"socks5h://",
    b"user:password@",
    b"[::1]:",
    b"%00",
    b"\\ud800",
    b"1e999",
    b"-Infinity",
    b"2026-01-31T12:00:00Z",
    b"-----BEGIN CERTIFICATE-----\n",
)
