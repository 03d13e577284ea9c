import hashlib
import importlib
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from apns_core.trust import roots
from apns_core.trust.roots import APNS_ROOTS, apns_roots
from apns_core.trust.tls import client_context


@pytest.fixture
def certifi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The bundle of a ``certifi`` that this test makes."""
    package = tmp_path / "certifi"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "certifi", raising=False)
    yield package / "cacert.pem"
    sys.modules.pop("certifi", None)


def fingerprint(authority: trustme.CA) -> str:
    der = ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode())
    return hashlib.sha256(der).hexdigest()


def test_only_the_roots_of_apns_are_taken(certifi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authorities = [trustme.CA() for _ in range(4)]
    certifi.write_text(
        "\n# A comment, as certifi has them: \N{LATIN SMALL LETTER E WITH ACUTE}\n".join(
            ["", *(each.cert_pem.bytes().decode() for each in authorities)]
        ),
        "utf-8",
    )
    wanted = {fingerprint(authorities[1]): "one", fingerprint(authorities[3]): "another"}
    monkeypatch.setattr(roots, "APNS_ROOTS", wanted)
    context = client_context(cadata=apns_roots())
    trusted = {hashlib.sha256(der).hexdigest() for der in context.get_ca_certs(binary_form=True)}
    assert trusted == set(wanted)


def test_a_bundle_without_them_gives_nothing(certifi: Path) -> None:
    certifi.write_bytes(trustme.CA().cert_pem.bytes())
    assert apns_roots() == ""


def test_a_package_without_a_bundle_gives_nothing(certifi: Path) -> None:
    assert not certifi.exists()
    assert apns_roots() == ""


def test_without_the_package_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in sys.modules is how Python is told that there is no such module.
    monkeypatch.setitem(sys.modules, "certifi", None)
    assert apns_roots() == ""


def test_the_real_package_has_the_root_that_apns_uses() -> None:
    pytest.importorskip("certifi", reason="the package certifi is not installed")
    context = client_context(cadata=apns_roots())
    names = {
        APNS_ROOTS[hashlib.sha256(der).hexdigest()]
        for der in context.get_ca_certs(binary_form=True)
    }
    assert "USERTrust RSA Certification Authority" in names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Comodo_AAA_Services_root.crt", "AAA Certificate Services"),
        ("USERTrust_RSA_Certification_Authority.crt", "USERTrust RSA Certification Authority"),
    ],
)
def test_the_fingerprints_are_those_of_the_system(path: str, name: str) -> None:
    file = Path("/usr/share/ca-certificates/mozilla") / path
    if not file.exists():
        pytest.skip(f"{file} is not there (Debian: ca-certificates)")
    der = ssl.PEM_cert_to_DER_cert(file.read_text())
    assert APNS_ROOTS[hashlib.sha256(der).hexdigest()] == name
