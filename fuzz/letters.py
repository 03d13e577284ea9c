"""Notifications that fuzzed lives send, each unlike all others, and what a server must read of one.

What it must read is written down here from the choices that were made, not from what the engine has
made of them.
"""

from datetime import timedelta
from typing import Final, NamedTuple

from apns_core.requests.notification import Notification
from apns_core.requests.route import Route

__all__ = ["SIZES", "Letter"]

SIZES: Final = (2, 300, 4_096)
"""Octets of a payload."""

_ROUTES: Final = (Route("com.example.app"), Route("com.example.app.voip", "voip", priority=5))
_ROUTE_FIELDS: Final = (
    [(b"apns-topic", b"com.example.app"), (b"apns-push-type", b"alert"), (b"apns-priority", b"10")],
    [
        (b"apns-topic", b"com.example.app.voip"),
        (b"apns-push-type", b"voip"),
        (b"apns-priority", b"5"),
    ],
)
_NUMBERED: Final = b"".join(b"%05d" % number for number in range(1_000))
"""Octets of which no piece stands in two places."""


class Letter(NamedTuple):
    """One notification and what is to be read of it."""

    notification: Notification
    fields: list[tuple[bytes, bytes]]
    """Sorted; without `:authority` and `authorization`, which are not its own."""
    payload: bytes

    @classmethod
    def write(
        cls, number: int, size: int, *, expiration: int | timedelta | None, expires: int | None
    ) -> "Letter":
        """Write letter ``number``; ``expires`` is the UNIX time that ``expiration`` comes to."""
        device = f"{number:04x}" * 16
        payload = (number.to_bytes(2) + _NUMBERED)[:size]
        route = number % 3 == 1
        fields = [
            (b":method", b"POST"),
            (b":path", b"/3/device/" + device.encode()),
            (b":scheme", b"https"),
            *_ROUTE_FIELDS[route],
        ]
        collapse_id = apns_id = None
        if number % 4 == 2:
            collapse_id = f"letter-{number}"
            fields.append((b"apns-collapse-id", collapse_id.encode()))
        if number % 5 == 3:
            apns_id = f"00000000-0000-4000-8000-{number:012d}"
            fields.append((b"apns-id", apns_id.encode()))
        if expires is not None:
            fields.append((b"apns-expiration", b"%d" % expires))
        notification = Notification(
            _ROUTES[route],
            device,
            payload,
            expiration=expiration,
            collapse_id=collapse_id,
            apns_id=apns_id,
        )
        return cls(notification, sorted(fields), payload)
