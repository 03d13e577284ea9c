"""The field block of a request to APNs: which fields the peer's HPACK table learns, and templates.

In steady state a block is *cached prefix + path + cached suffix*, followed by the fields that are
the request's own. The cached octets hold while the encoder's generation stands still.
"""

from collections.abc import Mapping
from typing import Final, final

from apns_core.endpoints import check_authority
from apns_core.http2.hpack_decoder import ENTRY_OVERHEAD, Field
from apns_core.http2.hpack_encoder import HpackEncoder, Indexing, literal_length, literal_string
from apns_core.requests.request import Request, RequestRoute

__all__ = ["FIELD_INDEXING", "FieldBlocks"]

FIELD_INDEXING: Final[Mapping[bytes, Indexing]] = {
    b":authority": Indexing.INCREMENTAL,
    # RFC 7541 §7.1 advises against indexing credentials where an attacker can add fields to the
    # same connection. Here every field is the sender's own, and Apple asks for it ("Establishing a
    # connection to APNs"): it saves some 240 octets a request.
    b"authorization": Indexing.ROTATING,
    b"apns-topic": Indexing.INCREMENTAL,
    b"apns-push-type": Indexing.INCREMENTAL,
    b"apns-priority": Indexing.INCREMENTAL,
    b"apns-channel-id": Indexing.INCREMENTAL,
    b"apns-id": Indexing.SEED,
    b"apns-expiration": Indexing.SEED,
    b"apns-collapse-id": Indexing.SEED,
    b"apns-request-id": Indexing.SEED,
}
"""`:path` has its name in the static table and a value that never repeats: it is not here."""

_MAX_TEMPLATES: Final = 256
"""Routes whose octets are kept. A caller that makes a route for each notification costs speed,
not memory."""

_LONGEST_REQUEST: Final = 2_048
"""Octets of a request's field list (RFC 9113 §10.5.1) beside authority and authorization, at most:
what the checks of `requests` let through stays well below."""


@final
class _Template:
    """What the blocks of one route have in common."""

    __slots__ = ("heads", "prefix", "suffix")

    def __init__(self, prefix: bytes, suffix: bytes) -> None:
        self.prefix = prefix
        """Up to and including the name of `:path`."""
        self.suffix = suffix
        """All that follows the path."""
        self.heads: dict[int, bytes] = {}
        """The prefix with the length of the path, by that length."""

    def add_head(self, length: int) -> bytes:
        """Return what precedes a path of that length, from now on without asking."""
        head = self.prefix + literal_length(length)
        self.heads[length] = head
        return head


@final
class FieldBlocks:
    """Makes the blocks of one connection, in the order in which they are sent.

    Raises InvalidField for an ``authority`` that is none.
    """

    __slots__ = (
        "_authorization",
        "_encoder",
        "_generation",
        "_heads",
        "_prefix_fields",
        "_templates",
        "largest_list",
    )

    def __init__(self, encoder: HpackEncoder, authority: bytes) -> None:
        self._encoder = encoder
        self._prefix_fields: tuple[Field, ...] = (
            (b":scheme", b"https"),
            (b":authority", check_authority(authority)),
        )
        self._authorization: tuple[Field, ...] = ()
        self._templates: dict[RequestRoute, _Template] = {}
        self._heads: dict[bytes, bytes] = {}
        self._generation = -1
        self.largest_list = _LONGEST_REQUEST + len(authority)
        """Octets that no field list exceeds: below a higher limit of the peer, none is counted."""

    def set_authorization(self, value: bytes | None) -> None:
        """Set the value of `authorization`; None leaves the field out (certificates)."""
        self._authorization = () if value is None else ((b"authorization", value),)
        self._forget()
        self.largest_list = _LONGEST_REQUEST + sum(
            len(field_value) for _, field_value in (*self._prefix_fields, *self._authorization)
        )

    def encode(self, request: Request) -> bytes:
        """Return the block of a request that is sent next."""
        encoder = self._encoder
        if encoder.generation != self._generation:
            self._forget()
        template = self._templates.get(request.route)
        if template is None:
            return self._encode_first(request)
        # Optimisation (benchmark: send): two joins instead of seven look-ups.
        path = request.path
        head = template.heads.get(len(path))
        if head is None:
            head = template.add_head(len(path))
        block = head + path + template.suffix
        if request.extra_fields:
            heads = self._heads
            for name, value in request.extra_fields:
                head = heads.get(name)
                if head is None:
                    return self._encode_first(request)
                block += head + literal_string(value)
        return block

    def list_size(self, request: Request) -> int:
        """Return the size of a request's field list, as RFC 9113 §10.5.1 counts it."""
        return sum(len(name) + len(value) + ENTRY_OVERHEAD for name, value in self._fields(request))

    def _encode_first(self, request: Request) -> bytes:
        """Encode field by field; where that has changed nothing, keep the octets for the next."""
        encoder = self._encoder
        generation = encoder.generation
        block = encoder.encode(self._fields(request))
        if encoder.generation == generation:
            route = request.route
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            self._templates[route] = _Template(
                encoder.encode(self._prefix(route)) + encoder.literal_head(b":path"),
                encoder.encode((*self._authorization, *route.fields)),
            )
            for name, _ in request.extra_fields:
                self._heads[name] = encoder.literal_head(name)
        return block

    def _fields(self, request: Request) -> tuple[Field, ...]:
        return (
            *self._prefix(request.route),
            (b":path", request.path),
            *self._authorization,
            *request.route.fields,
            *request.extra_fields,
        )

    def _prefix(self, route: RequestRoute) -> tuple[Field, ...]:
        return ((b":method", route.method), *self._prefix_fields)

    def _forget(self) -> None:
        self._templates.clear()
        self._heads.clear()
        self._generation = self._encoder.generation
