"""Signs provider tokens: with Apple's key file (``.p8``), or a key that lives elsewhere.

The engine never imports it.
"""

import json
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, NoReturn, cast, final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from apns_core.errors import InvalidField
from apns_core.trust.key_files import KeyFileWarning, read_key_file

__all__ = ["KeyFileWarning", "RemoteKey", "TokenKey"]


@final
class TokenKey:
    """A P-256 signing key with the key id and team id that Apple knows it by.

    Made by `from_file` or by `from_pem`, neither of which takes the other's argument, or from a
    private key of ``cryptography``. Its repr shows the two ids alone, and it cannot be pickled.
    """

    __slots__ = ("_key", "key_id", "team_id")

    key_id: Final[str]
    """Ten characters, from the name of the file: ``AuthKey_ABC123DEFG.p8``."""

    team_id: Final[str]
    """Ten characters, from the membership page of the developer account."""

    def __init__(self, key: PrivateKeyTypes, *, key_id: str, team_id: str) -> None:
        self.key_id = _ten_characters("key_id", key_id)
        self.team_id = _ten_characters("team_id", team_id)
        self._key = _raised(_p256("key", key))

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, key_id: str, team_id: str, strict: bool = False
    ) -> "TokenKey":
        """Read the key from a file. Warns with `KeyFileWarning` if others may read or write it.

        Raises `InvalidField` when the file cannot be read or holds something else; with
        ``strict``, also where it would warn.
        """
        return cls(
            _raised(_load("path", read_key_file("path", path, strict=strict))),
            key_id=key_id,
            team_id=team_id,
        )

    @classmethod
    def from_pem(cls, pem: bytes | str, *, key_id: str, team_id: str) -> "TokenKey":
        """Take the contents of a key file, for example from a secret store.

        Raises `InvalidField` when they are something else, such as a path.
        """
        key = _load("pem", pem)
        # Whoever reports an error may show the locals of its frames.
        del pem
        return cls(_raised(key), key_id=key_id, team_id=team_id)

    def sign(self, issued_at: int) -> str:
        """Sign a provider token issued at this Unix time in seconds.

        A JWT with the fields that Apple lists and no others: ``alg`` and ``kid``, ``iss`` and
        ``iat``. Signed with ES256 (RFC 7518 Section 3.4). Takes some 80 µs.
        """
        return jwt.encode(
            {"iss": self.team_id, "iat": issued_at},
            self._key,
            algorithm="ES256",
            headers={"kid": self.key_id, "typ": None},
        )

    def __repr__(self) -> str:
        try:
            return f"TokenKey(key_id={self.key_id!r}, team_id={self.team_id!r})"
        except AttributeError:  # refused half-way: whoever reports the error may show its locals
            return "<TokenKey, refused>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key is a credential and cannot be pickled")


@final
class RemoteKey:
    """A P-256 signing key that stays where it is: in an HSM, a key service, an agent.

    ``sign_message`` is given the bytes to sign, in ASCII, and returns their ECDSA signature with
    SHA-256: either DER, as OpenSSL, PKCS#11 wrappers and the key services of AWS and Google give
    it, or r and s in 32 bytes each, as Azure does. A service that signs digests instead is to be
    given ``hashlib.sha256(message).digest()``. What ``sign_message`` raises, `sign` raises.

    Called once in 40 minutes, by adapters in a thread: it may take its time. One that is
    asynchronous is no signer for this class.
    """

    __slots__ = ("_sign_message", "key_id", "team_id")

    blocking: ClassVar[bool] = True
    """Adapters call `sign` in a thread."""

    key_id: Final[str]
    """Ten characters: what Apple calls the key."""

    team_id: Final[str]
    """Ten characters, from the membership page of the developer account."""

    def __init__(
        self, sign_message: Callable[[bytes], bytes], *, key_id: str, team_id: str
    ) -> None:
        self.key_id = _ten_characters("key_id", key_id)
        self.team_id = _ten_characters("team_id", team_id)
        if not callable(cast("object", sign_message)):
            raise InvalidField("sign_message", "cannot be called")
        self._sign_message = sign_message

    def sign(self, issued_at: int) -> str:
        """Sign a provider token issued at this Unix time in seconds: the JWT of `TokenKey.sign`.

        Raises `InvalidField` when what comes back is no such signature. Whether it is one by the
        right key, APNs will say (``InvalidProviderToken``).
        """
        header = _base64url_json({"alg": "ES256", "kid": self.key_id})
        claims = _base64url_json({"iss": self.team_id, "iat": issued_at})
        message = header + b"." + claims  # RFC 7515 Section 5.1
        signature = _r_and_s(self._sign_message(message))
        return (message + b"." + _base64url(signature)).decode("ascii")

    def __repr__(self) -> str:
        try:
            return f"RemoteKey(key_id={self.key_id!r}, team_id={self.team_id!r})"
        except AttributeError:  # refused half-way
            return "<RemoteKey, refused>"


def _ten_characters(field: str, value: object) -> str:
    text = str.__str__(value) if isinstance(value, str) else ""  # of a subclass too
    if not _TEN_CHARACTERS.fullmatch(text):
        raise InvalidField(field, "must be 10 letters and digits")
    return text


_TEN_CHARACTERS: Final = re.compile("[A-Za-z0-9]{10}")


def _base64url_json(value: Mapping[str, str | int]) -> bytes:
    return _base64url(json.dumps(value, separators=(",", ":")).encode("ascii"))


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")  # RFC 7515 Section 2


def _r_and_s(signature: object) -> bytes:
    """Return a signature as RFC 7518 Section 3.4 has it."""
    try:
        data = bytes(memoryview(cast("bytes", signature)))
        # Of DER signatures, one in 2**48 or so has this length.
        if len(data) == 64:
            return data
        r, s = decode_dss_signature(data)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    except (TypeError, ValueError, OverflowError):
        problem = "must return an ECDSA signature on P-256: DER, or 64 bytes of r and s"
    raise InvalidField("sign_message", problem)


_PEM_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")

# What people pass by mistake, by the label of its PEM block (RFC 7468).
_NOT_A_PRIVATE_KEY: Final = {
    b"PUBLIC KEY": "is a public key; the private one is needed",
    b"CERTIFICATE": "is a certificate; a token is signed with a private key",
    b"ENCRYPTED PRIVATE KEY": "is encrypted; decrypt it first (openssl pkcs8 -in … -out …)",
}


def _load(field: str, pem: object) -> EllipticCurvePrivateKey | InvalidField:
    """Return the key, or the error: not raised here, where the frames hold the text of the key."""
    if isinstance(pem, str):
        # Not strictly: the error of a failed encoding would carry the key.
        pem = pem.encode("ascii", "replace")
    if not isinstance(pem, bytes):
        return InvalidField(field, "neither bytes nor text")
    label = _PEM_LABEL.search(pem)
    if label is None:
        return InvalidField(field, "holds no key in PEM form (-----BEGIN PRIVATE KEY-----)")
    problem = _NOT_A_PRIVATE_KEY.get(label[1])
    if problem is not None:
        return InvalidField(field, problem)
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:  # encrypted in OpenSSL's older form, which has no label of its own
        return InvalidField(field, _NOT_A_PRIVATE_KEY[b"ENCRYPTED PRIVATE KEY"])
    except (ValueError, UnsupportedAlgorithm):
        return InvalidField(
            field, "is damaged: no private key can be read from it (were its line breaks kept?)"
        )
    return _p256(field, key)


def _p256(field: str, key: object) -> EllipticCurvePrivateKey | InvalidField:
    if not isinstance(key, EllipticCurvePrivateKey):
        return InvalidField(field, "is not an elliptic-curve key; APNs takes P-256 alone")
    if not isinstance(key.curve, SECP256R1):
        return InvalidField(field, f"is on the curve {key.curve.name}; APNs takes P-256 alone")
    return key


def _raised(key: EllipticCurvePrivateKey | InvalidField) -> EllipticCurvePrivateKey:
    if isinstance(key, InvalidField):
        raise key
    return key
