"""The one PING under way, and the cancelled streams that its answer shows to be closed.

A server may count a stream as open until it has read our RST_STREAM. The answer to a PING that was
sent after the reset proves that it has.
"""

from typing import final

__all__ = ["Pings"]


@final
class Pings:
    """One PING at a time; its length is the number of cancelled streams that are not proved closed.

    Ids, not streams: a cancelled stream belongs to its caller again.
    """

    __slots__ = ("_asked", "_number", "_outstanding", "_unasked")

    def __init__(self) -> None:
        self._number = 0
        self._outstanding = False
        self._unasked: set[int] = set()
        self._asked: set[int] = set()

    def __len__(self) -> int:
        return len(self._unasked) + len(self._asked)

    def cancelled(self, stream_id: int) -> None:
        """Note that a stream was reset; the next PING asks for it."""
        self._unasked.add(stream_id)

    def ask(self) -> bytes | None:
        """Return the payload of a PING to send; None while one is under way."""
        if self._outstanding:
            return None
        self._outstanding = True
        self._asked, self._unasked = self._unasked, self._asked
        self._number += 1
        return self._number.to_bytes(8)

    def answered(self, payload: bytes) -> bool:
        """Take an answer; return whether it is the one that is waited for."""
        if not self._outstanding or payload != self._number.to_bytes(8):
            return False
        self._outstanding = False
        self._asked.clear()
        return True

    @property
    def due(self) -> bool:
        """Whether streams wait for a PING to ask for them."""
        return bool(self._unasked)

    def closed(self, stream_id: int) -> None:
        """Note that the peer has closed a stream by itself, cancelled or not."""
        self._unasked.discard(stream_id)
        self._asked.discard(stream_id)

    def closed_above(self, last_stream_id: int) -> None:
        """Note that the peer counts no stream above this one."""
        for ids in (self._unasked, self._asked):
            ids.difference_update([i for i in ids if i > last_stream_id])

    def forget(self) -> None:
        """Let go of all: the connection has ended."""
        self._unasked.clear()
        self._asked.clear()
