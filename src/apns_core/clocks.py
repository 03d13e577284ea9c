"""What a connection waits for, since when, and for how long: SETTINGS, answers, PINGs, draining."""

from typing import Final, final

from apns_core.connection_config import ConnectionConfig

__all__ = ["Clocks"]


@final
class Clocks:
    """The instants that one connection has to keep, in monotonic seconds.

    Its first methods tell it what happened. The next say what is overdue, and `instants` when
    something may be. It sends nothing and ends nothing.
    """

    def __init__(
        self, config: ConnectionConfig, *, now: float, settings_by: float | None = None
    ) -> None:
        self._config = config
        self.acknowledge_by = now + config.settings_timeout
        """When the server must have acknowledged our SETTINGS."""
        self.settings_by = self.acknowledge_by
        """When its own must have come."""
        if settings_by is not None:
            self.settings_by = min(settings_by, self.acknowledge_by)
        self.drain_by: float | None = None
        """When draining is over, whatever is still in flight."""
        self.progress_at = now
        """When a request was last begun after a pause, or answered."""
        self.waited = 0.0
        """Seconds without a response that streams since abandoned have taken."""
        self._abandoned_at = now
        self._abandoned_in_a_row = 0
        self._last_read = now
        self._asked_at: float | None = None

    # ── what happened ──

    def heard(self, now: float) -> None:
        """Note that something was read, be it what it may: a sign of life."""
        self._last_read = now
        self._asked_at = None

    def asked(self, now: float) -> None:
        """Note that a PING asks for a sign of life; one that has asked before goes on counting."""
        if self._asked_at is None:
            self._asked_at = now

    def begun(self, now: float) -> None:
        """Note that a request was sent where none was in flight."""
        # One that was given up says little of a server after longer than it may take to answer;
        # several, one after the other, say that it answers none.
        is_long_ago = now - self._abandoned_at > self._config.stall_after
        if is_long_ago and self._abandoned_in_a_row < _MANY:
            self.progress_at = now
        else:
            self.progress_at = now - self.waited

    def abandoned(self, now: float) -> None:
        """Note that a stream was given up, with a reset that takes a PING along.

        A caller that gives up sooner than these clocks, time and again, would otherwise keep a dead
        or mute connection for good.
        """
        self.asked(now)
        # An answer sets what was waited to 0.
        self._abandoned_in_a_row = self._abandoned_in_a_row + 1 if self.waited else 1
        self.waited = now - self.progress_at
        self._abandoned_at = now

    def draining(self, now: float) -> None:
        """Note that no more streams are opened."""
        self.drain_by = now + self._config.drain_timeout

    # ── what is overdue ──

    def unsettled(self, now: float) -> bool:
        """Whether the server's SETTINGS should have come."""
        return now >= self.settings_by

    def unacknowledged(self, now: float) -> bool:
        """Whether it should have acknowledged ours."""
        return now >= self.acknowledge_by

    def drained(self, now: float) -> bool:
        """Whether what is in flight was waited for long enough."""
        return self.drain_by is not None and now >= self.drain_by

    def dead(self, now: float) -> bool:
        """Whether a PING was followed by nothing at all."""
        return self._asked_at is not None and now >= self._asked_at + self._config.ping_timeout

    def stalled(self, now: float) -> bool:
        """Whether requests in flight have gone unanswered for too long."""
        return now >= self.progress_at + self._config.stall_after

    def silent(self, now: float, *, in_flight: int) -> bool:
        """Whether it is time to ask for a sign of life."""
        if self._asked_at is not None:
            return False
        at = self._silent_at(in_flight)
        return at is not None and now >= at

    def instants(
        self, *, awaits_settings: bool, in_flight: int, acknowledged: bool, stalled: bool
    ) -> list[float]:
        """Return when one of these comes to be so, each once; none for what is known already."""
        instants: list[float] = []
        if awaits_settings:
            instants.append(self.settings_by)
        if self.drain_by is not None:
            instants.append(self.drain_by)
        if self._asked_at is not None:
            instants.append(self._asked_at + self._config.ping_timeout)
        else:
            silent_at = self._silent_at(in_flight)
            if silent_at is not None:
                instants.append(silent_at)
        if in_flight:
            if not stalled:
                instants.append(self.progress_at + self._config.stall_after)
            if not acknowledged:
                instants.append(self.acknowledge_by)
        return instants

    def _silent_at(self, in_flight: int) -> float | None:
        if in_flight:
            return max(self._last_read, self.progress_at) + self._config.ping_after
        idle = self._config.idle_ping_after
        return None if idle is None else self._last_read + idle


_MANY: Final = 3
"""Streams given up in a row: then it is not chance that none of them was answered."""
