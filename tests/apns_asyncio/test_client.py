"""`Client` against a simulated APNs behind real TLS: what its users see."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable

import pytest

from apns_asyncio import Client
from apns_core import (
    Accepted,
    ApiMisuse,
    Cause,
    ClientClosed,
    Endpoint,
    Notification,
    Outcome,
    Reason,
    Rejected,
    SenderConfig,
    Unknown,
    Unprocessed,
)
from apns_simulator import SimulatorThread, Temper
from tests.apns_asyncio.harness import device, device_tokens, notification, notifications, run


def client_of(simulator: SimulatorThread, max_queued: int = 1_000) -> Client:
    return Client(
        Endpoint(simulator.host, simulator.port),
        token_signer=simulator.provider_key,
        ssl_context=simulator.client_context(),
        config=SenderConfig(max_queued=max_queued),
    )


async def until_processed(simulator: SimulatorThread) -> None:
    """Wait for the first request that arrives."""
    while not simulator.ledger().processed_count:  # noqa: ASYNC110 - it is another thread's
        await asyncio.sleep(0.001)


def test_one_notification(apns_simulator: SimulatorThread) -> None:
    async def main() -> None:
        async with client_of(apns_simulator) as client:
            outcome = await client.send(notification(1))
            assert isinstance(outcome, Accepted)
            assert outcome.notification.path.endswith(device(1).encode())
            assert outcome.tag is None
            assert client.last_error is None

    run(main())
    assert apns_simulator.ledger().accepted_by_device() == {device(1): 1}


def test_a_rejection_is_an_outcome(apns_simulator: SimulatorThread) -> None:
    apns_simulator.reject(device(1), "Unregistered")

    async def main() -> None:
        async with client_of(apns_simulator) as client:
            outcome = await client.send(notification(1))
            assert isinstance(outcome, Rejected)
            assert outcome.reason is Reason.UNREGISTERED

    run(main())


def test_many_sends_at_once_share_one_connection(apns_simulator: SimulatorThread) -> None:
    async def main() -> None:
        async with client_of(apns_simulator, max_queued=10) as client, asyncio.TaskGroup() as group:
            for each in notifications(100):
                group.create_task(client.send(each))

    run(main())
    ledger = apns_simulator.ledger()
    assert ledger.accepted_by_device() == dict.fromkeys(device_tokens(100), 1)
    assert len(ledger.connections) == 1
    assert ledger.violations == []


@pytest.mark.parametrize("max_queued", [1, 7, 1_000])
@pytest.mark.parametrize("kind", ["list", "generator", "async"])
def test_many(apns_simulator: SimulatorThread, kind: str, max_queued: int) -> None:
    async def slowly() -> AsyncIterator[Notification]:
        for each in notifications(60):
            yield each
            if each.device_token[-1] == "0":
                await asyncio.sleep(0)

    async def main() -> None:
        sources: dict[str, Iterable[Notification] | AsyncIterable[Notification]] = {
            "list": notifications(60),
            "generator": (each for each in notifications(60)),
            "async": slowly(),
        }
        async with client_of(apns_simulator, max_queued=max_queued) as client:
            paths = Counter([o.notification.path async for o in client.send_many(sources[kind])])
        assert paths == {b"/3/device/" + token.encode(): 1 for token in device_tokens(60)}

    run(main())
    assert apns_simulator.ledger().accepted_by_device() == dict.fromkeys(device_tokens(60), 1)


@pytest.mark.parametrize("empty", ["list", "async"])
def test_none_at_all(apns_simulator: SimulatorThread, empty: str) -> None:
    async def nothing() -> AsyncIterator[Notification]:
        for each in notifications(0):
            yield each

    async def main() -> None:
        async with client_of(apns_simulator) as client:
            outcomes = client.send_many(notifications(0) if empty == "list" else nothing())
            assert [outcome async for outcome in outcomes] == []

    run(main())
    assert apns_simulator.ledger().connections == []


def test_the_same_object_twice_is_two_notifications(apns_simulator: SimulatorThread) -> None:
    async def main() -> None:
        one = notification(1)
        async with client_of(apns_simulator) as client:
            outcomes = [outcome async for outcome in client.send_many([one, one])]
            assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted]
            assert {id(outcome.notification) for outcome in outcomes} == {id(one)}

    run(main())
    assert apns_simulator.ledger().accepted_by_device() == {device(1): 2}


def test_two_batches_and_single_sends_at_once(apns_simulator: SimulatorThread) -> None:
    async def batch(client: Client, numbers: range) -> set[bytes]:
        source = (notification(number) for number in numbers)
        return {outcome.notification.path async for outcome in client.send_many(source)}

    async def main() -> None:
        async with client_of(apns_simulator, max_queued=3) as client, asyncio.TaskGroup() as group:
            first = group.create_task(batch(client, range(100)))
            second = group.create_task(batch(client, range(100, 200)))
            for number in range(200, 220):
                group.create_task(client.send(notification(number)))
        # Each gets its own outcomes and no others.
        for task, numbers in ((first, range(100)), (second, range(100, 200))):
            assert task.result() == {b"/3/device/" + device(n).encode() for n in numbers}

    run(main())
    assert apns_simulator.ledger().accepted_by_device() == dict.fromkeys(device_tokens(220), 1)


def test_a_client_that_is_not_open() -> None:
    async def main() -> None:
        client = Client()
        assert client.last_error is None
        await client.aclose()
        with pytest.raises(ClientClosed, match="not open yet"):
            await client.send(notification())
        with pytest.raises(ClientClosed, match="not open yet"):
            client.send_many([])
        async with client:
            generator = client.send_many([notification()])
        for _ in range(2):
            await client.aclose()
        with pytest.raises(ClientClosed, match="is closed"):
            await client.send(notification())
        with pytest.raises(ClientClosed, match="is closed"):
            await anext(generator)
        with pytest.raises(ClientClosed, match="is closed"):
            await anext(client.send_many([]))
        with pytest.raises(ApiMisuse, match="once"):
            await client.__aenter__()

    run(main())


def test_clients_made_outside_a_loop_serve_one_after_another(
    apns_simulator: SimulatorThread,
) -> None:
    clients = [client_of(apns_simulator) for _ in range(2)]

    async def main(client: Client) -> None:
        async with client:
            assert isinstance(await client.send(notification()), Accepted)

    for client in clients:
        run(main(client))


def test_closing_waits_for_what_is_in_flight(apns_simulator: SimulatorThread) -> None:
    async def main() -> None:
        async with client_of(apns_simulator) as client:
            sends = [asyncio.ensure_future(client.send(each)) for each in notifications(20)]
            await asyncio.sleep(0)
            # Not one of them has been looked at: they are in time nevertheless.
        assert {type(await send) for send in sends} == {Accepted}

    run(main())


def test_leaving_by_an_exception_ends_everything(apns_simulator: SimulatorThread) -> None:
    apns_simulator.set_temper(Temper(silent_after=0))

    one, two = notifications(2)
    sends: list[asyncio.Task[Outcome[object]]] = []

    async def session() -> None:
        async with client_of(apns_simulator) as client:
            sends.extend(asyncio.ensure_future(client.send(each)) for each in (one, two))
            await until_processed(apns_simulator)
            raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await session()
        # One stream until a request is accepted: so the second was never sent.
        outcomes = [await send for send in sends]
        assert outcomes[0] == Unknown(one, None, Cause.CLOSED)
        assert outcomes[1] == Unprocessed(two, None, Cause.CLOSED)

    run(main())


def test_a_bound_on_closing(apns_simulator: SimulatorThread) -> None:
    apns_simulator.set_temper(Temper(silent_after=0))

    async def main() -> None:
        async with client_of(apns_simulator) as client:
            send = asyncio.ensure_future(client.send(notification()))
            await until_processed(apns_simulator)
            await client.aclose(timeout=0.01)
            outcome = await send
            assert isinstance(outcome, Unknown)

    run(main())


def test_tcp_does_not_wait_for_more(apns_simulator: SimulatorThread) -> None:
    async def main() -> None:
        async with client_of(apns_simulator) as client:
            await client.send(notification())
            (link,) = client._open()._links.values()
            assert link._transport is not None
            connection = link._transport.get_extra_info("socket")
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(main())
