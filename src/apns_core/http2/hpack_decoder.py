"""HPACK decoding (RFC 7541) with every limit enforced before memory is spent.

A decoder that has raised is out of step with its peer for good: its connection must end.
"""

from functools import lru_cache
from typing import Final, TypeAlias, final

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

from apns_core.http2.errors import ErrorCode, RemoteProtocolError

__all__ = [
    "ENTRY_OVERHEAD",
    "STATIC_TABLE",
    "Field",
    "HpackDecoder",
    "decode_huffman",
    "read_integer",
]

Field: TypeAlias = tuple[bytes, bytes]
"""A name and a value, as on the wire."""

STATIC_TABLE: Final[tuple[Field, ...]] = tuple(HeaderTable.STATIC_TABLE)
"""RFC 7541 Appendix A; index 1 is the first."""

ENTRY_OVERHEAD: Final = 32
"""RFC 7541 §4.1: what an entry costs beyond the octets of its name and value."""

_LATE: Final = 16_384
"""Octets of entries beyond the table's size that may wait to be dropped."""

_MAX_INTEGER_OCTETS: Final = 5
"""After the prefix. Five hold 2³²-1, more than any length or index that can be meant."""


@final
class HpackDecoder:
    """The decoding side of one connection.

    ``max_table_size`` is what our SETTINGS_HEADER_TABLE_SIZE says. ``max_list_size`` bounds the
    decoded fields of one block, by the count of RFC 9113 §10.5.1 (name + value + 32): checked
    field by field, so that a small block cannot unfold into a large list.
    """

    __slots__ = (
        "_entries",
        "_limit",
        "_max_list_size",
        "_size",
        "_table_size",
        "generation",
        "sizes",
        "update_due",
    )

    def __init__(self, *, max_table_size: int, max_list_size: int) -> None:
        # Newest last, so that insertion appends; dynamic index 62 is the last of the list. Some of
        # the oldest may be there no more by right: see `_evict`.
        self._entries: list[Field] = []
        self._size = 0
        self._table_size = max_table_size
        self._limit = max_table_size
        self._max_list_size = max_list_size
        self.update_due = False
        """Whether the next block must start with an update of the table's size."""
        self.sizes = 0
        """Changes with the table's size."""
        self.generation = 0
        """Changes whenever a dynamic index may mean something else."""

    @property
    def entries(self) -> tuple[Field, ...]:
        """The dynamic table, newest first, as RFC 7541 §2.3.2 numbers it."""
        self._evict(self._table_size)
        return tuple(reversed(self._entries))

    def set_limit(self, size: int) -> None:
        """Take over a table size of ours that the peer has acknowledged (RFC 7541 §4.2).

        Where it is below what the encoder uses, the next block must start with an update.
        """
        self._limit = size
        self.update_due = size < self._table_size

    def decode(self, block: bytes) -> list[Field]:
        """Return the fields of a whole field block, in order.

        Raises RemoteProtocolError: COMPRESSION_ERROR, or ENHANCE_YOUR_CALM for a list too long.
        """
        fields: list[Field] = []
        position = 0
        end = len(block)
        room = self._max_list_size
        while position < end:
            octet = block[position]
            if octet & 0x80:  # §6.1, an index
                if octet != 0xFF:
                    index = octet & 0x7F
                    position += 1
                else:
                    index, position = read_integer(block, position, 0x7F)
                field = self._lookup(index)
            elif octet & 0xE0 == 0x20:  # §6.3, a size update
                if fields:
                    raise _broken("a table size update after a field", "RFC 7541 §4.2")
                size, position = read_integer(block, position, 0x1F)
                self._resize(size)
                continue
            else:  # §6.2, a literal; indexed where bit 6 says so
                mask = 0x3F if octet & 0x40 else 0x0F
                index = octet & mask
                if index and index != mask:
                    position += 1
                else:
                    index, position = read_integer(block, position, mask)
                if index:
                    name = self._lookup(index)[0]
                else:
                    name, position = _string(block, position)
                value, position = _string(block, position)
                field = (name, value)
                if octet & 0x40:
                    self.insert([field], len(name) + len(value) + ENTRY_OVERHEAD)
            room -= len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
            if room < 0:
                raise RemoteProtocolError(
                    ErrorCode.ENHANCE_YOUR_CALM,
                    f"a field list of more than {self._max_list_size} octets",
                    "RFC 9113 §10.5.1",
                )
            fields.append(field)
        if self.update_due:
            # None came at the start, and none is taken after a field.
            raise _broken("no table size update after the limit fell", "RFC 7541 §4.2")
        return fields

    def insert(self, fields: list[Field], size: int) -> None:
        """Insert once more what a block has inserted; ``size`` is that of the entries (§4.1)."""
        self.generation += 1
        self._entries += fields
        self._size += size
        if self._size > self._table_size + _LATE:
            self._evict(self._table_size)

    def _lookup(self, index: int) -> Field:
        if 0 < index <= _STATIC_ENTRIES:
            return STATIC_TABLE[index - 1]
        self._evict(self._table_size)
        dynamic = index - _STATIC_ENTRIES
        if index == 0 or dynamic > len(self._entries):
            raise _broken(f"index {index} of {len(self._entries)} entries", "RFC 7541 §2.3.3")
        return self._entries[-dynamic]

    def _resize(self, size: int) -> None:
        if size > self._limit:
            raise _broken(f"a table size of {size}, limit {self._limit}", "RFC 7541 §6.3")
        self._evict(min(size, self._table_size))
        self._table_size = size
        self.update_due = False
        self.generation += 1
        self.sizes += 1

    def _evict(self, target: int) -> None:
        """Drop the oldest entries until what is left takes ``target`` octets at most.

        Optimisation (benchmark: send_many): not with each insertion but before it matters. Entries
        are dropped from one end alone, so the same are left. nginx inserts four fields with each
        response and never refers to one. Each step drops an entry: to insert one and refer to
        another, in turns, costs no more than the insertions.

        "It is not an error to attempt to add an entry that is larger than the maximum size; an
        attempt to add an entry larger than the maximum size causes the table to be emptied of all
        existing entries and results in an empty table" (§4.4): it is dropped like the others.
        """
        size = self._size
        if size <= target:  # as a rule
            return
        entries = self._entries
        dropped = 0
        while size > target:
            name, value = entries[dropped]
            size -= len(name) + len(value) + ENTRY_OVERHEAD
            dropped += 1
        del entries[:dropped]
        self._size = size


def read_integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    """Read an integer with a prefix of the bits of ``mask`` (RFC 7541 §5.1)."""
    try:
        value = block[position] & mask
        position += 1
        if value < mask:
            return value, position
        for shift in range(0, 7 * _MAX_INTEGER_OCTETS, 7):
            octet = block[position]
            position += 1
            value += (octet & 0x7F) << shift
            if octet < 0x80:
                if value > _MAX_INTEGER:
                    break
                return value, position
    except IndexError:
        raise _broken("a block that ends within an integer", "RFC 7541 §5.1") from None
    raise _broken("an integer above 2^32-1", "RFC 7541 §5.1")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    """Read a string literal (RFC 7541 §5.2); its length is believed only if the block holds it."""
    if position >= len(block):
        raise _broken("a block that ends before a string", "RFC 7541 §5.2")
    octet = block[position]
    coded = octet & 0x80
    if octet & 0x7F != 0x7F:
        length = octet & 0x7F
        position += 1
    else:
        length, position = read_integer(block, position, 0x7F)
    end = position + length
    if end > len(block):
        raise _broken(f"a string of {length} octets beyond its block", "RFC 7541 §5.2")
    octets = block[position:end]
    if not coded:
        return octets, end
    return (_decode_short if length <= _SHORT else decode_huffman)(octets), end


def decode_huffman(octets: bytes) -> bytes:
    """Decode a Huffman-coded string (RFC 7541 §5.2), one table step an octet.

    Raises RemoteProtocolError (COMPRESSION_ERROR) for wrong padding or an EOS inside.
    """
    symbols: list[bytes] = []
    node = 0
    for octet in octets:
        step = _STEPS.get(node << 8 | octet)
        if step is None:
            step = _step(node, octet)
        node, emitted = step
        symbols.append(emitted)
    if node not in _PADDING_NODES:
        raise _broken("Huffman padding that is not up to seven ones", "RFC 7541 §5.2")
    return b"".join(symbols)


def _step(node: int, octet: int) -> tuple[int, bytes]:
    """Walk eight bits down the tree from ``node``, and remember the way.

    Optimisation (benchmark: receive): a step is computed when it is first needed. Ordinary text
    needs a few hundred of the 65,536; computing all at import would cost every user 100 ms. A
    server that makes us need them all makes this process larger by 11 MB, once.
    """
    start, emitted = node, b""
    for shift in range(7, -1, -1):
        node = _TREE[node][octet >> shift & 1]
        if node < 0:
            symbol = -node - 1
            if symbol == _EOS:
                raise _broken("EOS within a Huffman string", "RFC 7541 §5.2")
            emitted += bytes((symbol,))
            node = 0
    _STEPS[start << 8 | octet] = node, emitted
    return node, emitted


def _broken(problem: str, section: str) -> RemoteProtocolError:
    return RemoteProtocolError(ErrorCode.COMPRESSION_ERROR, problem, section)


def _huffman_tree() -> list[list[int]]:
    """Build the code tree: a node is its two children; a negative child -s-1 is symbol s."""
    tree: list[list[int]] = [[0, 0]]
    for symbol, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)):
        node = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not tree[node][bit]:
                tree[node][bit] = len(tree)
                tree.append([0, 0])
            node = tree[node][bit]
        tree[node][code & 1] = -symbol - 1
    return tree


def _padding_nodes(tree: list[list[int]]) -> frozenset[int]:
    """Nodes where a string may end: at a symbol's end, or within at most seven ones (the EOS)."""
    node, nodes = 0, {0}
    for _ in range(7):
        node = tree[node][1]
        nodes.add(node)
    return frozenset(nodes)


_SHORT: Final = 24
"""Octets. A server's name, a media type or a date repeats; an apns-id takes 27 and does not."""

# Optimisation (benchmark: compare): nginx repeats four coded literals in every response.
_decode_short: Final = lru_cache(maxsize=256)(decode_huffman)

_STATIC_ENTRIES: Final = len(STATIC_TABLE)
_MAX_INTEGER: Final = 2**32 - 1
_EOS: Final = 256
_TREE: Final = _huffman_tree()
_PADDING_NODES: Final = _padding_nodes(_TREE)
_STEPS: Final[dict[int, tuple[int, bytes]]] = {}
