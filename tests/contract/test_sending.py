"""What is sent is answered: one, many, in batches, from sources of all kinds."""

import gc
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing
from unittest.mock import patch

import pytest

from apns_core import InvalidField, Notification, Route, Sender
from apns_simulator import make_provider_key
from tests.contract.kit import (
    Client,
    Kit,
    Notifications,
    both_loops,
    collect,
    counted,
    device,
    name_of,
    notification,
    notifications,
    number_of,
    send,
    trickle,
)


@both_loops
async def test_one(kit: Kit) -> None:
    server = kit.serve()
    async with kit.client(server) as client:
        assert await send(client, 1) == "accepted"
        assert client.last_error is None
    assert server.ledger.processed_by_device() == {device(1): 1}
    assert server.ledger.violations == []


@both_loops
async def test_a_rejection_is_an_outcome(kit: Kit) -> None:
    async with kit.client(kit.serve(topics=frozenset())) as client:
        assert await send(client) == "rejected TopicDisallowed"


@both_loops
async def test_many_sends_at_once_share_one_connection(kit: Kit) -> None:
    server = kit.serve()
    async with kit.client(server, max_queued=10) as client:
        tasks = [kit.spawn(send, client, number) for number in range(100)]
        assert {await task.end() for task in tasks} == {"accepted"}
    assert len(server.accepted) == 1
    assert server.ledger.violations == []


@both_loops
async def test_one_after_another(kit: Kit) -> None:
    server = kit.serve()
    async with kit.client(server) as client:
        assert [await send(client, number) for number in range(10)] == ["accepted"] * 10
    assert len(server.accepted) == 1


class Countdown(AsyncIterator[Notification]):
    """Not a generator: it has nothing to close."""

    def __init__(self, count: int) -> None:
        self._left = count

    async def __anext__(self) -> Notification:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return notification(self._left)


@pytest.mark.parametrize("max_queued", [1, 7, 1_000])
@pytest.mark.parametrize("kind", ["list", "generator", "async", "async iterator"])
@both_loops
async def test_a_batch(kit: Kit, kind: str, max_queued: int) -> None:
    sources: dict[str, Callable[[], Notifications]] = {
        "list": lambda: notifications(60),
        "generator": lambda: (notification(number) for number in range(60)),
        "async": lambda: trickle(60),
        "async iterator": lambda: Countdown(60),
    }
    server = kit.serve()
    async with kit.client(server, max_queued=max_queued) as client:
        outcomes = await collect(client.send_many(sources[kind]()))
    assert outcomes == dict.fromkeys(range(60), "accepted")
    assert server.ledger.processed_by_device() == {device(n): 1 for n in range(60)}


@pytest.mark.parametrize("kind", ["list", "async"])
@both_loops
async def test_an_empty_batch_asks_for_no_connection(kit: Kit, kind: str) -> None:
    server = kit.serve()
    async with kit.client(server) as client:
        assert await collect(client.send_many([] if kind == "list" else trickle(0))) == {}
    assert server.accepted == []


@both_loops
async def test_the_same_object_twice_is_two_notifications(kit: Kit) -> None:
    server = kit.serve()
    one = notification(1)
    async with kit.client(server) as client:
        outcomes = [outcome async for outcome in client.send_many([one, one])]
    assert [outcome.notification is one for outcome in outcomes] == [True, True]
    assert server.ledger.processed_by_device() == {device(1): 2}


@both_loops
async def test_batches_and_sends_at_once_get_their_own_outcomes(kit: Kit) -> None:
    results: dict[str, object] = {}

    async def batch(client: Client, name: str, numbers: range) -> None:
        source = (notification(number) for number in numbers)
        results[name] = await collect(client.send_many(source))

    async with kit.client(kit.serve(), max_queued=3) as client:
        tasks = [
            kit.spawn(batch, client, "first", range(50)),
            kit.spawn(batch, client, "second", range(50, 100)),
            *(kit.spawn(send, client, number) for number in range(100, 120)),
        ]
        ends = [await task.end() for task in tasks]
    assert ends[2:] == ["accepted"] * 20
    assert results["first"] == dict.fromkeys(range(50), "accepted")
    assert results["second"] == dict.fromkeys(range(50, 100), "accepted")


# ── provider tokens ──


@both_loops
async def test_one_stream_until_a_token_is_accepted(kit: Kit) -> None:
    key = make_provider_key()
    server = kit.serve(authentication="token", trusted_keys=key.trusted(), latency=0.1)
    async with kit.client(server, signer=key) as client:
        assert counted(await collect(client.send_many(notifications(50)))) == {"accepted": 50}
    assert server.ledger.streams_before_acceptance == 1
    assert server.ledger.peak_streams > 1
    assert server.ledger.violations == []


@both_loops
async def test_a_key_that_cannot_sign(kit: Kit) -> object:
    class Signer:
        attempts = 0

        def sign(self, issued_at: int) -> str:  # noqa: ARG002 - what signers take
            self.attempts += 1
            raise ValueError("the key is -----BEGIN PRIVATE KEY-----")

    signer = Signer()
    async with kit.client(kit.serve(authentication="token"), signer=signer) as client:
        assert await send(client) == "unprocessed DEADLINE"
        assert name_of(client.last_error) == "ConnectFailed"
        assert str(client.last_error) == "signing raised ValueError"
    return signer.attempts


# ── sources ──


@pytest.mark.parametrize("given", [0, 1, 30])
@pytest.mark.parametrize("kind", ["sync", "async"])
@both_loops
async def test_what_a_source_raises_comes_after_the_outcomes(
    kit: Kit, kind: str, given: int
) -> None:
    def sync_source() -> Iterator[Notification]:
        yield from notifications(given)
        raise ZeroDivisionError

    async def async_source() -> AsyncIterator[Notification]:
        for each in notifications(given):
            yield each
            await kit.sleep(0)
        raise ZeroDivisionError

    numbers: list[int] = []
    async with kit.client(kit.serve(), max_queued=7) as client:
        outcomes = client.send_many(sync_source() if kind == "sync" else async_source())
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - after the outcomes
            async for outcome in outcomes:
                numbers.append(number_of(outcome))  # noqa: PERF401 - those before it raises
        with pytest.raises(StopAsyncIteration):
            await outcomes.__anext__()
        assert await send(client) == "accepted"
    assert sorted(numbers) == list(range(given))


@both_loops
async def test_what_a_source_does_wrong_is_raised_at_its_caller(kit: Kit) -> None:
    def source() -> Iterator[Notification]:
        yield notification(1)
        yield Notification(notification(0).route, "no device token", b"{}")

    async with kit.client(kit.serve()) as client:
        with pytest.raises(InvalidField, match="device_token"):
            await collect(client.send_many(source()))
        with pytest.raises(TypeError):
            await collect(client.send_many(5))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert await send(client) == "accepted"


@both_loops
async def test_what_submitting_raises_is_raised_at_its_caller(kit: Kit) -> None:
    async with kit.client(kit.serve()) as client:
        task = kit.spawn(send, client)
        with patch.object(Sender, "submit", side_effect=ZeroDivisionError):
            with pytest.raises(ZeroDivisionError):
                await send(client)
            with pytest.raises(ZeroDivisionError):
                await collect(client.send_many(notifications(2)))
        assert await send(client) == "accepted"
        await task.end()


@both_loops
async def test_a_source_is_read_by_its_caller(kit: Kit) -> None:
    where: set[object] = set()

    def source() -> Iterator[Notification]:
        for each in notifications(20):
            where.add(kit.task())
            yield each

    async with kit.client(kit.serve(), max_queued=3) as client:
        await collect(client.send_many(source()))
    assert where == {kit.task()}


@pytest.mark.parametrize("how", ["break", "aclosing"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@both_loops
async def test_an_endless_source_left_early(kit: Kit, kind: str, how: str) -> None:
    read = 0
    ended = False

    def sync_source() -> Generator[Notification]:
        nonlocal read, ended
        try:
            while True:
                yield notification(read)
                read += 1
        finally:
            ended = True

    async def async_source() -> AsyncGenerator[Notification]:
        nonlocal read, ended
        try:
            while True:
                yield notification(read)
                read += 1
        finally:
            with kit.shielded():
                await kit.sleep(0)
            ended = True

    server = kit.serve(latency=0.1, max_concurrent_streams=5)
    async with kit.client(server, max_queued=50) as client:
        outcomes = client.send_many(sync_source() if kind == "sync" else async_source())
        if how == "aclosing":
            async with aclosing(outcomes):
                async for _ in outcomes:
                    break
            with pytest.raises(StopAsyncIteration):
                await outcomes.__anext__()
        else:
            async for _ in outcomes:
                break
        del outcomes
        await kit.settle()
        # What was queued is withdrawn, what was in flight goes on.
        before = server.ledger.processed_count
        await kit.sleep(1)
        assert server.ledger.processed_count <= before + 10
        assert await send(client) == "accepted"
    assert read < 250
    # At the latest. In trio it is closed at once: trio warns of what is left to the collector.
    gc.collect()
    await kit.turns()
    assert ended


@both_loops
async def test_nothing_is_read_while_no_outcomes_are_taken(kit: Kit) -> None:
    read = 0

    def source() -> Iterator[Notification]:
        nonlocal read
        for read in range(1, 101):
            yield notification(read)

    async with kit.client(kit.serve(), max_queued=10, connection={"max_streams": 20}) as client:
        outcomes = client.send_many(source())
        await anext(aiter(outcomes))
        await kit.sleep(10)
        assert read <= 40
        assert counted(await collect(outcomes)) == {"accepted": 99}


@both_loops
async def test_an_asynchronous_source_that_waits_holds_up_nothing(kit: Kit) -> None:
    async def source() -> AsyncIterator[Notification]:
        for number in range(5):
            yield notification(number)
            await kit.sleep(1)

    came: list[float] = []
    async with kit.client(kit.serve()) as client:
        started = kit.now()
        async for _ in client.send_many(source()):
            came.append(round(kit.now() - started))
            assert await send(client, 100 + len(came)) == "accepted"
        assert came == [0, 1, 2, 3, 4]


@both_loops
async def test_a_source_may_wait_for_outcomes_of_what_it_gave(kit: Kit) -> None:
    taken = 0

    async def source() -> AsyncIterator[Notification]:
        for number in range(5):
            yield notification(number)
            await kit.until(lambda: taken > number)  # noqa: B023 - awaited at once

    async with kit.client(kit.serve()) as client:
        async for _ in client.send_many(source()):
            taken += 1
    assert taken == 5


@both_loops
async def test_a_batch_that_nobody_begins(kit: Kit) -> None:
    server = kit.serve()
    async with kit.client(server) as client:
        client.send_many(notifications(5))
        outcomes = client.send_many(notifications(5))
        await outcomes.aclose()
        assert await collect(outcomes) == {}
    assert server.accepted == []


# ── what only a certificate can say ──


@both_loops
async def test_without_a_topic_it_is_refused_where_tokens_are_used(kit: Kit) -> None:
    key = make_provider_key()
    server = kit.serve(authentication="token", trusted_keys=key.trusted())
    without = Notification(Route(None), device(0), b'{"aps":{}}')
    async with kit.client(server, signer=key) as client:
        with pytest.raises(InvalidField, match=r"^topic: missing"):
            await client.send(without)
        with pytest.raises(InvalidField, match=r"^topic: missing"):
            await collect(client.send_many([notification(1), without, notification(2)]))
        assert await send(client, 3) == "accepted"
    assert set(server.ledger.processed_by_device()) == {device(1), device(3)}
