"""When to connect again to a server that is of use at first, and of none soon after."""

from typing import TYPE_CHECKING, Final, final

from apns_core.backoff import BASE, Backoff

if TYPE_CHECKING:
    from random import Random

__all__ = ["SERVED_WELL", "Relapses"]

SERVED_WELL: Final = 10
"""Notifications that the server has judged on one connection. A server that fails three in ten has
that behind it when three in a row fail; one that is good for the first alone never has."""

_STOOD_LONG: Final = 60.0
"""Seconds that a connection stood: longer than it takes to notice that nothing is answered."""

_FORGOTTEN_AFTER: Final = 300.0
"""Seconds since the last: more than the longest pause, and the time it takes to notice another."""


@final
class Relapses:
    """Counts connections that were given up although the server had answered on them.

    Once is an accident, and another connection is made at once. But a server that answers the first
    request of each, and then resets all or answers none, would be connected to at the floor for
    good. Where a connection serves well, all is forgiven.
    """

    __slots__ = ("_backoff", "_noted_until", "any", "until")

    def __init__(self, rng: "Random") -> None:
        self._backoff = Backoff(rng)
        self._noted_until = _NEVER
        self.any = False
        """Whether there was one that is not forgiven."""
        self.until = _NEVER
        """No connection is made before; monotonic seconds."""

    def count(self, now: float, *, stood: float, judged: int) -> None:
        """Count one that stood for so many seconds and had so many notifications judged."""
        if now < self._noted_until:
            return  # Another connection has told of the same.
        if (
            stood >= _STOOD_LONG
            or judged >= SERVED_WELL
            or now - self._noted_until >= _FORGOTTEN_AFTER
        ):
            self.forgive()
        if self.any:
            self.until = self._noted_until = self._backoff.failed(now)
        else:
            self.any = True
            self._noted_until = now + BASE

    def forgive(self) -> None:
        """Start afresh: the server serves."""
        self._backoff.succeeded()
        self.any = False
        self.until = _NEVER


_NEVER: Final = float("-inf")
