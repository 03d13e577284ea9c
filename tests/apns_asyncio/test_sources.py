"""What a source may do to the client that reads it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apns_asyncio import Client
from apns_core import Accepted, ClientClosed, Endpoint, Notification, Route
from apns_simulator import SimulatorThread
from tests.apns_asyncio.harness import notification, notifications
from tests.apns_asyncio.scene import Scene

EAGER: Any = getattr(asyncio, "eager_task_factory", None)
needs_eager_tasks = pytest.mark.skipif(EAGER is None, reason="Python 3.12 brings eager tasks")


def test_a_source_that_closes_its_own_client_hangs_nobody(apns_simulator: SimulatorThread) -> None:
    route = Route("com.example.app")
    outcomes: list[object] = []

    async def main() -> None:
        answered = asyncio.Event()
        client = Client(
            Endpoint(apns_simulator.host, apns_simulator.port),
            token_signer=apns_simulator.provider_key,
            ssl_context=apns_simulator.client_context(),
        )

        async def source() -> AsyncIterator[Notification]:
            yield Notification(route, "00fc", b"{}")
            await answered.wait()
            await client.aclose()

        async def take() -> None:
            async for outcome in client.send_many(source()):
                outcomes.append(outcome)
                answered.set()

        async with client:
            with pytest.raises(ClientClosed):
                await take()

    asyncio.run(asyncio.wait_for(main(), 5))
    assert [type(outcome) for outcome in outcomes] == [Accepted]


@pytest.mark.parametrize("how", ["gather", "task group"])
def test_a_source_that_closes_its_own_client_in_a_task_of_its_own_hangs_nobody(how: str) -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.client as client:

            async def source() -> AsyncIterator[Notification]:
                yield notification()
                await asyncio.sleep(1)
                if how == "gather":
                    await asyncio.gather(client.aclose())
                else:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(client.aclose())

            outcomes = client.send_many(source())
            assert isinstance(await anext(outcomes), Accepted)
            with pytest.raises(ClientClosed):
                await anext(outcomes)

    scene.run(asyncio.wait_for(main(), 100))


@needs_eager_tasks
@pytest.mark.parametrize("count", [0, 3, 250])
def test_a_source_that_is_read_by_an_eager_task(count: int) -> None:
    """It is read before the batch knows its reader."""
    scene = Scene(max_queued=20)

    async def source() -> AsyncIterator[Notification]:
        for each in notifications(count):
            yield each

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(EAGER)
        async with scene.client as client:
            outcomes = [outcome async for outcome in client.send_many(source())]
        assert [type(outcome) for outcome in outcomes] == [Accepted] * count

    scene.run(main())


@needs_eager_tasks
def test_a_source_of_an_eager_task_that_closes_its_own_client() -> None:
    scene = Scene()

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(EAGER)
        async with scene.client as client:

            async def source() -> AsyncIterator[Notification]:
                await client.aclose()
                yield notification()

            with pytest.raises(ClientClosed):
                await anext(client.send_many(source()))

    scene.run(main())
