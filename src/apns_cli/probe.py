"""`apns probe`: one request on one connection to any HTTP/2 server, and what the server did."""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import BinaryIO, Final, final
from urllib.parse import SplitResult

import click

from apns_cli.access import split_url, usage_errors
from apns_cli.exchange import Exchange, Request, converse
from apns_cli.probe_report import Connected, complaint, facts, members
from apns_cli.results import explain
from apns_cli.terminal import (
    CONTEXT_SETTINGS,
    EXIT_FAILED,
    complain,
    examples,
    print_facts,
    print_json,
)
from apns_cli.usage import Command, FilePath, OneOf, OpenFile, Seconds
from apns_cli.wire import Address, Wire, connect, resolve
from apns_core.endpoints import Endpoint
from apns_core.errors import ConnectFailed, InvalidField
from apns_core.http2.hpack_decoder import Field
from apns_core.trust.tls import check_alpn, client_context

__all__ = ["Target", "parse_url", "probe"]

EXIT_UNCONNECTED: Final = 2
"""There was no connection to ask on: name, TCP, TLS or ALPN."""

MAX_REQUEST_BODY: Final = 16 * 2**20
"""Octets. It is in memory, and a probe is no upload."""


@final
@dataclass(frozen=True, slots=True)
class Target:
    """What a URL says."""

    endpoint: Endpoint
    scheme: str
    path: str = field(repr=False)
    """With the query. May hold a device token."""

    @property
    def authority(self) -> str:
        """The value of `:authority`: no port where it is the one of the scheme."""
        host = f"[{self.endpoint.host}]" if ":" in self.endpoint.host else self.endpoint.host
        usual = self.endpoint.port == _PORTS[self.scheme]
        return host if usual else f"{host}:{self.endpoint.port}"


_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}
_PATH: Final = re.compile(r"[!-~]+").fullmatch


def parse_url(url: str) -> Target:
    """Read a URL; without a scheme it is https. Raises `InvalidField`."""
    try:
        parts = split_url(url)
        return _target(parts, parts.port)
    except ValueError as error:
        if isinstance(error, InvalidField):
            raise
        raise InvalidField(
            "url", "is no URL: https://HOST[:PORT][/PATH], percent-encoded"
        ) from None


def _target(parts: SplitResult, port: int | None) -> Target:
    if parts.scheme not in _PORTS or not parts.hostname:
        raise InvalidField("url", "is not https://HOST[:PORT][/PATH], or http:// for cleartext")
    if parts.username is not None:
        raise InvalidField("url", "holds a user name; there is no use for one here")
    path = parts.path or "/"
    path = f"{path}?{parts.query}" if parts.query else path
    if not _PATH(path):
        raise InvalidField("url", "has characters that must be percent-encoded")
    port = _PORTS[parts.scheme] if port is None else port
    return Target(Endpoint(parts.hostname, port), parts.scheme, path)


def _read_fields(
    ctx: click.Context, param: click.Parameter, fields: tuple[str, ...]
) -> tuple[Field, ...]:
    """Read ``NAME=VALUE``. A name of HTTP/2 is in lower case."""
    read: list[Field] = []
    for text in fields:
        name, separator, value = text.partition("=")
        name = name.lower()
        if not separator or not _NAME(name) or not _VALUE(value):
            raise click.BadParameter("is not NAME=VALUE, in visible ASCII", ctx, param)
        if name in _SECRET:
            problem = f"{name}: every user of this machine can read it on the command line"
            raise click.BadParameter(problem, ctx, param)
        if name in _NOT_TO_BE_SET:
            raise click.BadParameter(f"{name}: cannot be set", ctx, param)
        read.append((name.encode(), value.encode()))
    return tuple(read)


_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+").fullmatch
_VALUE: Final = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?").fullmatch
_SECRET: Final = frozenset(("authorization", "cookie", "proxy-authorization"))
_NOT_TO_BE_SET: Final = frozenset(
    (
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    )
)


@click.command(
    cls=Command,
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns probe https://api.push.apple.com",
        "apns probe --ca ca.pem https://localhost:2197/3/device/00",
        "apns probe --linger 5 --json http://127.0.0.1:8080/",
    ),
)
@click.argument("url")
@click.option(
    "--method",
    type=OneOf(["GET", "POST"]),
    help="What to ask with.  [default: POST with a body, GET without]",
)
@click.option(
    "--body",
    "body_file",
    type=OpenFile("rb"),
    metavar="FILE",
    help="Send what is in this file; - is standard input.",
)
@click.option(
    "--header",
    "fields",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_read_fields,
    help="A field of the request, no secret. May be repeated.",
)
@click.option(
    "--cleartext",
    is_flag=True,
    help="HTTP/2 over TCP without TLS, by prior knowledge. An http:// URL means the same.",
)
@click.option(
    "--ca",
    type=FilePath(dir_okay=False, path_type=Path),
    envvar="APNS_CA_FILE",
    show_envvar=True,
    help="Trust these authorities (PEM) and no others.",
)
@click.option(
    "--timeout",
    type=Seconds(min=0, min_open=True, max=3600),
    default=10.0,
    show_default=True,
    help="Seconds to connect in, and as many again for the response.",
)
@click.option(
    "--linger",
    type=Seconds(min=0, max=3600),
    default=0.25,
    show_default=True,
    help="Seconds to stay after the response, answer PINGs, and watch.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no table.")
@click.pass_context
def probe(
    ctx: click.Context,
    *,
    url: str,
    method: str | None,
    body_file: BinaryIO | None,
    fields: tuple[Field, ...],
    cleartext: bool,
    ca: Path | None,
    timeout: float,
    linger: float,
    as_json: bool,
) -> None:
    """Ask a server once, and tell all that it did.

    One connection, one request, no other try, no proxy. The server is held to every rule that the
    engine knows, before the response and after it. A rule that it broke is told to it by GOAWAY or
    RST_STREAM, and named here.

    Exit codes: 0 a response came, of any status; 1 no response, or the server broke a rule, even
    after its response; 2 no connection, or wrong usage.
    """
    with usage_errors():
        target = parse_url(url)
        context = None
        if not (cleartext or target.scheme == "http"):
            context = client_context(cafile=ca)
    body = b"" if body_file is None else body_file.read(MAX_REQUEST_BODY + 1)
    if len(body) > MAX_REQUEST_BODY:
        raise click.UsageError(f"--body: has more than {MAX_REQUEST_BODY:,} octets")
    asked = method or ("POST" if body_file else "GET")
    request = Request(tuple(_request_fields(target, asked, fields, body)), body)
    report = Connected(url=f"{target.scheme}://{target.authority}")
    exchange = run(report, target.endpoint, context, request, timeout=timeout, linger=linger)
    if as_json:
        print_json(dict(members(report, exchange)))
    elif exchange is not None:
        print_facts(f"{report.url} was asked", facts(report, exchange))
    problem = complaint(report, exchange)
    if problem is not None:
        complain(f"apns probe: {problem}")
        ctx.exit(EXIT_UNCONNECTED if exchange is None else EXIT_FAILED)


def _request_fields(
    target: Target, method: str, fields: tuple[Field, ...], body: bytes
) -> Iterator[Field]:
    yield b":method", method.encode()
    yield b":scheme", target.scheme.encode()
    yield b":authority", target.authority.encode()
    yield b":path", target.path.encode()
    if body:
        yield b"content-length", b"%d" % len(body)
    yield from fields


def run(
    report: Connected,
    endpoint: Endpoint,
    context: ssl.SSLContext | None,
    request: Request,
    *,
    timeout: float,
    linger: float,
) -> Exchange | None:
    """Connect and ask; return what came of it, None where there was no connection."""
    started = monotonic()
    try:
        wire = _connect(report, endpoint, context, started + timeout)
    except (OSError, ConnectFailed) as error:
        timed_out = isinstance(error, TimeoutError)
        report.problem = "no answer in time" if timed_out else explain(error)
        return None
    report.connect_ms = round((monotonic() - started) * 1000, 1)
    exchange = Exchange(request, now=monotonic())
    converse(wire, exchange, timeout=timeout, linger=linger)
    if wire.problem is not None:
        report.problem = explain(wire.problem)
    return exchange


def _connect(
    report: Connected, endpoint: Endpoint, context: ssl.SSLContext | None, deadline: float
) -> Wire:
    report.stage = "resolve"
    addresses = resolve(endpoint.host, endpoint.port, deadline - monotonic())
    report.stage = "connect"
    wire = Wire(_connect_to_one(report, addresses, deadline))
    if context is not None:
        try:
            report.stage = "tls"
            wire.start_tls(context, endpoint.host, deadline)
            if wire.tls is not None:
                cipher = wire.tls.cipher()
                report.tls_version = wire.tls.version()
                report.cipher = cipher[0] if cipher else None
                report.alpn = wire.tls.selected_alpn_protocol()
            report.stage = "alpn"
            check_alpn(report.alpn)
        except BaseException:
            wire.close()
            raise
    report.stage = None
    return wire


def _connect_to_one(report: Connected, addresses: list[Address], deadline: float) -> socket.socket:
    """Try one address after the other, never two at once; each has its share of the time."""
    error: OSError = TimeoutError()
    for tried, address in enumerate(addresses):
        report.address = str(address)
        left = deadline - monotonic()
        if left <= 0:
            break
        try:
            return connect(address, left / (len(addresses) - tried))
        except OSError as failed:
            error = failed
    raise error
