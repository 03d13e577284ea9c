"""The options that make the payload of a Live Activity's update: its parts, or a file."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, final

import click

from apns_cli.option_groups import option_group, refuse_others
from apns_cli.parameters import When, instant, json_document, json_object, moment
from apns_cli.usage import OneOf, OpenFile
from apns_core import InvalidField
from apns_core.requests import payload
from apns_core.requests.payload import LiveActivityAlert

__all__ = ["Activity", "activity_options"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What becomes of a Live Activity, as the options have it."""

    document: bytes | None = field(repr=False)
    event: str | None
    content_state: dict[str, object] | None = field(repr=False)
    timestamp: When | None
    stale_date: When | None
    dismissal_date: When | None
    alert_title: str | None = field(repr=False)
    alert_body: str | None = field(repr=False)
    sound: str | None

    def encode(self, limit: int) -> bytes:
        """Return the payload, of so many octets at most.

        Raises `InvalidField`, and `click.UsageError`.
        """
        if self.document is not None:
            refuse_others(self, "--payload has all of the payload", than=("document",))
            return self.document
        return self._end(limit) if self.event == "end" else self._update(limit)

    def _update(self, limit: int) -> bytes:
        if self.content_state is None:
            raise click.UsageError(
                "--content-state says what the activity shows now: it is missing"
            )
        if self.dismissal_date is not None:
            raise click.UsageError("--dismissal-date is of --event end")
        return payload.update_live_activity(
            timestamp=self._timestamp(),
            content_state=self.content_state,
            alert=self._alert(),
            stale_date=instant(self.stale_date),
            limit=limit,
        )

    def _end(self, limit: int) -> bytes:
        if self.stale_date is not None:
            raise click.UsageError("--stale-date is of --event update")
        return payload.end_live_activity(
            timestamp=self._timestamp(),
            content_state=self.content_state,
            dismissal_date=instant(self.dismissal_date),
            alert=self._alert(),
            limit=limit,
        )

    def _timestamp(self) -> int | datetime:
        return instant(self.timestamp) or datetime.now(UTC)

    def _alert(self) -> LiveActivityAlert | None:
        if self.alert_title is not None and self.alert_body is not None:
            return LiveActivityAlert(title=self.alert_title, body=self.alert_body, sound=self.sound)
        if (self.alert_title, self.alert_body, self.sound) != (None, None, None):
            raise InvalidField("alert", "has a title and a body: --alert-title, --alert-body")
        return None


_OPTIONS: Final = (
    click.option(
        "--payload",
        "document",
        metavar="FILE",
        type=OpenFile("rb"),
        callback=json_document,
        help="All of the payload, sent as it stands; - is standard input.",
    ),
    click.option("--event", type=OneOf(["update", "end"]), help="[default: update]"),
    click.option(
        "--content-state",
        metavar="FILE|JSON",
        callback=json_object,
        help="What the activity shows now; - is standard input.",
    ),
    click.option("--timestamp", metavar="WHEN", callback=moment, help="Its date.  [default: now]"),
    click.option("--stale-date", metavar="WHEN", callback=moment, help="When it is out of date."),
    click.option("--dismissal-date", metavar="WHEN", callback=moment, help="When it goes away."),
    click.option("--alert-title", metavar="TEXT", help="Lights up the screen."),
    click.option("--alert-body", metavar="TEXT", help="Goes with --alert-title."),
    click.option("--sound", metavar="NAME", help="Of the alert: default, or a file in the app."),
)

activity_options: Final = option_group(Activity, _OPTIONS)
"""Gives a command these options; its first argument is the `Activity`."""
