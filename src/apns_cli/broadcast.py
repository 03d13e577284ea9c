"""`apns broadcast`: one update of a Live Activity to all who follow a channel."""

from dataclasses import replace

import click

from apns_cli.access import Access, Service, access_options, usage_errors
from apns_cli.live_activity_options import Activity, activity_options
from apns_cli.parameters import STORAGE_POLICIES, When, moment
from apns_cli.results import print_outcome
from apns_cli.sending import config_of, send_one, timeout_option
from apns_cli.terminal import CONTEXT_SETTINGS, EXIT_FAILED, examples
from apns_cli.usage import Command, OneOf
from apns_core import Accepted
from apns_core.requests.broadcast import BROADCAST_PAYLOAD_LIMIT, Broadcast, BroadcastRoute

__all__ = ["broadcast"]


@click.command(
    cls=Command,
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns broadcast --app com.example.app --content-state state.json CHANNEL_ID",
        "apns broadcast --app com.example.app --event end CHANNEL_ID",
        "apns broadcast --app com.example.app --payload goal.json CHANNEL_ID",
    ),
)
@click.argument("channel_id", metavar="CHANNEL_ID")
@click.option("--app", metavar="BUNDLE_ID", required=True, help="The app, without a suffix.")
@activity_options
@click.option(
    "--expiration",
    metavar="WHEN",
    callback=moment,
    default="0",
    show_default=True,
    help="Until when APNs may keep it, 8h at most; 0 for not at all.",
)
@click.option(
    "--priority",
    type=OneOf(["10", "5", "1"]),
    default="10",
    show_default=True,
    help="5 spares the budget.",
)
@click.option("--request-id", metavar="UUID", help="Comes back with the answer.")
@click.option(
    "--storage-policy",
    type=OneOf(list(STORAGE_POLICIES)),
    help="The channel's: then --expiration is checked against it.",
)
@click.option(
    "--broadcast-host", is_flag=True, help="Use the host of Apple's samples: api-broadcast..."
)
@timeout_option
@access_options()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no table.")
@click.pass_context
def broadcast(
    ctx: click.Context,
    access: Access,
    activity: Activity,
    *,
    channel_id: str,
    app: str,
    expiration: When,
    priority: str,
    request_id: str | None,
    storage_policy: str | None,
    broadcast_host: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Update or end the Live Activities that follow a channel.

    The payload is that of --payload, or it is made of --content-state and the options beside it. A
    broadcast cannot start an activity. An id that begins with a hyphen comes last, after --.

    Exit code 0 says that APNs has accepted it.
    """
    with usage_errors():
        route = BroadcastRoute(
            app,
            channel_id,
            storage_policy=None if storage_policy is None else STORAGE_POLICIES[storage_policy],
            priority=int(priority),
        )
        request = Broadcast(
            route,
            activity.encode(BROADCAST_PAYLOAD_LIMIT),
            expiration=expiration,
            request_id=request_id,
        )
    if broadcast_host:
        access = replace(access, service=Service.BROADCAST)
    outcome = send_one("broadcast", access.client(config_of(timeout)), request)
    print_outcome("broadcast", outcome, as_json=as_json)
    if not isinstance(outcome, Accepted):
        ctx.exit(EXIT_FAILED)
