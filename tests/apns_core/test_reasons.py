import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core.reasons import (
    DISPOSITIONS,
    DOCUMENTED_STATUSES,
    FATAL_GOAWAY_REASONS,
    MAX_JSON_BYTES,
    MAX_REASON_TEXT,
    WEDGING_REASONS,
    Disposition,
    ErrorBody,
    Reason,
    disposition,
    parse_error_body,
    parse_reason,
)

# Apple's two tables, typed in once more and apart from the module under test.

DEVICE_PUSH: Final = {
    400: "BadCollapseId BadDeviceToken BadExpirationDate BadMessageId BadPriority BadTopic "
    "DeviceTokenNotForTopic DuplicateHeaders IdleTimeout InvalidPushType MissingDeviceToken "
    "MissingTopic PayloadEmpty TopicDisallowed",
    403: "BadCertificate BadCertificateEnvironment ExpiredProviderToken Forbidden "
    "InvalidProviderToken MissingProviderToken UnrelatedKeyIdInToken BadEnvironmentKeyIdInToken",
    404: "BadPath",
    405: "MethodNotAllowed",
    410: "ExpiredToken Unregistered",
    413: "PayloadTooLarge",
    429: "TooManyProviderTokenUpdates TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable Shutdown",
}

BROADCAST: Final = {
    400: "FeatureNotEnabled MissingChannelId BadChannelId ChannelNotRegistered BadRequestParams "
    "BadRequestPayload PayloadEmpty BadMessageId MissingPushType InvalidPushType "
    "CannotCreateChannelConfig BadExpirationDate TopicDisallowed BadPriority",
    403: "BadCertificate BadCertificateEnvironment TopicMismatch MissingProviderToken "
    "ExpiredProviderToken InvalidProviderToken",
    404: "BadPath",
    405: "MethodNotAllowed",
    413: "PayloadTooLarge",
    429: "TooManyRequests TooManyProviderTokenUpdates",
    500: "InternalServerError",
    503: "ServiceUnavailable Shutdown",
}


def statuses(table: dict[int, str]) -> dict[str, int]:
    return {text: status for status, texts in table.items() for text in texts.split()}


def test_reasons_are_the_union_of_both_tables() -> None:
    assert len(statuses(DEVICE_PUSH)) == 32
    assert len(statuses(BROADCAST)) == 28
    assert set(statuses(DEVICE_PUSH) | statuses(BROADCAST)) == set(Reason)


def test_statuses_are_those_of_both_tables() -> None:
    assert dict(DOCUMENTED_STATUSES) == statuses(DEVICE_PUSH) | statuses(BROADCAST)
    assert dict(DOCUMENTED_STATUSES) == statuses(BROADCAST) | statuses(DEVICE_PUSH)


def test_member_names_follow_the_spelling() -> None:
    for reason in Reason:
        assert reason.name.replace("_", "") == reason.value.upper()


def test_every_reason_has_a_disposition_and_only_these_do_not_fail() -> None:
    assert set(DISPOSITIONS) == set(Reason)
    assert {r.value: d for r, d in DISPOSITIONS.items() if d is not Disposition.FAIL} == {
        "ExpiredProviderToken": Disposition.RETRY_WITH_NEW_TOKEN,
        "ExpiredToken": Disposition.FORGET_DEVICE,
        "IdleTimeout": Disposition.RETRY_ON_NEW_CONNECTION,
        "InternalServerError": Disposition.RETRY_LATER,
        "ServiceUnavailable": Disposition.RETRY_LATER,
        "Shutdown": Disposition.RETRY_ON_NEW_CONNECTION,
        "TooManyProviderTokenUpdates": Disposition.RETRY_ON_NEW_CONNECTION,
        "TooManyRequests": Disposition.RETRY_LATER,
        "Unregistered": Disposition.FORGET_DEVICE,
        "UnrelatedKeyIdInToken": Disposition.RETRY_ON_NEW_CONNECTION,
    }


def test_what_apple_says_never_to_retry_is_never_retried() -> None:
    for reason in (
        Reason.BAD_DEVICE_TOKEN,
        Reason.DEVICE_TOKEN_NOT_FOR_TOPIC,
        Reason.FORBIDDEN,
        Reason.EXPIRED_TOKEN,
        Reason.UNREGISTERED,
        Reason.PAYLOAD_TOO_LARGE,
    ):
        assert DISPOSITIONS[reason] in {Disposition.FAIL, Disposition.FORGET_DEVICE}


def test_only_a_device_that_is_gone_is_forgotten() -> None:
    for reason, what in DISPOSITIONS.items():
        assert (what is Disposition.FORGET_DEVICE) == (DOCUMENTED_STATUSES[reason] == 410)


def test_a_connection_is_wedged_by_what_asks_for_another_and_by_nothing_else() -> None:
    # Otherwise the retry would meet the same refusal on the same connection.
    assert {
        reason
        for reason, what in DISPOSITIONS.items()
        if what in {Disposition.RETRY_ON_NEW_CONNECTION, Disposition.RETRY_WITH_NEW_TOKEN}
    } == WEDGING_REASONS


def test_fatal_reasons_fail_and_are_about_credentials() -> None:
    assert {r.value for r in FATAL_GOAWAY_REASONS} == {
        "BadCertificate",
        "BadCertificateEnvironment",
        "BadEnvironmentKeyIdInToken",
    }
    assert {DISPOSITIONS[reason] for reason in FATAL_GOAWAY_REASONS} == {Disposition.FAIL}


@pytest.mark.parametrize("table", [DISPOSITIONS, DOCUMENTED_STATUSES])
def test_tables_cannot_be_changed(table: object) -> None:
    with pytest.raises(TypeError):
        table[Reason.SHUTDOWN] = 0  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (200, None, Disposition.DONE),
        (201, None, Disposition.DONE),
        (204, None, Disposition.DONE),
        (299, None, Disposition.DONE),
        (200, Reason.BAD_DEVICE_TOKEN, Disposition.DONE),
        (199, None, Disposition.FAIL),
        (300, None, Disposition.FAIL),
        (400, None, Disposition.FAIL),
        (403, None, Disposition.FAIL),
        (409, None, Disposition.FAIL),
        (410, None, Disposition.FORGET_DEVICE),
        (411, None, Disposition.FAIL),
        (428, None, Disposition.FAIL),
        (429, None, Disposition.RETRY_LATER),
        (430, None, Disposition.FAIL),
        (499, None, Disposition.FAIL),
        (500, None, Disposition.RETRY_LATER),
        (502, None, Disposition.RETRY_LATER),
        (599, None, Disposition.RETRY_LATER),
        (600, None, Disposition.FAIL),
        (999, None, Disposition.FAIL),
        # A known reason decides, whatever error it comes with.
        (400, Reason.UNREGISTERED, Disposition.FORGET_DEVICE),
        (410, Reason.BAD_DEVICE_TOKEN, Disposition.FAIL),
        (503, Reason.SHUTDOWN, Disposition.RETRY_ON_NEW_CONNECTION),
    ],
)
def test_disposition(status: int, reason: Reason | None, expected: Disposition) -> None:
    assert disposition(status, reason) is expected


@pytest.mark.parametrize("reason", Reason)
def test_disposition_of_a_documented_response_is_that_of_the_table(reason: Reason) -> None:
    assert disposition(DOCUMENTED_STATUSES[reason], reason) is DISPOSITIONS[reason]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((reason.value, reason) for reason in Reason),
        ("BadEnvironmentKeyInToken", Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN),
        ("Service Unavailable", Reason.SERVICE_UNAVAILABLE),
        ("", None),
        ("baddevicetoken", None),
        ("BadDeviceToken ", None),
        ("NewIn2031", None),
    ],
)
def test_parse_reason(text: str, expected: Reason | None) -> None:
    assert parse_reason(text) is expected


NOTHING: Final = ErrorBody()
MILLISECONDS: Final = 1_458_114_061_260


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", NOTHING),
        (
            b'{"reason":"BadEnvironmentKeyInToken"}',
            ErrorBody(Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN, "BadEnvironmentKeyInToken"),
        ),
        (
            b'{"reason":"Service Unavailable"}',
            ErrorBody(Reason.SERVICE_UNAVAILABLE, "Service Unavailable"),
        ),
        (
            b'{"reason":"Unregistered","timestamp":1458114061260}',
            ErrorBody(Reason.UNREGISTERED, "Unregistered", MILLISECONDS),
        ),
        (b' {"timestamp": 0, "reason": "Shutdown"}\n', ErrorBody(Reason.SHUTDOWN, "Shutdown", 0)),
        # Unknown reasons are data.
        (b'{"reason":"NewIn2031"}', ErrorBody(None, "NewIn2031")),
        (b'{"reason":" Tab\\tand\\u0000"}', ErrorBody(None, " Tab\tand\0")),
        (b'{"reason":"\xc3\xbc"}', ErrorBody(None, "ü")),
        # What cannot be read is left out, and nothing more.
        (b'{"timestamp":1458114061260}', ErrorBody(timestamp=MILLISECONDS)),
        (b'{"reason":null,"timestamp":5}', ErrorBody(timestamp=5)),
        (b'{"reason":"","timestamp":5}', ErrorBody(timestamp=5)),
        (b'{"reason":["BadTopic"],"timestamp":5}', ErrorBody(timestamp=5)),
        (b'{"reason":"BadTopic","timestamp":true}', ErrorBody(Reason.BAD_TOPIC, "BadTopic")),
        (b'{"reason":"BadTopic","timestamp":"5"}', ErrorBody(Reason.BAD_TOPIC, "BadTopic")),
        (b'{"reason":"BadTopic","timestamp":1.5}', ErrorBody(Reason.BAD_TOPIC, "BadTopic")),
        (b'{"reason":"BadTopic","timestamp":NaN}', ErrorBody(Reason.BAD_TOPIC, "BadTopic")),
        (b'{"reason":"BadTopic","timestamp":-1}', ErrorBody(Reason.BAD_TOPIC, "BadTopic")),
        (
            b'{"reason":"BadTopic","timestamp":9223372036854775807}',
            ErrorBody(Reason.BAD_TOPIC, "BadTopic", 2**63 - 1),
        ),
        (
            b'{"reason":"BadTopic","timestamp":9223372036854775808}',
            ErrorBody(Reason.BAD_TOPIC, "BadTopic"),
        ),
        (b'{"reason":"Bad\xffTopic"}', ErrorBody(None, "Bad\N{REPLACEMENT CHARACTER}Topic")),
        (b'{"reason":"\\ud800"}', ErrorBody(None, "?")),
        (b'{"reason":"\\ud83d\\ude00"}', ErrorBody(None, "\N{GRINNING FACE}")),
        # Not an object, or nothing at all.
        (b"{}", NOTHING),
        (b"null", NOTHING),
        (b'"BadTopic"', NOTHING),
        (b'["reason","BadTopic"]', NOTHING),
        (b'{"reason":"BadTop', NOTHING),
        (b"<html><body>502 Bad Gateway</body></html>", NOTHING),
        (b"\xff\xfe\x00", NOTHING),
        (b"[" * MAX_JSON_BYTES, NOTHING),
        (b'{"reason":' * 400, NOTHING),
        (b"9" * MAX_JSON_BYTES, NOTHING),
        (b'{"a":1%b}' % (b"0" * 5_000), NOTHING),
        (b'{"reason":"BadTopic"}' + b"x" * 1_000_000, NOTHING),
        (b'{"reason":"BadTopic","x":"%b"}' % (b"x" * MAX_JSON_BYTES), NOTHING),
        (b'{"reason":"BadTopic"}' + b" " * 1_000_000, ErrorBody(Reason.BAD_TOPIC, "BadTopic")),
    ],
)
def test_parse_error_body(body: bytes, expected: ErrorBody) -> None:
    assert parse_error_body(body) == expected


@pytest.mark.parametrize("reason", Reason)
def test_a_body_reads_the_same_with_and_without_the_shortcut(reason: Reason) -> None:
    exact = b'{"reason":"%b"}' % reason.encode()
    assert parse_error_body(exact) == ErrorBody(reason, reason.value)
    assert parse_error_body(exact) is parse_error_body(bytes(bytearray(exact)))  # the shortcut
    assert parse_error_body(exact + b" ") == ErrorBody(reason, reason.value)
    assert parse_error_body(exact + b" ") is not parse_error_body(exact + b" ")  # without


def test_a_long_reason_is_cut() -> None:
    assert parse_error_body(json.dumps({"reason": "x" * 1_000}).encode()) == ErrorBody(
        None, "x" * MAX_REASON_TEXT
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: (
        st.lists(children) | st.dictionaries(st.sampled_from(["reason", "timestamp"]), children)
    ),
    max_leaves=5,
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_s20_any_bytes_make_a_sane_error_body(body: bytes) -> None:
    parsed = parse_error_body(body)
    if parsed.reason_text is None:
        assert parsed.reason is None
    else:
        assert 0 < len(parsed.reason_text) <= MAX_REASON_TEXT
        assert parsed.reason is parse_reason(parsed.reason_text)
        parsed.reason_text.encode()
    assert parsed.timestamp is None or 0 <= parsed.timestamp < 2**63
