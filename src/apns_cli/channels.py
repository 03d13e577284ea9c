"""`apns channels`: create, read, delete and list the channels of broadcast pushes."""

from dataclasses import dataclass
from typing import Final, TypeVar, final

import click

from apns_cli.access import Access, Service, access_options, usage_errors
from apns_cli.option_groups import option_group
from apns_cli.parameters import STORAGE_POLICIES
from apns_cli.results import outcome_members, print_outcome, printable
from apns_cli.sending import config_of, send_one, timeout_option
from apns_cli.server_text import without_secrets
from apns_cli.terminal import (
    CONTEXT_SETTINGS,
    EXIT_FAILED,
    complain,
    examples,
    print_facts,
    print_json,
)
from apns_cli.usage import Group, OneOf
from apns_core import Accepted
from apns_core.requests.channels import (
    ChannelRequest,
    CreateChannel,
    DeleteChannel,
    ListChannels,
    ReadChannel,
    Unreadable,
)

__all__ = ["channels"]

T = TypeVar("T")


@click.group(
    cls=Group,
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns channels create --app com.example.app --storage-policy most-recent",
        "apns channels read --app com.example.app CHANNEL_ID",
        "apns channels list --app com.example.app",
        "apns channels delete --app com.example.app CHANNEL_ID",
    ),
)
def channels() -> None:
    """Manage the channels of broadcast pushes.

    They are managed on hosts and ports of their own, which --environment chooses among. A channel
    is of one environment. Exit code 0 says that it was done.
    """


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What all requests about channels have in common."""

    app: str
    request_id: str | None
    timeout: float
    as_json: bool


_asked_options: Final = option_group(
    _Asked,
    (
        click.option("--app", metavar="BUNDLE_ID", required=True, help="The app, without suffix."),
        click.option("--request-id", metavar="UUID", help="Comes back with the answer."),
        timeout_option,
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    ),
)


@channels.command(
    context_settings=CONTEXT_SETTINGS,
    epilog=examples("apns channels create --app com.example.app --storage-policy none"),
)
@click.option(
    "--storage-policy",
    type=OneOf(list(STORAGE_POLICIES)),
    required=True,
    help="What APNs keeps for devices that are offline. It never changes.",
)
@_asked_options
@access_options(Service.CHANNELS)
def create(access: Access, asked: _Asked, *, storage_policy: str) -> None:
    """Create a channel, and print its id.

    Keep the id: APNs draws it at random. An app may have 10,000 channels in each environment.
    """
    with usage_errors():
        policy = STORAGE_POLICIES[storage_policy]
        request = CreateChannel(asked.app, policy, request_id=asked.request_id)
    accepted = _ask("create", access, asked, request)
    created = _read(asked, "create", accepted, request.result(accepted))
    if asked.as_json:
        print_json(outcome_members(accepted) | {"storage_policy": storage_policy})
    else:
        click.echo(created.channel_id)


@channels.command(
    context_settings=CONTEXT_SETTINGS,
    epilog=examples("apns channels read --app com.example.app CHANNEL_ID"),
)
@click.argument("channel_id", metavar="CHANNEL_ID")
@_asked_options
@access_options(Service.CHANNELS)
def read(access: Access, asked: _Asked, *, channel_id: str) -> None:
    """Say how a channel was created."""
    with usage_errors():
        request = ReadChannel(asked.app, channel_id, request_id=asked.request_id)
    accepted = _ask("read", access, asked, request)
    channel = _read(asked, "read", accepted, request.result(accepted))
    policy = _NAMES[channel.storage_policy]
    push_type = without_secrets(channel.push_type)
    if asked.as_json:
        found = {"storage_policy": policy, "push_type": push_type}
        print_json(outcome_members(accepted) | {"channel_id": channel.channel_id} | found)
    else:
        facts = [
            ("Channel id", channel.channel_id),
            ("Storage policy", policy),
            ("Push type", printable(push_type)),
        ]
        print_facts(f"A channel of {asked.app}", facts)


@channels.command(
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns channels delete --app com.example.app CHANNEL_ID",
        "apns channels delete --app com.example.app --yes --json CHANNEL_ID",
    ),
)
@click.argument("channel_id", metavar="CHANNEL_ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_asked_options
@access_options(Service.CHANNELS)
def delete(access: Access, asked: _Asked, *, channel_id: str, yes: bool) -> None:
    """Delete a channel, for good.

    Asks before it does, unless it is told --yes.
    """
    with usage_errors():
        request = DeleteChannel(asked.app, channel_id, request_id=asked.request_id)
    if not yes:
        if asked.as_json:
            raise click.UsageError("--json asks nothing: say --yes as well")
        click.confirm(
            f"Delete channel {channel_id} of {asked.app}, for good?", abort=True, err=True
        )
    accepted = _ask("delete", access, asked, request)
    deleted = request.result(accepted)
    if asked.as_json:
        print_json(outcome_members(accepted) | {"channel_id": deleted.channel_id})
    else:
        click.echo("Deleted.")


@channels.command(
    name="list",
    context_settings=CONTEXT_SETTINGS,
    epilog=examples("apns channels list --app com.example.app"),
)
@_asked_options
@access_options(Service.CHANNELS)
def list_channels(access: Access, asked: _Asked) -> None:
    """Print the ids of all channels, one a line."""
    with usage_errors():
        request = ListChannels(asked.app, request_id=asked.request_id)
    accepted = _ask("list", access, asked, request)
    found = _read(asked, "list", accepted, request.result(accepted))
    if asked.as_json:
        print_json(outcome_members(accepted) | {"channel_ids": found.channel_ids})
    else:
        for channel_id in found.channel_ids:
            click.echo(channel_id)


_NAMES: Final = {policy: name for name, policy in STORAGE_POLICIES.items()}


def _ask(command: str, access: Access, asked: _Asked, request: ChannelRequest) -> Accepted[object]:
    """Return the answer of what was done; say what was not, and end the command."""
    command = f"channels {command}"
    outcome = send_one(command, access.client(config_of(asked.timeout)), request)
    if isinstance(outcome, Accepted):
        return outcome
    print_outcome(command, outcome, as_json=asked.as_json)
    raise SystemExit(EXIT_FAILED)


def _read(asked: _Asked, command: str, accepted: Accepted[object], result: T | Unreadable) -> T:
    """Return the result; say what cannot be read of it, and end the command."""
    if not isinstance(result, Unreadable):
        return result
    if asked.as_json:
        print_json(outcome_members(accepted) | {"problem": result.problem})
    complain(f"apns channels {command}: APNs has done it, and answered oddly: {result.problem}")
    raise SystemExit(EXIT_FAILED)
