import hashlib
import socket
import ssl
import sys
import threading
from base64 import b64encode
from typing import Final

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apns_core.errors import ApnsError, InvalidField
from apns_core.trust.pins import (
    PinMismatch,
    certificate_pin,
    pin,
    presented_pins,
    public_key_pin,
)
from apns_core.trust.tls import client_context
from tests.apns_core.trust.certificates import der
from tests.apns_core.trust.handshakes import (
    CA,
    CA_PEM,
    CERTIFICATE,
    HOST,
    handshake,
    server_context,
)

LEAF: Final = ssl.PEM_cert_to_DER_cert(CERTIFICATE.cert_chain_pems[0].bytes().decode())
ROOT: Final = ssl.PEM_cert_to_DER_cert(CA_PEM.decode())
OTHER: Final = "sha256/" + "A" * 43 + "="


def with_colons(fingerprint: str) -> str:
    return ":".join(fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()


def pinned(*pins: str) -> ssl.SSLContext:
    return pin(client_context(cadata=CA_PEM), pins)


# ── pins ──


@pytest.mark.parametrize("data", [LEAF, ROOT])
def test_a_pin_is_the_hash_of_the_public_key(data: bytes) -> None:
    key = x509.load_der_x509_certificate(data).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    expected = b64encode(hashlib.sha256(info).digest()).decode()
    assert public_key_pin(data) == f"sha256/{expected}"


def test_a_certificate_of_version_1_has_a_public_key_too() -> None:
    key = der(0x30, b"the key")
    parts = [der(0x02, b"\1"), *(der(0x30, b"") for _ in range(4)), key, der(0x30, b"")]
    certificate = der(0x30, der(0x30, b"".join(parts)) + der(0x30, b"") + der(0x03, b""))
    expected = b64encode(hashlib.sha256(key).digest()).decode()
    assert public_key_pin(certificate) == f"sha256/{expected}"


@pytest.mark.parametrize(
    "data", [b"", b"\x30\x00", LEAF[:-1], LEAF + b"\0", LEAF + LEAF, b"\x30\x02\x30\x00", b"text"]
)
def test_what_is_no_certificate_has_no_pin(data: bytes) -> None:
    with pytest.raises(InvalidField, match=r"^certificate: "):
        public_key_pin(data)


@pytest.mark.parametrize(
    "text",
    [
        certificate_pin(LEAF),
        certificate_pin(LEAF).upper(),
        with_colons(certificate_pin(LEAF)),
        public_key_pin(LEAF),
        public_key_pin(LEAF).replace("sha256/", "sha256//"),
    ],
    ids=["lower case", "upper case", "colons", "public key", "two slashes"],
)
def test_every_form_of_a_pin_is_known(text: str) -> None:
    handshake(pinned(text), server_context())
    handshake(pinned(OTHER, text), server_context())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256/",
        OTHER[:-1],
        OTHER + "=",
        "sha1/" + "A" * 27 + "=",
        "ab" * 31,
        "g" * 64,
        "ab" * 33,
    ],
)
def test_what_is_no_pin_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match=r"^pins: each must be"):
        pinned(OTHER, text)


# ── handshakes ──


def test_a_server_that_presents_no_pin_is_refused() -> None:
    with pytest.raises(PinMismatch) as caught:
        handshake(pinned(OTHER, "ab" * 32), server_context())
    # It says what could be pinned instead, and is what each adapter takes for a failed connection.
    assert public_key_pin(LEAF) in str(caught.value)
    assert isinstance(caught.value, ApnsError)
    assert isinstance(caught.value, ssl.SSLCertVerificationError)


def test_a_pin_does_not_replace_verification() -> None:
    for host, server in (
        ("other.example", server_context()),
        (HOST, server_context(trustme.CA().issue_cert(HOST))),
    ):
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            handshake(pinned(public_key_pin(LEAF), OTHER), server, host)
        assert not isinstance(caught.value, PinMismatch)


def test_the_pin_of_an_authority_is_known_where_ssl_tells_the_chain() -> None:
    context = pinned(public_key_pin(ROOT))
    if sys.version_info >= (3, 13):
        handshake(context, server_context())
    else:
        with pytest.raises(PinMismatch):
            handshake(context, server_context())


def test_other_servers_of_the_authority_are_refused() -> None:
    with pytest.raises(PinMismatch):
        handshake(pinned(public_key_pin(LEAF)), server_context(CA.issue_cert(HOST)))


def test_without_pins_nothing_is_changed() -> None:
    context = client_context(cadata=CA_PEM)
    assert pin(context, []) is context
    assert context.sslobject_class is ssl.SSLObject
    handshake(context, server_context())


def test_contexts_do_not_share_their_pins() -> None:
    refusing, taking = pinned(OTHER), pinned(public_key_pin(LEAF))
    handshake(taking, server_context())
    with pytest.raises(PinMismatch):
        handshake(refusing, server_context())
    handshake(pin(refusing, [public_key_pin(LEAF)]), server_context())


def test_a_socket_is_held_to_the_pins_as_well() -> None:
    def serve(plain: socket.socket) -> None:
        with plain, server_context().wrap_socket(plain, server_side=True) as connection:
            connection.recv(1)

    for text, refused in ((public_key_pin(LEAF), False), (OTHER, True)):
        ours, theirs = socket.socketpair()
        server = threading.Thread(target=serve, args=(theirs,))
        server.start()
        with ours:
            if refused:
                with pytest.raises(PinMismatch):
                    pinned(text).wrap_socket(ours, server_hostname=HOST)
            else:
                with pinned(text).wrap_socket(ours, server_hostname=HOST) as connection:
                    connection.sendall(b"x")
        server.join()


def test_a_context_that_makes_its_own_objects_is_refused() -> None:
    class Foreign(ssl.SSLContext):
        def wrap_bio(self, *args: object, **options: object) -> ssl.SSLObject:
            del args, options
            bio = ssl.MemoryBIO()
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(bio, bio, server_hostname="x")

    with pytest.raises(InvalidField, match="cannot be pinned"):
        pin(Foreign(ssl.PROTOCOL_TLS_CLIENT), [OTHER])


# ── what was presented ──


def test_what_was_presented_can_be_asked() -> None:
    pins = presented_pins(handshake(client_context(cadata=CA_PEM), server_context()))
    assert pins[0] == public_key_pin(LEAF)
    assert pins[1:] == ((public_key_pin(ROOT),) if sys.version_info >= (3, 13) else ())
