"""How long a connection may wait for a server that says nothing, by the times of its configuration.

Kept apart from the clocks of the engine: what is asked of those, when they are due, proves nothing
where they have been forgotten.
"""

from typing import Any, Final, final

from apns_core.accounting import ConnectionState
from apns_core.connection import Connection
from apns_core.connection_config import ConnectionConfig
from fuzz.frame_mutator import frame
from fuzz.scripted_server import ScriptedServer

__all__ = ["Patience"]

_ROUNDING: Final = 1e-6
_PING_HEAD: Final = frame(6, 0, 0, bytes(8))[:9]


@final
class Patience:
    """The times of one connection and its server."""

    def __init__(self, config: ConnectionConfig, now: float) -> None:
        self._config = config
        self._begun = now
        self._quiet_since = now
        """When octets were last read, or a request begun."""
        self._draining_since: float | None = None

    def stir(self, now: float) -> None:
        """Note that octets were read, or a request begun."""
        self._quiet_since = now

    def look(self, connection: Connection[Any], now: float) -> None:
        """Note whether it drains; to be called wherever it may have begun."""
        if self._draining_since is None and connection.state is ConnectionState.DRAINING:
            self._draining_since = now

    def check(self, connection: Connection[Any], server: ScriptedServer, now: float) -> None:
        """Hold a connection to its times, with all done that was due."""
        if connection.state is ConnectionState.CLOSED:
            return
        config = self._config
        now -= _ROUNDING
        if not (server.greeted or server.hostile):
            assert now < self._begun + config.settings_timeout, "no SETTINGS, and no end"
        if self._draining_since is not None:
            assert now < self._draining_since + config.drain_timeout, "it drains for ever"
        if connection.in_flight:
            quiet = now - self._quiet_since
            assert quiet < config.ping_after + config.ping_timeout, "dead, and not given up"
            # One that is under way, as far as the client knows, is not followed by another.
            if quiet >= config.ping_after and not server.hostile:
                unsent = b"".join(connection._http.outbox._frames)  # noqa: SLF001
                assert server.pings or _PING_HEAD in unsent, "silence, and no PING"
            assert quiet < config.stall_after or self._draining_since is not None, "stalled"
