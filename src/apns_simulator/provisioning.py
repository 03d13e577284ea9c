"""A throw-away provider key, as Apple's developer portal issues them, and tokens signed by it."""

import secrets
import string
from dataclasses import dataclass, field
from typing import Final, final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from .config import SimulatorConfig, TrustedKey

__all__ = ["KeyOwner", "ProviderKey", "make_provider_key"]

IDENTIFIER_ALPHABET: Final = string.ascii_uppercase + string.digits


@final
@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A P-256 signing key with its names. The key itself stays out of the repr."""

    key_id: str
    team_id: str
    private_key_pem: str = field(repr=False)
    """PKCS#8 PEM: what a ``.p8`` file holds."""

    public_key_pem: str = field(repr=False)

    def trusted(self) -> dict[str, TrustedKey]:
        """Return the public half in the form that ``SimulatorConfig.trusted_keys`` takes."""
        return {self.key_id: TrustedKey(self.team_id, self.public_key_pem)}

    def sign(self, issued_at: int) -> str:
        """Return a provider token (JWT, ES256) issued at `issued_at`, in UNIX seconds."""
        return jwt.encode(
            {"iss": self.team_id, "iat": issued_at},
            self.private_key_pem,
            algorithm="ES256",
            headers={"kid": self.key_id},
        )


def make_provider_key() -> ProviderKey:
    """Make a fresh key with a random key id and team id of 10 characters, as Apple's are."""
    key = ec.generate_private_key(ec.SECP256R1())
    return ProviderKey(
        key_id=_identifier(),
        team_id=_identifier(),
        private_key_pem=key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode(),
        public_key_pem=key.public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


class KeyOwner:
    """What runs a simulator, and makes a provider key for it where nobody brings any."""

    _provider_key: ProviderKey | None = None

    def _own_key(self, config: SimulatorConfig | None) -> SimulatorConfig:
        """Return ``config``, or else one that trusts a key made now."""
        if config is not None:
            return config
        self._provider_key = make_provider_key()
        return SimulatorConfig(trusted_keys=self._provider_key.trusted())

    @property
    def provider_key(self) -> ProviderKey:
        """The key that it trusts.

        Raises:
            LookupError: it was given a configuration, and with it keys of your own.

        """
        if self._provider_key is None:
            msg = "made with a configuration: sign with a key that its trusted_keys names"
            raise LookupError(msg)
        return self._provider_key


def _identifier() -> str:
    return "".join(secrets.choice(IDENTIFIER_ALPHABET) for _ in range(10))
