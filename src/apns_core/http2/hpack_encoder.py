"""HPACK encoding (RFC 7541) by a policy, field by field, that never lets the table thrash.

An encoder decides what to insert. Most insert all they see, so that values which never come again
push out those which always do. Here a table says what each field deserves, and what is in use is
never pushed out to make room:

- ``INCREMENTAL``: the value repeats. Inserted while there is room, then one octet a request.
- ``ROTATING``: like it, but one value is in use for a long time, then another, and it is worth all
  others: it gets its room, and starts a new era of the table. For one name of a policy at most.
- ``SEED``: only the name repeats. Inserted once, with its first value, for the sake of the name,
  and only into the first three quarters of the table: with a small one, seeds are given up first.
- ``WITHOUT``: neither repeats, or the name is in the static table. Never inserted.

An *era* lasts from one ROTATING value, or one table size, to the next. Only what was inserted in it
is referred to and counts as room taken; the rest lies at the old end of the table and drops out as
the new comes in. So what no longer repeats is forgotten in time, and every era settles once each
value was seen: what fits is indexed, the rest is sent as literals.

All literals are raw. Huffman coding of a device's path would save 21 octets for 14 µs of CPU.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Final, final

from apns_core.http2.hpack_decoder import ENTRY_OVERHEAD, STATIC_TABLE, Field
from apns_core.http2.settings import DEFAULT_HEADER_TABLE_SIZE

__all__ = ["HpackEncoder", "Indexing", "literal_length", "literal_string"]

_MAX_TABLE_SIZE: Final = DEFAULT_HEADER_TABLE_SIZE
"""A peer may offer 2³²-1 octets. What we send repeats well within 4 KiB, and memory is ours."""

_SEED_SHARE: Final = (3, 4)
"""Seeds fill at most 3/4 of the table; a name saves a tenth of what a value saves."""


@final
class Indexing(Enum):
    """What the encoder does with a field; see the module's first lines."""

    INCREMENTAL = auto()
    ROTATING = auto()
    SEED = auto()
    WITHOUT = auto()


@final
class HpackEncoder:
    """The encoding side of one connection."""

    __slots__ = (
        "_by_field",
        "_by_name",
        "_entries",
        "_inserted",
        "_policy",
        "_size",
        "_size_in_use",
        "_smallest_update",
        "_table_size",
        "generation",
    )

    def __init__(self, policy: Mapping[bytes, Indexing]) -> None:
        """``policy`` names each field that repeats; a field outside it is WITHOUT."""
        self._policy = policy
        self._entries: deque[Field] = deque()  # oldest first
        self._size = 0
        # What this era has inserted: the number of insertions before it, which gives its index.
        self._by_field: dict[Field, int] = {}
        self._by_name: dict[bytes, int] = {}
        self._size_in_use = 0
        self._inserted = 0
        self._table_size = DEFAULT_HEADER_TABLE_SIZE
        self._smallest_update: int | None = None
        self.generation = 0
        """Changes whenever an index may mean something else, or a size update is due.

        Bytes of a block encoded before may be sent again only while it stands still.
        """

    @property
    def table_size(self) -> int:
        """The size of the dynamic table in use, in octets (RFC 7541 §4.1)."""
        return self._table_size

    @property
    def entries(self) -> tuple[Field, ...]:
        """The dynamic table, newest first, as RFC 7541 §2.3.2 numbers it."""
        return tuple(reversed(self._entries))

    def set_peer_limit(self, size: int) -> None:
        """Take over the peer's SETTINGS_HEADER_TABLE_SIZE; the next block announces our choice."""
        size = min(size, _MAX_TABLE_SIZE)
        if size == self._table_size:
            return
        # "In the case that this size is changed more than once in this interval, the smallest
        # maximum table size that occurs in that interval MUST be signaled in a dynamic table size
        # update" (§4.2).
        if self._smallest_update is None or size < self._smallest_update:
            self._smallest_update = size
        self._table_size = size
        self._evict(size)
        self._start_era()
        self.generation += 1

    def encode(self, fields: Iterable[Field]) -> bytes:
        """Return the block of a whole request. Every call must be sent, in the order of calls.

        Only one that leaves `generation` as it was may be kept back: it has changed nothing.
        """
        parts: list[bytes] = []
        if self._smallest_update is not None:
            if self._smallest_update < self._table_size:
                parts.append(_integer(self._smallest_update, 0x20, 0x1F))
            parts.append(_integer(self._table_size, 0x20, 0x1F))
            self._smallest_update = None
        parts.extend(self._field(field) for field in fields)
        return b"".join(parts)

    def literal_head(self, name: bytes) -> bytes:
        """Return what precedes the value of a literal without indexing, in this generation."""
        return self._name(name, 0x00, 0x0F)

    def _field(self, field: Field) -> bytes:
        name, value = field
        index = _STATIC_FIELDS.get(field)
        if index is not None:
            return _integer(index, 0x80, 0x7F)
        indexing = self._policy.get(name, Indexing.WITHOUT)
        number = self._by_field.get(field)
        if number is not None and indexing is not Indexing.SEED:
            return _integer(self._index(number), 0x80, 0x7F)
        if self._make_room(name, value, indexing):
            # The name is written before the entry is inserted: it may refer to what goes.
            head = self._name(name, 0x40, 0x3F)
            self._insert(field)
        else:
            head = self._name(name, 0x00, 0x0F)
        return head + literal_string(value)

    def _make_room(self, name: bytes, value: bytes, indexing: Indexing) -> bool:
        """Decide whether a field is inserted; where it ends an era, start the next."""
        if indexing is Indexing.WITHOUT:
            return False
        limit = self._table_size
        if indexing is Indexing.SEED:
            if name in self._by_name:
                return False
            limit = limit * _SEED_SHARE[0] // _SEED_SHARE[1]
        size = len(name) + len(value) + ENTRY_OVERHEAD
        fits = self._size_in_use + size <= limit
        if indexing is Indexing.ROTATING and size <= limit and (not fits or name in self._by_name):
            self._start_era()
            return True
        return fits

    def _name(self, name: bytes, pattern: int, mask: int) -> bytes:
        """Write a literal's first octets with the name by index where one is known (§6.2)."""
        index = _STATIC_NAMES.get(name)
        if index is None:
            number = self._by_name.get(name)
            if number is None:
                return bytes((pattern,)) + literal_string(name)
            index = self._index(number)
        return _integer(index, pattern, mask)

    def _index(self, number: int) -> int:
        return len(STATIC_TABLE) + self._inserted - number

    def _insert(self, field: Field) -> None:
        size = len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
        self._evict(self._table_size - size)
        self._entries.append(field)
        self._size += size
        self._size_in_use += size
        self._by_field[field] = self._by_name[field[0]] = self._inserted
        self._inserted += 1
        self.generation += 1

    def _start_era(self) -> None:
        self._by_field.clear()
        self._by_name.clear()
        self._size_in_use = 0

    def _evict(self, target: int) -> None:
        """Drop the oldest entries as the peer does (§4.3, §4.4): all of them of former eras."""
        while self._size > target:
            name, value = self._entries.popleft()
            self._size -= len(name) + len(value) + ENTRY_OVERHEAD


def literal_string(octets: bytes) -> bytes:
    """Write a raw string literal (RFC 7541 §5.2): its length, then its octets."""
    return literal_length(len(octets)) + octets


def literal_length(length: int) -> bytes:
    """Write what precedes the octets of a raw string literal."""
    return _LENGTHS[length] if length < 0x7F else _integer(length, 0x00, 0x7F)


def _integer(value: int, pattern: int, mask: int) -> bytes:
    """Write an integer whose prefix has the bits of ``mask``, under ``pattern`` (§5.1)."""
    if value < mask:
        return bytes((pattern | value,))
    octets = bytearray((pattern | mask,))
    value -= mask
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


_LENGTHS: Final = tuple(bytes((length,)) for length in range(0x7F))
# The lowest index of a field and of a name: `setdefault` in rising order keeps it.
_STATIC_FIELDS: Final[dict[Field, int]] = {}
_STATIC_NAMES: Final[dict[bytes, int]] = {}
for _index, _static in enumerate(STATIC_TABLE, start=1):
    if _static[1]:
        _STATIC_FIELDS.setdefault(_static, _index)
    _STATIC_NAMES.setdefault(_static[0], _index)
