"""Signs provider tokens with a key file (``.p8``) from Apple; the engine never imports it."""

import os
import re
import stat
import warnings
from pathlib import Path
from typing import Final, NoReturn, final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from apns_core.errors import InvalidField

__all__ = ["KeyFileWarning", "TokenKey"]


class KeyFileWarning(UserWarning):
    """A key file can be read or written by others than its owner."""


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
        for field, value in (("key_id", key_id), ("team_id", team_id)):
            if not _TEN_CHARACTERS.fullmatch(value):
                raise InvalidField(field, "must be 10 letters and digits")
        self._key = _p256("key", key)
        self.key_id = key_id
        self.team_id = team_id

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, key_id: str, team_id: str) -> "TokenKey":
        """Read the key from a file. Warns with `KeyFileWarning` if others may read or write it.

        Raises `InvalidField` when the file cannot be read or holds something else.
        """
        name = os.fsdecode(path)
        if "-----BEGIN" in name:
            raise InvalidField("path", "is the text of a key; use TokenKey.from_pem")
        mode, pem = _read(name)
        if _HAS_MODES and mode & _OTHERS:
            warnings.warn(
                f"the key file has mode {stat.S_IMODE(mode):04o}: others than its owner may use it",
                KeyFileWarning,
                stacklevel=2,
            )
        return cls(_load("path", pem), key_id=key_id, team_id=team_id)

    @classmethod
    def from_pem(cls, pem: bytes | str, *, key_id: str, team_id: str) -> "TokenKey":
        """Take the contents of a key file, for example from a secret store.

        Raises `InvalidField` when they are something else, such as a path.
        """
        # Not strictly: the error of a failed encoding would carry the key.
        data = pem.encode("ascii", "replace") if isinstance(pem, str) else pem
        return cls(_load("pem", data), key_id=key_id, team_id=team_id)

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
        return f"TokenKey(key_id={self.key_id!r}, team_id={self.team_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key is a credential and cannot be pickled")


_TEN_CHARACTERS: Final = re.compile("[A-Za-z0-9]{10}")

# A key file has 257 bytes. This much holds any other key too, so that it can be named as such.
_MAX_FILE: Final = 65_536

# Windows has access lists; the mode that it reports says nothing of them.
_HAS_MODES: Final = os.name == "posix"
_OTHERS: Final = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH

_PEM_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")

# What people pass by mistake, by the label of its PEM block (RFC 7468).
_NOT_A_PRIVATE_KEY: Final = {
    b"PUBLIC KEY": "is a public key; the private one is needed",
    b"CERTIFICATE": "is a certificate; a token is signed with a private key",
    b"ENCRYPTED PRIVATE KEY": "is encrypted; decrypt it first (openssl pkcs8 -in … -out …)",
}


def _read(name: str) -> tuple[int, bytes]:
    """Return the mode and the contents of a file."""
    try:
        with Path(name).open("rb") as file:
            # The mode of what was opened: a link is followed once.
            return os.fstat(file.fileno()).st_mode, file.read(_MAX_FILE)
    except OSError as error:
        problem = error.strerror
    except ValueError:
        problem = "it has a NUL in it"
    # Not chained to the OSError: that one quotes the name, which may be a key after all.
    raise InvalidField("path", f"cannot be read: {problem}")


def _load(field: str, pem: bytes) -> EllipticCurvePrivateKey:
    label = _PEM_LABEL.search(pem)
    if label is None:
        raise InvalidField(field, "holds no key in PEM form (-----BEGIN PRIVATE KEY-----)")
    problem = _NOT_A_PRIVATE_KEY.get(label[1])
    if problem is not None:
        raise InvalidField(field, problem)
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:  # encrypted in OpenSSL's older form, which has no label of its own
        raise InvalidField(field, _NOT_A_PRIVATE_KEY[b"ENCRYPTED PRIVATE KEY"]) from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidField(
            field, "is damaged: no private key can be read from it (were its line breaks kept?)"
        ) from None
    return _p256(field, key)


def _p256(field: str, key: PrivateKeyTypes) -> EllipticCurvePrivateKey:
    if not isinstance(key, EllipticCurvePrivateKey):
        raise InvalidField(field, "is not an elliptic-curve key; APNs takes P-256 alone")
    if not isinstance(key.curve, SECP256R1):
        raise InvalidField(field, f"is on the curve {key.curve.name}; APNs takes P-256 alone")
    return key
