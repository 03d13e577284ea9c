"""What a source may do to the client that reads it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from apns_asyncio import Client
from apns_core import Accepted, ClientClosed, Endpoint, Notification, Route
from apns_simulator import SimulatorThread


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
