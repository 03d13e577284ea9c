"""Turns the bytes of a fuzzer into decisions: small numbers, choices, octets, in the order read.

Whoever is out of bytes reads zeros, so that every input is a script and a longer one begins alike.
"""

from collections.abc import Sequence
from typing import TypeVar, final

__all__ = ["Decisions"]

T = TypeVar("T")


@final
class Decisions:
    """A cursor over the bytes of one input."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return max(0, len(self._data) - self._at)

    def byte(self) -> int:
        """Return a number from 0 to 255."""
        at = self._at
        self._at = at + 1
        return self._data[at] if at < len(self._data) else 0

    def number(self, octets: int) -> int:
        """Return an unsigned number of so many octets."""
        return int.from_bytes(self.octets(octets).ljust(octets, b"\x00"))

    def flag(self) -> bool:
        """Return True or False."""
        return bool(self.byte() & 1)

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of at most 256 choices."""
        return choices[self.byte() % len(choices)]

    def octets(self, length: int) -> bytes:
        """Return the next octets, fewer where there are no more."""
        octets = self._data[self._at : self._at + length]
        self._at += length
        return octets

    def some_octets(self) -> bytes:
        """Return up to 255 octets, as many as the first says."""
        return self.octets(self.byte())

    def text(self) -> str:
        """Return a text of up to 255 octets: any characters, unpaired surrogates as well."""
        return self.some_octets().decode("utf-8", "surrogateescape")

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.octets(self.left)
