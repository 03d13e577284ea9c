"""How a command reaches APNs: which server, which credentials, which authorities, which proxy."""

import os
import re
import ssl
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar, final
from urllib.parse import SplitResult, urlsplit

import click

from apns_asyncio import Client
from apns_cli.option_groups import option_group
from apns_cli.terminal import complain
from apns_cli.usage import FilePath, OneOf, WholeFrom
from apns_core import DEVELOPMENT, PRODUCTION, Endpoint, InvalidField, SenderConfig
from apns_core.endpoints import (
    BROADCAST_DEVELOPMENT,
    BROADCAST_PRODUCTION,
    CHANNELS_DEVELOPMENT,
    CHANNELS_PRODUCTION,
)
from apns_core.proxy import Proxy
from apns_core.sender import DEFAULT_SENDER_CONFIG
from apns_core.trust.certificate import CertificateExpiryWarning
from apns_core.trust.identity import ProviderIdentity
from apns_core.trust.key_files import KeyFileWarning
from apns_core.trust.signing import TokenKey
from apns_core.trust.tls import client_context

__all__ = [
    "Access",
    "Credentials",
    "Service",
    "access_options",
    "key_options",
    "parse_server",
    "split_url",
    "usage_errors",
]

P = ParamSpec("P")
R = TypeVar("R")


@final
class Service(Enum):
    """What is asked of APNs; Apple has hosts of their own for some of it."""

    PUSH = "push"
    CHANNELS = "channels"
    BROADCAST = "broadcast"
    """After Apple's samples; after its prose, broadcasts go where device pushes go."""


ENDPOINTS: Final[Mapping[tuple[Service, str], Endpoint]] = {
    (Service.PUSH, "production"): PRODUCTION,
    (Service.PUSH, "development"): DEVELOPMENT,
    (Service.CHANNELS, "production"): CHANNELS_PRODUCTION,
    (Service.CHANNELS, "development"): CHANNELS_DEVELOPMENT,
    (Service.BROADCAST, "production"): BROADCAST_PRODUCTION,
    (Service.BROADCAST, "development"): BROADCAST_DEVELOPMENT,
}

KEY_VARIABLE: Final = "APNS_KEY"
"""Holds the text of a `.p8` file, where a secret store puts it into the environment."""

PASSWORD_VARIABLE: Final = "APNS_CERTIFICATE_PASSWORD"  # noqa: S105 - its name, not its value
"""Holds the password of the certificate's key. There is no option for it: others see those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The options that say who signs provider tokens."""

    key: Path | None
    key_id: str | None
    team_id: str | None

    def token_key(self, contents: bytes | None = None) -> TokenKey | None:
        """Return the signing key; None if none is named. Raises `InvalidField`.

        ``contents``: what the file has that `key` names, for who has read it. It may be a pipe,
        which nobody reads twice.
        """
        pem = os.environ.get(KEY_VARIABLE) if self.key is None else None
        if self.key is None and not pem:
            return None
        key_id = self.key_id or self.key_id_of_name()
        if not key_id:
            raise InvalidField("key_id", "is missing: --key-id, or $APNS_KEY_ID")
        if not self.team_id:
            raise InvalidField("team_id", "is missing: --team-id, or $APNS_TEAM_ID")
        if self.key is not None:
            try:
                if contents is not None:
                    return TokenKey.from_pem(contents, key_id=key_id, team_id=self.team_id)
                return TokenKey.from_file(self.key, key_id=key_id, team_id=self.team_id)
            except InvalidField as error:
                if error.field not in {"path", "pem"}:
                    raise
                # By the name of the option.
                raise InvalidField("key", str(error).removeprefix(f"{error.field}: ")) from None
        return TokenKey.from_pem(pem or "", key_id=key_id, team_id=self.team_id)

    def key_id_of_name(self) -> str | None:
        """Return the key id in the name that Apple gives the file: ``AuthKey_ABC123DEFG.p8``."""
        match = _NAMED_BY_APPLE.search(self.key.name) if self.key is not None else None
        return match[1] if match else None


_NAMED_BY_APPLE: Final = re.compile(r"^AuthKey_([A-Z0-9]{10})\.p8$")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Access(Credentials):
    """The options that say where a request goes and in whose name; nothing is read until asked."""

    service: Service
    environment: str
    server: str | None
    port: int | None
    certificate: Path | None
    certificate_key: Path | None
    ca: Path | None
    proxy_url: str | None = field(repr=False)
    """May hold a password."""

    def endpoint(self) -> Endpoint:
        """Return the server. Raises `InvalidField`."""
        if self.server is None:
            endpoint = ENDPOINTS[self.service, self.environment]
        else:
            endpoint = parse_server(self.server)
        return endpoint if self.port is None else endpoint.on_port(self.port)

    def identity(self) -> ProviderIdentity | None:
        """Return certificate and key; None if none are named. Raises `InvalidField`."""
        if self.certificate is None:
            return None
        password = os.environ.get(PASSWORD_VARIABLE)
        if self.certificate.suffix.lower() in _PKCS12_SUFFIXES:
            return ProviderIdentity.from_pkcs12_file(self.certificate, password=password)
        return ProviderIdentity.from_file(self.certificate, self.certificate_key, password=password)

    def ssl_context(self) -> ssl.SSLContext:
        """Return what the options make of TLS. Raises `InvalidField`.

        Warns with `CertificateExpiryWarning`: where a certificate has expired, servers just close.
        """
        identity = self.identity()
        if identity is not None:
            identity.certificate.warn_before_expiry(datetime.now(UTC))
        return client_context(cafile=self.ca, identity=identity)

    def proxy(self) -> Proxy | None:
        """Return the proxy; None if none is named. Raises `InvalidField`."""
        return None if self.proxy_url is None else Proxy(self.proxy_url)

    def client(self, config: SenderConfig = DEFAULT_SENDER_CONFIG) -> Client:
        """Return a client of all this; a mistake in it is wrong usage (`click.UsageError`)."""
        with usage_errors():
            token_key = self.token_key()
            if token_key is None and self.certificate is None:
                raise click.UsageError(
                    "no credentials: name a signing key (--key, or $APNS_KEY_FILE) or a "
                    "certificate (--certificate)"
                )
            if token_key is not None and self.certificate is not None:
                raise click.UsageError("a signing key or a certificate, not both")
            return Client(
                self.endpoint(),
                token_signer=token_key,
                ssl_context=self.ssl_context(),
                proxy=self.proxy(),
                config=config,
            )


_PKCS12_SUFFIXES: Final = frozenset((".p12", ".pfx"))


def parse_server(text: str) -> Endpoint:
    """Read ``HOST``, ``HOST:PORT`` or ``https://HOST:PORT``. Raises `InvalidField`."""
    try:
        parts = split_url(text)
        # Whoever writes more expects it to be of use; urlsplit does not tell of an empty query.
        more = parts.path not in {"", "/"} or "?" in text or "#" in text
        if parts.scheme == "https" and parts.username is None and not more:
            return Endpoint(parts.hostname or "", 443 if parts.port is None else parts.port)
    except ValueError:  # InvalidField of a host, or of a port, is one as well
        pass
    raise InvalidField("server", "is not HOST, HOST:PORT or https://HOST:PORT: see --server")


def split_url(text: str) -> SplitResult:
    """Take a URL apart; without a scheme it is https.

    Raises ValueError, of blanks and control characters too: `urlsplit` leaves some of them out
    without a word.
    """
    if _BLANK_OR_CONTROL(text):
        raise ValueError("a URL has no blanks and no control characters")
    return urlsplit(text if "://" in text else f"https://{text}")


_BLANK_OR_CONTROL: Final = re.compile(r"[\s\x00-\x20\x7f-\x9f]").search


@contextmanager
def usage_errors() -> Generator[None, None, None]:
    """Turn what is wrong with an option into wrong usage, and what is unwise into a complaint."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", KeyFileWarning)
        warnings.simplefilter("always", CertificateExpiryWarning)
        try:
            yield
        except InvalidField as error:
            raise click.UsageError(str(error)) from None
    for warning in caught:
        complain(f"apns: {warning.message}")


_KEY_OPTIONS: Final = (
    click.option(
        "--key",
        type=FilePath(dir_okay=False, path_type=Path),
        envvar="APNS_KEY_FILE",
        show_envvar=True,
        help="Signing key (.p8). Its text may be in $APNS_KEY instead.",
    ),
    click.option(
        "--key-id",
        envvar="APNS_KEY_ID",
        show_envvar=True,
        help="Key id; read from a name such as AuthKey_ABC123DEFG.p8.",
    ),
    click.option("--team-id", envvar="APNS_TEAM_ID", show_envvar=True, help="Team id."),
)


def _refuse_password_in_arguments(
    ctx: click.Context, param: click.Parameter, url: str | None
) -> str | None:
    source = ctx.get_parameter_source(param.name or "")
    if url is not None and "@" in url and source is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "proxy: every user of this machine can read a password on the command line; "
            "put the URL into $APNS_PROXY"
        )
    return url


_ACCESS_OPTIONS: Final = (
    click.option(
        "--environment",
        type=OneOf(["production", "development"]),
        default="production",
        show_default=True,
        envvar="APNS_ENVIRONMENT",
        show_envvar=True,
        help="Which of Apple's environments.",
    ),
    click.option(
        "--server",
        metavar="HOST[:PORT]",
        envvar="APNS_SERVER",
        show_envvar=True,
        help="A server in place of Apple's, such as a simulator.",
    ),
    click.option(
        "--port", type=WholeFrom(1, 65_535), help="Another port: 2197 passes some firewalls."
    ),
    *_KEY_OPTIONS,
    click.option(
        "--certificate",
        type=FilePath(dir_okay=False, path_type=Path),
        envvar="APNS_CERTIFICATE",
        show_envvar=True,
        help="Provider certificate in place of a key: PEM or .p12; $APNS_CERTIFICATE_PASSWORD.",
    ),
    click.option(
        "--certificate-key",
        type=FilePath(dir_okay=False, path_type=Path),
        envvar="APNS_CERTIFICATE_KEY",
        show_envvar=True,
        help="The certificate's key, where it is in a file of its own.",
    ),
    click.option(
        "--ca",
        type=FilePath(dir_okay=False, path_type=Path),
        envvar="APNS_CA_FILE",
        show_envvar=True,
        help="Trust these authorities (PEM) and no others.",
    ),
    click.option(
        "--proxy",
        "proxy_url",
        metavar="URL",
        callback=_refuse_password_in_arguments,
        envvar="APNS_PROXY",
        show_envvar=True,
        help="http:// or socks5://; with a password only from the environment.",
    ),
)


key_options: Final = option_group(Credentials, _KEY_OPTIONS)
"""Gives a command the options of a signing key; its first argument is the `Credentials`."""


def access_options(
    service: Service = Service.PUSH,
) -> Callable[[Callable[Concatenate[Access, P], R]], Callable[P, R]]:
    """Give a command the options of `Access`, which is its first argument."""
    return option_group(Access, _ACCESS_OPTIONS, service=service)
