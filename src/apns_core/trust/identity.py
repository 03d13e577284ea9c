"""A provider certificate with its private key, as a connection presents it (mutual TLS).

The engine never imports it.
"""

import os
import re
import secrets
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn, final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from apns_core.errors import InvalidField
from apns_core.trust.certificate import ProviderCertificate
from apns_core.trust.key_files import read_key_file

__all__ = ["ProviderIdentity"]


@final
class ProviderIdentity:
    """A provider certificate, the chain above it, and its key.

    Made by `from_pem`, `from_file`, `from_pkcs12` or `from_pkcs12_file`. Give it to
    `apns_core.trust.tls.client_context`, or load it into a context of your own. Its repr shows
    what the certificate says and nothing of the key; it cannot be pickled.
    """

    __slots__ = ("_chain", "_key", "certificate")

    certificate: Final[ProviderCertificate]
    """What the certificate says: topics, environments, expiry."""

    def __init__(self, key: PrivateKeyTypes, certificates: Sequence[x509.Certificate]) -> None:
        """Take what ``cryptography`` has read; the certificate of the key may be anywhere in it.

        Raises `InvalidField` when none of the certificates is the key's.
        """
        if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
            raise InvalidField("key", "is neither an RSA nor an elliptic-curve private key")
        public = key.public_key()
        own = [each for each in certificates if _public_key(each) == public]
        if not own:
            raise InvalidField("certificate", "is not the one of this key")
        self._key = key
        # Its issuers follow it (RFC 8446 Section 4.4.2); a root at the end does no harm.
        self._chain = [own[0], *(each for each in certificates if each is not own[0])]
        self.certificate = ProviderCertificate.from_x509(own[0])

    @classmethod
    def from_pem(
        cls,
        certificate: bytes | str,
        key: bytes | str | None = None,
        *,
        password: bytes | str | None = None,
    ) -> "ProviderIdentity":
        """Take PEM: the certificate, perhaps with its issuers, and the key.

        Without ``key`` the key is in ``certificate`` too. ``password`` is the key's. Raises
        `InvalidField`.
        """
        certificate_pem = _octets(certificate)
        key_pem = certificate_pem if key is None else _octets(key)
        return cls(
            _load_key("certificate" if key is None else "key", key_pem, password),
            _load_certificates(certificate_pem),
        )

    @classmethod
    def from_file(
        cls,
        certificate: str | os.PathLike[str],
        key: str | os.PathLike[str] | None = None,
        *,
        password: bytes | str | None = None,
        strict: bool = False,
    ) -> "ProviderIdentity":
        """Read what `from_pem` takes from one file or two.

        Warns with `KeyFileWarning` if others may read or write the file that holds the key; with
        ``strict``, raises `InvalidField` instead. Raises `InvalidField` when a file cannot be read
        or holds something else.
        """
        if key is None:
            return cls.from_pem(
                read_key_file("certificate", certificate, strict=strict), password=password
            )
        key_pem = read_key_file("key", key, strict=strict)
        try:
            certificate_pem = Path(certificate).read_bytes()
        except OSError as error:
            raise InvalidField("certificate", f"cannot be read: {error.strerror}") from None
        return cls.from_pem(certificate_pem, key_pem, password=password)

    @classmethod
    def from_pkcs12(cls, data: bytes, *, password: bytes | str | None = None) -> "ProviderIdentity":
        """Take a PKCS#12 bundle (``.p12``), as the keychain exports it. Raises `InvalidField`."""
        return cls(*_load_pkcs12("data", data, password))

    @classmethod
    def from_pkcs12_file(
        cls,
        path: str | os.PathLike[str],
        *,
        password: bytes | str | None = None,
        strict: bool = False,
    ) -> "ProviderIdentity":
        """Read a ``.p12`` file; of its mode and of errors, see `from_file`."""
        return cls(*_load_pkcs12("path", read_key_file("path", path, strict=strict), password))

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have a context present this certificate; **changes it**.

        `ssl` takes keys from files alone. One is written for it, readable by this user alone, with
        the key encrypted by a password that exists for this call only; it is deleted at once. If
        the process dies in between, what stays behind is of no use to anyone.

        Raises `InvalidField` when OpenSSL will not have it, for example for a short key, and when
        there is no place for temporary files.
        """
        password = secrets.token_hex(32).encode("ascii")
        pem = [
            self._key.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password)
            ),
            *(each.public_bytes(Encoding.PEM) for each in self._chain),
        ]
        try:
            descriptor, name = tempfile.mkstemp(prefix="apns-", suffix=".pem")  # mode 0600
        except OSError as error:
            raise InvalidField(
                "certificate", f"no temporary file can be made for OpenSSL: {error.strerror}"
            ) from None
        try:
            # Closed before OpenSSL opens it, as Windows wants it.
            with open(descriptor, "wb") as file:  # noqa: PTH123 - Path cannot open a descriptor
                file.write(b"".join(pem))
            context.load_cert_chain(name, password=password)
        except ssl.SSLError as error:
            raise InvalidField("certificate", f"OpenSSL refuses it: {error.reason}") from None
        finally:
            Path(name).unlink()

    def __repr__(self) -> str:
        return f"ProviderIdentity(certificate={self.certificate!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is a credential and cannot be pickled")


# A file may hold certificates and parameters beside the key, in any order.
_KEY_BLOCK: Final = re.compile(
    rb"-----BEGIN ([A-Z ]{0,20}PRIVATE KEY)-----.*?-----END \1-----\s*", re.DOTALL
)
_ENCRYPTED: Final = "is encrypted, and the password is missing or wrong"


def _octets(text: bytes | str) -> bytes:
    # Not strictly: the error of a failed encoding would carry the key.
    return text.encode("ascii", "replace") if isinstance(text, str) else text


def _password(password: bytes | str | None) -> bytes | None:
    return password.encode("utf-8") if isinstance(password, str) else password


def _load_key(field: str, pem: bytes, password: bytes | str | None) -> PrivateKeyTypes:
    block = _KEY_BLOCK.search(pem)
    if block is None:
        raise InvalidField(field, "holds no private key in PEM form")
    # The second is OpenSSL's older form: a line "Proc-Type: 4,ENCRYPTED" inside.
    encrypted = b"ENCRYPTED" in block[0]
    try:
        # A password for what is not encrypted is an error to cryptography, and none to us.
        return load_pem_private_key(block[0], _password(password) if encrypted else None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        problem = _ENCRYPTED if encrypted else "is damaged: no private key can be read from it"
    # Not chained: nothing that read the key is to speak of it.
    raise InvalidField(field, problem)


def _load_certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion):
        raise InvalidField("certificate", "holds no certificate in PEM form") from None


def _load_pkcs12(
    field: str, data: bytes, password: bytes | str | None
) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    try:
        bundle = load_pkcs12(data, _password(password))
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        bundle = None
    if bundle is None:
        raise InvalidField(field, "is no PKCS#12 bundle, or its password is missing or wrong")
    if bundle.key is None:
        raise InvalidField(field, "holds no private key")
    own = [] if bundle.cert is None else [bundle.cert.certificate]
    return bundle.key, own + [each.certificate for each in bundle.additional_certs]


def _public_key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
