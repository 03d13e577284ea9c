"""`apns send-file`: a notification for each line of a file, and a record of what came of each."""

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

import click

from apns_asyncio import Client
from apns_cli.access import Access, access_options, usage_errors
from apns_cli.field_options import Fields, field_options
from apns_cli.file_run import FileRun, verify
from apns_cli.input_file import InputFile
from apns_cli.input_lines import FORMATS, LineFormat, UnfitInput, format_of
from apns_cli.input_notifications import Defaults, NotificationMaker
from apns_cli.payload_options import Content, content_options
from apns_cli.results import explain
from apns_cli.results_file import Earlier, Record, ResultsFile, UnfitResults, reason_of
from apns_cli.sending import complaints_of_client, config_of, timeout_option
from apns_cli.terminal import (
    CONTEXT_SETTINGS,
    EXIT_FAILED,
    Fact,
    ProgressBar,
    complain,
    examples,
    print_facts,
    print_json,
)
from apns_cli.usage import Command, FilePath, OneOf, WholeFrom
from apns_core import InvalidField, PushType
from apns_core.sender import DEFAULT_SENDER_CONFIG

__all__ = ["send_file"]

STANDARD_INPUT: Final = Path("-")


@click.command(
    cls=Command,
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns send-file --app com.example.app --body Hello tokens.csv",
        "apns send-file --app com.example.app --body Hello tokens.csv --resume",
        "apns send-file notifications.jsonl --results sent.jsonl --json",
        "zcat tokens.gz | apns send-file --format csv --app com.example.app \\",
        "    --body Hello --results sent.jsonl -",
    ),
)
@click.argument("input_path", metavar="INPUT", type=FilePath(dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "format_name",
    type=OneOf(list(FORMATS)),
    help="Of INPUT; its suffix says it, but for standard input.",
)
@field_options
@content_options
@click.option(
    "--results",
    "results_path",
    metavar="FILE",
    type=FilePath(dir_okay=False, path_type=Path),
    help="Where outcomes go, one a line.  [default: INPUT.results.jsonl]",
)
@click.option("--resume", is_flag=True, help="Go on: skip the lines with an outcome in --results.")
@click.option("--overwrite", is_flag=True, help="Begin anew, and forget what is in --results.")
@click.option("--resend-unknown", is_flag=True, help="With --resume: those that may have arrived.")
@click.option(
    "--resend-rejected",
    metavar="REASON",
    multiple=True,
    help="With --resume: those rejected for this reason. May be repeated.",
)
@click.option("--tokens-in-results", is_flag=True, help="Record device tokens too.")
@click.option("--fsync", is_flag=True, help="Record on the disk before going on: slower.")
@click.option(
    "--max-connections",
    metavar="N",
    type=WholeFrom(min=1),
    default=DEFAULT_SENDER_CONFIG.max_connections,
    show_default=True,
    help="How many may be open; more are opened only if work waits.",
)
@timeout_option
@access_options()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no table.")
@click.pass_context
def send_file(
    ctx: click.Context,
    access: Access,
    content: Content,
    of_all: Fields,
    *,
    input_path: Path,
    format_name: str | None,
    results_path: Path | None,
    resume: bool,
    overwrite: bool,
    resend_unknown: bool,
    resend_rejected: tuple[str, ...],
    tokens_in_results: bool,
    fsync: bool,
    max_connections: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Send a notification for each line of a file.

    INPUT is CSV or JSON Lines, and - is standard input. A line is a device token, or a whole
    notification: device_token, payload, topic, push_type, priority, expiration, collapse_id,
    apns_id. What a line leaves out, the options say.

    What came of each line is appended to the results, as it comes. After Ctrl-C, or worse, --resume
    sends what has no outcome there. Exit code 0 says that APNs has accepted all.
    """
    if resume and overwrite:
        raise click.UsageError("--resume or --overwrite, not both")
    if (resend_unknown or resend_rejected) and not resume:
        raise click.UsageError("--resend-unknown and --resend-rejected go with --resume")
    with usage_errors():
        defaults = Defaults(
            app=of_all.app,
            topic=of_all.topic,
            topic_is_certificates=access.certificate is not None,
            push_type=of_all.push_type,
            priority=of_all.priority,
            payload=_payload(content, of_all.push_type),
            expiration=of_all.expiration,
            collapse_id=of_all.collapse_id,
        )
        maker = NotificationMaker(defaults)
    line_format = _line_format(input_path, format_name)
    client = access.client(replace(config_of(timeout), max_connections=max_connections))

    def keep(record: Record) -> bool:
        """Whether what is on record is the last word on its line."""
        match record["outcome"]:
            case "accepted":
                return True
            case "rejected":
                return reason_of(record) not in resend_rejected
            case "unknown":
                return not resend_unknown
            case _:  # it was not sent
                return False

    results_path = _results_path(input_path, results_path)
    with ExitStack() as stack:
        with _unfit_is_wrong_usage(input_path, results_path):
            input_file = stack.enter_context(_open(input_path))
            if input_file.is_same_file(results_path):
                raise UnfitResults("is the input")
            if input_file.is_regular:
                _check_beginning(input_file, line_format(), defaults)
            lines = input_file.count_lines()

        def check(earlier: Earlier) -> None:
            with _unfit_is_wrong_usage(input_path, results_path):
                if input_file.is_regular:
                    verify(input_file, line_format(), earlier)

        with _unfit_is_wrong_usage(input_path, results_path, nameless="--results"):
            if resume:
                results, earlier = ResultsFile.resume(results_path, keep, check)
            else:
                results, earlier = ResultsFile.create(results_path, overwrite=overwrite), Earlier()
        run = FileRun(
            client,
            input_file,
            line_format(),
            maker,
            results=results,
            earlier=earlier,
            show_tokens=tokens_in_results,
            sync=fsync,
        )
        problem = _run(run, results, client, lines)
    report = _report(run, earlier.count, results_path)
    if as_json:
        print_json(report)
    else:
        print_facts(f"What came of {run.tally.total:,} lines", _facts(run, report))
    if problem is not None:
        complain(f"apns send-file: {problem}")
    if problem is not None or not run.tally.all_accepted:
        ctx.exit(EXIT_FAILED)


def _payload(content: Content, kind: PushType) -> bytes | None:
    """Return the payload of the options; None if they have none. Raises InvalidField."""
    values = [getattr(content, part.name) for part in fields(content)]
    if any(value is not None and value is not False for value in values):
        return content.encode(kind)
    with suppress(InvalidField, click.UsageError):
        return content.encode(kind)  # some push types need nothing
    return None


def _line_format(input_path: Path, name: str | None) -> Callable[[], LineFormat]:
    name = name or format_of(input_path)
    if name is None:
        raise click.UsageError("--format: the name of INPUT does not tell it")
    return FORMATS[name]


def _results_path(input_path: Path, results_path: Path | None) -> Path:
    if results_path is not None:
        return results_path
    if input_path == STANDARD_INPUT:
        raise click.UsageError("--results: standard input has no name to follow")
    return input_path.with_name(f"{input_path.name}.results.jsonl")


def _open(input_path: Path) -> AbstractContextManager[InputFile]:
    return InputFile.open(None if input_path == STANDARD_INPUT else input_path)


@contextmanager
def _unfit_is_wrong_usage(
    input_path: Path, results_path: Path, *, nameless: str = "INPUT"
) -> Generator[None]:
    """Nothing has been sent yet. ``nameless``: what an error is of that names no file."""
    try:
        yield
    except FileExistsError:
        raise click.UsageError(
            f"{results_path} is there already: --resume goes on with it, --overwrite begins anew"
        ) from None
    except OSError as error:
        if error.filename is None:
            # It was open already.
            raise click.UsageError(f"{nameless}: cannot be used ({error.strerror})") from None
        # A name that leads nowhere may be anything, and is not repeated.
        which = "INPUT" if Path(error.filename) == input_path else "--results"
        raise click.UsageError(f"{which}: cannot be opened ({error.strerror})") from None
    except UnfitInput as error:
        raise click.UsageError(f"{input_path}: {error}") from None
    except UnfitResults as error:
        raise click.UsageError(f"{results_path}: {error}") from None


def _check_beginning(input_file: InputFile, line_format: LineFormat, defaults: Defaults) -> None:
    """Check what would be wrong with every line. Raises `UnfitInput`, and `click.UsageError`."""
    for _, line in input_file.lines():
        with suppress(InvalidField):
            line_format.read(line)
        if line_format.names:
            break
    else:
        raise UnfitInput("there is nothing in it")
    if not defaults.have_topic and "topic" not in line_format.names:
        raise click.UsageError("name the app by --app, or its topic by --topic or in a column")
    if defaults.payload is None and "payload" not in line_format.names:
        raise click.UsageError("no payload: see --body and --payload, or have a column of them")


def _run(run: FileRun, results: ResultsFile, client: Client, lines: int | None) -> str | None:
    """Send; return why not every line was taken, or has its record, if that is so."""
    try:
        with (
            closing(results),
            complaints_of_client("send-file"),
            ProgressBar("Sending", lines) as bar,
        ):
            asyncio.run(run.run(bar, lines))
    except UnfitInput as error:
        run.stopped = f"INPUT is not as it was: {error}"
        return f"stopped: {run.stopped}"
    except OSError as error:
        # It may have stopped before, for the results that failed again at last.
        run.stopped = run.stopped or error.strerror or str(error)
    if run.stopped is None:
        return None
    if results.unwritten:
        # Else nobody knows that these are sent twice.
        lost = f"{results.unwritten:,} outcomes are not on record"
        return f"stopped: {run.stopped}; {lost}, and --resume sends these lines again"
    last_error = client.last_error if run.gave_up else None
    why = "" if last_error is None else f" ({explain(last_error)})"
    return f"stopped: {run.stopped}{why}; --resume sends what has no outcome yet"


def _report(run: FileRun, earlier: int, results_path: Path) -> dict[str, object]:
    return {
        **run.tally.members(),
        "earlier": earlier,
        "stopped": run.stopped,
        "seconds": round(run.seconds, 3),
        "per_second": round((run.tally.total - earlier) / run.seconds, 1) if run.seconds else 0.0,
        "results": str(results_path),
    }


def _facts(run: FileRun, report: dict[str, object]) -> Iterator[Fact]:
    yield from run.tally.facts()
    if report["earlier"]:
        yield "Of these from before", f"{report['earlier']:,}"
    yield "Seconds", f"{run.seconds:,.2f}"
    yield "Lines a second", f"{report['per_second']:,.0f}"
    yield "Results", str(report["results"])
