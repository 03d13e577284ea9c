"""Pinning: of the certificates that a server presents, one must be known beforehand.

A pin comes on top of verification, never in its place. It is for those who must not depend on
every authority that their system trusts; and it has to be changed before Apple changes its
certificates, or no connection is made until it is. To depend on a chosen *authority*, prefer to
trust no other one (``client_context(cadata=…)``): OpenSSL then refuses all chains but its own, on
every version of Python.
"""

import binascii
import hashlib
import re
import ssl
import sys
from base64 import b64encode
from collections.abc import Iterable
from typing import Final, cast, final

from apns_core.errors import ApnsError, InvalidField
from apns_core.trust.der import elements

__all__ = ["PinMismatch", "certificate_pin", "pin", "presented_pins", "public_key_pin"]


@final
class PinMismatch(ApnsError, ssl.SSLCertVerificationError):  # noqa: N818 - as in errors
    """The server is certified, but by none of the pinned certificates or keys.

    The text says what it presents, in the form in which it is pinned.
    """

    def __init__(self, presented: Iterable[str]) -> None:
        super().__init__(
            f"none of the pins is among what the server presents: {', '.join(presented)}"
        )
        # What readers of such errors expect of those that OpenSSL raises.
        self.reason = "CERTIFICATE_VERIFY_FAILED"
        self.verify_code = 50  # X509_V_ERR_APPLICATION_VERIFICATION
        self.verify_message = "pin mismatch"


def pin(context: ssl.SSLContext, pins: Iterable[str]) -> ssl.SSLContext:
    """Have a context refuse servers that present none of these. **Changes it**, and returns it.

    A pin is ``sha256/`` with the Base64 of the hash of a *public key* (RFC 7469 Section 2.4; curl
    writes ``sha256//``), which outlives renewals of a certificate; or the fingerprint of a
    *certificate*, SHA-256 in hexadecimal, with colons or without. Without pins nothing is changed;
    pins replace those of an earlier call.

    What is compared with them: from Python 3.13 on, every certificate of the verified chain, the
    server's own to the root. Before, the server's own alone, for `ssl` tells no more; a pin of an
    authority then matches nothing and each connection is refused. (APNs' own certificate is renewed
    about once a year. Prefer its public key, and pin the next one as well.)

    The handshake itself raises `PinMismatch`, before anything is sent. A context whose handshakes
    cannot be watched, such as one of ``truststore``, is refused, as is a pin of another form: both
    raise `InvalidField`.
    """
    try:
        given = iter(pins)
    except TypeError:
        given = None
    if given is None or isinstance(cast("object", pins), str | bytes):
        raise InvalidField("pins", "not several texts: give a list, even of one")
    wanted = frozenset(_normalised(each) for each in given)
    if not wanted:
        return context
    attributes = {"wanted": wanted}
    context.sslobject_class = type("PinnedObject", (_PinnedObject,), attributes)
    context.sslsocket_class = type("PinnedSocket", (_PinnedSocket,), attributes)
    watched = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    if not isinstance(watched, _PinnedObject):
        raise InvalidField("pins", "this kind of SSLContext cannot be pinned")
    return context


def presented_pins(connection: ssl.SSLObject | ssl.SSLSocket) -> tuple[str, ...]:
    """Return the `public_key_pin` of what a server has presented, its own first; see `pin`.

    Before Python 3.13 it is the only one. Empty where nothing was presented or verified.
    """
    return tuple(public_key_pin(each) for each in _presented(connection))


def certificate_pin(der: bytes) -> str:
    """Return the fingerprint of a certificate: SHA-256, 64 hexadecimal digits in lower case."""
    return hashlib.sha256(der).hexdigest()


def public_key_pin(der: bytes) -> str:
    """Return the pin of a certificate's public key: ``sha256/`` and 44 characters of Base64.

    Raises `InvalidField` when the DER is no certificate.
    """
    key: bytes | None = None
    try:
        ((_, certificate, _),) = elements(der)
        (_, to_be_signed, _), *_ = elements(certificate)
        fields = list(elements(to_be_signed))
        # RFC 5280 Section 4.1: the version is there unless it is 1; then come serial number,
        # signature algorithm, issuer, validity, subject, and the key.
        key = fields[6 if fields[0].tag == _VERSION else 5].whole
    except (LookupError, TypeError, ValueError):
        key = None
    if key is None:
        raise InvalidField("certificate", "is no certificate in DER form")
    return "sha256/" + b64encode(hashlib.sha256(key).digest()).decode("ascii")


_VERSION: Final = 0xA0  # [0], explicit

_PUBLIC_KEY_PIN: Final = re.compile("sha256//?([A-Za-z0-9+/]{43}=)")
_CERTIFICATE_PIN: Final = re.compile("[0-9a-f]{64}")


def _normalised(text: object) -> str:
    if not isinstance(text, str):
        raise InvalidField("pins", "each must be a text")
    text = str.__str__(text)  # of a subclass too
    match = _PUBLIC_KEY_PIN.fullmatch(text)
    if match is not None:
        # Decoded and encoded again: the last character has bits that mean nothing.
        return "sha256/" + b64encode(binascii.a2b_base64(match[1])).decode("ascii")
    digits = text.replace(":", "").lower()
    if not _CERTIFICATE_PIN.fullmatch(digits):
        raise InvalidField(
            "pins",
            "each must be sha256/ and 44 characters of Base64, or 64 hexadecimal digits",
        )
    return digits


def _check(connection: ssl.SSLObject | ssl.SSLSocket, wanted: frozenset[str]) -> None:
    chain = _presented(connection)
    known = {name(each) for each in chain for name in (certificate_pin, public_key_pin)}
    if not known & wanted:
        raise PinMismatch(public_key_pin(each) for each in chain)


def _presented(connection: ssl.SSLObject | ssl.SSLSocket) -> list[bytes]:
    if sys.version_info >= (3, 13):
        return list(connection.get_verified_chain())
    own = connection.getpeercert(binary_form=True)
    return [] if own is None else [own]


class _PinnedObject(ssl.SSLObject):
    """What both adapters shake hands with."""

    wanted: frozenset[str]

    def do_handshake(self) -> None:
        super().do_handshake()
        _check(self, self.wanted)


class _PinnedSocket(ssl.SSLSocket):
    """The same for those who use the context with sockets."""

    wanted: frozenset[str]

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as ssl has it
        super().do_handshake(block)
        _check(self, self.wanted)
