"""Reads the little of DER that certificates need beyond what ``cryptography`` gives."""

from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["CONSTRUCTED", "SEQUENCE", "STRINGS", "Element", "elements"]

SEQUENCE: Final = 0x30
CONSTRUCTED: Final = 0x20
"""The bit of a tag that says that the contents are elements again."""

STRINGS: Final = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii"}
"""UTF8String, PrintableString, IA5String: tag → encoding."""


class Element(NamedTuple):
    """One element, with its head and without."""

    tag: int
    contents: bytes
    whole: bytes


def elements(data: bytes) -> Iterator[Element]:
    """Cut elements that follow one another apart (X.690 Section 8.1).

    Raises ValueError where they are cut short, or of a form that DER (Section 10.1) or certificates
    do not have.
    """
    at = 0
    while at < len(data):
        start = at
        if at + 2 > len(data):
            raise ValueError("an element without a length")
        tag, length = data[at], data[at + 1]
        at += 2
        if tag & 0x1F == 0x1F:
            raise ValueError("a tag of several octets")
        if length & 0x80:
            octets = length & 0x7F
            # None would be the indefinite form; more than four, 4 GiB.
            if not 1 <= octets <= 4:
                raise ValueError("a length of no use")
            length = int.from_bytes(data[at : at + octets], "big")
            # "encoded in the minimum number of octets" (Section 10.1).
            if length < 0x80 or not length >> 8 * (octets - 1):
                raise ValueError("a length of more octets than it takes, or cut short")
            at += octets
        if at + length > len(data):
            raise ValueError("an element that is cut short")
        yield Element(tag, data[at : at + length], data[start : at + length])
        at += length
