"""Hosts and ports of APNs."""

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import Final, cast, final

from apns_core.errors import InvalidField

__all__ = [
    "ALTERNATIVE_PORT",
    "BROADCAST_DEVELOPMENT",
    "BROADCAST_PRODUCTION",
    "CHANNELS_DEVELOPMENT",
    "CHANNELS_PRODUCTION",
    "DEVELOPMENT",
    "PRODUCTION",
    "Endpoint",
    "check_authority",
]


@final
@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server: a host to resolve, connect to and verify the certificate of, and a port.

    The host is a DNS name in ASCII (write an international one as ``xn--…``), an IPv4 address or
    an IPv6 address without brackets. Raises `InvalidField` for anything else.
    """

    host: str
    port: int = 443

    def __post_init__(self) -> None:
        host = cast("object", self.host)
        if isinstance(host, str) and type(host) is not str:
            # What a subclass says where it is formatted, as a member of an Enum, may be another.
            host = str.__str__(host)
            object.__setattr__(self, "host", host)
        if not isinstance(host, str) or not (_DNS_NAME.fullmatch(host) or _is_ipv6(host)):
            raise InvalidField(
                "host", "must be a host name or an address, without scheme, port or brackets"
            )
        port = cast("object", self.port)
        if type(port) is not int or not 1 <= port <= 65_535:
            raise InvalidField("port", "must be from 1 to 65535")

    @property
    def authority(self) -> bytes:
        """The value of ``:authority``: the host, and the port unless it is the one of https."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == 443 else f"{host}:{self.port}").encode("ascii")

    def on_port(self, port: int) -> "Endpoint":
        """Return the same host on another port, such as `ALTERNATIVE_PORT`."""
        return replace(self, port=port)


# RFC 1123 Section 2.1, and the underscore that private networks use; at most 253 characters in
# labels of at most 63. No trailing dot: the host is also the name that the certificate must bear.
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DNS_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


def _is_ipv6(host: str) -> bool:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return address.scope_id is None  # a zone means nothing to the other side (RFC 9110 4.2.2)


def check_authority(value: object) -> bytes:
    """Return ``value`` if it may be an ``:authority``: a host, and perhaps a colon and a port.

    RFC 3986 Section 3.2 without user information, which RFC 9113 Section 8.3.1 forbids. Such octets
    end no field and begin no other. Raises `InvalidField`.
    """
    if isinstance(value, bytes):
        exact = bytes.__getitem__(value, slice(None))  # of a subclass too
        if _AUTHORITY.fullmatch(exact):
            return exact
    raise InvalidField("authority", "not the octets of a host, or of a host, a colon and a port")


_AUTHORITY: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]{1,5})?"
)


ALTERNATIVE_PORT: Final = 2197
"""For firewalls that let APNs through but not other HTTPS; documented for device pushes only."""

PRODUCTION: Final = Endpoint("api.push.apple.com")
"""Device pushes and broadcast pushes to apps from the App Store, TestFlight and ad hoc builds."""

DEVELOPMENT: Final = Endpoint("api.sandbox.push.apple.com")
"""Device pushes and broadcast pushes to development builds. Apple also says "sandbox"."""

# Apple's page on broadcast pushes contradicts itself: its prose names the hosts above, its samples
# these two. Nobody has shown either to be wrong; prefer the prose, fall back on these.

BROADCAST_PRODUCTION: Final = Endpoint("api-broadcast.push.apple.com")
"""Broadcast pushes, production, after Apple's samples. Try `PRODUCTION` first."""

BROADCAST_DEVELOPMENT: Final = Endpoint("api-broadcast.sandbox.push.apple.com")
"""Broadcast pushes, development, after Apple's samples. Try `DEVELOPMENT` first."""

CHANNELS_PRODUCTION: Final = Endpoint("api-manage-broadcast.push.apple.com", 2196)
"""Channel management, production. Note the port."""

CHANNELS_DEVELOPMENT: Final = Endpoint("api-manage-broadcast.sandbox.push.apple.com", 2195)
"""Channel management, development. Note the port."""
