"""What a simulated APNs is like for as long as it runs: plain data that travels as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, Self, cast, final, get_args

from .reasons import REASON_STATUS

__all__ = ["Rejection", "SimulatorConfig", "TrustedKey", "check_words", "read_object"]

LARGEST_WINDOW: Final = 2**31 - 1
"""RFC 9113 section 6.9.1: "MUST NOT allow a flow-control window to exceed 2^31-1 octets"."""


_Environment = Literal["development", "production"]
_Authentication = Literal["token", "certificate", "none"]
_ENVIRONMENTS: Final = get_args(_Environment)
_AUTHENTICATIONS: Final = get_args(_Authentication)


def check_words(owner: object, **words: tuple[str, ...]) -> None:
    """See that each of these members of an object is one of its words.

    What comes as JSON is checked by nobody else; a slip in ``"token"`` would accept all tokens.

    Raises:
        ValueError: it is none of them.

    """
    for name, known in words.items():
        if getattr(owner, name) not in known:
            raise ValueError(f"{name}: must be one of {', '.join(known)}")


@final
@dataclass(frozen=True, slots=True)
class Rejection:
    """How a request is refused: an HTTP status with Apple's reason in the body, or with no body.

    ``timestamp`` (milliseconds since the epoch) is sent with 410 only. ``None`` stands for the
    moment at which the simulator was started.
    """

    status: int
    reason: str | None
    timestamp: int | None = None

    @classmethod
    def of(cls, reason: str, *, timestamp: int | None = None) -> Self:
        """Make a rejection with the status that Apple documents for `reason`.

        Raises:
            ValueError: Apple documents no such reason; give the status yourself.

        """
        status = REASON_STATUS.get(reason)
        if status is None:
            msg = f"{reason!r} is not a documented reason; known are {', '.join(REASON_STATUS)}"
            raise ValueError(msg)
        return cls(status, reason, timestamp)


@final
@dataclass(frozen=True, slots=True)
class TrustedKey:
    """The public half of a provider key, as APNs knows it: whose it is, and a PEM."""

    team_id: str
    public_key_pem: str = field(repr=False)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """The constant properties of a simulated APNs. Every default is what APNs does.

    Raises ``ValueError`` on construction for a number that HTTP/2 does not allow, and for a word
    that stands for nothing.
    """

    environment: _Environment = "development"
    """In development each answer carries an ``apns-unique-id``."""

    authentication: _Authentication = "token"
    """``"certificate"`` asks TLS for a client certificate of the server's own authority, and looks
    at no provider token; ``"none"`` looks at neither."""

    trusted_keys: Mapping[str, TrustedKey] = field(default_factory=dict[str, TrustedKey])
    """Key id -> whose key it is. Tokens signed by any other key are ``InvalidProviderToken``."""

    topics: frozenset[str] | None = None
    """Bundle ids that may be sent to; ``None`` allows any. Suffixes of push types come on top."""

    default_topic: str | None = None
    """Stands in for an absent ``apns-topic``. A client certificate with one topic has its own."""

    broadcast_apps: frozenset[str] | None = None
    """Bundle ids with the broadcast capability; ``None``: all have it."""

    channels: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    """The channels that there are at the start: bundle id -> channel id -> storage policy (0 for no
    storage, 1 for the most recent message)."""

    max_channels: int = 10_000
    """How many channels an app may have."""

    rejections: Mapping[str, Rejection] = field(default_factory=dict[str, Rejection])
    """Prefix of a device token -> how its devices are rejected. The longest one decides."""

    latency: float = 0.0
    """Seconds from the end of a request to its answer."""

    max_concurrent_streams: int = 1000
    first_max_concurrent_streams: int | None = None
    """What the very first SETTINGS announces; raised to the above by the first acceptance.

    ``None`` announces ``max_concurrent_streams`` at once. No capture shows which of the two APNs
    does.
    """

    one_stream_until_accepted: bool = True
    """With token authentication, refuse a second open stream until a request was accepted."""

    initial_window_size: int = 65_535
    """The window of each stream, in bytes."""

    connection_window_size: int = 65_535
    """The window of the connection, in bytes. HTTP/2 cannot start below 65,535."""

    header_table_size: int = 4096
    max_header_list_size: int = 8000
    max_frame_size: int = 16_384

    def __post_init__(self) -> None:
        check_words(self, environment=_ENVIRONMENTS, authentication=_AUTHENTICATIONS)
        for name, low, high in (
            ("max_concurrent_streams", 0, 2**32 - 1),
            ("initial_window_size", 0, LARGEST_WINDOW),
            ("connection_window_size", 65_535, LARGEST_WINDOW),
            ("header_table_size", 0, 2**32 - 1),
            ("max_header_list_size", 0, 2**32 - 1),
            ("max_frame_size", 16_384, 2**24 - 1),
            ("latency", 0, float("inf")),
            ("max_channels", 0, float("inf")),
        ):
            if not low <= getattr(self, name) <= high:
                msg = f"{name}: must be between {low} and {high}"
                raise ValueError(msg)

    def to_json(self) -> str:
        """Return the configuration as JSON text; no private key is part of it."""
        plain = asdict(self)
        for name in _SETS:
            if plain[name] is not None:
                plain[name] = sorted(plain[name])
        return json.dumps(plain)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote; absent members take their defaults.

        Raises:
            ValueError: it is not JSON, or not an object, or a value is out of range.
            TypeError: it has a member that a configuration does not have, or of another type.

        """
        plain = read_object(text)
        for name in _SETS:
            if plain.get(name) is not None:
                plain[name] = frozenset(plain[name])
        for name, member in (("trusted_keys", TrustedKey), ("rejections", Rejection)):
            if name in plain:
                members = cast("object", plain[name])
                if not isinstance(members, dict):
                    raise TypeError(f"{name}: a JSON object is needed")
                plain[name] = {key: member(**value) for key, value in plain[name].items()}
        _check_members(plain)
        return cls(**plain)


_SETS: Final = ("topics", "broadcast_apps")


def _check_members(plain: Mapping[str, Any]) -> None:
    """Raise TypeError for what JSON can have inside, and no configuration."""
    for key in plain.get("trusted_keys", {}).values():
        if not isinstance(key.team_id, str) or not isinstance(key.public_key_pem, str):
            raise TypeError("trusted_keys: team_id and public_key_pem must be texts")
    for rejection in plain.get("rejections", {}).values():
        if type(rejection.status) is not int or not isinstance(rejection.reason, str | None):
            raise TypeError("rejections: status must be a number, and reason a text or null")
    channels = cast("object", plain.get("channels", {}))
    if not isinstance(channels, dict) or not all(
        map(_are_policies, cast("dict[str, object]", channels).values())
    ):
        raise TypeError("channels: must be bundle id -> channel id -> 0 or 1")


def _are_policies(own: object) -> bool:
    return isinstance(own, dict) and all(
        type(policy) is int and policy in {0, 1}
        for policy in cast("dict[str, object]", own).values()
    )


def read_object(text: str) -> dict[str, Any]:
    """Read JSON text that must be an object.

    Raises:
        ValueError: it is not.

    """
    try:
        plain: object = json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested without end") from None
    if not isinstance(plain, dict):
        msg = "a JSON object is needed"
        raise ValueError(msg)  # noqa: TRY004 - the text is wrong, not the type of an argument
    return cast("dict[str, Any]", plain)
