"""The end of a client: what it waits for, what it refuses, and what comes out of its block."""

from collections.abc import AsyncIterator, Iterator

import pytest

from apns_core import ApiMisuse, ClientClosed, Notification
from apns_simulator import Temper
from tests.contract.kit import (
    Client,
    Kit,
    Task,
    both_loops,
    collect,
    describe,
    each_loop,
    notification,
    notifications,
    number_of,
    send,
)

SILENT = Temper(silent_after=0)


@both_loops
async def test_a_client_that_is_not_open(kit: Kit) -> None:
    client = kit.client(kit.serve())
    assert client.last_error is None
    await client.aclose()
    with pytest.raises(ClientClosed, match="not open yet"):
        await client.send(notification())
    with pytest.raises(ClientClosed, match="not open yet"):
        client.send_many([])
    async with client:
        outcomes = client.send_many([notification()])
    for _ in range(2):
        await client.aclose()
    with pytest.raises(ClientClosed, match="is closed"):
        await client.send(notification())
    with pytest.raises(ClientClosed, match="is closed"):
        await collect(outcomes)
    assert await collect(outcomes) == {}
    with pytest.raises(ClientClosed, match="is closed"):
        await collect(client.send_many([]))
    with pytest.raises(ApiMisuse, match="once"):
        await client.__aenter__()


@both_loops
async def test_nothing_to_close(kit: Kit) -> None:
    server = kit.serve()
    async with kit.client(server):
        pass
    assert server.accepted == []
    assert kit.now() == 0


@both_loops
async def test_a_farewell_in_http_2_and_in_tls(kit: Kit) -> None:
    server = kit.serve()
    async with kit.client(server) as client:
        await send(client)
    assert [record.goaways_received for record in server.ledger.connections] == [1]
    assert [peer.alert for peer in server.peers] == [None]
    assert kit.now() == 0


@both_loops
async def test_a_server_that_does_not_say_goodbye(kit: Kit) -> None:
    server = kit.serve(hangs="goodbye")
    async with kit.client(server, disconnect_timeout=3.0) as client:
        await send(client)
    assert kit.now() == 3
    server.leave()


@both_loops
async def test_leaving_waits_for_what_is_unanswered(kit: Kit) -> None:
    server = kit.serve(latency=2, max_concurrent_streams=2)
    async with kit.client(server) as client:
        tasks = await kit.spawn_in_order(send, client, range(6))
    assert [await task.end() for task in tasks] == ["accepted"] * 6
    assert kit.now() == 6


@both_loops
async def test_several_may_close(kit: Kit) -> None:
    async with kit.client(kit.serve(latency=2)) as client:
        task = kit.spawn(send, client)
        await kit.turns()
        closing = [kit.spawn(client.aclose) for _ in range(3)]
        await client.aclose()
        assert [await each.end() for each in closing] == ["None"] * 3
        assert await task.end() == "accepted"
    assert kit.now() == 2


@both_loops
async def test_those_who_wait_for_room_are_refused(kit: Kit) -> None:
    server = kit.serve(latency=2, max_concurrent_streams=1)
    async with kit.client(server, max_queued=1) as client:
        tasks = await kit.spawn_in_order(send, client, range(4))
        await kit.sleep(0.1)
        await client.aclose()
        ends = [await task.end() for task in tasks]
    assert ends == ["accepted", "accepted", "ClientClosed", "ClientClosed"]


@both_loops
async def test_whoever_comes_in_time_and_finds_room_is_in_time(kit: Kit) -> None:
    server = kit.serve()
    async with kit.client(server) as client:
        tasks = await kit.spawn_in_order(send, client, range(3))
        await client.aclose()
        assert [await task.end() for task in tasks] == ["accepted"] * 3


@pytest.mark.parametrize("kind", ["sync", "async"])
@both_loops
async def test_a_batch_learns_of_it_after_its_outcomes(kit: Kit, kind: str) -> object:
    def sync_source() -> Iterator[Notification]:
        yield from notifications(100)

    async def async_source() -> AsyncIterator[Notification]:
        for each in notifications(100):
            yield each
            await kit.sleep(0.5)

    numbers: list[int] = []

    async def batch(client: Client) -> None:
        source = sync_source() if kind == "sync" else async_source()
        async for outcome in client.send_many(source):
            assert describe(outcome) == "accepted"
            numbers.append(number_of(outcome))

    server = kit.serve(latency=2, max_concurrent_streams=5)
    async with kit.client(server, max_queued=10) as client:
        task = kit.spawn(batch, client)
        await kit.sleep(0.9)
        await client.aclose()
        assert await task.end() == "ClientClosed"
    assert len(numbers) == server.ledger.processed_count
    return sorted(numbers)


@each_loop
async def test_the_one_who_takes_outcomes_may_close(kit: Kit) -> None:
    numbers: list[int] = []
    async with kit.client(kit.serve(), max_queued=10) as client:
        with pytest.raises(ClientClosed):  # noqa: PT012 - not at its first outcome
            async for outcome in client.send_many(notifications(100)):
                numbers.append(number_of(outcome))
                await client.aclose()
    assert numbers == list(range(len(numbers)))
    assert 10 <= len(numbers) < 100


@pytest.mark.parametrize("timeout", [0.0, 1.5])
@both_loops
async def test_a_bound_on_closing(kit: Kit, timeout: float) -> None:  # noqa: ASYNC109 - given
    server = kit.serve(temper=SILENT, max_concurrent_streams=2)
    async with kit.client(server) as client:
        tasks = await kit.spawn_in_order(send, client, range(3))
        await kit.sleep(1)
        await client.aclose(timeout)
        ends = [await task.end() for task in tasks]
        assert kit.now() == 1 + timeout
    assert ends == ["unknown CLOSED", "unknown CLOSED", "unprocessed CLOSED"]


@both_loops
async def test_a_bound_on_a_closing_that_has_begun(kit: Kit) -> None:
    async with kit.client(kit.serve(temper=SILENT)) as client:
        task = kit.spawn(send, client)
        await kit.turns()
        closing = kit.spawn(client.aclose)
        await kit.sleep(1)
        await client.aclose(1)
        assert await closing.end() == "None"
        assert await task.end() == "unknown CLOSED"
        assert kit.now() == 2


@both_loops
async def test_without_a_bound_deadlines_decide(kit: Kit) -> None:
    async with kit.client(kit.serve(hangs="TCP"), connection={"request_timeout": 7.0}) as client:
        task = kit.spawn(send, client)
        await kit.turns()
    assert await task.end() == "unprocessed DEADLINE"
    assert kit.now() == 7


# ── leaving by an exception ──


class Stop(BaseException):
    """Like KeyboardInterrupt: nobody's to catch."""


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), Stop(), ExceptionGroup("two", [ValueError(), TypeError()])]
)
@both_loops
async def test_an_exception_leaves_the_block_as_itself(kit: Kit, error: BaseException) -> None:
    server = kit.serve(temper=SILENT, max_concurrent_streams=1)
    client = kit.client(server)
    tasks: list[Task] = []
    with pytest.raises(type(error)) as caught:  # noqa: PT012 - it leaves the inner block
        async with client:
            tasks += await kit.spawn_in_order(send, client, range(2))
            await kit.until(lambda: server.ledger.processed_count)
            raise error
    assert caught.value is error
    assert [await task.end() for task in tasks] == ["unknown CLOSED", "unprocessed CLOSED"]
    with pytest.raises(ClientClosed):
        await send(client)
    error.__traceback__ = None


@each_loop
async def test_an_exception_in_the_midst_of_outcomes(kit: Kit) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the same
        async with kit.client(kit.serve(), max_queued=10) as client:
            async for _ in client.send_many(notifications(100)):
                raise ZeroDivisionError


@both_loops
async def test_an_exception_while_it_connects(kit: Kit) -> None:
    client = kit.client(kit.serve(hangs="TLS"))
    task = kit.spawn(kit.sleep, 0)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the same
        async with client:
            task = kit.spawn(send, client)
            await kit.sleep(1)
            raise ZeroDivisionError
    assert await task.end() == "unprocessed CLOSED"
    assert kit.now() == 1
