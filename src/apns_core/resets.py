"""When a server resets so much that its connection is of no use any more."""

from collections import deque
from typing import Final, final

from apns_core.connection_config import ConnectionConfig

__all__ = ["Resets"]

_MAX_RESETS: Final = 100
_RESET_PERIOD: Final = 30.0
"""A server that resets a hundred requests unanswered within 30 s is not getting better: drain."""

_MAX_RESETS_IN_A_ROW: Final = 7
"""Nor is one that answers none in between for as long as makes a stall: more than one notification
is tried, and whatever befell the server has passed."""


@final
class Resets:
    """The requests of one connection that the server has reset."""

    def __init__(self, config: ConnectionConfig) -> None:
        self._stall_after = config.stall_after
        self._latest: deque[float] = deque(maxlen=_MAX_RESETS)
        self._in_a_row = 0
        self._row_began_at = 0.0
        self._answers_before_row = 0

    def are_too_many(self, now: float, answers: int) -> bool:
        """Count one more; return whether it is reason to give up.

        ``answers`` is how many requests have been answered by now: one ends a row.
        """
        latest = self._latest
        often = len(latest) == _MAX_RESETS and now - latest[0] < _RESET_PERIOD
        latest.append(now)
        if not self._in_a_row or answers != self._answers_before_row:
            self._in_a_row = 0
            self._row_began_at = now
            self._answers_before_row = answers
        self._in_a_row += 1
        return often or (
            self._in_a_row >= _MAX_RESETS_IN_A_ROW and now - self._row_began_at >= self._stall_after
        )
