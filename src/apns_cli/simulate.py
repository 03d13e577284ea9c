"""`apns simulate`: an APNs to point a sender at, until it is interrupted."""

import asyncio
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, TypeVar, final

import click

from apns_cli.terminal import (
    CONTEXT_SETTINGS,
    EXIT_FAILED,
    Fact,
    complain,
    examples,
    print_facts,
    print_json,
)
from apns_cli.usage import Command, FilePath, OneOf, WholeFrom
from apns_simulator import (
    Ledger,
    ProviderKey,
    Rejection,
    SimulatorConfig,
    SimulatorServer,
    Temper,
    make_provider_key,
)
from apns_simulator.command import write_key
from apns_simulator.reasons import REASON_STATUS

__all__ = ["simulate"]

VIOLATIONS_SHOWN: Final = 10

T = TypeVar("T", SimulatorConfig, Temper)


def _made_from_json(
    kind: type[T],
) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """Return a callback for an option that takes JSON, in place or in a file."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> T | None:
        if value is None:
            return None
        try:
            in_place = value.lstrip().startswith("{")
            return kind.from_json(value if in_place else Path(value).read_text())
        except OSError as error:
            raise click.BadParameter(f"cannot be read ({error.strerror})", ctx, param) from None
        except (TypeError, ValueError) as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return read


def _read_rejections(
    ctx: click.Context, param: click.Parameter, rules: tuple[str, ...]
) -> dict[str, Rejection]:
    rejections: dict[str, Rejection] = {}
    for place, rule in enumerate(rules, 1):
        prefix, separator, reason = rule.partition("=")
        if not separator or not set(prefix.lower()) <= set("0123456789abcdef"):
            problem = f"rule {place} is not hexadecimal digits, '=' and a reason"
            raise click.BadParameter(problem, ctx, param)
        if reason not in REASON_STATUS:
            problem = f"rule {place} has none of Apple's reasons: {', '.join(REASON_STATUS)}"
            raise click.BadParameter(problem, ctx, param)
        rejections[prefix] = Rejection.of(reason)
    return rejections


@click.command(
    cls=Command,
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns simulate",
        "apns simulate --env-out simulator.env",
        "apns simulate --port 2197 --ca-out ca.pem --key-out key.p8",
        "apns simulate --reject dead=Unregistered --reject bad=BadDeviceToken",
        """apns simulate --temper '{"goaway_after": 100}'""",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=WholeFrom(0, 65_535),
    default=0,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--environment",
    type=OneOf(["development", "production"]),
    help="Which of Apple's environments to be.  [default: development]",
)
@click.option(
    "--reject",
    "rejections",
    metavar="PREFIX=REASON",
    callback=_read_rejections,
    multiple=True,
    help="Reject the devices whose token begins so, for one of Apple's reasons. May be repeated.",
)
@click.option(
    "--temper",
    metavar="FILE|JSON",
    callback=_made_from_json(Temper),
    help="What to do wrong on purpose.",
)
@click.option(
    "--config",
    metavar="FILE|JSON",
    callback=_made_from_json(SimulatorConfig),
    default="{}",
    help="A whole configuration; the other options come on top.",
)
@click.option(
    "--ca-out",
    type=FilePath(dir_okay=False, path_type=Path),
    help="Write the certificate authority there, and leave it.",
)
@click.option(
    "--key-out",
    type=FilePath(dir_okay=False, path_type=Path),
    help="Write the provider key (.p8) there, and leave it.",
)
@click.option(
    "--env-out",
    type=FilePath(dir_okay=False, path_type=Path),
    help="Write there, for a shell to read, what leads the other commands here.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a line at first, one at last.")
@click.pass_context
def simulate(
    ctx: click.Context,
    *,
    host: str,
    port: int,
    environment: Literal["development", "production"] | None,
    rejections: dict[str, Rejection],
    temper: Temper | None,
    config: SimulatorConfig,
    ca_out: Path | None,
    key_out: Path | None,
    env_out: Path | None,
    as_json: bool,
) -> None:
    """Run a simulated APNs until Ctrl-C; then print what came in.

    It speaks HTTP/2 over TLS, with a certificate authority of its own. It verifies provider tokens
    against a signing key of its own, unless the configuration names trusted keys. Both are made
    anew for each run; without --ca-out and --key-out they are in a directory that goes with it.
    """
    if environment is not None:
        config = replace(config, environment=environment)
    config = replace(config, rejections={**config.rejections, **rejections})
    key: ProviderKey | None = None
    if config.authentication == "token" and not config.trusted_keys:
        key = make_provider_key()
        config = replace(config, trusted_keys=key.trusted())
    elif key_out is not None:
        raise click.UsageError("--key-out: this configuration needs no key of the simulator's own")
    server = SimulatorServer(config, temper=temper, host=host, port=port, keep_entries=False)
    try:
        with TemporaryDirectory(prefix="apns-") as directory:
            ca_file = (ca_out or Path(directory, "ca.pem")).absolute()
            key_file = (key_out or Path(directory, "key.p8")).absolute()
            serving = _serve(server, key, ca_file, key_file, env_out, as_json=as_json)
            ledger = asyncio.run(serving)
    except ValueError as error:
        raise click.UsageError(f"--config: {error}") from None
    except OSError as error:
        complain(f"apns simulate: {error}")
        ctx.exit(EXIT_FAILED)
    if as_json:
        print_json(_summary(ledger))
    else:
        # Off the line on which the terminal has echoed ^C.
        click.echo()
        print_facts("What came in", _facts(ledger))
        for violation in ledger.violations[:VIOLATIONS_SHOWN]:
            click.echo(violation)


async def _serve(
    server: SimulatorServer,
    key: ProviderKey | None,
    ca_file: Path,
    key_file: Path,
    env_file: Path | None,
    *,
    as_json: bool,
) -> Ledger:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    # Where there are no such handlers (Windows), Ctrl-C is the only way out, and a good one.
    with suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with server:
        # Not before it listens: on a port that is taken another may be running, with these files.
        _write_files(server.ca_pem, ca_file, key, key_file)
        access = _Access(
            host=server.host,
            port=server.port,
            ca_file=str(ca_file),
            key_file=str(key_file) if key else None,
            key_id=key.key_id if key else None,
            team_id=key.team_id if key else None,
        )
        if env_file is not None:
            _write_environment(access, env_file)
        if as_json:
            print_json({"url": access.url, **asdict(access)})
        else:
            click.echo("\n".join(_instructions(access)))
        # Ctrl-C cancels the main task of asyncio.run.
        with suppress(asyncio.CancelledError):
            await stop.wait()
    return server.simulator.ledger


def _write_files(ca_pem: str, ca_file: Path, key: ProviderKey | None, key_file: Path) -> None:
    ca_file.write_text(ca_pem)
    if key is not None:
        write_key(key_file, key)


def _write_environment(access: "_Access", env_file: Path) -> None:
    text = "".join(f"{line}\n" for line in access.exports())
    if env_file.exists() and not env_file.is_file():
        # A pipe, or /dev/stdout: a file in its place would be read by nobody.
        env_file.write_text(text)
        return
    # All of it at once: whoever waits for the file may read it. A link goes on leading to it.
    env_file = env_file.resolve()
    unfinished = env_file.with_name(f"{env_file.name}.{os.getpid()}")
    unfinished.write_text(text)
    unfinished.replace(env_file)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Access:
    """What a client needs to know."""

    host: str
    port: int
    ca_file: str
    key_file: str | None
    key_id: str | None
    team_id: str | None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"

    def exports(self) -> Iterator[str]:
        """Yield the lines by which a shell leads the other commands here."""
        variables = {
            "APNS_SERVER": self.url.removeprefix("https://"),
            "APNS_CA_FILE": self.ca_file,
            "APNS_KEY_FILE": self.key_file,
            "APNS_KEY_ID": self.key_id,
            "APNS_TEAM_ID": self.team_id,
        }
        for name, value in variables.items():
            if value is not None:
                yield f"export {name}={shlex.quote(value)}"


def _instructions(access: _Access) -> Iterator[str]:
    yield f"A simulated APNs listens on {access.url}"
    yield ""
    yield "Lead the commands of another terminal here:"
    yield ""
    yield from access.exports()
    yield ""
    if access.key_file is not None:
        yield "Send a notification:"
        yield ""
        yield "apns send --app com.example.app --body Hello \\"
        yield f"  {'00' * 32}"
        yield ""
    yield "See it refuse a request, which has neither a provider token nor a topic:"
    yield ""
    yield f"curl --http2 --cacert {shlex.quote(access.ca_file)} -d '{{}}' \\"
    yield f"  {access.url}/3/device/00"
    yield ""
    yield "Stop it with Ctrl-C."


def _summary(ledger: Ledger) -> dict[str, object]:
    return {
        "connections": len(ledger.connections),
        "processed": ledger.processed_count,
        "accepted": ledger.accepted_count,
        "rejected": ledger.by_reason,
        "unprocessed": ledger.by_unprocessed_cause,
        "streams_before_acceptance": ledger.streams_before_acceptance,
        "peak_streams": ledger.peak_streams,
        "header_bytes": ledger.field_block_bytes,
        "violations": ledger.violation_count,
    }


def _facts(ledger: Ledger) -> Iterator[Fact]:
    yield "Connections", f"{len(ledger.connections):,}"
    yield "Requests processed", f"{ledger.processed_count:,}"
    yield "Accepted", f"{ledger.accepted_count:,}"
    yield "Rejected", f"{ledger.by_reason.total():,}"
    for reason, count in ledger.by_reason.most_common():
        yield f"  {reason}", f"{count:,}"
    yield "Unprocessed", f"{ledger.by_unprocessed_cause.total():,}"
    for cause, count in ledger.by_unprocessed_cause.most_common():
        yield f"  {cause}", f"{count:,}"
    yield "Streams open before the first acceptance", f"{ledger.streams_before_acceptance}"
    yield "Streams open at most", f"{ledger.peak_streams:,}"
    yield "Header bytes a notification", f"{ledger.field_block_bytes:g}"
    yield "Violations of the protocol", f"{ledger.violation_count:,}"
