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
from typing import Final, NoReturn, TypeAlias, final

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

        Where one was renewed with the same key, it is the one that expires last. Raises
        `InvalidField` when none of the certificates is the key's.
        """
        if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
            raise InvalidField("key", "is neither an RSA nor an elliptic-curve private key")
        public = key.public_key()
        own = [each for each in certificates if _public_key(each) == public]
        if not own:
            raise InvalidField("certificate", "is not the one of this key")
        newest = max(own, key=lambda each: each.not_valid_after_utc)
        self._key = key
        # Its issuers follow it (RFC 8446 Section 4.4.2); a root at the end does no harm.
        self._chain = [newest, *(each for each in certificates if each not in own)]
        self.certificate = ProviderCertificate.from_x509(newest)

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
        loaded = _load_pem(certificate, key, password)
        # Whoever reports an error may show the locals of its frames.
        del certificate, key, password
        return cls(*_raised(loaded))

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
            loaded = _load_pem(
                read_key_file("certificate", certificate, strict=strict), None, password
            )
        else:
            key_pem = read_key_file("key", key, strict=strict)
            loaded = _load_pem(_read_certificate(certificate), key_pem, password)
            del key_pem
        del password
        return cls(*_raised(loaded))

    @classmethod
    def from_pkcs12(cls, data: bytes, *, password: bytes | str | None = None) -> "ProviderIdentity":
        """Take a PKCS#12 bundle (``.p12``), as the keychain exports it. Raises `InvalidField`."""
        loaded = _load_pkcs12("data", data, password)
        del data, password
        return cls(*_raised(loaded))

    @classmethod
    def from_pkcs12_file(
        cls,
        path: str | os.PathLike[str],
        *,
        password: bytes | str | None = None,
        strict: bool = False,
    ) -> "ProviderIdentity":
        """Read a ``.p12`` file; of its mode and of errors, see `from_file`."""
        loaded = _load_pkcs12("path", read_key_file("path", path, strict=strict), password)
        del password
        return cls(*_raised(loaded))

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have a context present this certificate; **changes it**.

        `ssl` takes keys from files alone. One is written for it, readable by this user alone, with
        the key encrypted by a password that exists for this call only; it is deleted at once. If
        the process dies in between, what stays behind is of no use to anyone.

        Raises `InvalidField` when OpenSSL will not have it, for example for a short key, and when
        there is no place for temporary files, or none on their disk.
        """
        problem = _load_through_a_file(self._key, self._chain, context)
        if problem is not None:
            raise InvalidField("certificate", problem)

    def __repr__(self) -> str:
        try:
            return f"ProviderIdentity(certificate={self.certificate!r})"
        except AttributeError:  # refused: whoever reports the error may show its locals
            return "<ProviderIdentity, refused>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is a credential and cannot be pickled")


# A file may hold certificates and parameters beside the key, in any order.
_KEY_BLOCK: Final = re.compile(
    rb"-----BEGIN ([A-Z ]{0,20}PRIVATE KEY)-----.*?-----END \1-----\s*", re.DOTALL
)
_ENCRYPTED: Final = "is encrypted, and the password is missing or wrong"


_Loaded: TypeAlias = tuple[PrivateKeyTypes, list[x509.Certificate]] | InvalidField
"""What was read; or else the error, which is not raised where the frames hold the key."""


def _raised(loaded: _Loaded) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    if isinstance(loaded, InvalidField):
        raise loaded
    return loaded


def _load_pem(certificate: object, key: object, password: object) -> _Loaded:
    field = "certificate" if key is None else "key"
    certificate_pem = _octets(certificate)
    key_pem = certificate_pem if key is None else _octets(key)
    if certificate_pem is None:
        return InvalidField("certificate", "neither bytes nor text")
    if key_pem is None:
        return InvalidField("key", "neither bytes nor text")
    if password is not None and _password(password) is None:
        return InvalidField("password", "neither bytes nor a text that UTF-8 has")
    block = _KEY_BLOCK.search(key_pem)
    if block is None:
        return InvalidField(field, "holds no private key in PEM form")
    # The second is OpenSSL's older form: a line "Proc-Type: 4,ENCRYPTED" inside.
    encrypted = b"ENCRYPTED" in block[0]
    try:
        # A password for what is not encrypted is an error to cryptography, and none to us.
        loaded = load_pem_private_key(block[0], _password(password) if encrypted else None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return InvalidField(
            field, _ENCRYPTED if encrypted else "is damaged: no private key can be read from it"
        )
    try:
        return loaded, x509.load_pem_x509_certificates(certificate_pem)
    except (ValueError, x509.InvalidVersion):
        return InvalidField("certificate", "holds no certificate in PEM form")


def _load_pkcs12(field: str, data: object, password: object) -> _Loaded:
    if not isinstance(data, bytes):
        return InvalidField(field, "not bytes")
    if password is not None and _password(password) is None:
        return InvalidField("password", "neither bytes nor a text that UTF-8 has")
    octets = _password(password)
    if octets is not None and b"\0" in octets:
        # cryptography would panic, which is no Exception, and quote the password in doing so.
        return InvalidField("password", "has a NUL in it, which no password of PKCS#12 can have")
    try:
        bundle = load_pkcs12(data, octets)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return InvalidField(field, "is no PKCS#12 bundle, or its password is missing or wrong")
    if bundle.key is None:
        return InvalidField(field, "holds no private key")
    own = [] if bundle.cert is None else [bundle.cert.certificate]
    return bundle.key, own + [each.certificate for each in bundle.additional_certs]


def _octets(text: object) -> bytes | None:
    # Not strictly: the error of a failed encoding would carry the key.
    octets = text.encode("ascii", "replace") if isinstance(text, str) else text
    return octets if isinstance(octets, bytes) else None


def _password(password: object) -> bytes | None:
    try:
        octets = password.encode("utf-8") if isinstance(password, str) else password
    except UnicodeEncodeError:
        return None
    return octets if isinstance(octets, bytes) else None


def _read_certificate(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except (TypeError, ValueError):
        problem = "cannot be read: it is no name of a file"
    # Not chained: the cause quotes the name.
    raise InvalidField("certificate", problem)


def _load_through_a_file(
    key: RSAPrivateKey | EllipticCurvePrivateKey,
    chain: Sequence[x509.Certificate],
    context: ssl.SSLContext,
) -> str | None:
    """Have a context present a certificate; return what is wrong if it cannot."""
    password = secrets.token_hex(32).encode("ascii")
    pem = [
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password)),
        *(each.public_bytes(Encoding.PEM) for each in chain),
    ]
    try:
        descriptor, name = tempfile.mkstemp(prefix="apns-", suffix=".pem")  # mode 0600
    except OSError as error:
        return f"no temporary file can be made for OpenSSL: {error.strerror}"
    try:
        # Closed before OpenSSL opens it, as Windows wants it.
        with open(descriptor, "wb") as file:  # noqa: PTH123 - Path cannot open a descriptor
            file.write(b"".join(pem))
        context.load_cert_chain(name, password=password)
    except ssl.SSLError as error:
        return f"OpenSSL refuses it: {error.reason}"
    except OSError as error:
        return f"no temporary file can be written for OpenSSL: {error.strerror}"
    finally:
        Path(name).unlink()
    return None


def _public_key(certificate: object) -> object:
    if not isinstance(certificate, x509.Certificate):
        return None
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
