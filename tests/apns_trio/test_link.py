"""What ends a connection on one of its sides alone: to write, or to read."""

import errno
from typing import NoReturn
from unittest.mock import patch

import pytest

import apns_trio
from apns_simulator import Temper
from apns_trio.link import Link
from apns_trio.tls_stream import TlsStream
from tests.contract import on_trio
from tests.contract.kit import Client, Kit, name_of, send

NO_BUFFER = OSError(errno.ENOBUFS, "no buffer space")


def _link(client: Client) -> Link:
    assert isinstance(client, apns_trio.Client)
    (link,) = client._open()._links.values()
    return link


def test_an_error_of_writing_alone_ends_the_connection_at_once() -> None:
    async def fail(*_: object) -> NoReturn:
        raise NO_BUFFER

    async def scenario(kit: Kit) -> None:
        async with kit.client(kit.serve(), connect_floor=0.0) as client:
            assert await send(client) == "accepted"
            at = kit.now()
            stream = _link(client)._stream
            assert stream is not None
            with patch.object(type(stream._connection), "send", fail):
                task = kit.spawn(send, client, 1)
                assert await task.end() == "unknown CONNECTION_LOST"
            assert kit.now() == at
            assert client.last_error is NO_BUFFER
            assert await send(client, 2) == "accepted"

    on_trio.run(scenario)


def test_an_answer_that_came_before_an_error_of_writing_counts() -> None:
    async def scenario(kit: Kit) -> None:
        server = kit.serve(latency=0.1)
        async with kit.client(server, connect_floor=0.0) as client:
            assert await send(client, 0) == "accepted"
            task = kit.spawn(send, client, 1)
            await kit.sleep(0.05)
            stream = _link(client)._stream
            assert stream is not None
            receive = stream._connection.recv

            async def receive_late(size: int) -> bytes:
                await kit.sleep(0.2)
                return await receive(size)

            async def fail(*_: object) -> NoReturn:
                raise NO_BUFFER

            with patch.object(stream._connection, "recv", receive_late):
                await kit.sleep(0.1)
                with patch.object(stream._connection, "send", fail):
                    other = kit.spawn(send, client, 2)
                    assert await task.end() == "accepted"
                    assert await other.end() == "unknown CONNECTION_LOST"

    on_trio.run(scenario)


@pytest.mark.parametrize("method", ["receive", "send_all"])
def test_to_be_out_of_memory_ends_a_connection_and_passes(method: str) -> None:
    async def fail(*_: object) -> NoReturn:
        raise MemoryError

    async def scenario(kit: Kit) -> None:
        server = kit.serve(temper=Temper(silent_after=1, first_connections=1))
        async with kit.client(server, connect_floor=0.0) as client:
            assert await send(client) == "accepted"
            with patch.object(TlsStream, method, fail):
                task = kit.spawn(send, client, 1)
                await kit.sleep(0.01)
                server.run(lambda connection: connection.send_ping())
                await kit.sleep(0.01)
            assert name_of(client.last_error) == "MemoryError"
            assert await task.end() == "unknown CONNECTION_LOST"
            assert await send(client, 2) == "accepted"

    on_trio.run(scenario)


@pytest.mark.parametrize("method", ["receive", "send_all"])
def test_a_bug_of_a_standing_connection_is_told_as_it_is(method: str) -> None:
    async def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError

    async def scenario(kit: Kit) -> None:
        kit.bugs = 1
        server = kit.serve()
        async with kit.client(server) as client:
            assert await send(client) == "accepted"
            with patch.object(TlsStream, method, fail):
                server.run(lambda connection: connection.send_ping())
                assert await kit.spawn(send, client, 1).end() == "ClientClosed"
            assert isinstance(client, apns_trio.Client)
            assert isinstance(client._open()._bug, ZeroDivisionError)

    on_trio.run(scenario)
