import base64
import datetime as dt
import ssl
import warnings
from typing import Final, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from apns_core.errors import InvalidField
from apns_core.trust.certificate import CertificateExpiryWarning, ProviderCertificate, Topic
from apns_core.trust.identity import ProviderIdentity
from tests.apns_core.trust.certificates import (
    DEVELOPMENT,
    NOT_AFTER,
    NOT_BEFORE,
    NULL,
    PRODUCTION,
    TOPICS,
    VOIP_TOPICS,
    certificate_pem,
    der,
    key_pem,
    provider_certificate,
    sequence,
    topic_list,
    utf8,
)

KEY: Final = ec.generate_private_key(ec.SECP256R1())
APP: Final = "com.example.app"
VOIP: Final = "com.example.app.voip"


def read(
    value: bytes | None = None, uid: str | None = APP, oid: str = TOPICS
) -> ProviderCertificate:
    extensions = {} if value is None else {oid: value}
    return ProviderCertificate.from_x509(provider_certificate(KEY, uid=uid, extensions=extensions))


# ── topics ──


def test_the_topics_of_todays_certificates() -> None:
    listed = [(APP, ["app"]), (VOIP, ["voip"]), (APP + ".complication", ["complication"])]
    certificate = read(topic_list(listed))
    assert certificate.default_topic == APP
    assert certificate.topics == tuple(Topic(name, tuple(use)) for name, use in listed)
    assert certificate.covers(VOIP)
    assert not certificate.covers("com.example")
    assert not certificate.covers(APP + ".push-type.liveactivity")


def test_topics_as_openssl_encodes_them() -> None:
    # openssl asn1parse -genconf: SEQUENCE of UTF8String:com.example.app, SEQWRAP,UTF8String:app,
    # UTF8String:com.example.app.voip, SEQWRAP,UTF8String:voip
    value = base64.b64decode(
        "MDYMD2NvbS5leGFtcGxlLmFwcDAFDANhcHAMFGNvbS5leGFtcGxlLmFwcC52b2lwMAYMBHZvaXA="
    )
    assert read(value).topics == (Topic(APP, ("app",)), Topic(VOIP, ("voip",)))


@pytest.mark.parametrize(
    ("value", "topics"),
    cast(
        "list[tuple[bytes, list[tuple[str, list[str]]]]]",
        [
            (sequence(utf8(APP), utf8(VOIP)), [(APP, []), (VOIP, [])]),
            (sequence(utf8(VOIP), sequence()), [(APP, []), (VOIP, [])]),
            (topic_list([(VOIP, ["voip", "app"])]), [(APP, []), (VOIP, ["voip", "app"])]),
            (
                sequence(
                    *(sequence(utf8(t), sequence(utf8(u))) for t, u in ((APP, "a"), (VOIP, "v")))
                ),
                [(APP, ["a"]), (VOIP, ["v"])],
            ),
            (
                der(0x31, sequence(utf8(VOIP), sequence(utf8("voip")))),
                [(APP, []), (VOIP, ["voip"])],
            ),
            (utf8(VOIP), [(APP, []), (VOIP, [])]),
            (der(0x16, VOIP.encode()), [(APP, []), (VOIP, [])]),
            (sequence(utf8(VOIP), der(0x02, b"\x01")), [(APP, []), (VOIP, [])]),
            # A length that DER writes in one octet (X.690 Section 10.1).
            (b"\x30\x81" + sequence(utf8(VOIP))[1:], [(APP, [])]),
            (b"\x30\x82\x00\x80" + utf8("x" * 126), [(APP, [])]),
            (sequence(der(0x0C, b"\xff"), utf8(VOIP)), [(APP, []), (VOIP, [])]),
            (sequence(der(0x30, b"\x0c\x7fcut"), utf8(VOIP)), [(APP, []), (VOIP, [])]),
            (topic_list([(APP, ["app"]), (APP, ["voip", "app"])]), [(APP, ["app", "voip"])]),
            (topic_list([(APP + "x" * 300, ["app"])]), [(APP, []), (APP + "x" * 300, ["app"])]),
            (NULL, [(APP, [])]),
            (b"", [(APP, [])]),
            (b"\x30\x80\x00\x00", [(APP, [])]),
            (b"\x1f\x81\x00", [(APP, [])]),
            (b"\x30\x85\x00\x00\x00\x00\x00", [(APP, [])]),
            (b"\x30", [(APP, [])]),
        ],
    ),
    ids=[
        "without services",
        "empty services",
        "several services",
        "nested pairs",
        "in a set",
        "one string",
        "one IA5String",
        "an integer in between",
        "a length of 2 octets instead of 1",
        "a length of 3 octets instead of 2",
        "not UTF-8",
        "a damaged part",
        "twice",
        "a long form of length",
        "NULL",
        "empty",
        "indefinite length",
        "a long tag",
        "a length of 5 octets",
        "cut short",
    ],
)
def test_topics_in_other_forms(value: bytes, topics: list[tuple[str, list[str]]]) -> None:
    assert read(value).topics == tuple(Topic(name, tuple(use)) for name, use in topics)


def test_deep_nesting_ends() -> None:
    value = utf8(VOIP)
    for _ in range(2_000):
        value = sequence(value)
    assert read(value).topics == (Topic(APP, ()),)


@given(st.binary(max_size=200))
def test_no_extension_makes_it_fail(value: bytes) -> None:
    assert read(value).topics[0].name == APP


def test_voip_certificates_have_an_extension_of_their_own() -> None:
    certificate = read(topic_list([(VOIP, ["voip"])]), oid=VOIP_TOPICS)
    assert certificate.topics == (Topic(APP, ()), Topic(VOIP, ("voip",)))


def test_both_extensions_add_up() -> None:
    extensions = {VOIP_TOPICS: topic_list([(VOIP, ["b"])]), TOPICS: topic_list([(VOIP, ["a"])])}
    certificate = provider_certificate(KEY, extensions=extensions)
    assert ProviderCertificate.from_x509(certificate).topics[1] == Topic(VOIP, ("a", "b"))


def test_a_certificate_for_mdm_has_its_topic_in_the_subject_alone() -> None:
    certificate = read(uid="com.apple.mgmt.External.0a1b")
    assert certificate.default_topic == "com.apple.mgmt.External.0a1b"
    assert certificate.covers("com.apple.mgmt.External.0a1b")


def test_a_certificate_without_a_subject_has_no_default_topic() -> None:
    certificate = ProviderCertificate.from_x509(
        provider_certificate(KEY, uid=None, common_name=None, extensions={})
    )
    assert (certificate.default_topic, certificate.topics) == (None, ())
    assert certificate.common_name == ""


# ── environments ──


@pytest.mark.parametrize("development", [True, False])
@pytest.mark.parametrize("production", [True, False])
def test_environments(development: bool, production: bool) -> None:  # noqa: FBT001
    present = {DEVELOPMENT: development, PRODUCTION: production}
    extensions = {oid: NULL for oid, there in present.items() if there}
    certificate = ProviderCertificate.from_x509(provider_certificate(KEY, extensions=extensions))
    assert (certificate.development, certificate.production) == (development, production)


# ── reading ──


def test_it_is_read_from_pem_and_der() -> None:
    made = provider_certificate(KEY)
    certificates = [
        ProviderCertificate.from_pem(certificate_pem(made)),
        ProviderCertificate.from_pem(certificate_pem(made).decode()),
        ProviderCertificate.from_der(made.public_bytes(Encoding.DER)),
        ProviderCertificate.from_x509(made),
    ]
    assert len(set(certificates)) == 1
    assert certificates[0].common_name == "Apple Push Services: com.example.app"


@pytest.mark.parametrize(
    "data", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\x30\x03\x02\x01\x00"]
)
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidField, match=r"^pem: holds no certificate"):
        ProviderCertificate.from_pem(data)
    with pytest.raises(InvalidField, match=r"^der: holds no certificate"):
        ProviderCertificate.from_der(data)


def test_text_that_is_not_ascii_is_no_certificate() -> None:
    with pytest.raises(InvalidField, match=r"^pem: "):
        ProviderCertificate.from_pem("\N{SNOWMAN}")


def test_an_extension_that_comes_twice_is_damage() -> None:
    made = provider_certificate(KEY).public_bytes(Encoding.DER)
    # The last octets of the two object identifiers of the environments; nobody checks signatures.
    oid = bytes.fromhex("2a864886f763640603")
    assert made.count(oid + b"\2") == 1
    with pytest.raises(InvalidField, match=r"^certificate: is damaged"):
        ProviderCertificate.from_der(made.replace(oid + b"\2", oid + b"\1"))


def test_a_certificate_of_no_known_version_is_refused() -> None:
    made = provider_certificate(KEY).public_bytes(Encoding.DER)
    version = bytes.fromhex("a003020102")
    assert made.count(version) == 1
    unknown = made.replace(version, bytes.fromhex("a00302012b"))
    with pytest.raises(InvalidField, match=r"^der: holds no certificate"):
        ProviderCertificate.from_der(unknown)
    pem = ssl.DER_cert_to_PEM_cert(unknown)
    with pytest.raises(InvalidField, match=r"^pem: holds no certificate"):
        ProviderCertificate.from_pem(pem)
    with pytest.raises(InvalidField, match=r"^certificate: holds no certificate"):
        ProviderIdentity.from_pem(pem, key_pem(KEY))


def test_an_extension_with_a_name_of_an_unknown_kind_is_damage() -> None:
    # A subject's alternative name that is an X.400 address.
    made = provider_certificate(KEY, extensions={"2.5.29.17": sequence(der(0xA3, b""))})
    with pytest.raises(InvalidField, match=r"^certificate: is damaged"):
        ProviderCertificate.from_der(made.public_bytes(Encoding.DER))


def test_a_name_that_is_no_text_is_damage() -> None:
    made = provider_certificate(KEY).public_bytes(Encoding.DER)
    # A string of bits in place of one of characters, for the subject and the issuer.
    text, bits = utf8(APP), der(0x03, APP.encode())
    assert made.count(text) == 2
    with pytest.raises(InvalidField, match=r"^certificate: is damaged"):
        ProviderCertificate.from_der(made.replace(text, bits))


# ── expiry ──


def test_validity_is_in_aware_datetimes() -> None:
    certificate = read()
    assert (certificate.not_before, certificate.not_after) == (NOT_BEFORE, NOT_AFTER)
    assert certificate.not_after.tzinfo is not None


EXPIRY: Final = [
    # Days before the end, days asked for, whether it expires within them.
    (31, 30, False),
    (30, 30, True),
    (29, 30, True),
    (0, 0, True),
    (0.001, 0, False),
    (-1, 30, True),
]


@pytest.mark.parametrize(("left", "days", "expected"), EXPIRY)
def test_expiry_within_days(left: float, days: float, *, expected: bool) -> None:
    assert read().expires_within(NOT_AFTER - dt.timedelta(days=left), days) is expected


def test_other_time_zones_are_the_same_moment() -> None:
    zone = dt.timezone(dt.timedelta(hours=-8))
    assert read().expires_within(NOT_AFTER.astimezone(zone), 0)
    assert not read().expires_within((NOT_AFTER - dt.timedelta(hours=1)).astimezone(zone), 0)


def test_a_naive_now_is_refused() -> None:
    naive = NOT_AFTER.replace(tzinfo=None)
    with pytest.raises(InvalidField, match=r"^now: must be an aware datetime"):
        read().expires_within(naive, 30)
    with pytest.raises(InvalidField, match=r"^now: "):
        read().warn_before_expiry(naive)


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (30, r"\(Apple Push Services: com.example.app\) expires on 2036-01-01 00:00 UTC"),
        (0, "expired on 2036-01-01"),
        (-400, "expired on 2036-01-01"),
    ],
)
def test_it_warns_before_it_expires(left: float, text: str) -> None:
    now = NOT_AFTER - dt.timedelta(days=left)
    with pytest.warns(CertificateExpiryWarning, match=text) as caught:
        read().warn_before_expiry(now)
    assert caught[0].filename == __file__  # blames the caller's line


def test_it_does_not_warn_too_early() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read().warn_before_expiry(NOT_AFTER - dt.timedelta(days=31))
        read().warn_before_expiry(NOT_AFTER - dt.timedelta(days=8), days=7)
