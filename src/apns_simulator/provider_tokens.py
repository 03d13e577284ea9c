"""The provider token as one connection sees it: who signed it, how old it is, when it changes."""

from collections.abc import Mapping
from typing import Any, Final, cast, final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from .config import TrustedKey

__all__ = ["PublicKeys", "TokenGate", "load_public_keys"]

MAX_AGE: Final = 3600
"""Seconds. "APNs rejects any request whose token … is more than one hour old"."""

MIN_CHANGE_INTERVAL: Final = 1200
"""Seconds. "Update the authentication token no more than once every 20 minutes." It counts from
when a connection first saw its present token, not from when that was issued
(jchambers/pushy#931)."""

PublicKeys = Mapping[str, tuple[str, EllipticCurvePublicKey]]
"""Key id -> (team id, public key)."""


def load_public_keys(trusted: Mapping[str, TrustedKey]) -> PublicKeys:
    """Parse the PEM of each trusted key.

    Raises:
        ValueError: a PEM is unreadable, or holds another kind of key.

    """
    return {key_id: (key.team_id, _load(key.public_key_pem)) for key_id, key in trusted.items()}


def _load(pem: str) -> EllipticCurvePublicKey:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, EllipticCurvePublicKey):
        msg = "a provider key must be an elliptic-curve key"
        raise ValueError(msg)  # noqa: TRY004 - the file is wrong, not the type of an argument
    return key


@final
class TokenGate:
    """Judges the ``authorization`` field of each request of one connection."""

    def __init__(self, keys: PublicKeys) -> None:
        self._keys = keys
        self._key_id: str | None = None
        self._current: bytes | None = None
        self._issued_at = 0
        self._first_seen = 0.0

    def check(self, authorization: bytes | None, unix_time: float) -> str | None:
        """Return the reason to refuse the request for, or ``None``."""
        if authorization is None:
            return "MissingProviderToken"
        # Optimisation: a signature takes about 100 µs to verify, and a token comes with every
        # request.
        if authorization != self._current:
            return self._check_new(authorization, unix_time)
        return self._check_age(self._issued_at, unix_time)

    def _check_new(self, authorization: bytes, unix_time: float) -> str | None:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            return "InvalidProviderToken"
        verified = self._verify(token)
        if verified is None:
            return "InvalidProviderToken"
        key_id, issued_at = verified
        if reason := self._check_age(issued_at, unix_time):
            return reason
        if self._key_id not in (None, key_id):
            return "UnrelatedKeyIdInToken"
        if self._current is not None and unix_time - self._first_seen < MIN_CHANGE_INTERVAL:
            return "TooManyProviderTokenUpdates"
        self._key_id = key_id
        self._current = authorization
        self._issued_at = issued_at
        self._first_seen = unix_time
        return None

    def _check_age(self, issued_at: int, unix_time: float) -> str | None:
        if unix_time - issued_at > MAX_AGE:
            return "ExpiredProviderToken"
        if issued_at - unix_time > MAX_AGE:
            return "InvalidProviderToken"
        return None

    def _verify(self, token: bytes) -> tuple[str, int] | None:
        """Return the key id and ``iat`` of a token whose signature and team are right."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            team_id, key = self._keys[cast("str", key_id)]
            # Ages are judged by the simulator's clock, never by that of the machine.
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=["ES256"], options={"verify_iat": False, "verify_exp": False}
            )
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            return None
        issued_at = claims.get("iat")
        if claims.get("iss") != team_id or type(issued_at) is not int:
            return None
        return cast("str", key_id), issued_at
