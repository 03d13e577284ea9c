"""`apns demo`: sends to a simulated APNs over TLS, and holds every outcome against its ledger."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from math import ceil
from random import Random
from time import perf_counter
from typing import Final, final

import click

from apns_asyncio import Client
from apns_cli.audit import Discrepancy, audit
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
from apns_cli.usage import Command, Whole, WholeFrom
from apns_core import (
    Accepted,
    Endpoint,
    Notification,
    Outcome,
    Rejected,
    Route,
    Unknown,
    Unprocessed,
)
from apns_core.trust.signing import TokenKey
from apns_simulator import (
    Ledger,
    Rejection,
    SimulatorConfig,
    SimulatorProcess,
    make_provider_key,
)

__all__ = [
    "REJECTIONS",
    "Report",
    "Run",
    "demo",
    "failures",
    "make_notifications",
    "make_report",
]

TOPIC: Final = "com.example.app"
PAYLOAD_SIZE: Final = 200
"""Octets: an ordinary alert."""

REJECTED_SHARE: Final = 100
"""One notification in so many goes to a device that is rejected."""

REJECTIONS: Final[Mapping[str, Rejection]] = {
    f"bad{digit:x}": Rejection.of(reason)
    for digit, reason in enumerate(
        # None that a sender tries again: each of its notifications is to be in the ledger once.
        (
            "BadDeviceToken",
            "DeviceTokenNotForTopic",
            "ExpiredToken",
            "TopicDisallowed",
            "Unregistered",
        )
    )
}
"""Prefix of a device token -> how the simulator rejects it."""

VIOLATIONS_SHOWN: Final = 5


@click.command(
    cls=Command,
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns demo",
        "apns demo --count 100000 --seed 7",
        "apns demo --json | python -m json.tool",
    ),
)
@click.option(
    "--count",
    type=WholeFrom(min=1),
    default=10_000,
    show_default=True,
    help="How many notifications to send.",
)
@click.option(
    "--seed",
    type=Whole(),
    default=0,
    show_default=True,
    help="Draws the device tokens, and which of them are rejected.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no table.")
@click.pass_context
def demo(ctx: click.Context, count: int, seed: int, *, as_json: bool) -> None:
    """Send to a simulated APNs, and check every outcome.

    Starts the simulator in a process of its own, on a free port of the loopback interface, with a
    certificate authority and a signing key made for the occasion. One notification in a hundred
    goes to a device that is rejected. Afterwards each outcome is compared with the simulator's
    ledger.

    Exit code 0 says that every notification has exactly one outcome, that the ledger agrees with
    each, and that a single stream was open until the first acceptance. Otherwise it is 1.
    """
    notifications = make_notifications(count, seed)
    try:
        run, ledger = _run(notifications)
    except OSError as error:
        complain(f"apns demo: the simulator did not start: {error}")
        ctx.exit(EXIT_FAILED)
    discrepancies = audit(notifications, run.outcomes, ledger)
    report = make_report(run, ledger, agrees=not discrepancies)
    if as_json:
        print_json(asdict(report))
    else:
        print_facts(f"{count:,} notifications to a simulated APNs, over TLS", _facts(report))
    complaints = [*failures(report, discrepancies), *ledger.violations[:VIOLATIONS_SHOWN]]
    for complaint in complaints:
        complain(f"apns demo: {complaint}")
    if complaints:
        ctx.exit(EXIT_FAILED)
    if not as_json:
        click.echo("Each notification has exactly one outcome, and the simulator's ledger agrees.")


def make_notifications(count: int, seed: int) -> list[Notification]:
    """Return alerts to distinct devices, the same for the same seed.

    One in a hundred goes to a device of `REJECTIONS`, whose prefixes take turns.
    """
    rng = Random(seed)  # noqa: S311 - a device token of a demonstration guards nothing
    prefixes = list(REJECTIONS)
    rejected = rng.sample(range(count), count // REJECTED_SHARE)
    prefix_at = {place: prefixes[i % len(prefixes)] for i, place in enumerate(rejected)}
    route, payload = Route(TOPIC), _payload()
    return [
        Notification(route, _device_token(rng, prefix_at.get(place)), payload)
        for place in range(count)
    ]


def _device_token(rng: Random, prefix: str | None) -> str:
    """Draw 32 octets in hexadecimal: distinct, for all that chance can do in 2^128 tries."""
    token = rng.randbytes(32).hex()
    if prefix is not None:
        return prefix + token[len(prefix) :]
    while token.startswith(tuple(REJECTIONS)):
        token = rng.randbytes(32).hex()
    return token


def _payload() -> bytes:
    text = "Your table for two is ready. "
    frame = json.dumps({"aps": {"alert": ""}}, separators=(",", ":"))
    room = PAYLOAD_SIZE - len(frame)
    alert = (text * ceil(room / len(text)))[:room]
    return json.dumps({"aps": {"alert": alert}}, separators=(",", ":")).encode()


@final
@dataclass(slots=True)
class Run:
    """What was seen on the sending side."""

    submitted: int = 0
    seconds: float = 0.0
    outcomes: list[Outcome[object]] = field(default_factory=list[Outcome[object]])
    latencies: list[float] = field(default_factory=list[float])
    """Seconds, from being taken from the source to the outcome."""


def _run(notifications: list[Notification]) -> tuple[Run, Ledger]:
    """Send to a simulator of our own; return what was seen here, and what was there.

    Raises OSError if there is no simulator to send to.
    """
    key = make_provider_key()
    config = SimulatorConfig(trusted_keys=key.trusted(), rejections=REJECTIONS)
    # As a sender of one's own would sign: from the text of a .p8 file.
    token_key = TokenKey.from_pem(key.private_key_pem, key_id=key.key_id, team_id=key.team_id)
    with SimulatorProcess(config) as simulator:
        client = Client(
            Endpoint(simulator.host, simulator.port),
            token_signer=token_key,
            ssl_context=simulator.client_context(),
        )
        run = asyncio.run(_send(client, notifications))
        return run, simulator.ledger()


async def _send(client: Client, notifications: list[Notification]) -> Run:
    run = Run()
    taken: dict[object, float] = {}

    def source() -> Iterator[Notification]:
        for notification in notifications:
            taken[notification] = perf_counter()
            yield notification

    with ProgressBar("Sending", len(notifications)) as bar:
        started = perf_counter()
        async with client:
            async for outcome in client.send_many(source()):
                now = perf_counter()
                run.outcomes.append(outcome)
                run.latencies.append(now - taken.get(outcome.notification, now))
                bar.show(len(run.outcomes))
            run.seconds = perf_counter() - started
    run.submitted = len(taken)
    return run


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the demo prints; in JSON, under these names."""

    submitted: int
    accepted: int
    rejected: dict[str, int]
    """Apple's reason -> count."""
    unprocessed: int
    unknown: int
    seconds: float
    """From the first connect to the last outcome."""
    per_second: float
    p50_ms: float | None
    """Latency, from being taken from the source to the outcome; the wait in the queue included."""
    p99_ms: float | None
    streams_before_acceptance: int
    """The most that were open at once before the first acceptance; counted by the simulator."""
    peak_streams: int
    """Counted by the simulator."""
    header_bytes: float
    """HPACK octets that the simulator received for the median notification."""
    ledger_agrees: bool


def make_report(run: Run, ledger: Ledger, *, agrees: bool) -> Report:
    """Put together what both sides counted."""
    kinds = Counter(type(outcome) for outcome in run.outcomes)
    rejected = Counter(
        outcome.reason_text or str(outcome.status)
        for outcome in run.outcomes
        if isinstance(outcome, Rejected)
    )
    latencies = sorted(run.latencies)
    return Report(
        submitted=run.submitted,
        accepted=kinds[Accepted],
        rejected=dict(sorted(rejected.items())),
        unprocessed=kinds[Unprocessed],
        unknown=kinds[Unknown],
        seconds=round(run.seconds, 3),
        per_second=round(len(run.outcomes) / run.seconds, 1),
        p50_ms=_percentile_ms(latencies, 50),
        p99_ms=_percentile_ms(latencies, 99),
        streams_before_acceptance=ledger.streams_before_acceptance,
        peak_streams=ledger.peak_streams,
        header_bytes=ledger.field_block_bytes,
        ledger_agrees=agrees,
    )


def _percentile_ms(ordered: list[float], percent: int) -> float | None:
    """Return the least latency that so many percent do not exceed; None if there are none."""
    if not ordered:
        return None
    return round(ordered[ceil(len(ordered) * percent / 100) - 1] * 1000, 2)


def failures(report: Report, discrepancies: Counter[Discrepancy]) -> Iterator[str]:
    """Say what is not as it must be; nothing at all if the demo has done what it promises."""
    for discrepancy, count in discrepancies.items():
        yield f"{count:,} {discrepancy.value}"
    if report.streams_before_acceptance != 1:
        yield (
            f"{report.streams_before_acceptance} streams were open before the first acceptance, "
            "and one may be"
        )


def _facts(report: Report) -> Iterator[Fact]:
    yield "Submitted", f"{report.submitted:,}"
    yield "Accepted", f"{report.accepted:,}"
    yield "Rejected", f"{sum(report.rejected.values()):,}"
    for reason, count in report.rejected.items():
        yield f"  {reason}", f"{count:,}"
    yield "Unprocessed", f"{report.unprocessed:,}"
    yield "Unknown", f"{report.unknown:,}"
    yield "Seconds", f"{report.seconds:.2f}"
    yield "Notifications a second", f"{report.per_second:,.0f}"
    yield "Latency, queue included: p50", _ms(report.p50_ms)
    yield "Latency, queue included: p99", _ms(report.p99_ms)
    yield "Streams open before the first acceptance", f"{report.streams_before_acceptance}"
    yield "Streams open at most", f"{report.peak_streams:,}"
    yield "Header bytes a notification", f"{report.header_bytes:g}"
    yield "The simulator's ledger agrees", "yes" if report.ledger_agrees else "NO"


def _ms(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:,.1f} ms"
