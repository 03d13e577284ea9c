"""Certificates such as Apple issues to senders, made here."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

APPLE: Final = "1.2.840.113635.100.6.3."
DEVELOPMENT: Final = APPLE + "1"
PRODUCTION: Final = APPLE + "2"
VOIP_TOPICS: Final = APPLE + "4"
TOPICS: Final = APPLE + "6"

NULL: Final = b"\x05\x00"
NOT_BEFORE: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NOT_AFTER: Final = dt.datetime(2036, 1, 1, tzinfo=dt.UTC)


def der(tag: int, contents: bytes) -> bytes:
    """One element. Written apart from the reader that is under test."""
    if len(contents) < 0x80:
        return bytes([tag, len(contents)]) + contents
    length = len(contents).to_bytes((len(contents).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + contents


def utf8(text: str) -> bytes:
    return der(0x0C, text.encode())


def sequence(*parts: bytes) -> bytes:
    return der(0x30, b"".join(parts))


def topic_list(topics: Sequence[tuple[str, Sequence[str]]]) -> bytes:
    """The value of a topic extension, as Apple writes it."""
    return sequence(
        *(
            part
            for name, services in topics
            for part in (utf8(name), sequence(*map(utf8, services)))
        )
    )


def key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "Test Worldwide Developer Relations")]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def provider_certificate(
    key: PrivateKey,
    *,
    uid: str | None = "com.example.app",
    common_name: str | None = "Apple Push Services: com.example.app",
    extensions: Mapping[str, bytes] | None = None,
    not_after: dt.datetime = NOT_AFTER,
    issuer: tuple[x509.Certificate, PrivateKey] | None = None,
) -> x509.Certificate:
    attributes = ((NameOID.USER_ID, uid), (NameOID.COMMON_NAME, common_name))
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes if value])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(not_after)
    )
    if extensions is None:
        extensions = {DEVELOPMENT: NULL, PRODUCTION: NULL}
    for oid, value in extensions.items():
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key if issuer is None else issuer[1], hashes.SHA256())
