"""An adapter that meets a bug of the engine's, or its own, lets nobody wait for it."""

import ssl
from collections.abc import AsyncIterator
from typing import NoReturn
from unittest.mock import patch

import pytest

from apns_core import ClientClosed, Notification, Sender
from apns_simulator import Temper
from tests.contract.kit import (
    Client,
    Kit,
    both_loops,
    collect,
    notification,
    notifications,
    send,
)

METHODS = ["receive_data", "data_to_send", "outcomes", "commands", "poll_timeout"]


def fail(*_: object) -> NoReturn:
    raise ZeroDivisionError


async def send_batch(client: Client) -> object:
    return await collect(client.send_many(notifications(20)))


@pytest.mark.parametrize("method", METHODS)
@both_loops
async def test_a_bug_in_the_engine(kit: Kit, method: str) -> None:
    async def source() -> AsyncIterator[Notification]:
        yield notification(50)
        await kit.sleep(50_000)

    async def send_batch_ahead(client: Client) -> object:
        return await collect(client.send_many(source()))

    kit.bugs = 1
    server = kit.serve(temper=Temper(silent_after=0), max_concurrent_streams=3)
    async with kit.client(server, max_queued=5) as client:
        tasks = await kit.spawn_in_order(send, client, range(2))
        tasks.append(kit.spawn(send_batch_ahead, client))
        tasks.append(kit.spawn(send_batch, client))
        await kit.sleep(1)
        tasks += await kit.spawn_in_order(send, client, [60])
        at = kit.now()
        with patch.object(Sender, method, fail):
            server.run(lambda connection: connection.send_ping())
            assert [await task.end() for task in tasks] == ["ClientClosed"] * 5
        assert kit.now() == at
        for late in (client.send(notification()), collect(client.send_many([]))):
            with pytest.raises(ClientClosed, match="met a bug") as caught:
                await late
            assert isinstance(caught.value.__cause__, ZeroDivisionError)
            caught.value.__cause__ = None
        await client.aclose()


class BrokenContext(ssl.SSLContext):
    def wrap_bio(self, *_: object, **__: object) -> NoReturn:
        raise ZeroDivisionError


@both_loops
async def test_a_bug_while_it_connects(kit: Kit) -> None:
    kit.bugs = 1
    context = BrokenContext(ssl.PROTOCOL_TLS_CLIENT)
    async with kit.client(kit.serve(), context=context) as client:
        assert await kit.spawn(send, client).end() == "ClientClosed"
        with pytest.raises(ClientClosed, match="met a bug"):
            await send(client)
