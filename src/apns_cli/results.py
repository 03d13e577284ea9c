"""What came of a request, as commands print it: the members of its JSON, and advice in words."""

import socket
import ssl
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from apns_cli.server_text import without_secrets
from apns_cli.terminal import Fact, complain, print_facts, print_json
from apns_core import (
    Accepted,
    Cause,
    Disposition,
    Notification,
    Outcome,
    Reason,
    Rejected,
    Unknown,
    Unprocessed,
)
from apns_core.reasons import parse_reason
from apns_core.requests.values import is_channel_id

__all__ = [
    "Kind",
    "advice",
    "date_text",
    "describe",
    "explain",
    "fingerprint",
    "kind_of",
    "outcome_facts",
    "outcome_members",
    "print_outcome",
    "printable",
    "reason_text",
    "say_what_to_do",
]

ADVICE_SHOWN: Final = 10

Kind: TypeAlias = Literal["accepted", "rejected", "unprocessed", "unknown"]

_KINDS: Final[Mapping[type, Kind]] = {
    Accepted: "accepted",
    Rejected: "rejected",
    Unprocessed: "unprocessed",
    Unknown: "unknown",
}


def kind_of(outcome: Outcome[object]) -> Kind:
    """Return the one of four words for it."""
    return _KINDS[type(outcome)]


def outcome_members(outcome: Outcome[object]) -> dict[str, object]:
    """Return the members of its JSON object, without those that say nothing.

    ``timestamp`` is milliseconds of UNIX time; ``cause`` and ``disposition`` are names of members
    in lower case. Neither device token nor payload is among them, nor in what the server wrote: a
    command adds what it must.
    """
    members: dict[str, object] = {"outcome": kind_of(outcome)}
    if isinstance(outcome, Accepted):
        members |= {
            "status": outcome.status,
            **_ids(outcome),
            "channel_id": _channel_id(outcome.channel_id),
        }
    elif isinstance(outcome, Rejected):
        members |= {
            "status": outcome.status,
            "reason": reason_text(outcome),
            "timestamp": outcome.timestamp_ms,
            **_ids(outcome),
            "retry_after": outcome.retry_after,
            "disposition": outcome.disposition.name.lower(),
        }
    else:
        members["cause"] = outcome.cause.name.lower()
    return {name: value for name, value in members.items() if value is not None}


def reason_text(outcome: Rejected[object]) -> str | None:
    """Return the reason as the server gave it, without the secrets that it may quote."""
    text = outcome.reason_text
    if text is None or parse_reason(text) is not None:
        return text
    return without_secrets(text, _device_token(outcome))


def _ids(outcome: Accepted[object] | Rejected[object]) -> dict[str, str | None]:
    ids = {
        "apns_id": outcome.apns_id,
        "apns_unique_id": outcome.apns_unique_id,
        "apns_request_id": outcome.apns_request_id,
    }
    return {
        name: value and without_secrets(value, _device_token(outcome))
        for name, value in ids.items()
    }


def _channel_id(channel_id: str | None) -> str | None:
    # Whole, however long it is: nothing else finds the channel.
    if channel_id is None or is_channel_id(channel_id):
        return channel_id
    return without_secrets(channel_id)


def _device_token(outcome: Outcome[object]) -> str | None:
    request = outcome.notification
    return request.device_token if isinstance(request, Notification) else None


def print_outcome(command: str, outcome: Outcome[object], *, as_json: bool) -> None:
    """Print what came of a single request, and what to do about it."""
    if as_json:
        print_json(outcome_members(outcome))
    else:
        print_facts("What came of it", outcome_facts(outcome))
    say_what_to_do(command, [outcome])


def outcome_facts(outcome: Outcome[object]) -> list[Fact]:
    """Return the rows of its table: the members of its JSON, and why in words."""
    members = outcome_members(outcome)
    facts = [("Outcome", str(members["outcome"])), ("Why", describe(outcome))]
    facts += [(title, str(members.get(name, ""))) for name, title in _TITLES.items()]
    return [(title, value) for title, value in facts if value]


_TITLES: Final[Mapping[str, str]] = {
    "apns_id": "apns-id",
    "apns_unique_id": "apns-unique-id",
    "apns_request_id": "apns-request-id",
    "channel_id": "Channel id",
    "retry_after": "Seconds until another attempt",
}


def describe(outcome: Outcome[object]) -> str:
    """Say in a few words why it is what it is; nothing of what was accepted."""
    if isinstance(outcome, Accepted):
        return ""
    if isinstance(outcome, Rejected):
        return f"{outcome.status} {printable(reason_text(outcome) or 'no reason given')}"
    return outcome.cause.value


def advice(outcome: Outcome[object]) -> str:
    """Say what to do about it; nothing of what was accepted."""
    if isinstance(outcome, Accepted):
        return ""
    if isinstance(outcome, Rejected):
        if outcome.disposition is Disposition.FORGET_DEVICE and outcome.timestamp_ms is not None:
            return f"{_FORGET} since {date_text(outcome.timestamp_ms / 1000)}"
        if outcome.reason is not None and outcome.reason in _BY_REASON:
            return _BY_REASON[outcome.reason]
        return _BY_DISPOSITION[outcome.disposition]
    if outcome.cause in _BY_CAUSE:
        return _BY_CAUSE[outcome.cause]
    return _UNPROCESSED if isinstance(outcome, Unprocessed) else _UNKNOWN


def say_what_to_do(command: str, outcomes: Iterable[Outcome[object]]) -> None:
    """Say it on standard error, once for all to which the same applies."""
    counts = Counter(
        f"{kind_of(outcome)}, {describe(outcome)}: {advice(outcome)}"
        for outcome in outcomes
        if not isinstance(outcome, Accepted)
    )
    for text, count in counts.most_common(ADVICE_SHOWN):
        complain(f"apns {command}: {count:,} {text}")
    if len(counts) > ADVICE_SHOWN:
        complain(f"apns {command}: {len(counts) - ADVICE_SHOWN:,} more of other kinds")


def explain(error: Exception) -> str:
    """Say in plain words why there is no connection, or no provider token to send on it."""
    for kind, words in _ERRORS:
        if isinstance(error, kind):
            return words.format(error=error)
    return str(error) or type(error).__name__


def fingerprint(device_token: str) -> str:
    """Return what tells two device tokens apart and leads back to nobody, as `repr` has it."""
    return f"sha256:{sha256(device_token.encode()).hexdigest()[:8]}"


def printable(value: object) -> str:
    """Return what another wrote as text that cannot move a cursor or break a line."""
    return str(value).encode("unicode_escape").decode()


def date_text(unix_time: float) -> str:
    """Return an instant, given in UNIX seconds by another, in ISO 8601 if it is of this era."""
    try:
        return datetime.fromtimestamp(unix_time, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):  # years end at 9999
        return f"{unix_time:g} s of UNIX time"


_UNPROCESSED: Final = "APNs has not acted on it: to send it again cannot make a duplicate"
_UNKNOWN: Final = "APNs may have acted on it: to send it again may do it twice"
_FORGET: Final = "stop sending to this device token, unless the app has registered it again"
_OTHER_KEY: Final = "check the signing key, its key id and the team id"
_OTHER_ENVIRONMENT: Final = "these credentials are for the other environment: see --environment"

_BY_DISPOSITION: Final[Mapping[Disposition, str]] = {
    Disposition.DONE: "",
    Disposition.RETRY: _UNPROCESSED,
    Disposition.RETRY_LATER: "APNs is in trouble, or this was too much of it: send it again later",
    Disposition.RETRY_WITH_NEW_TOKEN: "check this machine's clock, then send it again",
    Disposition.RETRY_ON_NEW_CONNECTION: "send it again",
    Disposition.FORGET_DEVICE: _FORGET,
    Disposition.FAIL: "change the request: APNs will refuse the same again",
}

_BY_REASON: Final[Mapping[Reason, str]] = {
    Reason.BAD_DEVICE_TOKEN: "check --environment: most often the device token is of the other one",
    Reason.DEVICE_TOKEN_NOT_FOR_TOPIC: "check the topic: the device token is another app's",
    Reason.TOPIC_DISALLOWED: "check the topic: these credentials are not for it",
    Reason.TOPIC_MISMATCH: "check the bundle id: these credentials are not for it",
    Reason.INVALID_PROVIDER_TOKEN: _OTHER_KEY,
    Reason.UNRELATED_KEY_ID_IN_TOKEN: _OTHER_KEY,
    Reason.MISSING_PROVIDER_TOKEN: "name a signing key: --key, --key-id, --team-id",
    Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN: _OTHER_ENVIRONMENT,
    Reason.BAD_CERTIFICATE_ENVIRONMENT: _OTHER_ENVIRONMENT,
    Reason.BAD_CERTIFICATE: "check the certificate: expired, revoked, or not for APNs",
    Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES: "wait: one key was signed with twice in 20 minutes",
    Reason.CHANNEL_NOT_REGISTERED: "there is no such channel: check its id, and --environment",
    Reason.FEATURE_NOT_ENABLED: "enable the app's capability of broadcast pushes in Apple's portal",
    Reason.CANNOT_CREATE_CHANNEL_CONFIG: "delete channels first: the app has as many as it may",
}
"""What the disposition does not say, of reasons that one meets when trying something out."""

_BY_CAUSE: Final[Mapping[Cause, str]] = {
    Cause.FATAL: "APNs refuses these credentials: check them, and --environment",
    Cause.LIMITS: "the server's limits never admit it: make it smaller",
}

_ERRORS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        ssl.SSLCertVerificationError,
        "the server's certificate was not trusted ({error.verify_message}): --ca names authorities",
    ),
    (ssl.SSLError, "TLS failed ({error.strerror})"),
    (socket.gaierror, "the server's name could not be resolved ({error.strerror})"),
    (ConnectionRefusedError, "nothing listens there: the connection was refused"),
    (ConnectionResetError, "the server reset the connection"),
    (TimeoutError, "there was no connection in time: a firewall, perhaps; see --port and --proxy"),
)
