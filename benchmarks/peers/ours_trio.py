"""Drive `apns_trio`: ``send`` from many tasks, or ``send_many``."""

import argparse

import trio

from apns_core import Accepted, ConnectionConfig, Endpoint, SenderConfig
from apns_core.trust.signing import TokenKey
from apns_core.trust.tls import client_context
from apns_trio import Client
from peers.contract import KEY_ID, TEAM_ID, Load, Meter, parse
from peers.ours_asyncio import SEND_TASKS, notifications


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
    ok = 0

    async def task() -> None:
        nonlocal ok
        for one in work:
            outcome = await client.send(one)
            ok += type(outcome) is Accepted

    async with trio.open_nursery() as nursery:
        for _ in range(SEND_TASKS):
            nursery.start_soon(task)
    return ok


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--many", action="store_true")
    options, rest = parser.parse_known_args()
    load = parse(rest)

    async def run() -> tuple[Meter, int]:
        return await push(load, many=options.many)

    meter, ok = trio.run(run)
    meter.report(load.count, ok, "apns-core", "trio")


if __name__ == "__main__":
    main()
