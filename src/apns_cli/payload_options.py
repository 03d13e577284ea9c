"""The options that make the payload of a notification: its parts, or a file that has all of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final

import click

from apns_cli.option_groups import option_group, refuse_others
from apns_cli.parameters import json_document, own_keys
from apns_cli.usage import OneOf, OpenFile, Whole
from apns_core import PushType
from apns_core.requests import payload
from apns_core.requests.payload import Alert, InterruptionLevel

__all__ = ["Content", "content_options"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a notification says, as the options have it."""

    document: bytes | None = field(repr=False)
    title: str | None = field(repr=False)
    subtitle: str | None = field(repr=False)
    body: str | None = field(repr=False)
    badge: int | None
    sound: str | None
    category: str | None
    thread_id: str | None
    interruption_level: str | None
    mutable_content: bool
    content_available: bool
    data: dict[str, object] | None = field(repr=False)

    def encode(self, push_type: PushType) -> bytes:
        """Return the payload. Raises `InvalidField`, and `click.UsageError`."""
        if self.document is not None:
            refuse_others(self, "--payload has all of the payload", than=("document",))
            return self.document
        if push_type is PushType.ALERT:
            return self._encode_alert()
        build = _BUILDERS.get(push_type)
        if build is None:
            raise click.UsageError(f"--push-type {push_type}: its payload has to come by --payload")
        refuse_others(self, f"--push-type {push_type} shows nothing", than=("data",))
        return build(self.data)

    def _encode_alert(self) -> bytes:
        alert: str | Alert | None = self.body
        if self.title is not None or self.subtitle is not None:
            alert = Alert(title=self.title, subtitle=self.subtitle, body=self.body)
        return payload.alert(
            alert,
            badge=self.badge,
            sound=self.sound,
            category=self.category,
            thread_id=self.thread_id,
            interruption_level=self.interruption_level,
            mutable_content=self.mutable_content,
            content_available=self.content_available,
            custom=self.data,
        )


_BUILDERS: Final[dict[PushType, Callable[[dict[str, object] | None], bytes]]] = {
    PushType.BACKGROUND: payload.background,
    PushType.CONTROLS: payload.controls,
    PushType.WIDGETS: payload.widgets,
}

_OPTIONS: Final = (
    click.option(
        "--payload",
        "document",
        metavar="FILE",
        type=OpenFile("rb"),
        callback=json_document,
        help="All of the payload, sent as it stands; - is standard input.",
    ),
    click.option("--title", metavar="TEXT", help="Of the alert."),
    click.option("--subtitle", metavar="TEXT", help="Of the alert."),
    click.option("--body", metavar="TEXT", help="Of the alert."),
    click.option("--badge", metavar="N", type=Whole(), help="On the app's icon; 0 removes it."),
    click.option("--sound", metavar="NAME", help="default, or a file in the app."),
    click.option("--category", metavar="NAME", help="Chooses the actions."),
    click.option("--thread-id", metavar="ID", help="Groups notifications."),
    click.option(
        "--interruption-level",
        type=OneOf([level.value for level in InterruptionLevel]),
        help="How much it may interrupt.",
    ),
    click.option("--mutable-content", is_flag=True, help="Let the app change the alert."),
    click.option("--content-available", is_flag=True, help="Wake the app as well."),
    click.option(
        "--data",
        metavar="KEY=TEXT",
        callback=own_keys,
        multiple=True,
        help="A key of the app's own, or KEY:=JSON. May be repeated.",
    ),
)


content_options: Final = option_group(Content, _OPTIONS)
"""Gives a command these options; its first argument is the `Content`."""
