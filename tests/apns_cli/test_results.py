import socket
import ssl
from hashlib import sha256

import pytest

from apns_cli.results import (
    advice,
    describe,
    explain,
    fingerprint,
    kind_of,
    outcome_members,
    say_what_to_do,
)
from apns_core import (
    Accepted,
    Cause,
    ConnectFailed,
    Notification,
    Outcome,
    Reason,
    Rejected,
    Route,
    Unknown,
    Unprocessed,
)
from apns_core.outcomes import Answered

TOKEN = "ab" * 32
NOTIFICATION = Notification(Route("com.example.app"), TOKEN, b'{"aps":{"alert":"secret"}}')
APNS_ID = "00000000-0000-0000-0000-000000000001"


def rejected(status: int, reason: Reason, timestamp: int | None = None) -> Rejected[None]:
    return Rejected(NOTIFICATION, None, status, reason, reason.value, timestamp)


@pytest.mark.parametrize(
    ("outcome", "members"),
    [
        (Accepted(NOTIFICATION, None), {"outcome": "accepted", "status": 200}),
        (
            Accepted(NOTIFICATION, None, APNS_ID, "unique"),
            {
                "outcome": "accepted",
                "status": 200,
                "apns_id": APNS_ID,
                "apns_unique_id": "unique",
            },
        ),
        (
            Accepted(NOTIFICATION, None, answer=Answered(201, "request", "channel", b"body")),
            {
                "outcome": "accepted",
                "status": 201,
                "apns_request_id": "request",
                "channel_id": "channel",
            },
        ),
        (
            Rejected(
                NOTIFICATION,
                None,
                410,
                Reason.UNREGISTERED,
                "Unregistered",
                1_700_000_000_000,
                APNS_ID,
                2.5,
                "request",
            ),
            {
                "outcome": "rejected",
                "status": 410,
                "reason": "Unregistered",
                "timestamp": 1_700_000_000_000,
                "apns_id": APNS_ID,
                "apns_request_id": "request",
                "retry_after": 2.5,
                "disposition": "forget_device",
            },
        ),
        (
            Rejected(NOTIFICATION, None, 500, None),
            {"outcome": "rejected", "status": 500, "disposition": "retry_later"},
        ),
        (
            Unprocessed(NOTIFICATION, None, Cause.REFUSED_STREAM),
            {"outcome": "unprocessed", "cause": "refused_stream"},
        ),
        (
            Unknown(NOTIFICATION, None, Cause.CONNECTION_LOST),
            {"outcome": "unknown", "cause": "connection_lost"},
        ),
    ],
)
def test_members_are_what_is_known(outcome: Outcome[object], members: dict[str, object]) -> None:
    assert outcome_members(outcome) == members
    assert kind_of(outcome) == members["outcome"]
    assert TOKEN not in str(members)


@pytest.mark.parametrize(
    ("outcome", "described", "advised"),
    [
        (Accepted(NOTIFICATION, None), "", ""),
        (rejected(400, Reason.BAD_DEVICE_TOKEN), "400 BadDeviceToken", "--environment"),
        (rejected(400, Reason.BAD_COLLAPSE_ID), "400 BadCollapseId", "change the request"),
        (
            rejected(410, Reason.UNREGISTERED, 1_700_000_000_000),
            "410 Unregistered",
            "registered it again since 2023-11-14T22:13:20+00:00",
        ),
        (rejected(410, Reason.EXPIRED_TOKEN, 2**63 - 1), "410 ExpiredToken", "s of UNIX time"),
        (rejected(410, Reason.EXPIRED_TOKEN), "410 ExpiredToken", "stop sending"),
        (rejected(400, Reason.BAD_TOPIC, 1), "400 BadTopic", "change the request"),
        (Rejected(NOTIFICATION, None, 503, None), "503 no reason given", "later"),
        (Unprocessed(NOTIFICATION, None, Cause.DEADLINE), "its deadline passed", "cannot make"),
        (Unprocessed(NOTIFICATION, None, Cause.FATAL), Cause.FATAL.value, "credentials"),
        (Unknown(NOTIFICATION, None, Cause.RESET), Cause.RESET.value, "may do it twice"),
    ],
)
def test_says_why_and_what_to_do(outcome: Outcome[object], described: str, advised: str) -> None:
    assert describe(outcome) == described
    assert advised in advice(outcome)
    assert bool(advice(outcome)) is not isinstance(outcome, Accepted)


@pytest.mark.parametrize("reason", Reason)
def test_there_is_advice_for_every_reason(reason: Reason) -> None:
    assert advice(rejected(400, reason))


def test_what_a_server_wrote_cannot_move_the_cursor() -> None:
    outcome = Rejected(NOTIFICATION, None, 400, None, "\x1b[2J\nBad")
    assert describe(outcome) == r"400 \x1b[2J\nBad"


def test_says_once_what_to_do_about_many(capsys: pytest.CaptureFixture[str]) -> None:
    alike: list[Outcome[object]] = [rejected(400, Reason.BAD_TOPIC)] * 3
    different = [Rejected(NOTIFICATION, None, status, None) for status in range(500, 511)]
    say_what_to_do("test", [Accepted(NOTIFICATION, None), *alike, *different])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("apns test: 3 rejected, 400 BadTopic: change the request")
    assert lines[-1] == "apns test: 2 more of other kinds"
    assert len(lines) == 11


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "nothing listens there"),
        (ConnectionResetError(104, "reset"), "reset the connection"),
        (socket.gaierror(-2, "Name or service not known"), "(Name or service not known)"),
        (TimeoutError(), "no connection in time"),
        (ssl.SSLError(1, "x"), "TLS failed"),
        (OSError(101, "Network is unreachable"), "Network is unreachable"),
        (ConnectFailed("the proxy answered 403"), "the proxy answered 403"),
        (ValueError(), "ValueError"),
    ],
)
def test_errors_in_plain_words(error: Exception, words: str) -> None:
    assert words in explain(error)


def test_a_fingerprint_is_that_of_the_repr() -> None:
    assert fingerprint(TOKEN) == f"sha256:{sha256(TOKEN.encode()).hexdigest()[:8]}"
    assert fingerprint(TOKEN) in repr(NOTIFICATION)
