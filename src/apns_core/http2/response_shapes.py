"""Responses that look alike are recognised, not decoded again.

A server answers what it accepts with one and the same field block, but for one value at most, such
as an id. So each block is compared, octet by octet, with the last of its size that was decoded and
checked in full. HPACK is read from left to right: where all octets are the same but those of one
string, whose length is among the same, the fields are the same but for that one's value, and so is
what the block inserts into the table. Only what it takes from the table may have changed.

Optimisation (benchmark: receive): two comparisons in place of some forty steps.
"""

from typing import Final, final

from apns_core.http2.hpack_decoder import (
    ENTRY_OVERHEAD,
    STATIC_TABLE,
    HpackDecoder,
    read_integer,
)
from apns_core.http2.stream import Stream

__all__ = ["ResponseShapes"]

_VARYING: Final = 32
"""Octets. A raw string of that length or more is the one that varies: an id takes 36. Names,
lengths, media types and dates repeat, for a second at least."""

_MAX_SHAPES: Final = 32
"""A server whose answers have more sizes costs speed, not memory."""


@final
class ResponseShapes:
    """The shapes of one connection's final responses."""

    __slots__ = ("_by_key", "_decoder")

    def __init__(self, decoder: HpackDecoder) -> None:
        self._decoder = decoder
        # By size and first octet, which is the status mostly. None is a shape of no use.
        self._by_key: dict[int, _Shape | None] = {}

    def take(self, stream: Stream, data: bytes, start: int, end: int) -> bool:
        """Take the block of a final response of ``stream``, if its shape is known.

        Else nothing has happened: decode it, check it, and `learn` it.
        """
        shape = self._by_key.get(end - start << 8 | data[start]) if start < end else None
        decoder = self._decoder
        if (
            shape is None
            or data[start : start + shape.value_at] != shape.head
            or decoder.update_due
            or (shape.takes and shape.generation != decoder.generation)
        ):
            return False
        fields = shape.fields
        if shape.index:
            value = data[start + shape.value_at : start + shape.value_end]
            # Visible ASCII is legal (RFC 9113 §8.2.1); what else may be is for others to say.
            if value.translate(None, _VISIBLE) or (
                shape.tail and data[start + shape.value_end : end] != shape.tail
            ):
                return False
            fields = fields.copy()
            fields[shape.index] = (shape.name, value)
        stream.fields = fields
        stream.status = shape.status
        stream.expected_length = shape.expected_length
        if shape.inserted_size:
            decoder.insert([fields[index] for index in shape.inserted], shape.inserted_size)
        return True

    def learn(self, stream: Stream, block: bytes, generation: int, sizes: int) -> None:
        """Note the block of the final response that ``stream`` has just got.

        ``generation`` and ``sizes`` are the decoder's from before. A block that changes the table's
        size means something else the next time.
        """
        shapes = self._by_key
        key = len(block) << 8 | block[0]
        if sizes != self._decoder.sizes or (key in shapes and shapes[key] is None):
            return
        if len(shapes) >= _MAX_SHAPES:
            shapes.clear()
        shape = _Shape(stream, block, generation)
        shapes[key] = shape if shape.useful else None


@final
class _Shape:
    """What blocks have in common, and the response that they make."""

    __slots__ = (
        "_varying",
        "expected_length",
        "fields",
        "generation",
        "head",
        "index",
        "inserted",
        "inserted_size",
        "name",
        "status",
        "tail",
        "takes",
        "value_at",
        "value_end",
    )

    def __init__(self, stream: Stream, block: bytes, generation: int) -> None:
        self.status = stream.status
        self.expected_length = stream.expected_length
        self.fields = stream.fields
        self.index = 0
        """Which field has the value that varies; 0, the status, for none."""
        self.value_at = self.value_end = len(block)
        self._varying = 0
        self.inserted: list[int] = []
        """Which fields the table gets."""
        self.takes = False
        """Whether the block takes something from the table, and of which generation."""
        self.generation = generation
        self._read(block)
        self.inserted_size = sum(
            len(name) + len(value) + ENTRY_OVERHEAD
            for name, value in map(self.fields.__getitem__, self.inserted)
        )
        self.name = self.fields[self.index][0]
        self.head = block[: self.value_at]
        self.tail = block[self.value_end :]

    @property
    def useful(self) -> bool:
        """Whether a block that comes later can have this shape."""
        # What inserts something makes what it takes mean something else. Of two values that vary
        # only one is looked for.
        return self._varying < 2 and not (self.takes and self.inserted)

    def _read(self, block: bytes) -> None:
        """Walk through a block that was decoded, so that it is known to be in order."""
        position = 0
        for index in range(len(self.fields)):
            octet = block[position]
            indexed = octet & 0x80  # RFC 7541 §6.1
            inserted = not indexed and octet & 0x40  # §6.2.1
            mask = 0x7F if indexed else 0x3F if inserted else 0x0F
            table_index, position = read_integer(block, position, mask)
            if table_index > len(STATIC_TABLE):
                self.takes = True
            if indexed:
                continue
            if not table_index:
                length, position = read_integer(block, position, 0x7F)
                position += length
            coded = block[position] & 0x80
            length, position = read_integer(block, position, 0x7F)
            if length >= _VARYING and not coded:
                self._varying += 1
                self.index, self.value_at, self.value_end = index, position, position + length
            position += length
            if inserted:
                self.inserted.append(index)


_VISIBLE: Final = bytes(range(0x21, 0x7F))
