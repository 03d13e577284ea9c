"""The checks of `apns doctor` on credentials: what they are good for, whether APNs takes them.

They look at nothing themselves: from what was seen to findings. The advice follows Apple's
"Establishing a token-based connection to APNs", "Establishing a certificate-based connection to
APNs" and "Handling notification responses from APNs".
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from apns_cli.diagnosis import Answer, Facts, Finding, Result
from apns_cli.exchange import Ending
from apns_core.trust.certificate import ProviderCertificate

__all__ = [
    "check_clock",
    "check_credentials",
    "check_identity",
    "check_key",
    "check_request",
]

OK, WARNING, FAILED, SKIPPED = Result.OK, Result.WARNING, Result.FAILED, Result.SKIPPED

EXPIRES_SOON: Final = 30
"""Days. Apple's provider certificates live for a year, and to renew one takes people."""

WORST_SKEW: Final = 3_600
"""Seconds. APNs refuses a provider token that is older than an hour."""

NOTABLE_SKEW: Final = 60
"""Seconds. A machine whose clock is kept is not off by as much."""


# ── credentials ──


def check_credentials(facts: Facts) -> Iterator[Finding]:
    """Tell whether there is one kind of them."""
    if facts.key is not None and facts.identity is not None:
        fix = "APNs takes one on a connection, and these commands one at all: name it alone"
        yield Finding("Credentials", FAILED, "a signing key, and a certificate", fix)
    elif facts.key is None and facts.identity is None:
        fix = "name a signing key (--key, --key-id, --team-id), or --certificate"
        yield Finding("Credentials", WARNING, "none named", fix)


def check_key(facts: Facts) -> Iterator[Finding]:
    """Tell whether the signing key is one, and is kept to its owner."""
    key = facts.key
    if key is None:
        return
    if key.file_problem is not None:
        fix = "name the .p8 file of Apple's developer portal, and let this user read it"
        yield Finding("Key file", FAILED, key.file_problem, fix)
    elif key.file_warning is not None:
        yield Finding("Key file", WARNING, f"{key.source}: {key.file_warning}", "chmod 600")
    else:
        yield Finding("Key file", OK, key.source)
    if key.problem is not None:
        field = key.problem.partition(":")[0]
        yield Finding("Signing key", FAILED, key.problem, _FIXES_OF_KEY.get(field, _FIX_KEY))
    else:
        seen = f"P-256, signs; key id {key.key_id}, team id {key.team_id}"
        yield Finding("Signing key", OK, seen)
    if key.named_id is not None and key.key_id is not None and key.named_id != key.key_id:
        seen = f"the file is named for key {key.named_id}, and --key-id is {key.key_id}"
        yield Finding("Key id", WARNING, seen, "leave --key-id out, or name the other file")


_FIX_KEY: Final = "download the key from Apple's developer portal, or make a new one there"
_FIXES_OF_KEY: Final[Mapping[str, str]] = {
    "key_id": "see Keys in Apple's developer portal: ten characters, as in the file's name",
    "team_id": "see Membership in Apple's developer portal: ten characters",
}


def check_identity(facts: Facts) -> Iterator[Finding]:
    """Tell what the provider certificate is good for, and for how long."""
    identity = facts.identity
    if identity is None:
        return
    if identity.warning is not None:
        yield Finding("Certificate file", WARNING, identity.warning, "chmod 600")
    certificate = identity.certificate
    if certificate is None:
        fix = "export certificate and key together, from the keychain where it was requested"
        yield Finding("Provider certificate", FAILED, identity.problem or "unusable", fix)
        return
    days = (certificate.not_after - facts.now).days
    until = f"until {certificate.not_after:%Y-%m-%d}, {days} days"
    renew = "renew it in Apple's developer portal"
    if certificate.not_before > facts.now:
        seen = f"not valid before {certificate.not_before:%Y-%m-%d}"
        yield Finding("Provider certificate", FAILED, seen, "check the clock of this machine")
    elif certificate.expires_within(facts.now, 0):
        seen = f"expired on {certificate.not_after:%Y-%m-%d}"
        yield Finding("Provider certificate", FAILED, seen, renew)
    elif certificate.expires_within(facts.now, EXPIRES_SOON):
        yield Finding("Provider certificate", WARNING, until, renew)
    else:
        yield Finding("Provider certificate", OK, f"{until}; the key is its own")
    yield _environment(facts, certificate)
    topics = ", ".join(topic.name for topic in certificate.topics)
    if topics:
        yield Finding("Topics", OK, topics)
    else:
        fix = "is it the certificate of an app, from Apple's developer portal?"
        yield Finding("Topics", FAILED, "the certificate names none", fix)


def _environment(facts: Facts, certificate: ProviderCertificate) -> Finding:
    good = {"development": certificate.development, "production": certificate.production}
    names = " and ".join(name for name, is_good in good.items() if is_good)
    if not names:
        fix = "is it one of Apple's push certificates?"
        return Finding("Environment", WARNING, "the certificate names none", fix)
    if good[facts.environment]:
        return Finding("Environment", OK, f"the certificate is for {names}")
    seen = f"the certificate is for {names}, and --environment is {facts.environment}"
    return Finding("Environment", FAILED, seen, f"use --environment {names}, or another one")


# ── the request ──


class _Judgement(NamedTuple):
    result: Result
    fix: str | None


_ACCEPTED: Final = _Judgement(OK, None)
_OTHER_KEY: Final = _Judgement(FAILED, "check that key, key id and team id belong together")
_OTHER_ENVIRONMENT: Final = _Judgement(FAILED, "these are for the other one: see --environment")
_OTHER_TOPIC: Final = _Judgement(FAILED, "check --topic: these credentials are not for it")
_CERTIFICATE: Final = _Judgement(FAILED, "renew the certificate: expired, revoked or not for APNs")

_BY_REASON: Final[Mapping[str, _Judgement]] = {
    # Only who was let in is told what is wrong with the request.
    "BadDeviceToken": _ACCEPTED,
    "DeviceTokenNotForTopic": _ACCEPTED,
    "Unregistered": _ACCEPTED,
    # It may be asked for ahead of that.
    "MissingTopic": _Judgement(WARNING, "name a topic: --topic; this tells nothing for certain"),
    "InvalidProviderToken": _OTHER_KEY,
    "UnrelatedKeyIdInToken": _OTHER_KEY,
    "ExpiredProviderToken": _Judgement(FAILED, "set the clock of this machine: it is wrong"),
    "BadEnvironmentKeyIdInToken": _OTHER_ENVIRONMENT,
    "BadEnvironmentKeyInToken": _OTHER_ENVIRONMENT,
    "BadCertificateEnvironment": _OTHER_ENVIRONMENT,
    "BadCertificate": _CERTIFICATE,
    "TopicDisallowed": _OTHER_TOPIC,
    "BadTopic": _OTHER_TOPIC,
    "MissingProviderToken": _Judgement(FAILED, "the server takes a token, and there was none"),
    "TooManyProviderTokenUpdates": _Judgement(
        WARNING, "wait 20 minutes; one process is to sign for a key, and share its token"
    ),
}
"""Of a request to a device that does not exist, signed anew."""

_TROUBLE: Final = _Judgement(WARNING, "APNs is in trouble, or this was too much of it: try later")
_UNANSWERED: Final = _Judgement(FAILED, "try again; then see what `apns probe` tells")
_UNEXPECTED: Final = _Judgement(FAILED, "is this APNs?")


def check_request(facts: Facts) -> Iterator[Finding]:
    """Tell whether APNs takes the credentials."""
    answer = facts.answer
    if answer is None:
        why = "there is nothing to ask with, or nobody to ask"
        yield Finding("Request", SKIPPED, why if facts.request_allowed else "--no-request")
        return
    if answer.ending is not Ending.RESPONSE:
        said = answer.goaway
        judgement = _BY_REASON.get(said or "", _UNANSWERED)
        seen = f"GOAWAY: {said}" if said else answer.problem or "no answer"
        yield Finding("Request", FAILED, seen, judgement.fix)
        return
    judgement = _judge(answer)
    seen = " ".join(filter(None, (str(answer.status), answer.reason)))
    if judgement.result is OK:
        seen = f"{seen}: the credentials were accepted"
    yield Finding("Request", judgement.result, seen, judgement.fix)


def _judge(answer: Answer) -> _Judgement:
    if answer.status == 200:
        return _ACCEPTED
    otherwise = _TROUBLE if answer.status in {429, 500, 503} else _UNEXPECTED
    return _BY_REASON.get(answer.reason or "", otherwise)


def check_clock(facts: Facts) -> Iterator[Finding]:
    """Tell what there is to tell of the local clock; nobody is asked for the time."""
    fix = "set the clock of this machine, and keep it set: NTP"
    answer = facts.answer
    told = _parse_date(answer.date) if answer is not None and answer.date is not None else None
    if answer is not None and answer.reason == "ExpiredProviderToken":
        seen = "off by more than an hour: APNs finds a token of now expired"
        yield Finding("Clock", FAILED, seen, fix)
    elif answer is not None and told is not None:
        skew = (answer.received_at - told).total_seconds()
        seen = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's"
        bad = abs(skew) >= NOTABLE_SKEW
        result = FAILED if abs(skew) >= WORST_SKEW else WARNING if bad else OK
        yield Finding("Clock", result, seen, fix if bad else None)
    elif facts.key is not None and answer is not None and _judge(answer) is _ACCEPTED:
        yield Finding("Clock", OK, "within the hour that APNs asks for: it took a token of now")
    elif facts.handshake is not None and facts.handshake.chain:
        server = facts.handshake.chain[0]
        if server.not_before <= facts.now <= server.not_after:
            seen = "within the years of the server's certificate; more cannot be told"
            yield Finding("Clock", SKIPPED, seen)
        else:
            seen = f"{facts.now:%Y-%m-%d %H:%M} UTC, outside the server's certificate"
            yield Finding("Clock", WARNING, seen, fix)
    else:
        yield Finding("Clock", SKIPPED, "nothing at hand tells the time")


def _parse_date(date: str) -> datetime | None:
    try:
        told = parsedate_to_datetime(date)
    except (ValueError, OverflowError):  # a server wrote it
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)
