"""DER, certificates and keys of any octets: read, or refused as `InvalidField`.

An input is an octet that chooses a reader, and the file.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from apns_core.errors import InvalidField
from apns_core.trust.certificate import ProviderCertificate, Topic, _read_topics
from apns_core.trust.der import elements
from apns_core.trust.identity import ProviderIdentity
from apns_core.trust.pins import public_key_pin
from apns_core.trust.signing import TokenKey

__all__ = ["MAX_LENGTH", "check", "seeds"]

MAX_LENGTH: Final = 2_048

_IDS: Final = {"key_id": "ABC123DEFG", "team_id": "DEF123GHIJ"}


def _cut_apart(data: bytes) -> None:
    try:
        found = list(elements(data))
    except ValueError:
        return
    assert b"".join(element.whole for element in found) == data
    for element in found:
        assert element.whole == _written(element.tag, element.contents), "more than one form"


def _written(tag: int, contents: bytes) -> bytes:
    """Write an element as DER has it (X.690 Section 10.1), apart from the reader."""
    length = len(contents)
    if length < 0x80:
        return bytes((tag, length)) + contents
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + contents


def _topics(data: bytes) -> None:
    for topic in _read_topics(data):
        assert isinstance(topic, Topic)
        assert all(isinstance(service, str) for service in topic.services)


def _certificate(data: bytes) -> None:
    certificate = ProviderCertificate.from_der(data)
    assert certificate.covers(certificate.default_topic or "") or not certificate.default_topic
    certificate.expires_within(datetime(2026, 1, 1, tzinfo=UTC), 30)
    # What cryptography reads as a certificate has a key where we look for it.
    assert public_key_pin(data).startswith("sha256/")


def _identity(data: bytes) -> None:
    assert ProviderIdentity.from_pem(data).certificate


def _token_key(data: bytes) -> None:
    shown = repr(TokenKey.from_pem(data, **_IDS))
    assert "PRIVATE" not in shown


def _pem(data: bytes) -> None:
    """Read DER wrapped in PEM, so that mutations are of the contents."""
    _token_key(_armour(b"PRIVATE KEY", data))


_READERS: Final[tuple[Callable[[bytes], object], ...]] = (
    _cut_apart,
    _topics,
    _certificate,
    public_key_pin,
    ProviderCertificate.from_pem,
    _identity,
    _token_key,
    _pem,
)


def check(data: bytes) -> None:
    """Read one file with one reader."""
    if not data:
        return
    reader, octets = _READERS[data[0] % len(_READERS)], data[1:]
    try:
        reader(octets)
    except InvalidField as error:
        assert str(error).isprintable()
        assert len(str(error)) < _LONGEST_ERROR
        told = [octets.decode("latin-1"), octets.hex(), b64encode(octets).decode()]
        for word in _LONG_WORDS(str(error)):
            assert not [form for form in told if word in form], "something of the file"


_LONGEST_ERROR: Final = 200
"""Characters: nothing of a file is quoted."""
_LONG_WORDS: Final = re.compile(r"[A-Za-z0-9+/=_]{14,}").findall
"""What no error says by itself, and a key does."""


def seeds() -> Iterator[bytes]:
    """Yield a certificate such as Apple's, its key, and topics of several forms."""
    key, certificate = _provider_certificate()
    der = certificate.public_bytes(Encoding.DER)
    pem = certificate.public_bytes(Encoding.PEM)
    key_der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for reader in range(len(_READERS)):
        for octets in (der, pem, key_der, key_pem, pem + key_pem, _TOPIC_LIST, *_ELEMENTS):
            yield bytes((reader,)) + octets


def _armour(label: bytes, der: bytes) -> bytes:
    text = b64encode(der)
    lines = b"\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, lines, label)


def _provider_certificate() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.derive_private_key(0x1234_5678_9ABC, ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.USER_ID, "com.example.app"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Apple Push Services: com.example.app"),
        ]
    )
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=365))
    )
    for oid, value in _EXTENSIONS.items():
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=False)
    return key, builder.sign(key, hashes.SHA256())


_TOPIC_LIST: Final = _written(
    0x30,
    _written(0x0C, b"com.example.app")
    + _written(0x30, _written(0x0C, b"app"))
    + _written(0x0C, b"com.example.app.voip")
    + _written(0x30, _written(0x0C, b"voip") + _written(0x16, b"complication")),
)
_EXTENSIONS: Final = {
    "1.2.840.113635.100.6.3.1": b"\x05\x00",
    "1.2.840.113635.100.6.3.2": b"\x05\x00",
    "1.2.840.113635.100.6.3.6": _TOPIC_LIST,
}
_ELEMENTS: Final = (
    b"",
    b"\x30\x80\x00\x00",
    b"\x30\x81\x05" + b"\x0c\x03abc",
    b"\x30\x82\x00\x02\x05\x00",
    b"\x04\x81\x80" + bytes(128),
    b"\x1f\x81\x01\x00",
    b"\x30\x85\x01\x00\x00\x00\x00",
    b"\x30" * 100 + b"\x00",
)
