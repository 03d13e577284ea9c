"""The options that become header fields of a device push: topic, push type, priority and kin."""

from dataclasses import dataclass
from typing import Final, final

import click

from apns_cli.option_groups import option_group
from apns_cli.parameters import When, moment
from apns_cli.usage import OneOf
from apns_core import PushType

__all__ = ["Fields", "field_options"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What the options say. A topic in two ways is wrong usage (`click.UsageError`)."""

    app: str | None
    """The bundle id, from which the topic follows."""
    topic: str | None
    push_type: PushType
    priority: int | None
    expiration: When | None
    collapse_id: str | None

    def __post_init__(self) -> None:
        if self.app is not None and self.topic is not None:
            raise click.UsageError("--topic takes the place of --app")


def _push_type(ctx: click.Context, param: click.Parameter, text: str) -> PushType:
    del ctx, param
    return PushType(text)


def _priority(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    del ctx, param
    return None if text is None else int(text)


_OPTIONS: Final = (
    click.option(
        "--app", metavar="BUNDLE_ID", help="The app; its topic follows from the push type."
    ),
    click.option("--topic", metavar="TOPIC", help="The topic itself, in place of --app."),
    click.option(
        "--push-type",
        metavar="TYPE",
        type=OneOf([push_type.value for push_type in PushType]),
        callback=_push_type,
        default=PushType.ALERT.value,
        show_default=True,
        help=f"{', '.join(PushType)}.",
    ),
    click.option(
        "--priority",
        type=OneOf(["10", "5", "1"]),
        callback=_priority,
        help="10 is at once.",
    ),
    click.option(
        "--expiration",
        metavar="WHEN",
        callback=moment,
        help="Until when APNs may keep it: 1h, UNIX seconds, ISO 8601; 0 for not at all.",
    ),
    click.option("--collapse-id", metavar="ID", help="Replaces what was shown of the same id."),
)

field_options: Final = option_group(Fields, _OPTIONS)
"""Gives a command these options; its first argument is the `Fields`."""
