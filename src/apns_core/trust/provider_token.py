"""Provider tokens: when one is signed anew, and which one a connection sends.

Apple has two rules ("Establishing a token-based connection to APNs"). A token older than 60 minutes
is refused. A token that changes within 20 minutes is refused as well, *as one connection sees it*
(jchambers/pushy#931): a connection that first used a token at its minute 45 must not change at
minute 50, although the token itself is due.

One schedule obeys both. A new token is signed when the newest is 40 minutes old, and new
connections send the newest. A connection keeps the token that it first sent for 20 minutes at
least: sent first at minute 40 at the latest, it is replaced by minute 60.

    minute   0         20         40         60
    token 1  |--- new connections ---|- kept -|
    token 2                          |--- new connections ---|- kept -|
"""

from typing import Final, NoReturn, Protocol, cast, final

from apns_core.errors import InvalidField

__all__ = [
    "CHANGE_MARGIN",
    "LIFETIME",
    "MINIMUM_INTERVAL",
    "REFRESH_AFTER",
    "SIGNING_FLOOR",
    "SIGNING_RETRY",
    "ProviderToken",
    "ProviderTokenSchedule",
    "TokenSigner",
]

LIFETIME: Final = 60 * 60.0
"""Seconds after which APNs refuses a token: ``ExpiredProviderToken``. Apple's number."""

MINIMUM_INTERVAL: Final = 20 * 60.0
"""Least seconds between two tokens on one connection, or APNs answers
``TooManyProviderTokenUpdates``. Apple's number."""

REFRESH_AFTER: Final = LIFETIME - MINIMUM_INTERVAL
"""Age in seconds at which the newest token is followed by another. The only value at which a
connection may first send the newest token at any age and still keep both rules. Senders that go by
age alone take 30 to 55 minutes, and break the second rule."""

CHANGE_MARGIN: Final = 60.0
"""Seconds by which a connection puts off its change, where its token lives long enough: APNs
counts the 20 minutes between two arrivals, and the first may have been the slower one."""

SIGNING_FLOOR: Final = 5 * 60.0
"""Seconds for which a new token is kept even if APNs calls it expired. Then a clock is wrong, or
the connection was lost to an older token already (jchambers/pushy#732); signing again helps in
neither case, and doing so in a loop has cost senders their rate limit."""

SIGNING_RETRY: Final = 10.0
"""Seconds before a failed signing is tried again. A token is good for 20 minutes more when the
first attempt is made, so that leaves some hundred attempts to a key service that is down."""


@final
class ProviderToken:
    """One signed JWT, ready to send. Neither shown by repr nor pickled: it is a credential.

    Raises `InvalidField` unless it is visible ASCII: it then ends no field and begins no other.
    """

    __slots__ = ("authorization", "issued_at", "number")

    authorization: Final[bytes]
    """The value of the ``authorization`` field: ``bearer`` in lower case, one space, the JWT."""

    issued_at: Final[float]
    """Monotonic seconds of the JWT's ``iat``."""

    number: Final[int]
    """Which one of its schedule it is, in the order of signing."""

    def __init__(self, jwt: str, issued_at: float, number: int = 0) -> None:
        # Bytes from 0x21 to 0x7e: no space, no control character (RFC 9113 Section 8.2.1).
        # What a subclass of str encodes to may be something else.
        text = str.__str__(jwt) if isinstance(cast("object", jwt), str) else ""
        if not text or not all("!" <= character <= "~" for character in text):
            raise InvalidField("provider_token", "must be a JWT: visible ASCII characters only")
        self.authorization = b"bearer " + text.encode("ascii")
        self.issued_at = issued_at
        self.number = number

    def __repr__(self) -> str:
        try:
            return f"<ProviderToken number={self.number} issued_at={self.issued_at}>"
        except AttributeError:  # refused: whoever reports the error may show its locals
            return "<ProviderToken, refused>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a provider token is a credential and cannot be pickled")


class TokenSigner(Protocol):
    """What signs provider tokens: an `apns_core.trust.signing.TokenKey`, or a key service.

    One that waits for something, such as a network, has an attribute ``blocking`` that is True:
    adapters then call `sign` in a thread, and leave that alone when the client closes meanwhile.
    """

    def sign(self, issued_at: int) -> str:
        """Return an ES256 JWT with this ``iat`` (Unix seconds)."""
        ...


@final
class ProviderTokenSchedule:
    """The provider tokens of one signing key, shared by all connections of a client.

    To sign: when `signing_due`, call `begin_signing` and have a JWT made with the ``iat`` that it
    returns; answer with `signed` or `signing_failed`. `poll_timeout` says when to ask again.

    To send: ask `token_for` before each request (or batch of requests) of a connection.

    To obey: report a refused token with `expire`, a revoked key with `replace`.

    All times are monotonic seconds. They are mapped to Unix time once, here: a wall clock that is
    stepped later can neither date a token in the future nor make it look old. (Nor can it repair a
    monotonic clock that stood still while the machine was suspended: then make a new schedule.)
    """

    __slots__ = (
        "_asked_at",
        "_count",
        "_discard",
        "_due_at",
        "_newest",
        "_refused",
        "_retry_at",
        "_unix_zero",
    )

    def __init__(self, *, now: float, unix_time: float) -> None:
        self._unix_zero = unix_time - now
        self._newest: ProviderToken | None = None
        self._count = 0
        # Tokens with a smaller number are never sent again.
        self._refused = 0
        self._due_at = now
        self._retry_at = now
        # When the signing that is under way was asked for, as the monotonic second of its iat.
        self._asked_at: float | None = None
        self._discard = False

    # Signing

    def signing_due(self, now: float) -> bool:
        """Whether a JWT should be signed now; never while one is being signed."""
        return self._asked_at is None and now >= max(self._due_at, self._retry_at)

    def poll_timeout(self) -> float | None:
        """Return the moment from which signing is due; None while a JWT is being signed."""
        if self._asked_at is not None:
            return None
        return max(self._due_at, self._retry_at)

    def begin_signing(self, now: float) -> int:
        """Begin what `signing_due` asked for; the ``iat`` to sign, in whole Unix seconds."""
        issued_at = int(self._unix_zero + now)
        # From the second that is signed, not from now: APNs does not see the fraction.
        self._asked_at = issued_at - self._unix_zero
        return issued_at

    def signed(self, jwt: str) -> None:
        """Take the JWT that was asked for. From now on new connections send it.

        Raises `InvalidField` when none was asked for, and when it is no JWT; in the second case
        the signing is still under way and `signing_failed` should follow.
        """
        if self._asked_at is None:
            raise InvalidField("provider_token", "no signing is under way")
        token = ProviderToken(jwt, self._asked_at, self._count)
        self._asked_at = None
        if self._discard:
            self._discard = False
            return
        self._count += 1
        self._newest = token
        self._due_at = token.issued_at + REFRESH_AFTER

    def signing_failed(self, now: float) -> None:
        """Give up the signing under way; it is due again after `SIGNING_RETRY`."""
        self._asked_at = None
        if self._discard:
            # The old key failed. That says nothing about its successor.
            self._discard = False
            return
        self._retry_at = now + SIGNING_RETRY

    # Sending

    def token_for(
        self, first_used_at: float | None, current: ProviderToken | None, now: float
    ) -> ProviderToken | None:
        """Return the token that a connection must send now.

        ``current`` is the token that the connection sent last and ``first_used_at`` the moment at
        which it sent it first; both None on a new connection.

        None means that the connection may send nothing now: it waits until a JWT is signed, unless
        it `is_spoilt`.
        """
        token = self._newest
        if current is not None and first_used_at is not None:
            if self.is_refused(current):
                return None
            if now < _change_at(current, first_used_at):
                token = current
        if token is None or now >= token.issued_at + LIFETIME:
            return None
        return token

    def is_spoilt(
        self, first_used_at: float | None, current: ProviderToken | None, now: float
    ) -> bool:
        """Whether no token will do for a connection that `token_for` has none for: retire it.

        Its token was refused or revoked; or it is too old while a change would come too soon, which
        happens only after signing failed for a while.
        """
        if current is None or first_used_at is None:
            return False
        return self.is_refused(current) or now < _change_at(current, first_used_at)

    def is_refused(self, token: ProviderToken) -> bool:
        """Whether a token was refused or revoked."""
        return token.number < self._refused

    # Obeying

    def expire(self, token: ProviderToken, now: float) -> None:
        """Heed ``ExpiredProviderToken``: neither this token nor an older one is sent again.

        The caller retires the connection that was told so. If the token was the newest, another is
        due at once; but one younger than `SIGNING_FLOOR` stays in use.
        """
        if token is self._newest:
            if now < token.issued_at + SIGNING_FLOOR:
                return
            self._newest = None
            self._due_at = now
        self._refused = max(self._refused, token.number + 1)

    def replace(self, now: float) -> None:
        """Forget every token, for the key was revoked; a JWT by the new key is due at once.

        The caller retires all connections (Apple: "close all connections" and open new ones). A
        signing that is under way is still to be answered, but its JWT will not be used.
        """
        self._newest = None
        self._refused = self._count
        self._discard = self._asked_at is not None
        self._due_at = now
        self._retry_at = now


def _change_at(token: ProviderToken, first_used_at: float) -> float:
    """When a connection that first sent the token at this moment may send the next."""
    earliest = first_used_at + MINIMUM_INTERVAL
    slack = token.issued_at + LIFETIME - earliest
    # Halfway at most: either limit may be the one that APNs counts differently.
    return earliest + min(CHANGE_MARGIN, max(slack, 0.0) / 2)
