"""The command line: an APNs to point a sender at, until it is interrupted."""

import argparse
import asyncio
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from .config import Rejection, SimulatorConfig
from .control import serve_control
from .provisioning import ProviderKey, make_provider_key
from .reasons import REASON_STATUS
from .server import SimulatorServer
from .temper import Temper

__all__ = ["main", "simulate", "write_key"]

EXAMPLES = """\
examples:
  python -m apns_simulator --port 2197 --ca-out ca.pem --key-out key.p8
  python -m apns_simulator --reject dead=Unregistered --reject bad=BadDeviceToken
  python -m apns_simulator --temper '{"goaway_after": 100}'
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of the process; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        config = _config(options)
        temper = Temper.from_json(_text_of(options.temper)) if options.temper else None
    except (OSError, TypeError, ValueError) as error:
        sys.stderr.write(f"apns_simulator: {error}\n")
        return 2
    return simulate(
        config,
        temper=temper,
        host=options.host,
        port=options.port,
        ca_out=options.ca_out,
        key_out=options.key_out,
        control=options.control,
        keep_entries=not options.count_only,
    )


def simulate(
    config: SimulatorConfig,
    *,
    temper: Temper | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    ca_out: Path | None = None,
    key_out: Path | None = None,
    control: bool = False,
    keep_entries: bool = True,
) -> int:
    """Serve until interrupted, or with `control` until standard input ends; return the exit code.

    `ca_out` gets the certificate authority to trust. A `config` with token authentication and no
    trusted keys gets a key of its own: `key_out` receives it as a ``.p8`` file that only its owner
    reads.
    """
    key: ProviderKey | None = None
    if config.authentication == "token" and not config.trusted_keys:
        key = make_provider_key()
        config = replace(config, trusted_keys=key.trusted())
    server = SimulatorServer(config, temper=temper, host=host, port=port, keep_entries=keep_entries)
    try:
        if ca_out is not None:
            ca_out.write_text(server.ca_pem)
        if key_out is not None and key is not None:
            write_key(key_out, key)
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(server, key, ca_out=ca_out, key_out=key_out, control=control))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"apns_simulator: {error}\n")
        return 2
    return 0


def write_key(path: Path, key: ProviderKey) -> None:
    """Write a provider key as a ``.p8`` file that only its owner reads. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        # An older file has kept its mode. What is no file, such as a pipe, is its owner's affair.
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            path.chmod(0o600)
        file.write(key.private_key_pem)


async def _serve(
    server: SimulatorServer,
    key: ProviderKey | None,
    *,
    ca_out: Path | None,
    key_out: Path | None,
    control: bool,
) -> None:
    async with server:
        if control:
            await serve_control(server)
            return
        sys.stdout.write("\n".join(_instructions(server, key, ca_out, key_out)) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _instructions(
    server: SimulatorServer, key: ProviderKey | None, ca_out: Path | None, key_out: Path | None
) -> list[str]:
    url = f"https://{server.host}:{server.port}"
    lines = [
        f"A simulated APNs listens on {url} (HTTP/2 over TLS).",
        f"Trust its certificate authority: {ca_out or 'write it with --ca-out FILE'}",
    ]
    if key is not None:
        lines += [
            f"Sign with its provider key:      {key_out or 'write it with --key-out FILE'}",
            f"  key id {key.key_id}, team id {key.team_id}",
        ]
    if ca_out is not None:
        lines += [
            "Try it; without a provider token the answer is 403 MissingProviderToken:",
            f"  curl --http2 --cacert {ca_out} -d '{{}}' {url}/3/device/00",
        ]
    return [*lines, "Stop it with Ctrl-C."]


def _config(options: argparse.Namespace) -> SimulatorConfig:
    config = SimulatorConfig.from_json(_text_of(options.config)) if options.config else None
    config = config or SimulatorConfig()
    if options.environment:
        config = replace(config, environment=options.environment)
    if options.no_authentication:
        config = replace(config, authentication="none")
    if options.latency is not None:
        config = replace(config, latency=options.latency)
    rejections = dict(config.rejections)
    for rule in options.reject:
        prefix, _, reason = rule.partition("=")
        rejections[prefix] = Rejection.of(reason)
    return replace(config, rejections=rejections)


def _text_of(argument: str) -> str:
    """Return JSON given in place, or that in the file of this name."""
    return argument if argument.lstrip().startswith("{") else Path(argument).read_text()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m apns_simulator",
        description="Run an APNs to test senders against, on loopback TLS.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port to listen on; 0, the default, takes a free one")
    add("--environment", choices=("development", "production"), help="default: development")
    add("--no-authentication", action="store_true", help="look at no provider token")
    add(
        "--latency", type=float, metavar="SECONDS", help="from a request to its answer (default: 0)"
    )
    add(
        "--reject",
        action="append",
        default=[],
        metavar="PREFIX=REASON",
        help="reject the devices whose token begins so; may be repeated. Reasons: "
        + ", ".join(REASON_STATUS),
    )
    add("--config", metavar="FILE|JSON", help="a whole configuration; other options come on top")
    add("--temper", metavar="FILE|JSON", help="what to do wrong on purpose")
    add("--ca-out", type=Path, metavar="FILE", help="write the certificate authority there")
    add("--key-out", type=Path, metavar="FILE", help="write the provider key (.p8) there")
    add("--count-only", action="store_true", help="keep no ledger of single requests")
    add(
        "--control",
        action="store_true",
        help="for programs: JSON lines on standard input and output, until the input ends",
    )
    return parser
