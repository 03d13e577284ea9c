"""What adapters ask of signers of provider tokens."""

from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import TypeAlias, final

from apns_core.errors import InvalidField
from apns_core.trust.provider_token import TokenSigner

__all__ = ["NotSigned", "Signed", "check_signer", "signed"]


@final
@dataclass(frozen=True, slots=True)
class NotSigned:
    """A signer raised, or gave no token."""

    error: str
    """The name of its class; its text might quote the key."""


Signed: TypeAlias = str | NotSigned
"""What comes of a signing: a JWT, which is still to be looked at."""


def check_signer(signer: TokenSigner | None) -> None:
    """Raise InvalidField for a signer that would have to be awaited."""
    if iscoroutinefunction(getattr(signer, "sign", None)):
        raise InvalidField(
            "token_signer",
            "must not have to be awaited; one that waits is to be `blocking`, and gets a thread",
        )


def signed(
    signer: TokenSigner,
    issued_at: int,
    *,
    but: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit),
) -> Signed:
    """Sign; a key service may fail in any way, which is no more than a result.

    Such as in a cancellation of its own, which is meant for nobody else. Raises what is in ``but``.
    """
    try:
        return signer.sign(issued_at)
    except but:
        raise
    except BaseException as error:  # noqa: BLE001 - see above
        return NotSigned(type(error).__name__)
