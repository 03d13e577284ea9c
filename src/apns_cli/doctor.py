"""`apns doctor`: finds what is in the way between this machine and APNs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apns_cli.access import Access, access_options, usage_errors
from apns_cli.checks import diagnose
from apns_cli.diagnosis import Finding, Result
from apns_cli.inspection import Plan, inspect
from apns_cli.probe_report import printable
from apns_cli.terminal import CONTEXT_SETTINGS, EXIT_FAILED, complain, examples, print_json
from apns_cli.usage import Command, Seconds
from apns_core.requests.route import Route

__all__ = ["doctor"]


@click.command(
    cls=Command,
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns doctor --key AuthKey_ABC123DEFG.p8 --team-id DEF123GHIJ",
        "apns doctor --environment development --certificate push.p12",
        "apns doctor --no-request --try-2197",
    ),
)
@access_options()
@click.option("--topic", help="What the request says in apns-topic, as your notifications do.")
@click.option("--no-request", is_flag=True, help="Connect, and send no request.")
@click.option(
    "--try-2197",
    "try_alternative_port",
    is_flag=True,
    help="See whether port 2197 is open too, for when 443 is not.",
)
@click.option(
    "--timeout",
    type=Seconds(min=0, min_open=True, max=600),
    default=10.0,
    show_default=True,
    help="Seconds for each step.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no table.")
@click.pass_context
def doctor(
    ctx: click.Context,
    access: Access,
    *,
    topic: str | None,
    no_request: bool,
    try_alternative_port: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Find what is in the way to APNs.

    Looks at network, trust, credentials and clock.

    Connects to each address once, then to one of them for TLS and HTTP/2. With credentials it
    sends one notification, to a device that does not exist: BadDeviceToken then says that they
    were accepted.

    Exit codes: 0 nothing failed, 1 something did, 2 wrong usage.
    """
    with usage_errors():
        plan = Plan(
            access=access,
            endpoint=access.endpoint(),
            proxy=access.proxy(),
            timeout=timeout,
            topic=None if topic is None else Route(topic).topic,
            send_request=not no_request,
            try_alternative_port=try_alternative_port,
        )
    findings = diagnose(inspect(plan))
    failed = any(finding.result is Result.FAILED for finding in findings)
    where = plan.endpoint.authority.decode()
    if as_json:
        print_json({"server": where, "ok": not failed, "checks": list(map(_members, findings))})
    else:
        _print(where, findings)
    if failed:
        complain("apns doctor: something is in the way")
        ctx.exit(EXIT_FAILED)


def _members(finding: Finding) -> dict[str, str | None]:
    return {
        "check": finding.check,
        "result": finding.result.value,
        "seen": finding.seen,
        "fix": finding.fix,
    }


_MARKS: Final[Mapping[Result, tuple[str, str]]] = {
    Result.OK: ("ok", "green"),
    Result.WARNING: ("WARNING", "yellow"),
    Result.FAILED: ("FAILED", "bold red"),
    Result.SKIPPED: ("skipped", "dim"),
}
"""The words differ without colours too."""


def _print(where: str, findings: Iterable[Finding]) -> None:
    table = Table(
        title=Text(f"From here to {where}", style="bold"),
        title_justify="left",
        box=SIMPLE,
        show_header=False,
    )
    table.add_column("result", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("seen", overflow="fold")
    counts: Counter[Result] = Counter()
    for finding in findings:
        counts[finding.result] += 1
        mark, style = _MARKS[finding.result]
        seen = printable(finding.seen)
        if finding.fix is not None:
            seen += f"\n-> {printable(finding.fix)}"
        table.add_row(Text(mark, style=style), Text(finding.check), Text(seen))
    Console().print(table)
    click.echo(", ".join(f"{counts[result]} {result.value}" for result in Result))
