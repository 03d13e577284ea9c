"""The channels of each app: what creating, reading, deleting and listing them works on."""

from collections.abc import Mapping
from typing import Final, final

__all__ = ["NO_STORAGE", "STORAGE_POLICIES", "Channels"]

NO_STORAGE: Final = 0
STORAGE_POLICIES: Final = frozenset({NO_STORAGE, 1})
"""``message-storage-policy``: nothing, or the most recent message."""


@final
class Channels:
    """Storage policies by bundle id and channel id."""

    def __init__(self, channels: Mapping[str, Mapping[str, int]], *, limit: int) -> None:
        self._by_app = {bundle_id: dict(own) for bundle_id, own in channels.items()}
        self._limit = limit

    def create(self, bundle_id: str, channel_id: str, policy: int) -> bool:
        """Enter a channel; return whether the app may have one more."""
        own = self._by_app.setdefault(bundle_id, {})
        if len(own) >= self._limit:
            return False
        own[channel_id] = policy
        return True

    def policy(self, bundle_id: str, channel_id: str) -> int | None:
        """Return the storage policy of a channel; ``None`` if the app has none of that id."""
        return self._by_app.get(bundle_id, {}).get(channel_id)

    def delete(self, bundle_id: str, channel_id: str) -> None:
        """Delete a channel of the app."""
        del self._by_app[bundle_id][channel_id]

    def ids(self, bundle_id: str) -> list[str]:
        """Return the ids of the app's channels, the oldest first."""
        return list(self._by_app.get(bundle_id, {}))
