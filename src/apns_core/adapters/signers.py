"""What adapters ask of signers of provider tokens."""

from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Final, TypeAlias, final

from apns_core.errors import InvalidField
from apns_core.trust.provider_token import TokenSigner

__all__ = [
    "MAX_THREADS",
    "SIGNING_TIMEOUT",
    "TIMED_OUT",
    "NotSigned",
    "Signed",
    "check_signer",
    "signed",
]

SIGNING_TIMEOUT: Final = 20.0
"""Seconds after which a signer in a thread counts as failed, and what it still brings is ignored. A
key service that is of use answers within one or two. Less than the 30 s that notifications wait by
default: when they end, `last_error` tells why."""

MAX_THREADS: Final = 100
"""Threads in which one signer may hang at a time. A thread cannot be ended, and each attempt takes
another; so many are 50 minutes of a key service that neither answers nor hangs up."""


@final
@dataclass(frozen=True, slots=True)
class NotSigned:
    """A signer raised, or gave no token."""

    error: str
    """The name of its class; its text might quote the key."""


TIMED_OUT: Final = NotSigned(TimeoutError.__name__)

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
