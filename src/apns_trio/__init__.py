"""Push notifications to APNs from trio: sockets, TLS and timers around `apns_core.Sender`."""

from apns_core.trust.provider_token import TokenSigner
from apns_trio.client import Client

__all__ = ["Client", "TokenSigner"]
