"""Push notifications to APNs from asyncio: sockets, TLS and timers around `apns_core.Sender`."""

from apns_asyncio.client import Client
from apns_core.trust.provider_token import TokenSigner

__all__ = ["Client", "TokenSigner"]
