"""What floods come to, counted, and what a connection may put up with of them.

The bounds are written down here once more: those of the engine are what is checked.
"""

import gc
import sys
from collections import Counter
from types import FunctionType, ModuleType
from typing import Final, final

from apns_core.accounting import ConnectionState
from apns_core.connection import Connection
from apns_core.tickets import Ticket
from fuzz.frame_mutator import HEAD_SIZE

__all__ = ["Said", "check_floods", "closed_streams", "memory", "memory_allowed"]


@final
class Said:
    """What a server's octets come to, counted."""

    def __init__(self) -> None:
        self.frames = 0
        self._octets = 0
        self.useless = 0
        """Frames that are legal and bring nothing, whatever was before."""
        self.window_updates = 0
        self.continuations = 0
        """The most of one field block."""
        self.block_octets = 0
        """The most of one field block."""
        self.blocks: Counter[int] = Counter()
        """HEADERS of a stream."""
        self.of_streams: Counter[int] = Counter()
        """HEADERS and DATA."""
        self.empty: dict[int, int] = {}
        """The most DATA in a row, of a stream, that carry nothing and end nothing."""
        self._empty: Counter[int] = Counter()
        self._continuations = 0
        self._block_octets = 0

    @classmethod
    def all(cls, octets: bytes) -> "Said":
        """Count whole octets."""
        said = cls()
        position = 0
        end = len(octets)
        while end - position >= HEAD_SIZE:
            start = position
            position += HEAD_SIZE + int.from_bytes(octets[start : start + 3])
            if position <= end:
                said.count(octets[start : start + HEAD_SIZE + 1])
        return said

    def count(self, head: bytes) -> None:
        """Count one frame more; ``head`` has the first octet of its payload too, if any."""
        length, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
        stream_id = int.from_bytes(head[5:9]) & 0x7FFFFFFF
        self.frames += 1
        self._octets += HEAD_SIZE + length
        if kind == _CONTINUATION:
            self._continuations += 1
            self._block_octets += length
            self.continuations = max(self.continuations, self._continuations)
            self.block_octets = max(self.block_octets, self._block_octets)
        elif kind <= 1:
            self._continuations, self._block_octets = 0, length * kind
            self.of_streams[stream_id] += 1
            self.blocks[stream_id] += kind
            padded = flags & 8 and len(head) > HEAD_SIZE
            contents = length - 1 - head[HEAD_SIZE] if padded else length
            if contents > 0 or flags & 1 or kind:
                self._empty[stream_id] = 0
            else:
                self._empty[stream_id] += 1
                self.empty[stream_id] = max(self.empty.get(stream_id, 0), self._empty[stream_id])
        elif kind == _WINDOW_UPDATE:
            self.window_updates += 1
        elif kind in {2, 7} or kind > _CONTINUATION or (kind in {4, 6} and not flags & 1):
            self.useless += 1

    @property
    def seconds(self) -> float:
        """What reading it may take: some twenty times what it takes, for machines differ."""
        slower = 8 if "atheris" in sys.modules else 1
        return slower * (0.25 + 2e-5 * self.frames + 2e-6 * self._octets)


def closed_streams(connection: Connection[int]) -> set[int]:
    """Return the ids of the streams that have come and gone."""
    http = connection._http  # noqa: SLF001
    return set(range(1, http.next_stream_id, 2)) - set(http._streams)  # noqa: SLF001


def check_floods(connection: Connection[int], said: Said, closed_before: set[int]) -> None:
    """Hold a connection that is still there to what it may have put up with at one instant."""
    if connection.state is ConnectionState.CLOSED:
        return
    http = connection._http  # noqa: SLF001
    opened = http.next_stream_id // 2
    late = sum(said.of_streams[stream_id] for stream_id in closed_before)
    assert said.useless + late <= _MOST_USELESS + 4 * opened, "a flood"
    assert said.continuations <= 8, "a flood of CONTINUATION"
    data_frames = opened + http.outbox.held_back_frames
    assert said.window_updates <= 5 + 2 * (opened + 10 * data_frames), "a flood of WINDOW_UPDATE"
    # What is open now was open all the time.
    for stream_id in http._streams:  # noqa: SLF001
        assert said.empty.get(stream_id, 0) <= 10, "a flood of empty DATA"
        assert said.blocks[stream_id] <= 8 + 1, "a flood of informational responses"


def memory(connection: Connection[int]) -> int:
    """Octets of all that a connection refers to, with what it shares with others."""
    seen: set[int] = set()
    left: list[object] = [connection]
    octets = 0
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        octets += sys.getsizeof(one)
        left += gc.get_referents(one)
    return octets


def memory_allowed(tickets: list[Ticket[int]]) -> int:
    """Octets: five to one of a field, as HPACK counts it, and two to one of a body."""
    fields = sum(len(name) + len(value) + 32 for ticket in tickets for name, value in ticket.fields)
    return 250_000 + 5 * fields + 2 * sum(len(ticket.body) for ticket in tickets)


_WINDOW_UPDATE: Final = 8
_CONTINUATION: Final = 9
_MOST_USELESS: Final = 10_000
