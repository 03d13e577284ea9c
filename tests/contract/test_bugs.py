"""An adapter that meets a bug of the engine's, or its own, lets nobody wait for it."""

import logging
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
    each_loop,
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


@pytest.mark.parametrize("part", ["handler", "filter"])
@each_loop
async def test_a_log_that_raises_is_in_nobody_s_way(kit: Kit, part: str) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ZeroDivisionError(record.name)

    broken = Broken()
    log = logging.getLogger(f"apns_{kit.name}")
    server = kit.serve()
    if part == "handler":
        log.addHandler(broken)
    else:
        log.addFilter(fail)
    try:
        async with kit.client(server, connect_floor=0.0) as client:
            task = kit.spawn(send, client, 0)
            await kit.until(lambda: server.ledger.processed_count)
            assert await task.end() == "accepted"
            server.end("reset")
            await kit.until(lambda: client.last_error)
            assert await send(client, 1) == "accepted"
    finally:
        log.removeHandler(broken)
        log.removeFilter(fail)


@each_loop
async def test_a_bug_that_cannot_be_made_known_leaves_nobody_waiting(kit: Kit) -> None:
    server = kit.serve(temper=Temper(silent_after=0))
    async with kit.client(server) as client:
        tasks = await kit.spawn_in_order(send, client, range(2))
        await kit.until(lambda: server.ledger.connections)
        with (
            patch.object(Sender, "outcomes", fail),
            patch("asyncio.BaseEventLoop.call_exception_handler", fail),
            patch("logging.Logger.error", fail),
        ):
            server.run(lambda connection: connection.send_ping())
            assert [await task.end() for task in tasks] == ["ClientClosed"] * 2


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
