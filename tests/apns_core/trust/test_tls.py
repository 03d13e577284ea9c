import datetime as dt
import os
import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest
import trustme

from apns_core.errors import ConnectFailed, InvalidField
from apns_core.trust import tls
from apns_core.trust.pins import PinMismatch, certificate_pin
from apns_core.trust.tls import check_alpn, client_context, prepare_context
from tests.apns_core.trust.handshakes import (
    CA,
    CA_PEM,
    CERTIFICATE,
    HOST,
    handshake,
    server_context,
)


def weak_server(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = server_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = version
        context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def weak_client() -> ssl.SSLContext:
    """A client that takes whatever the servers of these tests offer: the control."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=CA_PEM.decode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


# ── a server as it should be ──


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_good_server_is_taken(version: ssl.TLSVersion) -> None:
    server = server_context()
    server.minimum_version = server.maximum_version = version
    connection = handshake(client_context(cadata=CA_PEM), server)
    assert connection.version() == version.name.replace("_", ".")
    check_alpn(connection.selected_alpn_protocol())


@pytest.mark.parametrize("form", ["PEM bytes", "PEM text", "DER", "path", "path as text"])
def test_authorities_come_in_any_form(form: str, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(CA_PEM)
    options: dict[str, dict[str, Any]] = {
        "PEM bytes": {"cadata": CA_PEM},
        "PEM text": {"cadata": CA_PEM.decode()},
        "DER": {"cadata": ssl.PEM_cert_to_DER_cert(CA_PEM.decode())},
        "path": {"cafile": path},
        "path as text": {"cafile": str(path)},
    }
    handshake(client_context(**options[form]), server_context())


def test_authorities_of_both_kinds_add_up(tmp_path: Path) -> None:
    other = trustme.CA()
    path = tmp_path / "ca.pem"
    path.write_bytes(CA_PEM)
    context = client_context(cafile=path, cadata=other.cert_pem.bytes())
    handshake(context, server_context())
    handshake(context, server_context(other.issue_cert(HOST)))


def test_the_system_is_trusted_unless_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "system.pem"
    path.write_bytes(CA_PEM)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    handshake(client_context(), server_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(cadata=trustme.CA().cert_pem.bytes()), server_context())


# ── where the system has nothing, or the wrong thing ──


@pytest.fixture
def empty_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container without authorities and without ``certifi``; its directory of authorities."""
    directory = tmp_path / "authorities"
    directory.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(directory))
    monkeypatch.setattr(tls, "apns_roots", str)
    return directory


def test_a_system_without_authorities_is_named_at_once(empty_system: Path) -> None:
    with pytest.raises(InvalidField, match=r"^cafile: .*install ca-certificates, or certifi"):
        client_context()
    empty_system.rmdir()
    with pytest.raises(InvalidField, match=r"^cafile: "):
        client_context()


def test_a_system_without_authorities_does_with_named_ones(empty_system: Path) -> None:
    assert empty_system.is_dir()
    handshake(client_context(cadata=CA_PEM), server_context())


def test_a_system_may_have_its_authorities_in_one_of_several_directories(
    empty_system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "others"
    other.mkdir()
    (other / "ca.pem").write_bytes(CA_PEM)
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(empty_system), "", str(other)]))
    client_context()


def test_the_roots_of_apns_are_trusted_beside_those_of_the_system(
    empty_system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del empty_system
    root = trustme.CA()
    monkeypatch.setattr(tls, "apns_roots", lambda: root.cert_pem.bytes().decode())
    of_root = server_context(root.issue_cert(HOST))
    of_system = server_context()
    handshake(client_context(), of_root)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(), of_system)
    path = tmp_path / "system.pem"
    path.write_bytes(CA_PEM)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    handshake(client_context(), of_root)
    handshake(client_context(), of_system)
    # And not where the caller names others.
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(cadata=CA_PEM), of_root)


# ── pins and identities ──


def test_a_context_can_be_pinned() -> None:
    der = ssl.PEM_cert_to_DER_cert(CERTIFICATE.cert_chain_pems[0].bytes().decode())
    handshake(client_context(cadata=CA_PEM, pins=[certificate_pin(der)]), server_context())
    with pytest.raises(PinMismatch):
        handshake(client_context(cadata=CA_PEM, pins=["ab" * 32]), server_context())


def test_an_identity_is_loaded() -> None:
    loaded: list[ssl.SSLContext] = []

    class Identity:
        def load_into(self, context: ssl.SSLContext) -> None:
            loaded.append(context)

    assert [client_context(cadata=CA_PEM, identity=Identity())] == loaded


# ── servers that are refused ──


def test_t3_an_unknown_authority_is_refused() -> None:
    server = server_context(trustme.CA().issue_cert(HOST))
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        handshake(client_context(cadata=CA_PEM), server)


def test_t3_the_wrong_host_is_refused() -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(client_context(cadata=CA_PEM), server_context(), "api.push.invalid")


def test_t3_an_expired_certificate_is_refused() -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    server = server_context(CA.issue_cert(HOST, not_after=yesterday))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(client_context(cadata=CA_PEM), server)


def test_t5_tls_1_1_is_refused() -> None:
    server = weak_server(ssl.TLSVersion.TLSv1_1)
    assert handshake(weak_client(), server).version() == "TLSv1.1"
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        handshake(client_context(cadata=CA_PEM), server)


@pytest.mark.parametrize(
    "cipher",
    # Neither ephemeral nor authenticated; ephemeral alone; authenticated alone.
    ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256"],
)
def test_t5_suites_that_http2_prohibits_are_refused(cipher: str) -> None:
    # An RSA certificate serves the RSA suites.
    key_type = trustme.KeyType.ECDSA if "ECDSA" in cipher else trustme.KeyType.RSA
    server = server_context(CA.issue_cert(HOST, key_type=key_type))
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers(f"{cipher}:@SECLEVEL=0")
    suite = handshake(weak_client(), server).cipher()
    assert suite is not None
    assert suite[0] == cipher
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        handshake(client_context(cadata=CA_PEM), server)


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
def test_t2_a_server_without_h2_is_refused(alpn: tuple[str, ...]) -> None:
    connection = handshake(client_context(cadata=CA_PEM), server_context(alpn=alpn))
    with pytest.raises(ConnectFailed, match="no protocol"):
        check_alpn(connection.selected_alpn_protocol())


@pytest.mark.parametrize(
    ("selected", "named"), [(None, "no protocol"), ("http/1.1", "'http/1.1'"), ("", "''")]
)
def test_the_refusal_names_what_was_selected(selected: str | None, named: str) -> None:
    with pytest.raises(ConnectFailed, match=f"ALPN selected {named}, not 'h2'"):
        check_alpn(selected)


# ── contexts ──


def test_t6_a_context_verifies_and_keeps_to_http2() -> None:
    context = client_context(cadata=CA_PEM)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.post_handshake_auth
    old = {c["name"] for c in context.get_ciphers() if c["protocol"] == "TLSv1.2"}
    assert old
    assert all(
        name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name) for name in old
    ), old


def test_session_keys_are_not_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    handshake(client_context(cadata=CA_PEM), server_context())
    assert not log.exists()
    # The control: the standard library's own context does log.
    theirs = ssl.create_default_context(cadata=CA_PEM.decode())
    handshake(theirs, server_context())
    assert log.exists()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"cafile": "/nonexistent/ca.pem"}, "cafile"),
        ({"cafile": ""}, "cafile"),
        ({"cafile": __file__}, "cafile"),
        ({"cadata": ""}, "cadata"),
        ({"cadata": b""}, "cadata"),
        ({"cadata": "not PEM"}, "cadata"),
        ({"cadata": "\N{SNOWMAN}"}, "cadata"),
        ({"cadata": b"not DER"}, "cadata"),
        ({"cadata": CA_PEM[:100]}, "cadata"),
        ({"cadata": CA_PEM[:100] + b"\xff"}, "cadata"),
    ],
)
def test_authorities_that_cannot_be_read_are_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        client_context(**options)
    assert caught.value.field == field


def test_a_context_of_the_callers_is_changed_where_http2_asks_for_it() -> None:
    mine = weak_client()
    mine.post_handshake_auth = True
    ciphers = mine.get_ciphers()
    assert prepare_context(mine) is mine
    assert mine.minimum_version is ssl.TLSVersion.TLSv1_2
    assert mine.options & ssl.OP_NO_COMPRESSION
    assert mine.options & ssl.OP_NO_RENEGOTIATION
    assert not mine.post_handshake_auth
    check_alpn(handshake(mine, server_context()).selected_alpn_protocol())
    with pytest.raises(ssl.SSLError):
        handshake(mine, weak_server(ssl.TLSVersion.TLSv1_1))
    # And nowhere else.
    assert mine.get_ciphers() == ciphers
    assert mine.verify_mode is ssl.CERT_REQUIRED


def test_a_context_of_the_callers_that_verifies_nothing_is_theirs_to_bring() -> None:
    mine = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    mine.check_hostname = False
    mine.verify_mode = ssl.CERT_NONE
    prepare_context(mine)
    assert mine.verify_mode is ssl.CERT_NONE
    handshake(mine, server_context(), "any.example")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_2),
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
        (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
        (ssl.TLSVersion.MAXIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_a_higher_minimum_of_the_callers_stays(
    before: ssl.TLSVersion, after: ssl.TLSVersion
) -> None:
    mine = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    mine.minimum_version = before
    assert prepare_context(mine).minimum_version is after
