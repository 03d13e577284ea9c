"""`apns send`: one notification to one device, or to a few."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TextIO, final

import click

from apns_cli.access import Access, access_options, usage_errors
from apns_cli.field_options import Fields, field_options
from apns_cli.payload_options import Content, content_options
from apns_cli.results import (
    describe,
    fingerprint,
    kind_of,
    outcome_facts,
    outcome_members,
    say_what_to_do,
)
from apns_cli.sending import config_of, send_all, timeout_option
from apns_cli.terminal import (
    CONTEXT_SETTINGS,
    EXIT_FAILED,
    ProgressBar,
    examples,
    print_facts,
    print_json,
    print_rows,
)
from apns_cli.usage import Command, OpenFile
from apns_core import Accepted, InvalidField, Notification, Outcome, Route

__all__ = ["send"]


@click.command(
    cls=Command,
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns send --app com.example.app --body Hello --tokens-file tokens.txt",
        "apns send --app com.example.app --title Hi --body Hello --badge 1 TOKEN",
        "apns send --app com.example.app --push-type background TOKEN",
        "apns send --topic com.example.app --payload alert.json --expiration 1h TOKEN",
    ),
)
@click.argument("device_tokens", metavar="[DEVICE_TOKEN]...", nargs=-1)
@click.option(
    "--tokens-file",
    metavar="FILE",
    type=OpenFile(encoding="utf-8-sig"),  # some editors begin a file with a byte order mark
    help="Device tokens, one a line; - is standard input.",
)
@field_options
@click.option("--apns-id", metavar="UUID", help="Names the notification; for one device.")
@content_options
@timeout_option
@access_options()
@click.option("--show-tokens", is_flag=True, help="Print device tokens, not fingerprints.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each device.")
@click.pass_context
def send(
    ctx: click.Context,
    access: Access,
    content: Content,
    fields: Fields,
    *,
    device_tokens: tuple[str, ...],
    tokens_file: TextIO | None,
    apns_id: str | None,
    timeout: float,
    show_tokens: bool,
    as_json: bool,
) -> None:
    """Send a notification to one device, or to a few.

    Device tokens are personal data, and every user of this machine can see a command line: those of
    --tokens-file are not on it. Payloads that the options do not describe, such as those of Live
    Activities, come by --payload.

    Exit code 0 says that APNs has accepted all of them, which is not that they were delivered.
    """
    if fields.app is None and fields.topic is None and access.certificate is None:
        raise click.UsageError("name the app by --app, or its topic by --topic")
    tokens = [*_numbered(device_tokens), *_read_tokens(tokens_file)]
    if not tokens:
        raise click.UsageError("no device token: name one, or a file of them by --tokens-file")
    if apns_id is not None and len(tokens) > 1:
        raise click.UsageError("--apns-id names one notification, and here are several")
    with usage_errors():
        route = _route(fields)
        payload = content.encode(fields.push_type)
        make = partial(
            Notification,
            expiration=fields.expiration,
            collapse_id=fields.collapse_id,
            apns_id=apns_id,
        )
        notifications: list[Notification] = []
        for where, token in tokens:
            try:
                notifications.append(make(route, token, payload))
            except InvalidField as error:
                if error.field != "device_token":
                    raise
                # Which of many.
                raise click.UsageError(f"{where}: {error}") from None
    report = _Report(notifications, show_tokens=show_tokens, as_json=as_json)
    with ProgressBar("Sending", len(notifications)) as bar:

        def on_outcome(outcome: Outcome[object]) -> None:
            report.add(outcome)
            bar.show(report.count)

        send_all("send", access.client(config_of(timeout)), notifications, on_outcome)
    report.end()
    if not report.all_accepted:
        ctx.exit(EXIT_FAILED)


def _route(fields: Fields) -> Route:
    if fields.app is not None:
        return Route.for_app(fields.app, fields.push_type, priority=fields.priority)
    return Route(fields.topic, fields.push_type, priority=fields.priority)


def _numbered(device_tokens: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for number, token in enumerate(device_tokens, 1):
        yield f"DEVICE_TOKEN {number}", token


def _read_tokens(file: TextIO | None) -> Iterator[tuple[str, str]]:
    """Yield where it stands, and the device token, for each line that has one."""
    if file is None:
        return
    try:
        for number, line in enumerate(file, 1):
            token = line.strip()
            if token and not token.startswith("#"):
                yield f"--tokens-file, line {number}", token
    except UnicodeDecodeError:
        raise click.UsageError("--tokens-file: is no text in UTF-8") from None


@final
class _Report:
    """What came of each: a line of JSON at once, or a table at last; then what to do about it."""

    def __init__(
        self, notifications: Sequence[Notification], *, show_tokens: bool, as_json: bool
    ) -> None:
        self._places = {notification: place for place, notification in enumerate(notifications)}
        self._outcomes: dict[int, Outcome[object]] = {}
        self._show_tokens = show_tokens
        self._as_json = as_json

    @property
    def count(self) -> int:
        return len(self._outcomes)

    @property
    def all_accepted(self) -> bool:
        return all(isinstance(outcome, Accepted) for outcome in self._outcomes.values())

    def add(self, outcome: Outcome[object]) -> None:
        assert isinstance(outcome.notification, Notification)  # noqa: S101 - nothing else was sent
        place = self._places[outcome.notification]
        self._outcomes[place] = outcome
        if self._as_json:
            device = self._device(outcome.notification)
            print_json({"index": place, "device": device, **outcome_members(outcome)})

    def end(self) -> None:
        if not self._as_json:
            self._print()
        say_what_to_do("send", self._outcomes.values())

    def _print(self) -> None:
        if len(self._places) == 1:
            (notification,), (outcome,) = self._places, self._outcomes.values()
            facts = [("Device", self._device(notification)), *outcome_facts(outcome)]
            print_facts("What came of it", facts)
            return
        rows = [
            (str(place), self._device(notification), kind_of(outcome), describe(outcome))
            for notification, place in self._places.items()
            for outcome in (self._outcomes[place],)
        ]
        print_rows("What came of each", ("", "device", "outcome", ""), rows)

    def _device(self, notification: Notification) -> str:
        token = notification.device_token
        return token if self._show_tokens else fingerprint(token)
