from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apns_cli import credential_checks as checks
from apns_cli.checks import Check
from apns_cli.diagnosis import (
    Answer,
    Facts,
    Handshake,
    IdentitySeen,
    KeySeen,
    Result,
    ServerCertificate,
)
from apns_cli.exchange import Ending
from apns_core import PRODUCTION
from apns_core.trust.certificate import ProviderCertificate, Topic

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)

KEY = KeySeen(source="AuthKey_ABC123DEFG.p8", key_id="ABC123DEFG", team_id="DEF123GHIJ")
CERTIFICATE = ProviderCertificate(
    common_name="Apple Push Services: com.x.app",
    default_topic="com.x.app",
    topics=(Topic("com.x.app", ("app",)), Topic("com.x.app.voip", ("voip",))),
    development=True,
    production=True,
    not_before=NOW - 300 * DAY,
    not_after=NOW + 65 * DAY,
)
SERVER = ServerCertificate(
    subject="s", issuer="i", not_before=NOW - 10 * DAY, not_after=NOW + 10 * DAY
)
HANDSHAKE = Handshake(store="the store", chain=(SERVER,), whole_chain=True)


FACTS = Facts(endpoint=PRODUCTION, environment="production", now=NOW)


def identity(certificate: ProviderCertificate) -> Facts:
    return replace(FACTS, identity=IdentitySeen(source="a.pem", certificate=certificate))


def answered(status: int, reason: str | None = None, date: str | None = None) -> Facts:
    answer = Answer(
        ending=Ending.RESPONSE, received_at=NOW, status=status, reason=reason, date=date
    )
    return replace(FACTS, answer=answer, key=KEY, handshake=HANDSHAKE)


def unanswered(ending: Ending, goaway: str | None = None, problem: str | None = None) -> Facts:
    answer = Answer(ending=ending, received_at=NOW, goaway=goaway, problem=problem)
    return replace(FACTS, answer=answer, key=KEY, handshake=HANDSHAKE)


CASES: list[tuple[Check, Facts, list[tuple[str, str, str]]]] = [
    (checks.check_credentials, FACTS, [("Credentials", "warning", "none")]),
    (checks.check_credentials, replace(FACTS, key=KEY), []),
    (
        checks.check_credentials,
        replace(FACTS, key=KEY, identity=IdentitySeen(source="a")),
        [("Credentials", "failed", "and")],
    ),
    (checks.check_key, FACTS, []),
    (
        checks.check_key,
        replace(FACTS, key=KEY),
        [("Key file", "ok", "AuthKey"), ("Signing key", "ok", "ABC123DEFG, team id DEF123GHIJ")],
    ),
    (
        checks.check_key,
        replace(FACTS, key=replace(KEY, named_id="ABC123DEFG", file_warning="has mode 0644")),
        [("Key file", "warning", "0644"), ("Signing key", "ok", "P-256")],
    ),
    (
        checks.check_key,
        replace(FACTS, key=replace(KEY, named_id="OTHER12345")),
        [
            ("Key file", "ok", ""),
            ("Signing key", "ok", ""),
            ("Key id", "warning", "named for key OTHER12345"),
        ],
    ),
    (
        checks.check_key,
        replace(FACTS, key=KeySeen(source="k", file_problem="key: cannot", problem="path: cannot")),
        [("Key file", "failed", "key: cannot"), ("Signing key", "failed", "path: cannot")],
    ),
    (checks.check_identity, FACTS, []),
    (
        checks.check_identity,
        identity(CERTIFICATE),
        [
            ("Provider certificate", "ok", "until 2026-08-05, 65 days"),
            ("Environment", "ok", "development and production"),
            ("Topics", "ok", "com.x.app, com.x.app.voip"),
        ],
    ),
    (
        checks.check_identity,
        identity(replace(CERTIFICATE, not_after=NOW + 29 * DAY, development=False)),
        [
            ("Provider certificate", "warning", "29 days"),
            ("Environment", "ok", "for production"),
            ("Topics", "ok", ""),
        ],
    ),
    (
        checks.check_identity,
        identity(replace(CERTIFICATE, not_after=NOW - DAY, production=False)),
        [
            ("Provider certificate", "failed", "expired on 2026-05-31"),
            ("Environment", "failed", "for development, and --environment is production"),
            ("Topics", "ok", ""),
        ],
    ),
    (
        checks.check_identity,
        identity(
            replace(
                CERTIFICATE, not_before=NOW + DAY, production=False, development=False, topics=()
            )
        ),
        [
            ("Provider certificate", "failed", "before 2026-06-02"),
            ("Environment", "warning", "none"),
            ("Topics", "failed", "none"),
        ],
    ),
    (
        checks.check_identity,
        replace(FACTS, identity=IdentitySeen(source="a.pem", problem="certificate: is no good")),
        [("Provider certificate", "failed", "is no good")],
    ),
    (
        checks.check_identity,
        replace(FACTS, identity=IdentitySeen(source="a.pem", warning="mode 0644", problem="x")),
        [("Certificate file", "warning", "0644"), ("Provider certificate", "failed", "x")],
    ),
    (checks.check_request, FACTS, [("Request", "skipped", "nothing to ask with")]),
    (
        checks.check_request,
        replace(FACTS, request_allowed=False),
        [("Request", "skipped", "--no-request")],
    ),
    (checks.check_request, answered(200), [("Request", "ok", "200: ")]),
    (checks.check_request, answered(400, "MissingTopic"), [("Request", "warning", "400 Missing")]),
    (checks.check_request, answered(404, "BadPath"), [("Request", "failed", "404 BadPath")]),
    (checks.check_request, answered(503, "Shutdown"), [("Request", "warning", "503")]),
    (checks.check_request, answered(429), [("Request", "warning", "429")]),
    (
        checks.check_request,
        unanswered(Ending.REFUSED, goaway="BadCertificate"),
        [("Request", "failed", "GOAWAY: BadCertificate")],
    ),
    (
        checks.check_request,
        unanswered(Ending.TIMEOUT, problem="no answer in time"),
        [("Request", "failed", "no answer in time")],
    ),
    (checks.check_clock, FACTS, [("Clock", "skipped", "nothing")]),
    (
        checks.check_clock,
        answered(403, "ExpiredProviderToken"),
        [("Clock", "failed", "more than an hour")],
    ),
    (checks.check_clock, answered(400, "BadDeviceToken"), [("Clock", "ok", "within the hour")]),
    (
        checks.check_clock,
        answered(400, "BadTopic"),
        [("Clock", "skipped", "the server's certificate")],
    ),
    (
        checks.check_clock,
        answered(200, date="Mon, 01 Jun 2026 12:00:30 GMT"),
        [("Clock", "ok", "30 s behind")],
    ),
    (
        checks.check_clock,
        answered(200, date="Mon, 01 Jun 2026 11:50:00 GMT"),
        [("Clock", "warning", "600 s ahead")],
    ),
    (
        checks.check_clock,
        answered(200, date="Mon, 01 Jun 2026 14:00:00 -0000"),
        [("Clock", "failed", "7200 s behind")],
    ),
    *(
        (checks.check_clock, answered(200, date=date), [("Clock", "ok", "within the hour")])
        for date in (
            "yesterday",
            "",
            "Mon, 01 Jun 99999 12:00:00 GMT",
            f"Mon, 01 Jun 2026 12:00:00 +{'9' * 40}",
        )
    ),
    (
        checks.check_clock,
        replace(FACTS, handshake=replace(HANDSHAKE, chain=(replace(SERVER, not_after=NOW - DAY),))),
        [("Clock", "warning", "2026-06-01 12:00 UTC")],
    ),
]


@pytest.mark.parametrize(("check", "seen", "expected"), CASES)
def test_what_is_made_of_what_was_seen(
    check: Check, seen: Facts, expected: list[tuple[str, str, str]]
) -> None:
    findings = list(check(seen))
    assert [(f.check, f.result.value) for f in findings] == [(n, r) for n, r, _ in expected]
    for finding, (_, _, text) in zip(findings, expected, strict=True):
        assert text in finding.seen
        needs_fix = finding.result in {Result.FAILED, Result.WARNING}
        assert (finding.fix is not None) == needs_fix


@pytest.mark.parametrize(
    ("status", "reason", "result", "advice"),
    [
        (400, "BadDeviceToken", "ok", None),
        (410, "Unregistered", "ok", None),
        (400, "DeviceTokenNotForTopic", "ok", None),
        (403, "InvalidProviderToken", "failed", "belong together"),
        (403, "UnrelatedKeyIdInToken", "failed", "belong together"),
        (403, "ExpiredProviderToken", "failed", "clock"),
        (403, "BadEnvironmentKeyIdInToken", "failed", "--environment"),
        (403, "BadEnvironmentKeyInToken", "failed", "--environment"),
        (403, "MissingProviderToken", "failed", "token"),
        (403, "BadCertificate", "failed", "renew"),
        (400, "TopicDisallowed", "failed", "--topic"),
        (429, "TooManyProviderTokenUpdates", "warning", "20 minutes"),
        (429, "TooManyRequests", "warning", "later"),
        (500, "InternalServerError", "warning", "later"),
        (418, "Teapot", "failed", "APNs?"),
        (302, None, "failed", "APNs?"),
    ],
)
def test_what_an_answer_says_of_the_credentials(
    status: int, reason: str | None, result: str, advice: str | None
) -> None:
    [finding] = checks.check_request(answered(status, reason))
    assert finding.result.value == result
    assert advice is None or advice in (finding.fix or "")


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        ("key_id: must be 10 letters and digits", "Keys"),
        ("team_id: is missing", "Membership"),
        ("path: is damaged", "download"),
    ],
)
def test_what_to_do_about_a_key(problem: str, advice: str) -> None:
    _, finding = checks.check_key(replace(FACTS, key=KeySeen(source="k", problem=problem)))
    assert advice in (finding.fix or "")
