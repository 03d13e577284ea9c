"""What `apns doctor` looks at and what it finds: values only."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import final

from apns_cli.exchange import Ending
from apns_core.endpoints import Endpoint
from apns_core.trust.certificate import ProviderCertificate

__all__ = [
    "Answer",
    "Attempt",
    "Facts",
    "Finding",
    "Greeting",
    "Handshake",
    "IdentitySeen",
    "KeySeen",
    "NamesFound",
    "Result",
    "ServerCertificate",
]


@final
class Result(Enum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis."""

    check: str
    result: Result
    seen: str
    fix: str | None = None
    """What to do about it, if it is not as it should be."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NamesFound:
    """What DNS said of the host that is connected to: APNs, or the proxy."""

    host: str
    addresses: tuple[str, ...] = ()
    """With the port, as they are tried."""
    error: OSError | None = None


@final
@dataclass(frozen=True, slots=True)
class Attempt:
    """A TCP connection to one address."""

    address: str
    milliseconds: float
    error: Exception | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """One certificate that the server presented."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What came of TLS."""

    store: str
    """Whose authorities are trusted."""
    error: Exception | None = None
    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    chain: tuple[ServerCertificate, ...] = ()
    """The server's own first; of a handshake that failed by trust, what a second one showed."""
    whole_chain: bool = False
    """Whether ``chain`` has all that the server presented; a Python before 3.13 shows the first."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """How HTTP/2 began."""

    settings: tuple[tuple[int, int], ...] | None
    """The entries of the first SETTINGS; None if none came."""
    problem: str | None = None
    """Why none came, or what was wrong later."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of the request to a device that does not exist."""

    ending: Ending
    received_at: datetime
    status: int = 0
    reason: str | None = None
    """Apple's, of the response's body."""
    goaway: str | None = None
    """What a GOAWAY said."""
    date: str | None = None
    """The field of that name. APNs is not known to send one; a proxy or another server may."""
    problem: str | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeySeen:
    """The signing key and its ids; nothing of the key itself."""

    source: str
    """Where it is: a path, or a variable."""
    file_problem: str | None = None
    file_warning: str | None = None
    problem: str | None = None
    """Why no key was made of it: names the field."""
    key_id: str | None = None
    team_id: str | None = None
    named_id: str | None = None
    """The key id in the name of the file."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySeen:
    """The provider certificate."""

    source: str
    certificate: ProviderCertificate | None = None
    problem: str | None = None
    warning: str | None = None


@final
@dataclass(slots=True, kw_only=True)
class Facts:
    """All that was seen. None: it was not looked at, or could not be."""

    endpoint: Endpoint
    environment: str
    now: datetime
    """Aware, in UTC, by the clock of this machine."""
    proxy: str | None = None
    """Without its credentials."""
    other_proxy_variables: tuple[str, ...] = ()
    """Set for other programs."""
    key: KeySeen | None = None
    identity: IdentitySeen | None = None
    names: NamesFound | None = None
    attempts: tuple[Attempt, ...] = ()
    alternative: tuple[Attempt, ...] | None = None
    """To port 2197, where that was asked for."""
    tunnel_problem: str | None = None
    store_problem: str | None = None
    handshake: Handshake | None = None
    greeting: Greeting | None = None
    answer: Answer | None = None
    request_allowed: bool = True
