import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apns_cli import network_checks as checks
from apns_cli.checks import CHECKS, Check, diagnose
from apns_cli.diagnosis import (
    Attempt,
    Facts,
    Greeting,
    Handshake,
    NamesFound,
    Result,
    ServerCertificate,
)
from apns_core import PRODUCTION, Endpoint

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEAR = timedelta(days=365)

REFUSED = ConnectionRefusedError(111, "Connection refused")
GOOD = Attempt("17.0.0.1:443", 12.34)
BAD = Attempt("17.0.0.2:443", 0.1, REFUSED)
SLOW = Attempt("17.0.0.2:443", 9_999, TimeoutError())
NO_ROUTE = Attempt("[2620::1]:443", 0.1, OSError(101, "Network is unreachable"))

LEAF = ServerCertificate(
    subject="api.push.apple.com",
    issuer="Apple Public Server",
    not_before=NOW - YEAR,
    not_after=NOW + YEAR,
)
TRUSTED = Handshake(
    store="the store",
    version="TLSv1.3",
    cipher="A_CIPHER",
    alpn="h2",
    chain=(LEAF,),
    whole_chain=True,
)


def untrusted(code: int) -> Handshake:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code, error.verify_message = code, "the reason"
    return Handshake(store="the store", error=error)


def tls_error(reason: str) -> Handshake:
    error = ssl.SSLError(1, "the reason")
    error.reason = reason
    return Handshake(store="the store", error=error)


FACTS = Facts(endpoint=PRODUCTION, environment="production", now=NOW)


CASES: list[tuple[Check, Facts, list[tuple[str, str]]]] = [
    (checks.check_proxy, FACTS, [("ok", "none")]),
    (checks.check_proxy, replace(FACTS, proxy="Proxy('http://p:1')"), [("ok", "http://p:1")]),
    (
        checks.check_proxy,
        replace(FACTS, proxy="p", tunnel_problem="it says 403"),
        [("failed", "403")],
    ),
    (
        checks.check_proxy,
        replace(FACTS, other_proxy_variables=("ALL_PROXY",)),
        [("warning", "ALL_PROXY")],
    ),
    (checks.check_names, FACTS, [("skipped", "")]),
    (
        checks.check_names,
        replace(FACTS, names=NamesFound(host="h", addresses=("1.2.3.4:443", "[::1]:443"))),
        [("ok", "h (IPv4: 1, IPv6: 1)")],
    ),
    (
        checks.check_names,
        replace(FACTS, names=NamesFound(host="h", error=socket.gaierror(-2, "unknown"))),
        [("failed", "unknown")],
    ),
    (
        checks.check_names,
        replace(FACTS, names=NamesFound(host="h", error=TimeoutError())),
        [("failed", "no answer in time")],
    ),
    (checks.check_tcp, FACTS, [("skipped", "")]),
    (checks.check_tcp, replace(FACTS, attempts=(GOOD,)), [("ok", "17.0.0.1:443 in 12.3 ms")]),
    (
        checks.check_tcp,
        replace(FACTS, attempts=(NO_ROUTE, GOOD)),
        [("warning", "[2620::1]:443: Network is unreachable"), ("ok", "17.0.0.1")],
    ),
    (
        checks.check_tcp,
        replace(FACTS, attempts=(BAD, SLOW)),
        [("failed", "refused"), ("failed", "time")],
    ),
    (checks.check_alternative_port, replace(FACTS, attempts=(GOOD,)), []),
    (
        checks.check_alternative_port,
        replace(FACTS, attempts=(GOOD,), alternative=(GOOD,)),
        [("ok", "ms")],
    ),
    (
        checks.check_alternative_port,
        replace(FACTS, attempts=(BAD,), alternative=(GOOD, SLOW)),
        [("warning", "in 12.3 ms"), ("warning", "no answer")],
    ),
    (checks.check_tls, FACTS, [("skipped", "")]),
    (checks.check_tls, replace(FACTS, handshake=TRUSTED), [("ok", "TLSv1.3, A_CIPHER")]),
    (checks.check_tls, replace(FACTS, handshake=untrusted(20)), [("skipped", "trusted")]),
    (
        checks.check_tls,
        replace(FACTS, handshake=tls_error("WRONG_VERSION")),
        [("failed", "the reason")],
    ),
    (checks.check_trust, FACTS, [("skipped", "")]),
    (
        checks.check_trust,
        replace(FACTS, store_problem="cafile: empty"),
        [("failed", "cafile: empty")],
    ),
    (checks.check_trust, replace(FACTS, handshake=TRUSTED), [("ok", "the store")]),
    (checks.check_trust, replace(FACTS, handshake=tls_error("X")), [("skipped", "before")]),
    (
        checks.check_trust,
        replace(FACTS, handshake=untrusted(20)),
        [("failed", "the store: the reason")],
    ),
    (checks.check_chain, FACTS, [("skipped", "")]),
    (
        checks.check_chain,
        replace(FACTS, handshake=TRUSTED),
        [("ok", "api.push.apple.com, by Apple Public Server, 2025-06-01 to 2027-06-01")],
    ),
    (
        checks.check_chain,
        replace(FACTS, handshake=replace(TRUSTED, whole_chain=False)),
        [("ok", "api"), ("skipped", "3.13")],
    ),
    (
        checks.check_chain,
        replace(
            FACTS, handshake=replace(TRUSTED, chain=(LEAF, replace(LEAF, not_after=NOW - YEAR)))
        ),
        [("ok", "api"), ("failed", "2025")],
    ),
    (checks.check_alpn, FACTS, [("skipped", "")]),
    (checks.check_alpn, replace(FACTS, handshake=TRUSTED), [("ok", "h2")]),
    (
        checks.check_alpn,
        replace(FACTS, handshake=replace(TRUSTED, alpn=None)),
        [("failed", "none")],
    ),
    (checks.check_alpn, replace(FACTS, handshake=replace(TRUSTED, alpn="x")), [("failed", "x")]),
    (checks.check_settings, FACTS, [("skipped", "")]),
    (
        checks.check_settings,
        replace(FACTS, greeting=Greeting(settings=((3, 1000), (0xFACE, 1)))),
        [("ok", "MAX_CONCURRENT_STREAMS=1000, 0xface=1")],
    ),
    (checks.check_settings, replace(FACTS, greeting=Greeting(settings=())), [("ok", "without")]),
    (
        checks.check_settings,
        replace(FACTS, greeting=Greeting(settings=None, problem="closed")),
        [("failed", "closed")],
    ),
    (
        checks.check_settings,
        replace(FACTS, greeting=Greeting(settings=((3, 1),), problem="a rule")),
        [("ok", "=1"), ("failed", "a rule")],
    ),
]


@pytest.mark.parametrize(("check", "seen", "expected"), CASES)
def test_what_is_made_of_what_was_seen(
    check: Check, seen: Facts, expected: list[tuple[str, str]]
) -> None:
    findings = list(check(seen))
    assert [finding.result.value for finding in findings] == [result for result, _ in expected]
    for finding, (_, text) in zip(findings, expected, strict=True):
        assert text in finding.seen
        needs_fix = finding.result in {Result.FAILED, Result.WARNING}
        assert (finding.fix is not None) == needs_fix


@pytest.mark.parametrize(
    ("seen", "advice"),
    [
        (
            replace(FACTS, attempts=(SLOW,)),
            "TCP port 443; APNs is in 17.0.0.0/8. See whether port 2197",
        ),
        (replace(FACTS, attempts=(BAD,)), "check --server and --port"),
        (replace(FACTS, attempts=(SLOW,), proxy="p"), "the proxy"),
    ],
)
def test_what_to_do_about_a_port_that_is_closed(seen: Facts, advice: str) -> None:
    [finding] = checks.check_tcp(seen)
    assert finding.fix is not None
    assert advice in finding.fix


def test_the_other_port_is_advised_where_it_is_another() -> None:
    on_2197 = Facts(
        endpoint=Endpoint("h", 2197), environment="production", now=NOW, attempts=(SLOW,)
    )
    for seen in (on_2197, replace(FACTS, attempts=(SLOW,), alternative=(SLOW,))):
        [finding] = checks.check_tcp(seen)
        assert "--try-2197" not in (finding.fix or "")


def fix_of(check: Check, handshake: Handshake) -> str:
    [finding] = check(replace(FACTS, handshake=handshake))
    return str(finding.fix)


def test_what_to_do_about_trust() -> None:
    assert "USERTrust" in fix_of(checks.check_trust, untrusted(20))
    assert "clock" in fix_of(checks.check_trust, untrusted(10))
    assert "another server" in fix_of(checks.check_trust, untrusted(62))


def test_what_to_do_about_an_alert() -> None:
    revoked = tls_error("SSLV3_ALERT_CERTIFICATE_REVOKED")
    assert "revoked" in fix_of(checks.check_tls, revoked)
    assert "APNs has TLS" in fix_of(checks.check_tls, tls_error("WRONG_VERSION_NUMBER"))


def test_every_check_has_its_say_in_its_turn() -> None:
    findings = diagnose(FACTS)
    assert [finding.check for finding in findings][:4] == ["Proxy", "DNS", "TCP", "TLS"]
    assert findings[-1].check == "Clock"
    assert len(set(CHECKS)) == len(CHECKS)
