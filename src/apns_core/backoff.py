"""When to connect again after a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from apns_core.errors import InvalidField

if TYPE_CHECKING:
    import random

__all__ = ["BASE", "CAP", "FACTOR", "JITTER", "Backoff"]

# gRPC's "Connection Backoff Protocol" has the same four values; Pushy doubles from 1 s to 60 s.

BASE: Final = 1.0
"""Seconds after the first failure: long enough for a restarting server to be back."""

FACTOR: Final = 1.6
"""Growth. With ±20 % of jitter every delay exceeds the one before (1.6 * 0.8 > 1.2)."""

JITTER: Final = 0.2
"""Share of a delay by which it varies either way, so that a fleet does not return as one."""

CAP: Final = 120.0
"""Longest delay in seconds. A recovered server is found within two minutes."""


@final
class Backoff:
    """Delays between attempts to reach one server: 1 s, growing by 1.6, at most 120 s, ±20 %.

    Call `failed` when an attempt failed or a connection ended before it was of use, and
    `succeeded` once a *response* was read. Not at SETTINGS: APNs sends them and only then refuses
    a bad certificate, and a backoff reset by them would hammer it once a second.

    Raises `InvalidField` for a delay, factor or jitter out of range.
    """

    __slots__ = ("_base", "_delay", "_factor", "_jitter", "_longest", "_rng")

    def __init__(
        self,
        rng: random.Random,
        *,
        base: float = BASE,
        factor: float = FACTOR,
        jitter: float = JITTER,
        cap: float = CAP,
    ) -> None:
        # Written so that NaN fails each of them.
        if not base > 0:
            raise InvalidField("base", "must be more than 0 seconds")
        if not factor >= 1:
            raise InvalidField("factor", "must be at least 1")
        if not 0 <= jitter < 1:
            raise InvalidField("jitter", "must be at least 0 and less than 1")
        if not base * (1 + jitter) <= cap:
            raise InvalidField("cap", "must be at least the longest first delay")
        self._rng = rng
        self._base = base
        self._factor = factor
        self._jitter = jitter
        # Jitter goes both ways from here and still stays under the cap. Cutting it off at the cap
        # would send half of a fleet back in the same instant.
        self._longest = cap / (1 + jitter)
        self._delay = base

    def failed(self, now: float) -> float:
        """Count one failure; the earliest moment of the next attempt, in seconds like ``now``."""
        delay = self._delay
        self._delay = min(delay * self._factor, self._longest)
        return now + delay * (1 + self._rng.uniform(-self._jitter, self._jitter))

    def succeeded(self) -> None:
        """Start again from the shortest delay: the server answered a request."""
        self._delay = self._base
