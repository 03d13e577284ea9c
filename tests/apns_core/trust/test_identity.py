import copy
import os
import pickle
import ssl
import tempfile
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from apns_core.errors import InvalidField
from apns_core.trust.identity import ProviderIdentity
from apns_core.trust.key_files import KeyFileWarning
from apns_core.trust.tls import client_context
from tests.apns_core.trust.certificates import (
    authority,
    certificate_pem,
    key_pem,
    provider_certificate,
)
from tests.apns_core.trust.handshakes import CA_PEM, both_sides, server_context

KEY: Final = rsa.generate_private_key(65_537, 2_048)
ISSUER: Final = authority()
CERTIFICATE: Final = provider_certificate(KEY, issuer=ISSUER)
CERTIFICATE_PEM: Final = certificate_pem(CERTIFICATE)
KEY_PEM: Final = key_pem(KEY)
SECRET: Final = KEY_PEM.decode().splitlines()[3]
PASSWORD: Final = "canary-passwörd"


def encrypted(form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return KEY.private_bytes(Encoding.PEM, form, BestAvailableEncryption(PASSWORD.encode()))


def pkcs12(password: str | None = PASSWORD, key: rsa.RSAPrivateKey | None = KEY) -> bytes:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return serialize_key_and_certificates(b"", key, CERTIFICATE, [ISSUER[0]], encryption)


def presented(identity: ProviderIdentity) -> x509.Certificate:
    """What a server that wants certificates from this issuer gets to see."""
    server = server_context()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=certificate_pem(ISSUER[0]).decode())
    server.maximum_version = ssl.TLSVersion.TLSv1_2  # so that the client hears of a refusal
    _, theirs = both_sides(client_context(cadata=CA_PEM, identity=identity), server)
    der = theirs.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def no_secrets(error: BaseException) -> None:
    shown = "".join(traceback.format_exception(error)) + repr(error.args)
    assert SECRET not in shown
    assert PASSWORD not in shown


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "aps.pem", tmp_path / "key.pem"
    certificate.write_bytes(CERTIFICATE_PEM)
    key.write_bytes(KEY_PEM)
    key.chmod(0o600)
    return certificate, key


# ── every form is presented ──

EC_PARAMETERS: Final = (
    b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
)

FORMS: Final[dict[str, Callable[[], ProviderIdentity]]] = {
    "two PEM": lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM, KEY_PEM),
    "as text": lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM.decode(), KEY_PEM.decode()),
    "certificate, then key": lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM + KEY_PEM),
    "key, then certificate": lambda: ProviderIdentity.from_pem(KEY_PEM + CERTIFICATE_PEM),
    "words in between": lambda: ProviderIdentity.from_pem(
        b"Bag Attributes\n    friendlyName: APNs\n"
        + CERTIFICATE_PEM
        + b"Key Attributes\n"
        + KEY_PEM
    ),
    "parameters before the key": lambda: ProviderIdentity.from_pem(
        CERTIFICATE_PEM + EC_PARAMETERS + KEY_PEM
    ),
    "issuer first": lambda: ProviderIdentity.from_pem(
        certificate_pem(ISSUER[0]) + CERTIFICATE_PEM, KEY_PEM
    ),
    "older form": lambda: ProviderIdentity.from_pem(
        CERTIFICATE_PEM,
        KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    ),
    "encrypted": lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM, encrypted(), password=PASSWORD),
    "encrypted, older form": lambda: ProviderIdentity.from_pem(
        CERTIFICATE_PEM, encrypted(PrivateFormat.TraditionalOpenSSL), password=PASSWORD.encode()
    ),
    "a password for nothing": lambda: ProviderIdentity.from_pem(
        CERTIFICATE_PEM, KEY_PEM, password=PASSWORD
    ),
    "PKCS#12": lambda: ProviderIdentity.from_pkcs12(pkcs12(), password=PASSWORD),
    "PKCS#12 without a password": lambda: ProviderIdentity.from_pkcs12(pkcs12(None)),
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_every_form_is_presented(make: Callable[[], ProviderIdentity]) -> None:
    identity = make()
    assert presented(identity) == CERTIFICATE
    assert identity.certificate.default_topic == "com.example.app"


def test_a_key_on_an_elliptic_curve_is_presented() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = provider_certificate(key, issuer=ISSUER)
    assert presented(ProviderIdentity(key, [certificate])) == certificate


@pytest.mark.parametrize("old_first", [False, True])
def test_of_an_old_and_a_renewed_certificate_the_renewed_one_is_presented(
    old_first: bool,  # noqa: FBT001
) -> None:
    old = provider_certificate(
        KEY, issuer=ISSUER, not_after=CERTIFICATE.not_valid_after_utc - timedelta(days=365)
    )
    own = [old, CERTIFICATE] if old_first else [CERTIFICATE, old]
    identity = ProviderIdentity(KEY, [*own, ISSUER[0]])
    assert presented(identity) == CERTIFICATE
    assert identity.certificate.not_after == CERTIFICATE.not_valid_after_utc


def test_an_issuer_with_a_key_of_an_unknown_kind_is_no_matter() -> None:
    curve = bytes.fromhex("2a8648ce3d030107")
    der = ISSUER[0].public_bytes(Encoding.DER)
    assert curve in der
    issuer = x509.load_der_x509_certificate(der.replace(curve, curve[:-1] + b"\x77"))
    identity = ProviderIdentity(KEY, [issuer, CERTIFICATE])
    assert identity.certificate.default_topic == "com.example.app"


def test_files_are_read(files: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = files
    assert presented(ProviderIdentity.from_file(certificate, key)) == CERTIFICATE
    both = tmp_path / "both.pem"
    both.write_bytes(CERTIFICATE_PEM + encrypted())
    both.chmod(0o600)
    assert presented(ProviderIdentity.from_file(str(both), password=PASSWORD)) == CERTIFICATE
    bundle = tmp_path / "aps.p12"
    bundle.write_bytes(pkcs12())
    bundle.chmod(0o600)
    identity = ProviderIdentity.from_pkcs12_file(bundle, password=PASSWORD)
    assert presented(identity) == CERTIFICATE


def test_without_an_identity_such_a_server_refuses() -> None:
    class Nobody:
        def load_into(self, context: ssl.SSLContext) -> None:
            del context

    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        presented(Nobody())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# ── what is refused ──

OTHER: Final = ec.generate_private_key(ec.SECP256R1())
ED25519_PEM: Final = ed25519.Ed25519PrivateKey.generate().private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)

WRONG: Final[dict[str, tuple[Callable[[], object], str]]] = {
    "no key": (
        lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM),
        "certificate: holds no private key",
    ),
    "no key in its place": (
        lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM, CERTIFICATE_PEM),
        "key: holds no private key",
    ),
    "no certificate": (
        lambda: ProviderIdentity.from_pem(KEY_PEM),
        "certificate: holds no certificate",
    ),
    "another key": (
        lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM, key_pem(OTHER)),
        "certificate: is not the one of this key",
    ),
    "another kind of key": (
        lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM, ED25519_PEM),
        "key: is neither an RSA nor",
    ),
    "no password": (
        lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM, encrypted()),
        "key: is encrypted",
    ),
    "the wrong password": (
        lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM, encrypted(), password="canary"),
        "key: is encrypted",
    ),
    "no password, older form": (
        lambda: ProviderIdentity.from_pem(
            CERTIFICATE_PEM, encrypted(PrivateFormat.TraditionalOpenSSL)
        ),
        "key: is encrypted",
    ),
    "damaged": (
        lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM, KEY_PEM.replace(SECRET.encode(), b"")),
        "key: is damaged",
    ),
    "not ASCII": (
        lambda: ProviderIdentity.from_pem(
            CERTIFICATE_PEM, KEY_PEM.decode().replace(SECRET, SECRET + "\N{SNOWMAN}")
        ),
        "key: is damaged",
    ),
    "cut short": (
        lambda: ProviderIdentity.from_pem(CERTIFICATE_PEM, KEY_PEM[:-20]),
        "key: holds no private key",
    ),
    "PKCS#12, the wrong password": (
        lambda: ProviderIdentity.from_pkcs12(pkcs12(), password="canary"),
        "data: is no PKCS#12 bundle, or its password",
    ),
    "PKCS#12, a password with a NUL": (
        lambda: ProviderIdentity.from_pkcs12(pkcs12(), password="canary\0"),
        "password: has a NUL in it",
    ),
    "PKCS#12, no password": (
        lambda: ProviderIdentity.from_pkcs12(pkcs12()),
        "data: is no PKCS#12 bundle, or its password",
    ),
    "PKCS#12, PEM": (
        lambda: ProviderIdentity.from_pkcs12(KEY_PEM),
        "data: is no PKCS#12 bundle",
    ),
    "PKCS#12, no key": (
        lambda: ProviderIdentity.from_pkcs12(pkcs12(key=None), password=PASSWORD),
        "data: holds no private key",
    ),
    "the text of a key for a path": (
        lambda: ProviderIdentity.from_file(KEY_PEM.decode()),
        "certificate: is the text of a key",
    ),
    "no file": (
        lambda: ProviderIdentity.from_pkcs12_file("/nonexistent"),
        "path: cannot be read",
    ),
}


@pytest.mark.parametrize(("make", "problem"), WRONG.values(), ids=WRONG)
def test_what_is_refused_is_named_and_not_shown(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(InvalidField, match=f"^{problem}") as caught:
        make()
    no_secrets(caught.value)
    # Nothing that read the key is quoted further down.
    assert not isinstance(caught.value.__context__, UnicodeError)


def test_a_certificate_file_that_cannot_be_read_is_named(files: tuple[Path, Path]) -> None:
    with pytest.raises(InvalidField, match=r"^certificate: cannot be read: No such file"):
        ProviderIdentity.from_file(files[0].with_name("missing"), files[1])


def test_openssl_may_refuse_a_key() -> None:
    key = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - is refused
    identity = ProviderIdentity(key, [provider_certificate(key)])
    with pytest.raises(InvalidField, match=r"^certificate: OpenSSL refuses it: EE_KEY_TOO_SMALL"):
        client_context(cadata=CA_PEM, identity=identity)


# ── who may read the file ──


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_t9_a_key_file_that_others_may_use_warns_or_is_refused(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate, key = files
    bundle, both = tmp_path / "aps.p12", tmp_path / "both.pem"
    bundle.write_bytes(pkcs12(None))
    both.write_bytes(CERTIFICATE_PEM + KEY_PEM)
    certificate.chmod(0o644)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ProviderIdentity.from_file(certificate, key, strict=True)  # it is no secret
    for path in (key, bundle, both):
        path.chmod(0o640)
    loads: list[tuple[str, Callable[[bool], object]]] = [
        ("key", lambda strict: ProviderIdentity.from_file(certificate, key, strict=strict)),
        ("certificate", lambda strict: ProviderIdentity.from_file(both, strict=strict)),
        ("path", lambda strict: ProviderIdentity.from_pkcs12_file(bundle, strict=strict)),
    ]
    for field, load in loads:
        with pytest.warns(KeyFileWarning, match="mode 0640") as caught:
            load(False)
        assert caught[0].filename == __file__  # blames the caller's line
        with pytest.raises(InvalidField, match=f"^{field}: has mode 0640"):
            load(True)


# ── the file for OpenSSL ──


def test_the_file_for_openssl_is_private_encrypted_and_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[tuple[int, bytes]] = []

    class Watching(ssl.SSLContext):
        def load_cert_chain(self, certfile: str, **options: bytes) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            path = Path(certfile)
            seen.append((path.stat().st_mode & 0o777, path.read_bytes()))
            super().load_cert_chain(certfile, **options)

    identity = ProviderIdentity.from_pem(CERTIFICATE_PEM, KEY_PEM)
    identity.load_into(Watching(ssl.PROTOCOL_TLS_CLIENT))
    ((mode, contents),) = seen
    if os.name == "posix":
        assert mode == 0o600
    assert b"ENCRYPTED PRIVATE KEY" in contents
    assert SECRET.encode() not in contents
    assert list(tmp_path.iterdir()) == []


def test_the_file_for_openssl_is_gone_after_a_failure_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    class Failing(ssl.SSLContext):
        def load_cert_chain(self, *args: object, **options: object) -> None:  # noqa: ARG002
            raise MemoryError

    with pytest.raises(MemoryError):
        ProviderIdentity.from_pem(CERTIFICATE_PEM, KEY_PEM).load_into(
            Failing(ssl.PROTOCOL_TLS_CLIENT)
        )
    assert list(tmp_path.iterdir()) == []


def test_without_a_place_for_the_file_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    identity = ProviderIdentity.from_pem(CERTIFICATE_PEM, KEY_PEM)
    with pytest.raises(InvalidField, match="no temporary file can be made") as caught:
        client_context(cadata=CA_PEM, identity=identity)
    no_secrets(caught.value)


# ── what is shown ──


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is full")
def test_a_full_disk_was_an_oserror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = ProviderIdentity.from_pem(CERTIFICATE_PEM + KEY_PEM)
    place = tmp_path / "apns-full.pem"
    place.touch()

    def on_a_full_disk(**_: object) -> tuple[int, str]:
        return os.open("/dev/full", os.O_WRONLY), str(place)

    monkeypatch.setattr(tempfile, "mkstemp", on_a_full_disk)
    with pytest.raises(InvalidField, match="certificate: no temporary file can be written") as full:
        client_context(cadata=CA_PEM, identity=identity)
    assert full.value.__context__ is None
    assert not place.exists()


def test_an_identity_shows_its_certificate_and_nothing_else() -> None:
    identity = ProviderIdentity.from_pem(CERTIFICATE_PEM, encrypted(), password=PASSWORD)
    shown = repr(identity) + str(identity)
    assert "com.example.app" in shown
    assert SECRET not in shown
    assert PASSWORD not in shown
    assert "PrivateKey" not in shown


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_identity_is_not_pickled(leak: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="credential"):
        leak(ProviderIdentity.from_pem(CERTIFICATE_PEM, KEY_PEM))
