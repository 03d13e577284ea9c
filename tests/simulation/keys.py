"""A provider key that signs the same twice: seeds are to be repeated to the last octet."""

import json
from base64 import urlsafe_b64encode
from typing import Final, final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apns_simulator import TrustedKey

__all__ = ["KEY", "RepeatableKey"]

KEY_ID: Final = "SIMULATION"
TEAM_ID: Final = "SIMULATORS"


@final
class RepeatableKey:
    """ES256 (RFC 7518 §3.4) with nonces by RFC 6979, from a number that is no secret."""

    def __init__(self) -> None:
        self._key = ec.derive_private_key(0x5EED, ec.SECP256R1())

    def sign(self, issued_at: int) -> str:
        """Return a provider token with this ``iat``, in UNIX seconds."""
        claims = _encoded({"alg": "ES256", "kid": KEY_ID}, {"iss": TEAM_ID, "iat": issued_at})
        signature = self._key.sign(claims.encode(), ec.ECDSA(SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(signature)
        return claims + "." + _base64(r.to_bytes(32) + s.to_bytes(32))

    def trusted(self) -> dict[str, TrustedKey]:
        """Return the public half in the form that ``SimulatorConfig.trusted_keys`` takes."""
        public = self._key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        return {KEY_ID: TrustedKey(TEAM_ID, public.decode())}


def _encoded(*parts: dict[str, object]) -> str:
    return ".".join(_base64(json.dumps(part).encode()) for part in parts)


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


KEY: Final = RepeatableKey()
