"""The checks of `apns doctor` on the way to APNs: proxy, DNS, TCP, TLS, HTTP/2.

They look at nothing themselves: from what was seen to findings. The advice follows Apple's
"Troubleshooting push notifications" and "Setting up a remote notification server".
"""

import ssl
from collections.abc import Iterator, Mapping
from typing import Final

from apns_cli.diagnosis import Attempt, Facts, Finding, Handshake, Result
from apns_cli.probe_report import SETTING_NAMES
from apns_cli.results import explain
from apns_core.endpoints import ALTERNATIVE_PORT

__all__ = [
    "check_alpn",
    "check_alternative_port",
    "check_chain",
    "check_names",
    "check_proxy",
    "check_settings",
    "check_tcp",
    "check_tls",
    "check_trust",
]

OK, WARNING, FAILED, SKIPPED = Result.OK, Result.WARNING, Result.FAILED, Result.SKIPPED


def check_proxy(facts: Facts) -> Iterator[Finding]:
    """Tell which proxy is used, and of one that is set for others only."""
    if facts.tunnel_problem is not None:
        fix = "check the proxy's address and credentials, and that it lets CONNECT through"
        yield Finding("Proxy", FAILED, facts.tunnel_problem, fix)
    elif facts.proxy is not None:
        yield Finding("Proxy", OK, f"by way of {facts.proxy}")
    elif facts.other_proxy_variables:
        names = ", ".join(facts.other_proxy_variables)
        fix = "if there is no other way out, name it: --proxy, or $APNS_PROXY"
        yield Finding("Proxy", WARNING, f"none; {names} is set, and not used here", fix)
    else:
        yield Finding("Proxy", OK, "none: directly")


def check_names(facts: Facts) -> Iterator[Finding]:
    """Tell what DNS knows of the host."""
    names = facts.names
    if names is None:
        yield Finding("DNS", SKIPPED, "not looked up")
    elif names.error is not None:
        fix = f"check this machine's resolver and network, and the name: {names.host}"
        yield Finding("DNS", FAILED, _explain(names.error), fix)
    else:
        sixes = sum(address.startswith("[") for address in names.addresses)
        counts = f"IPv4: {len(names.addresses) - sixes}, IPv6: {sixes}"
        yield Finding("DNS", OK, f"{names.host} ({counts})")


def check_tcp(facts: Facts) -> Iterator[Finding]:
    """Tell of each address whether it can be connected to, and how long that takes."""
    if not facts.attempts:
        yield Finding("TCP", SKIPPED, "there is no address")
    some = any(attempt.error is None for attempt in facts.attempts)
    for attempt in facts.attempts:
        if attempt.error is None:
            yield Finding("TCP", OK, _seen(attempt))
        elif some:
            yield Finding("TCP", WARNING, _seen(attempt), "others work: it costs a little time")
        else:
            yield Finding("TCP", FAILED, _seen(attempt), _fix_of_attempt(facts, attempt))


def check_alternative_port(facts: Facts) -> Iterator[Finding]:
    """Tell of port 2197, where that was asked for."""
    check = f"Port {ALTERNATIVE_PORT}"
    blocked = all(attempt.error is not None for attempt in facts.attempts)
    for attempt in facts.alternative or ():
        if attempt.error is not None:
            yield Finding(check, WARNING, _seen(attempt), "not to be had either, from here")
        elif blocked:
            yield Finding(check, WARNING, _seen(attempt), f"use it: --port {ALTERNATIVE_PORT}")
        else:
            yield Finding(check, OK, _seen(attempt))


def _seen(attempt: Attempt) -> str:
    if attempt.error is None:
        return f"{attempt.address} in {attempt.milliseconds:.1f} ms"
    return f"{attempt.address}: {_explain(attempt.error)}"


def _fix_of_attempt(facts: Facts, attempt: Attempt) -> str:
    if facts.proxy is not None:
        return "check the address of the proxy, and that it runs"
    port = facts.endpoint.port
    fix = f"let this machine out to TCP port {port}; APNs is in 17.0.0.0/8"
    if isinstance(attempt.error, ConnectionRefusedError):
        fix = f"check --server and --port; if a firewall refuses, {fix}"
    if port == ALTERNATIVE_PORT or facts.alternative is not None:
        return fix
    return f"{fix}. See whether port {ALTERNATIVE_PORT} is open: --try-2197"


def _explain(error: Exception) -> str:
    """Say in plain words why there is no connection."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if type(error) is OSError and error.strerror:
        return error.strerror
    return explain(error)


# ── TLS ──


def check_trust(facts: Facts) -> Iterator[Finding]:
    """Tell whether the server's certificate is trusted, and by which store."""
    if facts.store_problem is not None:
        yield Finding("Trust", FAILED, facts.store_problem, _FIX_STORE)
        return
    handshake = facts.handshake
    if handshake is None:
        yield Finding("Trust", SKIPPED, "there is no connection")
    elif isinstance(handshake.error, ssl.SSLCertVerificationError):
        code, message = handshake.error.verify_code, handshake.error.verify_message
        seen = f"not trusted by {handshake.store}: {message}"
        yield Finding("Trust", FAILED, seen, _FIXES_OF_TRUST.get(code, _FIX_UNTRUSTED))
    elif handshake.error is not None:
        yield Finding("Trust", SKIPPED, "the handshake failed before")
    else:
        yield Finding("Trust", OK, f"the server is trusted by {handshake.store}")


_FIX_STORE: Final = "install ca-certificates, or the extra apns-core[roots]; or name a file: --ca"
_FIX_UNTRUSTED: Final = (
    "trust USERTrust RSA Certification Authority (install ca-certificates, or apns-core[roots]). "
    "If the issuer below is your company's, a proxy opens TLS: exempt APNs from it, or --ca"
)
_FIX_CLOCK: Final = "check the clock of this machine; if it is right, the server is at fault"
_FIXES_OF_TRUST: Final[Mapping[int, str]] = {
    9: _FIX_CLOCK,
    10: _FIX_CLOCK,
    62: "another server has answered: check --server, and what DNS says",
    64: "another server has answered: check --server, and what DNS says",
}
"""By OpenSSL's codes: not yet valid, expired, another host's name, another address."""


def check_chain(facts: Facts) -> Iterator[Finding]:
    """Tell who certifies the server, and until when."""
    handshake = facts.handshake
    if handshake is None or not handshake.chain:
        yield Finding("Chain", SKIPPED, "the server has shown none")
        return
    for place, certificate in enumerate(handshake.chain, start=1):
        seen = (
            f"{certificate.subject}, by {certificate.issuer}, "
            f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
        )
        valid = certificate.not_before <= facts.now <= certificate.not_after
        check = f"Chain {place}"
        yield Finding(check, OK if valid else FAILED, seen, None if valid else _FIX_CLOCK)
    if not handshake.whole_chain:
        seen = "the others of the chain: only Python 3.13 and later show them"
        yield Finding("Chain", SKIPPED, seen)


def check_tls(facts: Facts) -> Iterator[Finding]:
    """Tell version and cipher suite."""
    handshake = facts.handshake
    if handshake is None:
        yield Finding("TLS", SKIPPED, "there is no connection")
    elif isinstance(handshake.error, ssl.SSLCertVerificationError):
        yield Finding("TLS", SKIPPED, "the server is not trusted")
    elif handshake.error is not None:
        yield Finding("TLS", FAILED, _explain(handshake.error), _fix_of_tls(handshake))
    else:
        yield Finding("TLS", OK, f"{handshake.version}, {handshake.cipher}")


def _fix_of_tls(handshake: Handshake) -> str:
    reason = getattr(handshake.error, "reason", None) or ""
    if "CERTIFICATE" in reason:
        return "the server refuses the provider certificate: expired, revoked, or of no use to it"
    return "something on the way, or another server, has answered: APNs has TLS 1.2 and 1.3"


def check_alpn(facts: Facts) -> Iterator[Finding]:
    """Tell which protocol was agreed upon."""
    handshake = facts.handshake
    if handshake is None or handshake.error is not None:
        yield Finding("ALPN", SKIPPED, "there is no TLS")
    elif handshake.alpn == "h2":
        yield Finding("ALPN", OK, "h2")
    else:
        seen = "none selected" if handshake.alpn is None else handshake.alpn
        fix = "HTTP/2 is needed: another server, or a proxy that opens TLS, has answered"
        yield Finding("ALPN", FAILED, seen, fix)


def check_settings(facts: Facts) -> Iterator[Finding]:
    """Tell what the server announces."""
    greeting = facts.greeting
    if greeting is None:
        yield Finding("HTTP/2", SKIPPED, "there is no connection")
        return
    if greeting.settings is None:
        fix = "no server of HTTP/2 has answered; with a certificate, it may have been refused"
        yield Finding("HTTP/2", FAILED, greeting.problem or "no SETTINGS", fix)
        return
    entries = ", ".join(
        f"{SETTING_NAMES.get(identifier, f'{identifier:#06x}')}={value}"
        for identifier, value in greeting.settings
    )
    yield Finding("HTTP/2", OK, f"SETTINGS {entries or 'without entries'}")
    if greeting.problem is not None:
        fix = "something on the way, or another server, has answered"
        yield Finding("HTTP/2", FAILED, greeting.problem, fix)
