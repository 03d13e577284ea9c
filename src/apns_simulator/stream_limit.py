"""How many streams a client may have open now: the announced limit, and the first-token gate."""

from collections import deque
from typing import Final, final

from .config import SimulatorConfig

__all__ = ["StreamLimit"]

DROPPED: Final = 1
"""What APNs lowers the limit to after a rejection (openradar 27870881, jchambers/pushy#732)."""


@final
class StreamLimit:
    """Follows MAX_CONCURRENT_STREAMS from being announced to being acknowledged.

    A limit is enforced from its announcement on. It is a violation only for a client that knew it.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self._normal = config.max_concurrent_streams
        first = config.first_max_concurrent_streams
        self.announced = self._normal if first is None else first
        """What the last SETTINGS frame said."""

        self._gated = config.authentication == "token" and config.one_stream_until_accepted
        self._known: float = float("inf")  # RFC 9113 section 6.5.2: "Initially, there is no limit"
        self._on_the_way = deque[int]()

    def refuses(self, open_streams: int) -> bool:
        """Tell whether a stream that makes `open_streams` of them is one too many."""
        return open_streams > (min(1, self.announced) if self._gated else self.announced)

    def violation(self, open_streams: int) -> str | None:
        """Say what a client did wrong by having `open_streams` streams, if it knew better."""
        if self._gated and open_streams > 1:
            return f"{open_streams} streams open before a request was accepted"
        known = max(self._known, *self._on_the_way, 0)
        return f"{open_streams} streams open where {known} may be" if open_streams > known else None

    def change_after_acceptance(self) -> int | None:
        """Return the limit to announce after an acceptance, or ``None`` for no change."""
        return None if self.announced == self._normal else self._normal

    def change_after_rejection(self) -> int | None:
        """Return the limit to announce after a rejection, or ``None`` for no change."""
        return None if self.announced <= DROPPED else DROPPED

    def open_gate(self) -> None:
        """Note that an acceptance has left for the client."""
        self._gated = False

    def announce(self, limit: int) -> None:
        """Note that SETTINGS with `limit` were written."""
        self.announced = limit
        self._on_the_way.append(limit)

    def acknowledge(self) -> None:
        """Note that the client has acknowledged the oldest limit on the way."""
        self._known = self._on_the_way.popleft()
