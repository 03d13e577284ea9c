"""Drive `apns_asyncio`: ``send`` from many tasks, or ``send_many``, on asyncio's loop or uvloop."""

import argparse
import asyncio
from collections.abc import Iterator

from apns_asyncio import Client
from apns_core import Accepted, ConnectionConfig, Endpoint, Notification, Route, SenderConfig
from apns_core.trust.signing import TokenKey
from apns_core.trust.tls import client_context
from peers.contract import ENCODED, KEY_ID, TEAM_ID, TOPIC, Load, Meter, device_tokens, parse

SEND_TASKS = 1_000


async def push(load: Load, *, many: bool) -> tuple[Meter, int]:
    """Warm up, then push the measured ones; return the meter and how many were accepted."""
    config = SenderConfig(
        max_connections=1, connection=ConnectionConfig(max_streams=load.in_flight)
    )
    key = TokenKey.from_file(load.key, key_id=KEY_ID, team_id=TEAM_ID)
    context = client_context(cafile=load.ca)
    endpoint = Endpoint(load.host, load.port)
    async with Client(endpoint, token_signer=key, ssl_context=context, config=config) as client:
        phase = send_many if many else send
        await phase(client, load.warm_up)
        meter = Meter()
        ok = await phase(client, load.count)
        meter.stop()
        return meter, ok


async def send_many(client: Client, count: int) -> int:
    """Push by `Client.send_many`."""
    ok = 0
    async for outcome in client.send_many(notifications(count)):
        ok += type(outcome) is Accepted
    return ok


async def send(client: Client, count: int) -> int:
    """Push by `Client.send` from a thousand tasks."""
    work = notifications(count)

    async def task() -> int:
        return sum([type(await client.send(one)) is Accepted for one in work])

    return sum(await asyncio.gather(*(task() for _ in range(SEND_TASKS))))


def notifications(count: int) -> Iterator[Notification]:
    """Yield what is sent; the payload is encoded once."""
    route = Route(TOPIC)
    for token in device_tokens(count):
        yield Notification(route, token, ENCODED)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--many", action="store_true")
    parser.add_argument("--uvloop", action="store_true")
    options, rest = parser.parse_known_args()
    load = parse(rest)
    work = push(load, many=options.many)
    packages = ["apns-core"]
    if options.uvloop:
        import uvloop  # noqa: PLC0415 - only where it is asked for

        packages.append("uvloop")
        meter, ok = uvloop.run(work)
    else:
        meter, ok = asyncio.run(work)
    meter.report(load.count, ok, *packages)


if __name__ == "__main__":
    main()
