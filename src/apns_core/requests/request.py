"""What the engine needs to know of anything that it sends."""

from typing import Final, Protocol

from apns_core.requests.route import Field

__all__ = ["ONLY_OK", "SHORT_ANSWER", "Request", "RequestRoute"]

SHORT_ANSWER: Final = 16_384
"""Octets; Apple's reasons take some 70, with a timestamp."""


ONLY_OK: Final[frozenset[int]] = frozenset()


class RequestRoute(Protocol):
    """What requests have in common. Compared by identity: the key of cached field blocks."""

    @property
    def method(self) -> bytes:
        """`:method`."""
        ...

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields that repeat, in the order of the wire, without pseudo-header fields."""
        ...

    @property
    def certificate_only(self) -> bool:
        """Whether it leaves the topic to a certificate: with a provider token it is no request."""
        ...


class Request(Protocol):
    """One request, checked when it was made: the engine sends it as it is."""

    @property
    def route(self) -> RequestRoute:
        """What it shares with others."""
        ...

    @property
    def path(self) -> bytes:
        """`:path`."""
        ...

    @property
    def extra_fields(self) -> tuple[Field, ...]:
        """The fields that are its own; mostly none."""
        ...

    @property
    def payload(self) -> bytes:
        """The body; empty where the method has none."""
        ...

    @property
    def successes(self) -> frozenset[int]:
        """The statuses that say it was done, beside 200."""
        ...

    @property
    def answer_limit(self) -> int:
        """Octets of the answer's body that are worth keeping."""
        ...

    @property
    def expiration(self) -> int | None:
        """UNIX seconds after which it is of no use; 0 for one attempt; None for no statement."""
        ...

    @property
    def lifetime(self) -> int | None:
        """Seconds from its submission to its expiration, where that is how it was given."""
        ...

    def submitted_at(self, unix_time: float) -> "Request":
        """Return what is sent in its place: the same, its lifetime turned into an expiration."""
        ...
