import base64
import copy
import functools
import hashlib
import os
import pickle
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypedDict

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from apns_core.errors import InvalidField
from apns_core.trust import key_files
from apns_core.trust.signing import KeyFileWarning, RemoteKey, TokenKey


class Ids(TypedDict):
    key_id: str
    team_id: str


IDS: Final[Ids] = {"key_id": "ABC123DEFG", "team_id": "DEF123GHIJ"}


def ids_but(field: str, value: str) -> Ids:
    ids = IDS.copy()
    ids[field] = value  # type: ignore[literal-required]
    return ids


def pem_of(
    key: PrivateKeyTypes,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


KEY: Final = ec.generate_private_key(ec.SECP256R1())
PEM: Final = pem_of(KEY)
PUBLIC_PEM: Final = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SECRET: Final = PEM.decode().splitlines()[1]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "AuthKey_ABC123DEFG.p8"
    path.write_bytes(PEM)
    path.chmod(0o600)
    return path


# ── what is signed ──


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_token_has_apples_fields_and_no_others() -> None:
    token = TokenKey.from_pem(PEM, **IDS).sign(1_700_000_000)
    header, claims, signature = (decoded(part) for part in token.split("."))
    assert header == b'{"alg":"ES256","kid":"ABC123DEFG"}'
    assert claims == b'{"iss":"DEF123GHIJ","iat":1700000000}'
    # RFC 7518 Section 3.4: r and s in 32 bytes each, not DER.
    assert len(signature) == 64


def test_a_token_is_verified_by_its_public_key_and_by_no_other() -> None:
    token = TokenKey.from_pem(PEM, **IDS).sign(1_700_000_000)
    claims = jwt.decode(token, PUBLIC_PEM, algorithms=["ES256"])
    assert claims == {"iss": "DEF123GHIJ", "iat": 1_700_000_000}
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, other, algorithms=["ES256"])


@pytest.mark.parametrize(
    "pem",
    [
        PEM,
        PEM.decode(),
        b"\n" + PEM + b"\n\n",
        PEM.replace(b"\n", b"\r\n"),
        pem_of(KEY, PrivateFormat.TraditionalOpenSSL),
    ],
    ids=["bytes", "text", "blank lines", "CRLF", "SEC 1"],
)
def test_a_key_is_read_from_pem(pem: bytes | str) -> None:
    token = TokenKey.from_pem(pem, **IDS).sign(1)
    jwt.decode(token, PUBLIC_PEM, algorithms=["ES256"])


def test_a_key_object_is_taken() -> None:
    jwt.decode(TokenKey(KEY, **IDS).sign(1), PUBLIC_PEM, algorithms=["ES256"])


@pytest.mark.parametrize("form", [Path, str, os.fsencode])
def test_a_key_is_read_from_a_file(form: Callable[[Path], Any], key_file: Path) -> None:
    token = TokenKey.from_file(form(key_file), **IDS).sign(1)
    jwt.decode(token, PUBLIC_PEM, algorithms=["ES256"])


# ── what is refused ──

WRONG_CONTENTS: Final[dict[str, tuple[bytes, str]]] = {
    "empty": (b"", "holds no key in PEM form"),
    "text": (b"hello", "holds no key in PEM form"),
    "not text": (b"\x00\xff" * 100, "holds no key in PEM form"),
    "DER": (
        KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "holds no key in PEM form",
    ),
    "body alone": (SECRET.encode(), "holds no key in PEM form"),
    "public key": (PUBLIC_PEM, "is a public key"),
    "certificate": (
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "is a certificate",
    ),
    "encrypted": (
        pem_of(KEY, encryption=BestAvailableEncryption(b"secret")),
        "is encrypted",
    ),
    "encrypted, older form": (
        pem_of(KEY, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret")),
        "is encrypted",
    ),
    "RSA": (pem_of(rsa.generate_private_key(65_537, 2_048)), "not an elliptic-curve key"),
    "Ed25519": (pem_of(ed25519.Ed25519PrivateKey.generate()), "not an elliptic-curve key"),
    "P-384": (pem_of(ec.generate_private_key(ec.SECP384R1())), "is on the curve secp384r1"),
    "cut short": (PEM[: len(PEM) // 2], "is damaged"),
    "line breaks lost": (PEM.replace(b"\n", b"\\n"), "is damaged"),
    "unknown label": (PEM.replace(b"PRIVATE KEY", b"SOMETHING"), "is damaged"),
}


@pytest.mark.parametrize(("pem", "problem"), WRONG_CONTENTS.values(), ids=WRONG_CONTENTS)
def test_wrong_contents_are_named(pem: bytes, problem: str, key_file: Path) -> None:
    with pytest.raises(InvalidField, match=problem) as from_pem:
        TokenKey.from_pem(pem, **IDS)
    assert from_pem.value.field == "pem"
    key_file.write_bytes(pem)
    with pytest.raises(InvalidField, match=problem) as from_file:
        TokenKey.from_file(key_file, **IDS)
    assert from_file.value.field == "path"
    for caught in (from_pem, from_file):
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_text_that_is_not_ascii_is_no_key_and_is_not_shown() -> None:
    with pytest.raises(InvalidField, match="is damaged") as caught:
        TokenKey.from_pem(PEM.decode().replace(SECRET, "\N{SNOWMAN}" + SECRET), **IDS)
    # An error of encoding would carry the whole text.
    assert not isinstance(caught.value.__context__, UnicodeError)


def test_a_wrong_key_object_is_named() -> None:
    with pytest.raises(InvalidField, match="P-256 alone") as caught:
        TokenKey(ec.generate_private_key(ec.SECP384R1()), **IDS)
    assert caught.value.field == "key"


@pytest.mark.parametrize("key", [PEM, PEM.decode(), "AuthKey.p8", None])
def test_the_constructor_guesses_neither_path_nor_contents(key: str | bytes | None) -> None:
    with pytest.raises(InvalidField, match=r"^key: ") as caught:
        TokenKey(key, **IDS)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("field", ["key_id", "team_id"])
@pytest.mark.parametrize(
    "value",
    ["", "ABC123DEF", "ABC123DEFGH", "ABC123DEF ", "ABC-23DEFG", "ABC123DEFG\n", "ÄBC123DEFG"],
)
def test_ids_have_ten_letters_and_digits(field: str, value: str) -> None:
    with pytest.raises(InvalidField, match="10 letters and digits") as caught:
        TokenKey.from_pem(PEM, **ids_but(field, value))
    assert caught.value.field == field


# ── a path is never taken for contents, nor contents for a path ──


def test_a_path_is_not_taken_for_contents(key_file: Path) -> None:
    with pytest.raises(InvalidField, match="holds no key in PEM form"):
        TokenKey.from_pem(str(key_file), **IDS)


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (PEM.decode(), "use from_pem"),
        (PEM, "use from_pem"),
        # Without its first line it looks like a name, and the error of open() would quote it.
        (SECRET, "cannot be read: No such file"),
        # (It may have slashes, and then short names between them.)
        (SECRET * 10, "cannot be read: (File name too long|No such file)"),
        (SECRET + "\0", "cannot be read: it has a NUL"),
    ],
    ids=["text", "octets", "one line", "too long", "NUL"],
)
def test_contents_are_not_taken_for_a_path_and_never_shown(
    contents: str | bytes, problem: str
) -> None:
    with pytest.raises(InvalidField, match=problem) as caught:
        TokenKey.from_file(contents, **IDS)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert caught.value.field == "path"
    assert caught.value.__context__ is None
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(InvalidField, match="cannot be read: Is a directory"):
        TokenKey.from_file(tmp_path, **IDS)
    with pytest.raises(InvalidField, match="cannot be read: No such file"):
        TokenKey.from_file(tmp_path / "missing.p8", **IDS)


# ── who may read the file ──

posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


@posix_only
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_of_its_owner_alone_is_no_matter(mode: int, key_file: Path) -> None:
    key_file.chmod(mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TokenKey.from_file(key_file, **IDS)


@posix_only
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602])
def test_t9_a_key_that_others_may_use_warns(mode: int, key_file: Path, tmp_path: Path) -> None:
    key_file.chmod(mode)
    link = tmp_path / "link.p8"
    link.symlink_to(key_file)
    for path in (key_file, link):
        with pytest.warns(KeyFileWarning, match=f"mode {mode:04o}") as caught:
            TokenKey.from_file(path, **IDS)
        assert caught[0].filename == __file__  # blames the caller's line


@posix_only
@pytest.mark.parametrize("mode", [0o644, 0o620])
def test_t9_strictly_a_key_that_others_may_use_is_refused(mode: int, key_file: Path) -> None:
    key_file.chmod(mode)
    with pytest.raises(InvalidField, match=rf"^path: has mode {mode:04o}: .*chmod 600"):
        TokenKey.from_file(key_file, **IDS, strict=True)
    key_file.chmod(0o600)
    TokenKey.from_file(key_file, **IDS, strict=True)


def test_elsewhere_modes_mean_nothing(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_files, "_HAS_MODES", False)
    key_file.chmod(0o644)
    TokenKey.from_file(key_file, **IDS)


# ── what is shown ──


def test_a_key_shows_its_ids_and_nothing_else() -> None:
    key = TokenKey.from_pem(PEM, **IDS)
    assert repr(key) == str(key) == "TokenKey(key_id='ABC123DEFG', team_id='DEF123GHIJ')"
    assert (key.key_id, key.team_id) == ("ABC123DEFG", "DEF123GHIJ")


# ── keys that live elsewhere ──


def der_signature(message: bytes) -> bytes:
    return KEY.sign(message, ec.ECDSA(hashes.SHA256()))


def raw_signature(message: bytes) -> bytes:
    r, s = decode_dss_signature(der_signature(message))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def mutable_signature(message: bytes) -> bytearray:
    return bytearray(raw_signature(message))


def digest_signature(message: bytes) -> bytes:
    digest = hashlib.sha256(message).digest()
    return KEY.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))


@pytest.mark.parametrize(
    "sign_message",
    [der_signature, raw_signature, digest_signature, mutable_signature],
    ids=["DER", "r and s", "of a digest", "bytearray"],
)
def test_a_remote_key_signs_what_a_local_one_does(sign_message: Callable[[bytes], bytes]) -> None:
    token = RemoteKey(sign_message, **IDS).sign(1_700_000_000)
    jwt.decode(token, PUBLIC_PEM, algorithms=["ES256"])
    local = TokenKey(KEY, **IDS).sign(1_700_000_000)
    assert token.split(".")[:2] == local.split(".")[:2]
    assert len(decoded(token.split(".")[2])) == 64


def test_small_numbers_in_a_signature_keep_their_zeros() -> None:
    def sign_message(message: bytes) -> bytes:
        del message
        return encode_dss_signature(1, 0xAB)

    token = RemoteKey(sign_message, **IDS).sign(1)
    assert decoded(token.split(".")[2]) == (1).to_bytes(32, "big") + (0xAB).to_bytes(32, "big")


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"x" * 63,
        b"x" * 65,
        encode_dss_signature(1, 2) + b"\0",
        encode_dss_signature(2**256, 1),
        encode_dss_signature(1, 2**400),
        base64.b64encode(b"x" * 64),
        "x" * 64,
        None,
        64,
    ],
)
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(InvalidField, match=r"^sign_message: must return") as caught:
        RemoteKey(lambda _: signature, **IDS).sign(1)
    assert caught.value.__cause__ is None


def test_what_a_key_service_raises_is_raised() -> None:
    def sign_message(message: bytes) -> bytes:
        raise ConnectionError(len(message))

    with pytest.raises(ConnectionError):
        RemoteKey(sign_message, **IDS).sign(1)


@pytest.mark.parametrize("field", ["key_id", "team_id"])
def test_ids_of_a_remote_key_have_ten_letters_and_digits(field: str) -> None:
    with pytest.raises(InvalidField, match="10 letters and digits") as caught:
        RemoteKey(der_signature, **ids_but(field, "ABC"))
    assert caught.value.field == field


def test_a_remote_key_shows_its_ids_and_nothing_else() -> None:
    key = RemoteKey(functools.partial(der_signature, *[SECRET.encode()]), **IDS)
    assert repr(key) == "RemoteKey(key_id='ABC123DEFG', team_id='DEF123GHIJ')"


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_key_is_not_pickled(leak: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="credential"):
        leak(TokenKey.from_pem(PEM, **IDS))
