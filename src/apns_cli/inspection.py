"""Looks at what `apns doctor` judges: files, DNS, TCP, TLS, HTTP/2. It judges nothing itself."""

import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final, cast, final

from cryptography import x509
from cryptography.x509.oid import NameOID

from apns_cli.access import Access
from apns_cli.credential_inspection import look_at_identity, look_at_key
from apns_cli.diagnosis import (
    Answer,
    Attempt,
    Facts,
    Greeting,
    Handshake,
    IdentitySeen,
    NamesFound,
    ServerCertificate,
)
from apns_cli.exchange import Ending, Exchange, Request, converse
from apns_cli.results import explain
from apns_cli.server_text import without_secrets
from apns_cli.wire import Address, Wire, connect, resolve
from apns_core.endpoints import ALTERNATIVE_PORT, Endpoint
from apns_core.errors import ConnectFailed, InvalidField
from apns_core.goaway import parse_debug_data
from apns_core.http2.hpack_decoder import Field
from apns_core.proxy import Proxy, Tunnel
from apns_core.reasons import parse_error_body
from apns_core.trust.identity import ProviderIdentity
from apns_core.trust.roots import apns_roots
from apns_core.trust.signing import TokenKey
from apns_core.trust.tls import client_context, prepare_context

__all__ = ["NO_DEVICE", "Plan", "inspect"]

NO_DEVICE: Final = "0" * 64
"""The device token of no device: APNs answers BadDeviceToken."""

PAYLOAD: Final = b'{"aps":{}}'

PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
"""By which other programs are told of a proxy."""

MOST_AT_ONCE: Final = 16
"""Addresses that are tried at the same time. APNs has some eight."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to look at, and how long to wait for each step."""

    access: Access
    endpoint: Endpoint
    proxy: Proxy | None
    timeout: float
    topic: str | None = None
    send_request: bool = True
    try_alternative_port: bool = False


def inspect(plan: Plan) -> Facts:
    """Look at everything, in order; where one thing is not to be had, at the rest all the same."""
    facts = Facts(
        endpoint=plan.endpoint,
        environment=plan.access.environment,
        now=datetime.now(UTC),
        proxy=None if plan.proxy is None else repr(plan.proxy),
        other_proxy_variables=tuple(n for n in PROXY_VARIABLES if os.environ.get(n)),
        request_allowed=plan.send_request,
    )
    key, facts.key = look_at_key(plan.access)
    identity, facts.identity = look_at_identity(plan.access)
    context = _context(plan, facts)
    if context is not None and identity is not None:
        try:
            identity.load_into(context)
        except InvalidField as error:
            facts.identity = IdentitySeen(source=str(plan.access.certificate), problem=str(error))
            identity = None
    address = _look_for_a_way(plan, facts)
    if context is not None and address is not None:
        request = _request(plan, facts, key, identity)
        _look_at_the_server(plan, facts, context, address, request)
    return facts


def _context(plan: Plan, facts: Facts) -> ssl.SSLContext | None:
    try:
        return client_context(cafile=plan.access.ca)
    except InvalidField as error:
        facts.store_problem = str(error)
        return None


# ── the way there ──


def _look_for_a_way(plan: Plan, facts: Facts) -> Address | None:
    """Look the name up, and try all addresses; return the first that works."""
    endpoint = plan.endpoint
    host, port = endpoint.host, endpoint.port
    if plan.proxy is not None:
        host, port = plan.proxy.host, plan.proxy.port
    try:
        addresses = resolve(host, port, plan.timeout)
    except OSError as error:
        facts.names = NamesFound(host=host, error=error)
        return None
    facts.names = NamesFound(host=host, addresses=tuple(map(str, addresses)))
    facts.attempts = _try_all(addresses, plan.timeout)
    if plan.try_alternative_port and plan.proxy is None and port != ALTERNATIVE_PORT:
        with suppress(OSError):  # what was found a moment ago is found again
            others = resolve(host, ALTERNATIVE_PORT, plan.timeout)
            facts.alternative = _try_all(others, plan.timeout)
    return next(
        (a for a, tried in zip(addresses, facts.attempts, strict=True) if not tried.error), None
    )


def _try_all(addresses: list[Address], timeout: float) -> tuple[Attempt, ...]:
    def attempt(address: Address) -> Attempt:
        started = monotonic()
        error = None
        try:
            connect(address, timeout).close()
        except OSError as failed:
            error = failed
        return Attempt(str(address), (monotonic() - started) * 1000, error)

    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        return tuple(pool.map(attempt, addresses))


def _open(plan: Plan, address: Address) -> Wire:
    """Raises OSError and `ConnectFailed`."""
    deadline = monotonic() + plan.timeout
    plain = connect(address, plan.timeout)
    try:
        if plan.proxy is not None:
            _open_tunnel(plain, plan.proxy, plan.endpoint, deadline)
        return Wire(plain)
    except BaseException:
        plain.close()
        raise


def _open_tunnel(plain: socket.socket, proxy: Proxy, endpoint: Endpoint, deadline: float) -> None:
    tunnel = Tunnel(proxy, endpoint)
    while not tunnel.established:
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        plain.settimeout(left)
        if data := tunnel.data_to_send():
            plain.sendall(data)
        tunnel.receive_data(plain.recv(4_096))


# ── the server ──


def _look_at_the_server(
    plan: Plan, facts: Facts, context: ssl.SSLContext, address: Address, request: Request | None
) -> None:
    store = _store(plan.access)
    try:
        wire = _open(plan, address)
    except (OSError, ConnectFailed) as error:
        if plan.proxy is None:
            facts.handshake = Handshake(store=store, error=error)
        else:
            facts.tunnel_problem = explain(error)
        return
    try:
        wire.start_tls(context, plan.endpoint.host, monotonic() + plan.timeout)
    except OSError as error:
        wire.close()
        chain: tuple[ServerCertificate, ...] = ()
        whole = False
        if isinstance(error, ssl.SSLCertVerificationError):
            chain, whole = _look_at_untrusted(plan, address)
        facts.handshake = Handshake(store=store, error=error, chain=chain, whole_chain=whole)
        return
    facts.handshake = _handshake(wire, store)
    if facts.handshake.alpn != "h2":
        wire.close()
        return
    exchange = Exchange(request, now=monotonic())
    converse(wire, exchange, timeout=plan.timeout, linger=0)
    facts.greeting = _greeting(wire, exchange)
    if request is not None and facts.greeting.settings is not None:
        facts.answer = _answer(exchange)


def _look_at_untrusted(plan: Plan, address: Address) -> tuple[tuple[ServerCertificate, ...], bool]:
    """Make a handshake that trusts anybody, to see who it is. Nothing is sent after it."""
    context = prepare_context(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        wire = _open(plan, address)
    except (OSError, ConnectFailed):
        return (), False
    try:
        wire.start_tls(context, plan.endpoint.host, monotonic() + plan.timeout)
        return _chain(wire)
    except OSError:
        return (), False
    finally:
        wire.close()


def _handshake(wire: Wire, store: str) -> Handshake:
    assert wire.tls is not None  # noqa: S101 - the handshake was made
    chain, whole = _chain(wire)
    cipher = wire.tls.cipher()
    return Handshake(
        store=store,
        version=wire.tls.version(),
        cipher=cipher[0] if cipher else None,
        alpn=wire.tls.selected_alpn_protocol(),
        chain=chain,
        whole_chain=whole,
    )


def _chain(wire: Wire) -> tuple[tuple[ServerCertificate, ...], bool]:
    """Return what the server presented, and whether that is all of it."""
    tls = wire.tls
    assert tls is not None  # noqa: S101 - the handshake was made
    # Since Python 3.13.
    get_chain = getattr(tls, "get_unverified_chain", None)
    if get_chain is not None:
        return tuple(_read_certificates(cast("list[bytes]", get_chain()))), True
    own = tls.getpeercert(binary_form=True)
    return tuple(_read_certificates([own] if own else [])), False


def _read_certificates(chain: list[bytes]) -> Iterator[ServerCertificate]:
    for der in chain:
        # What OpenSSL takes, cryptography need not.
        with suppress(TypeError, ValueError, x509.InvalidVersion):
            certificate = x509.load_der_x509_certificate(der)
            yield ServerCertificate(
                subject=_name(certificate.subject),
                issuer=_name(certificate.issuer),
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
            )


def _name(name: x509.Name) -> str:
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            return str(attribute.value)
    return "nobody by name"


def _store(access: Access) -> str:
    if access.ca is not None:
        return str(access.ca)
    paths = ssl.get_default_verify_paths()
    system = f"the system's store ({paths.cafile or paths.capath or 'without a path'})"
    return f"{system} and certifi's roots of APNs" if apns_roots() else system


def _greeting(wire: Wire, exchange: Exchange) -> Greeting:
    seen = exchange.seen
    problem: str | None = None
    if exchange.error is not None:
        problem = str(exchange.error)
    elif not seen.settings:
        lost = "the connection was closed" if seen.closed else "no answer in time"
        problem = lost if wire.problem is None else explain(wire.problem)
    return Greeting(settings=seen.settings[0] if seen.settings else None, problem=problem)


# ── the request ──


def _request(
    plan: Plan, facts: Facts, key: TokenKey | None, identity: ProviderIdentity | None
) -> Request | None:
    """Return the request; None without credentials, or with two kinds of them."""
    if not plan.send_request or (facts.key is None) == (facts.identity is None):
        return None
    if key is None and identity is None:  # what is named is of no use
        return None
    return Request(tuple(_fields(plan, key)), PAYLOAD)


def _fields(plan: Plan, key: TokenKey | None) -> Iterator[Field]:
    yield b":method", b"POST"
    yield b":scheme", b"https"
    yield b":authority", plan.endpoint.authority
    yield b":path", b"/3/device/" + NO_DEVICE.encode()
    if key is not None:
        yield b"authorization", b"bearer " + key.sign(int(time.time())).encode()
    if plan.topic is not None:
        yield b"apns-topic", plan.topic.encode()
    yield b"apns-push-type", b"alert"
    yield b"apns-expiration", b"0"


def _answer(exchange: Exchange) -> Answer:
    response, seen = exchange.stream, exchange.seen
    by_name: Mapping[bytes, bytes] = dict(response.fields)
    reason = parse_error_body(response.body).reason_text
    said = [parse_debug_data(goaway.debug_data).text for goaway in seen.goaways]
    goaway = next(filter(None, said), None)
    date = by_name.get(b"date")
    waited = f"no answer in time: waited for {exchange.waits_for}"
    return Answer(
        ending=exchange.ending,
        received_at=datetime.now(UTC),
        status=response.status,
        reason=reason and without_secrets(reason),
        goaway=goaway and without_secrets(goaway),
        date=None if date is None else date.decode("ascii", "replace"),
        problem=waited if exchange.ending is Ending.TIMEOUT else _PROBLEMS.get(exchange.ending),
    )


_PROBLEMS: Final[Mapping[Ending, str]] = {
    Ending.PROTOCOL_ERROR: "the server broke a rule of HTTP/2",
    Ending.RESET: "the server reset the stream",
    Ending.REFUSED: "the server closes the connection",
    Ending.CLOSED: "the connection was closed without an answer",
}
