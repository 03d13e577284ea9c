"""Push notifications to APNs from trio: sockets, TLS and timers around `apns_core.Sender`."""

from apns_trio.client import Client

__all__ = ["Client"]
