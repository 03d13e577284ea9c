"""Client certificates: what a simulated APNs knows of one, and how a throw-away one is issued."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["ClientCertificate", "issue"]

ENVIRONMENTS: Final = ("development", "production")

LIFETIME: Final = timedelta(days=365)
"""Apple's are good for a year."""


@final
@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What APNs reads in a client certificate.

    ``topics``: each topic in full, suffix and all, the app's own first; none makes the certificate
    one of another kind, which APNs refuses as ``BadCertificate``.
    """

    topics: tuple[str, ...]
    environments: tuple[str, ...] = ENVIRONMENTS

    @property
    def default_topic(self) -> str | None:
        """What stands in for an absent ``apns-topic``: the only topic, if there are not several."""
        return self.topics[0] if len(self.topics) == 1 else None

    def problem(self, environment: str) -> str | None:
        """Return the reason with which a server of that environment says GOAWAY, or ``None``."""
        if not self.topics:
            return "BadCertificate"
        return None if environment in self.environments else "BadCertificateEnvironment"


def issue(
    certificate: ClientCertificate, authority_pem: bytes, authority_key_pem: bytes
) -> tuple[x509.Certificate, bytes]:
    """Issue a certificate that says this; return it, and its key as PEM."""
    authority = x509.load_pem_x509_certificate(authority_pem)
    authority_key = load_pem_private_key(authority_key_pem, None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        msg = "the authority's key is not of an elliptic curve"
        raise TypeError(msg)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(certificate))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
    )
    for oid, value in _extensions(certificate):
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return builder.sign(authority_key, SHA256()), key_pem


def _subject(certificate: ClientCertificate) -> x509.Name:
    name = "".join(certificate.topics[:1])
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, f"Apple Push Services: {name}")]
    if name:
        attributes.insert(0, x509.NameAttribute(NameOID.USER_ID, name))
    return x509.Name(attributes)


def _extensions(certificate: ClientCertificate) -> Iterable[tuple[x509.ObjectIdentifier, bytes]]:
    """Yield Apple's own: which environments, by their presence; which topics, as a list."""
    for number, environment in enumerate(ENVIRONMENTS, 1):
        if environment in certificate.environments:
            yield x509.ObjectIdentifier(f"{_APPLE}.{number}"), _NULL
    if len(certificate.topics) > 1:
        # SEQUENCE { UTF8String topic, SEQUENCE { UTF8String service }, UTF8String topic, … }
        listed = b"".join(
            _der(_UTF8_STRING, topic.encode()) + _der(_SEQUENCE, _der(_UTF8_STRING, b"app"))
            for topic in certificate.topics
        )
        yield x509.ObjectIdentifier(f"{_APPLE}.6"), _der(_SEQUENCE, listed)


def _der(tag: int, contents: bytes) -> bytes:
    size = len(contents)
    if size < 0x80:
        return bytes([tag, size]) + contents
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + contents


_APPLE: Final = "1.2.840.113635.100.6.3"
_UTF8_STRING: Final = 0x0C
_SEQUENCE: Final = 0x30
_NULL: Final = b"\x05\x00"
