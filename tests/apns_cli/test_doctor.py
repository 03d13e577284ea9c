import datetime as dt
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from apns_cli.command import apns
from apns_simulator import (
    ClientCertificate,
    SimulatorConfig,
    SimulatorThread,
    make_provider_key,
)
from tests.apns_cli.raw_server import CA, Connection, RawServer, say, server_context
from tests.apns_core.http2 import wire
from tests.apns_core.trust import certificates
from tests.ports import held_port
from tests.proxies import SECRETS, USER, basic, http_proxy
from tests.proxies import running as running_proxy

TOPIC = ("--topic", "com.example.app")

Checks: TypeAlias = dict[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper() in {"HTTPS_PROXY", "ALL_PROXY"} or name.startswith("APNS_"):
            monkeypatch.delenv(name)


def doctor(*arguments: str, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(apns, ["doctor", *arguments], env=env)
    assert not re.search(r"eyJ|0{64}|PRIVATE", result.output)
    return result


def examined(*arguments: str, env: dict[str, str] | None = None, ok: bool = False) -> Checks:
    """Return the findings by the name of their check; of several, the last that is not ok."""
    result = doctor("--json", *arguments, env=env)
    assert result.exit_code == (0 if ok else 1), result.output
    assert (result.stderr == "") == ok
    report = json.loads(result.stdout)
    assert report["ok"] == ok
    checks: Checks = {}
    for finding in report["checks"]:
        assert list(finding) == ["check", "result", "seen", "fix"]
        assert (finding["fix"] is None) or finding["result"] in {"failed", "warning"}
        if finding["check"] not in checks or finding["result"] != "ok":
            checks[finding["check"]] = finding
    assert ok == all(finding["result"] != "failed" for finding in checks.values())
    return checks


def results(checks: Checks, *names: str) -> list[str]:
    return [checks[name]["result"] for name in names]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread() as running:
        yield running


@pytest.fixture
def options(simulator: SimulatorThread, tmp_path: Path) -> tuple[str, ...]:
    """What reaches the simulator."""
    key = simulator.provider_key
    (tmp_path / "ca.pem").write_text(simulator.ca_pem)
    path = write_key(tmp_path / f"AuthKey_{key.key_id}.p8", key.private_key_pem)
    return (
        *("--server", f"{simulator.host}:{simulator.port}", "--ca", str(tmp_path / "ca.pem")),
        *("--key", path, "--team-id", key.team_id),
    )


def write_key(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


# ── all is well ──


def test_all_is_well(simulator: SimulatorThread, options: tuple[str, ...]) -> None:
    checks = examined(*options, *TOPIC, ok=True)
    skipped = {name for name, check in checks.items() if check["result"] == "skipped"}
    assert skipped <= {"Chain"}  # before Python 3.13
    assert {"DNS", "TCP", "TLS", "Trust", "ALPN", "Signing key", "Clock"} <= set(checks)
    assert "MAX_CONCURRENT_STREAMS=1000" in checks["HTTP/2"]["seen"]
    assert checks["Request"]["seen"] == "200: the credentials were accepted"
    assert "Testing" in checks["Chain 1"]["seen"]
    assert simulator.provider_key.key_id in checks["Signing key"]["seen"]
    assert simulator.ledger().violations == []


def test_the_table_says_it_in_words_and_in_80_columns(options: tuple[str, ...]) -> None:
    result = doctor(*options, *TOPIC)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert re.search(r"^  ok +TLS ", result.stdout, re.MULTILINE)
    assert "0 warning, 0 failed" in result.stdout


def test_the_table_says_what_to_do(options: tuple[str, ...]) -> None:
    # The system does not trust the simulator.
    result = doctor(*options[:2], *options[4:])
    assert result.exit_code == 1
    assert re.search(
        r"^  FAILED +Trust +not trusted by the system's store", result.stdout, re.MULTILINE
    )
    assert re.search(r"^ +-> trust USERTrust RSA", result.stdout, re.MULTILINE)
    assert result.stderr == "apns doctor: something is in the way\n"


def test_a_device_that_is_not_there_is_how_it_should_be(
    simulator: SimulatorThread, options: tuple[str, ...]
) -> None:
    simulator.reject("0000", "BadDeviceToken")
    try:
        checks = examined(*options, *TOPIC, ok=True)
    finally:
        simulator.reject("0000", None)
    assert checks["Request"]["seen"] == "400 BadDeviceToken: the credentials were accepted"


def test_without_a_topic_it_can_not_be_told(options: tuple[str, ...]) -> None:
    checks = examined(*options, ok=True)
    assert results(checks, "Request", "Clock") == ["warning", "skipped"]
    assert "--topic" in checks["Request"]["fix"]


def test_no_request_unless_it_is_wanted(
    simulator: SimulatorThread, options: tuple[str, ...]
) -> None:
    before = simulator.ledger().processed_count
    checks = examined("--no-request", *options, ok=True)
    assert checks["Request"]["seen"] == "--no-request"
    assert results(checks, "HTTP/2") == ["ok"]
    assert simulator.ledger().processed_count == before


def test_without_credentials_the_rest_is_looked_at(options: tuple[str, ...]) -> None:
    checks = examined(*options[:4], ok=True)
    assert results(checks, "Credentials", "HTTP/2", "Request") == ["warning", "ok", "skipped"]


# ── the network ──


def test_a_name_that_does_not_resolve(options: tuple[str, ...]) -> None:
    checks = examined("--server", "host.invalid", *options[2:])
    assert results(checks, "DNS", "TCP", "TLS", "Request") == ["failed", *["skipped"] * 3]
    assert "resolver" in checks["DNS"]["fix"]
    assert results(checks, "Signing key") == ["ok"]


def test_a_closed_port(options: tuple[str, ...]) -> None:
    with held_port() as port:
        checks = examined(*options, "--port", str(port))
    assert results(checks, "TCP", "TLS", "Key file") == ["failed", "skipped", "ok"]
    assert "refused" in checks["TCP"]["seen"]
    assert "--try-2197" in checks["TCP"]["fix"]


def test_the_other_port_on_demand(options: tuple[str, ...]) -> None:
    checks = examined("--try-2197", *options, *TOPIC, ok=True)
    # Whether anything listens there is this machine's affair.
    assert "127.0.0.1:2197" in checks["Port 2197"]["seen"]


def test_a_server_of_http_1(tmp_path: Path) -> None:
    def script(server: RawServer, connection: Connection) -> None:
        del server
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    with RawServer(script, server_context()) as server:
        checks = examined("--server", server.authority, "--ca", str(tmp_path / "ca.pem"))
    assert results(checks, "ALPN", "HTTP/2") == ["ok", "failed"]


def test_a_rule_broken_after_settings(tmp_path: Path) -> None:
    def script(server: RawServer, connection: Connection) -> None:
        del server
        connection.sendall(wire.settings((3, 7), (0xFACE, 1)) + wire.frame(wire.PING))

    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    with RawServer(script, server_context()) as server:
        checks = examined("--server", server.authority, "--ca", str(tmp_path / "ca.pem"))
    assert "PING of 0 octets" in checks["HTTP/2"]["seen"]


def test_by_way_of_a_proxy(simulator: SimulatorThread, options: tuple[str, ...]) -> None:
    with running_proxy(http_proxy(authorization=basic())) as proxy:
        url = f"http://{USER}:canary-passw%C3%B6rd%2F%40%3A%25@127.0.0.1:{proxy.port}"
        result = doctor("--json", *options, *TOPIC, env={"APNS_PROXY": url})
        assert result.exit_code == 0
        assert proxy.targets == [(simulator.host, simulator.port)]
    assert not any(secret in result.output for secret in SECRETS)
    assert f"***@127.0.0.1:{proxy.port}" in result.stdout


def test_a_proxy_that_refuses(options: tuple[str, ...]) -> None:
    with running_proxy(http_proxy(authorization="Basic other")) as proxy:
        url = f"http://{USER}:canary@127.0.0.1:{proxy.port}"
        checks = examined(*options, env={"APNS_PROXY": url})
    assert results(checks, "Proxy", "TCP", "TLS") == ["failed", "ok", "skipped"]
    assert "canary" not in str(checks)


def test_a_proxy_for_others(options: tuple[str, ...]) -> None:
    secret = "http://me:secret@proxy.invalid"
    checks = examined(*options, *TOPIC, env={"HTTPS_PROXY": secret}, ok=True)
    assert results(checks, "Proxy") == ["warning"]
    assert "secret" not in str(checks)


# ── trust ──


def test_an_authority_that_is_not_trusted(options: tuple[str, ...], tmp_path: Path) -> None:
    CA.cert_pem.write_to_path(tmp_path / "other.pem")
    checks = examined(*options, "--ca", str(tmp_path / "other.pem"))
    assert results(checks, "Trust", "TLS", "Request") == ["failed", "skipped", "skipped"]
    assert str(tmp_path / "other.pem") in checks["Trust"]["seen"]
    # Who has answered is told all the same.
    assert results(checks, "Chain 1") == ["ok"]


def test_a_server_certificate_that_has_expired(tmp_path: Path) -> None:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    with RawServer(say(), server_context(not_after=yesterday)) as server:
        checks = examined("--server", server.authority, "--ca", str(tmp_path / "ca.pem"))
    assert results(checks, "Trust", "Chain 1", "Clock") == ["failed", "failed", "warning"]
    assert "expired" in checks["Trust"]["seen"]
    assert "clock" in checks["Trust"]["fix"]


def test_a_certificate_of_another_host(tmp_path: Path) -> None:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    with RawServer(say(), server_context("example.com")) as server:
        checks = examined("--server", server.authority, "--ca", str(tmp_path / "ca.pem"))
    assert "another server" in checks["Trust"]["fix"]


def test_no_authorities(options: tuple[str, ...], tmp_path: Path) -> None:
    checks = examined(*options, "--ca", str(tmp_path / "missing.pem"))
    assert results(checks, "Trust", "TCP", "TLS") == ["failed", "ok", "skipped"]


def test_no_alpn(tmp_path: Path) -> None:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    with RawServer(say(), server_context(alpn=())) as server:
        checks = examined("--server", server.authority, "--ca", str(tmp_path / "ca.pem"))
    assert results(checks, "TLS", "ALPN", "HTTP/2") == ["ok", "failed", "skipped"]


def test_no_tls(tmp_path: Path) -> None:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    with RawServer(say()) as server:
        checks = examined("--server", server.authority, "--ca", str(tmp_path / "ca.pem"))
    assert results(checks, "TCP", "TLS", "Trust") == ["ok", "failed", "skipped"]


# ── signing keys ──


@pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX")
def test_a_key_that_others_may_read(options: tuple[str, ...]) -> None:
    Path(options[5]).chmod(0o644)
    checks = examined(*options, *TOPIC, ok=True)
    assert results(checks, "Key file", "Signing key") == ["warning", "ok"]
    assert "0644" in checks["Key file"]["seen"]


def test_a_key_file_that_is_not_there(options: tuple[str, ...]) -> None:
    Path(options[5]).unlink()
    checks = examined(*options)
    assert results(checks, "Key file", "Signing key", "HTTP/2") == ["failed", "failed", "ok"]
    assert results(checks, "Request") == ["skipped"]


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="pipes have no names")
def test_a_key_from_a_pipe(options: tuple[str, ...]) -> None:
    # As of `apns doctor --key <(…)`: what was read is gone.
    ours, theirs = os.pipe()
    os.write(theirs, Path(options[5]).read_bytes())
    os.close(theirs)
    try:
        key_id = Path(options[5]).stem.removeprefix("AuthKey_")
        piped = (*options[:5], f"/dev/fd/{ours}", *options[6:], "--key-id", key_id)
        checks = examined(*piped, *TOPIC, ok=True)
    finally:
        os.close(ours)
    assert results(checks, "Key file", "Signing key", "Request") == ["ok", "ok", "ok"]


def test_a_key_on_another_curve(options: tuple[str, ...]) -> None:
    pem = certificates.key_pem(ec.generate_private_key(ec.SECP384R1()))
    write_key(Path(options[5]), pem.decode())
    checks = examined(*options)
    assert results(checks, "Key file", "Signing key") == ["ok", "failed"]
    assert "secp384r1" in checks["Signing key"]["seen"]


@pytest.mark.parametrize(("option", "page"), [("--key-id", "Keys"), ("--team-id", "Membership")])
def test_an_id_of_the_wrong_form(option: str, page: str, options: tuple[str, ...]) -> None:
    checks = examined(*options, option, "short")
    assert results(checks, "Signing key") == ["failed"]
    assert page in checks["Signing key"]["fix"]


def test_another_key_id_than_the_file_is_named_for(options: tuple[str, ...]) -> None:
    checks = examined(*options, *TOPIC, "--key-id", "ABC123DEFG")
    assert results(checks, "Key id", "Request") == ["warning", "failed"]


def test_a_key_that_apns_does_not_know(options: tuple[str, ...]) -> None:
    write_key(Path(options[5]), make_provider_key().private_key_pem)
    checks = examined(*options, *TOPIC)
    assert results(checks, "Signing key", "Request") == ["ok", "failed"]
    assert "403 InvalidProviderToken" in checks["Request"]["seen"]
    assert "belong together" in checks["Request"]["fix"]


def test_a_key_of_the_environment(simulator: SimulatorThread, options: tuple[str, ...]) -> None:
    key = simulator.provider_key
    env = {"APNS_KEY": key.private_key_pem, "APNS_KEY_ID": key.key_id}
    checks = examined(*options[:4], *options[6:], *TOPIC, env=env, ok=True)
    assert checks["Key file"]["seen"] == "$APNS_KEY"


# ── provider certificates ──


Identity: TypeAlias = Callable[..., str]


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    """Make a file of a certificate and its key; return its path."""

    def make(
        *oids: str, not_after: dt.datetime = certificates.NOT_AFTER, uid: str | None = "com.x.app"
    ) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = dict.fromkeys(oids, certificates.NULL)
        certificate = certificates.provider_certificate(
            key, extensions=extensions, not_after=not_after, uid=uid
        )
        pem = certificates.certificate_pem(certificate) + certificates.key_pem(key)
        return write_key(tmp_path / "identity.pem", pem.decode())

    return make


@pytest.fixture
def for_certificates(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """What reaches a simulator that asks for no provider token."""
    config = SimulatorConfig(authentication="none", default_topic="com.x.app")
    with SimulatorThread(config) as running:
        (tmp_path / "ca.pem").write_text(running.ca_pem)
        server = f"{running.host}:{running.port}"
        yield "--server", server, "--ca", str(tmp_path / "ca.pem")


BOTH = (certificates.DEVELOPMENT, certificates.PRODUCTION)


def test_a_good_certificate(identity: Identity, for_certificates: tuple[str, ...]) -> None:
    checks = examined(*for_certificates, "--certificate", identity(*BOTH), ok=True)
    names = ("Provider certificate", "Environment", "Topics", "Request")
    assert results(checks, *names) == ["ok"] * 4
    assert checks["Topics"]["seen"] == "com.x.app"


def test_a_certificate_for_the_other_environment(identity: Identity, tmp_path: Path) -> None:
    def refuse(_: RawServer, connection: Connection) -> None:
        reason = b'{"reason":"BadCertificateEnvironment"}'
        connection.sendall(wire.settings() + wire.goaway(0, 0, reason) + wire.goaway(0))

    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    with RawServer(refuse, server_context()) as server:
        options = ("--server", server.authority, "--ca", str(tmp_path / "ca.pem"))
        checks = examined(*options, "--certificate", identity(certificates.DEVELOPMENT))
    assert results(checks, "Environment", "Request") == ["failed", "failed"]
    assert checks["Environment"]["fix"].startswith("use --environment development")
    assert checks["Request"]["seen"] == "GOAWAY: BadCertificateEnvironment"


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_certificate_that_is_presented(environment: str, tmp_path: Path) -> None:
    config = SimulatorConfig(authentication="certificate", environment="production")
    with SimulatorThread(config) as running:
        (tmp_path / "ca.pem").write_text(running.ca_pem)
        issued = ClientCertificate(("com.x.app",), environments=(environment,))
        pem = running.issue_client_certificate(issued)
        options = ("--server", f"{running.host}:{running.port}", "--ca", str(tmp_path / "ca.pem"))
        path = write_key(tmp_path / "identity.pem", pem)
        ok = environment == "production"
        checks = examined(*options, "--certificate", path, ok=ok)
    assert results(checks, "TLS", "Environment") == ["ok", "ok" if ok else "failed"]
    assert results(checks, "Request") == ["ok" if ok else "failed"]
    assert ok or checks["Request"]["seen"] == "GOAWAY: BadCertificateEnvironment"


def test_a_certificate_without_its_key(
    identity: Identity, for_certificates: tuple[str, ...]
) -> None:
    path = Path(identity(*BOTH))
    other = certificates.key_pem(ec.generate_private_key(ec.SECP256R1())).decode()
    path.write_text(path.read_text().partition("-----BEGIN PRIVATE")[0] + other)
    checks = examined(*for_certificates, "--certificate", str(path))
    assert "not the one of this key" in checks["Provider certificate"]["seen"]
    assert results(checks, "HTTP/2", "Request") == ["ok", "skipped"]


def test_a_key_and_a_certificate(identity: Identity, options: tuple[str, ...]) -> None:
    checks = examined(*options, "--certificate", identity(*BOTH))
    assert results(checks, "Credentials", "Request") == ["failed", "skipped"]


# ── usage ──


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--server", "http://host"], "server: "),
        (["--proxy", "ftp://host"], "proxy: "),
        (["--topic", "a b"], "topic: "),
        (["--timeout", "0"], "--timeout"),
    ],
)
def test_mistakes_are_named(arguments: list[str], complaint: str) -> None:
    result = doctor(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in result.stderr
