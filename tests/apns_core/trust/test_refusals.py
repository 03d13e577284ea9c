"""What is refused, of whatever type: by name, and with nothing of it in the error's frames."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from apns_core.errors import InvalidField
from apns_core.trust.certificate import ProviderCertificate
from apns_core.trust.identity import ProviderIdentity
from apns_core.trust.pins import pin, public_key_pin
from apns_core.trust.signing import RemoteKey, TokenKey
from apns_core.trust.tls import client_context
from tests.apns_core.trust.certificates import key_pem
from tests.apns_core.trust.handshakes import CA_PEM
from tests.apns_core.trust.test_identity import CERTIFICATE_PEM, KEY_PEM

EC_PEM: Final = key_pem(ec.generate_private_key(ec.SECP256R1()))
ID: Final = "ABC123DEFG"
CANARY: Final = "canary0MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgiUSl2M"
DAMAGED: Final = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n"
ENCRYPTED: Final = DAMAGED.replace("PRIVATE", "ENCRYPTED PRIVATE")
A_PATH: Final = os.devnull


def token_key(**changes: Any) -> object:  # noqa: ANN401 - wrong ones are passed on purpose
    arguments: dict[str, Any] = {"pem": EC_PEM, "key_id": ID, "team_id": ID, **changes}
    return TokenKey.from_pem(**arguments)


def remote_key(**changes: Any) -> object:  # noqa: ANN401
    arguments: dict[str, Any] = {"sign_message": bytes, "key_id": ID, "team_id": ID, **changes}
    return RemoteKey(**arguments)


def context(**changes: Any) -> object:  # noqa: ANN401
    arguments: dict[str, Any] = {"cadata": CA_PEM, **changes}
    return client_context(**arguments)


Maker = Callable[[Any], object]

# What is made of a value of no use; the name of the field; values.
NO_TEXT: Final = (None, 1, ["x"], bytearray(b"x"), object())
NO_NAMES: Final = (1.5, ["x"], object(), "a\0b", "\ud800")
REFUSED: Final[dict[str, tuple[Maker, str, tuple[object, ...]]]] = {
    "key_id": (lambda value: token_key(key_id=value), "key_id", (*NO_TEXT, b"ABC123DEFG")),
    "team_id": (lambda value: token_key(team_id=value), "team_id", (*NO_TEXT, b"ABC123DEFG")),
    "key_id of a remote key": (lambda value: remote_key(key_id=value), "key_id", NO_TEXT),
    "sign_message": (lambda value: remote_key(sign_message=value), "sign_message", NO_TEXT),
    "signature": (
        lambda value: RemoteKey(lambda _: value, key_id=ID, team_id=ID).sign(1),
        "sign_message",
        (None, 1, "x" * 64, b"", b"x" * 63, [1]),
    ),
    "pem of a token key": (lambda value: token_key(pem=value), "pem", (*NO_TEXT, "", "x", DAMAGED)),
    "path of a token key": (
        lambda value: TokenKey.from_file(value, key_id=ID, team_id=ID),
        "path",
        (None, *NO_NAMES),
    ),
    "key": (lambda value: TokenKey(value, key_id=ID, team_id=ID), "key", NO_TEXT),
    "certificate": (ProviderIdentity.from_pem, "certificate", (*NO_TEXT, "", DAMAGED, ENCRYPTED)),
    "key of a certificate": (
        lambda value: ProviderIdentity.from_pem(CERTIFICATE_PEM, value),
        "key",
        (*NO_TEXT[1:], "", DAMAGED, ENCRYPTED),
    ),
    "password": (
        lambda value: ProviderIdentity.from_pem(CERTIFICATE_PEM, KEY_PEM, password=value),
        "password",
        (1, [CANARY], bytearray(CANARY, "ascii"), CANARY + "\ud800"),
    ),
    "password of a bundle": (
        lambda value: ProviderIdentity.from_pkcs12(b"x", password=value),
        "password",
        (1, [CANARY], CANARY + "\ud800"),
    ),
    "wrong password": (
        lambda value: ProviderIdentity.from_pem(CERTIFICATE_PEM, ENCRYPTED, password=value),
        "key",
        (CANARY, CANARY.encode(), "", None),
    ),
    "certificate file": (ProviderIdentity.from_file, "certificate", (None, *NO_NAMES)),
    "key file": (lambda value: ProviderIdentity.from_file(A_PATH, value), "key", NO_NAMES),
    "bundle": (ProviderIdentity.from_pkcs12, "data", (*NO_TEXT, "x", CANARY.encode())),
    "bundle file": (ProviderIdentity.from_pkcs12_file, "path", (None, *NO_NAMES)),
    "certificate in PEM": (ProviderCertificate.from_pem, "pem", (*NO_TEXT, "", "x", DAMAGED)),
    "certificate in DER": (ProviderCertificate.from_der, "der", (*NO_TEXT, "x", b"")),
    "certificate of cryptography": (ProviderCertificate.from_x509, "certificate", NO_TEXT),
    "pins": (lambda value: context(pins=value), "pins", (None, 1, "x", b"x", [1], [None], ["x"])),
    "pins of a context": (lambda value: pin(client_context(cadata=CA_PEM), value), "pins", (None,)),
    "pinned certificate": (public_key_pin, "certificate", (None, 1, "x", b"", b"\x30\x00", {1: 2})),
    "cadata": (lambda value: context(cadata=value), "cadata", (1, ["x"], "", b"x", "\ud800")),
    "cafile": (lambda value: client_context(cafile=value), "cafile", NO_NAMES),
}


def locals_of(error: BaseException) -> str:
    """What somebody sees who reports errors with the locals of their frames, those here apart."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [frame for frame in frames if "apns_core" in frame.f_globals["__name__"].split(".")[:1]]
    assert own
    return "".join(repr(frame.f_locals) for frame in own)


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        pytest.param(make, field, value, id=f"{name}-{number}")
        for name, (make, field, values) in REFUSED.items()
        for number, value in enumerate(values)
    ],
)
def test_what_is_of_no_use_is_refused_by_name(make: Maker, field: str, value: object) -> None:
    with pytest.raises(InvalidField) as caught:
        make(value)
    assert caught.value.field == field
    assert "canary" not in str(caught.value)
    if field not in {"cafile", "cadata"}:  # authorities are no secret, and the cause helps
        assert caught.value.__context__ is None
        assert "canary" not in locals_of(caught.value)


def test_the_error_behind_a_certificate_file_quoted_its_name(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(KEY_PEM)
    key.chmod(0o600)
    with pytest.raises(InvalidField, match="certificate: cannot be read: No such file") as caught:
        ProviderIdentity.from_file(tmp_path / "canary", key)
    assert caught.value.__context__ is None


def test_certificates_of_another_kind_are_not_the_keys() -> None:
    own = ProviderIdentity.from_pem(CERTIFICATE_PEM, KEY_PEM)
    not_certificates: Any = [None, CERTIFICATE_PEM]
    with pytest.raises(InvalidField, match="certificate: is not the one of this key"):
        ProviderIdentity(own._key, not_certificates)
