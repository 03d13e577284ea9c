"""The adapter on uvloop, where that is installed: no part of it needs asyncio's own loop."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from apns_asyncio import Client
from apns_core import Accepted, Endpoint, SenderConfig, Unprocessed
from apns_simulator import SimulatorThread
from tests.apns_asyncio.harness import notification, notifications, turns
from tests.apns_asyncio.tls_server import ScriptedServer, close_without_a_word

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = pytest.importorskip(
    "uvloop"
).new_event_loop


def run(main: Coroutine[Any, Any, None]) -> None:
    async def checked() -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        await main
        assert len(asyncio.all_tasks()) == 1
        await asyncio.sleep(0)
        assert not complaints

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(checked())


def client_of(simulator: SimulatorThread) -> Client:
    return Client(
        Endpoint(simulator.host, simulator.port),
        token_signer=simulator.provider_key,
        ssl_context=simulator.client_context(),
    )


def test_a_batch_and_single_sends(apns_simulator: SimulatorThread) -> None:
    async def main() -> None:
        async with client_of(apns_simulator) as client:
            outcomes = [outcome async for outcome in client.send_many(notifications(200))]
            assert [type(outcome) for outcome in outcomes] == [Accepted] * 200
            sends = await asyncio.gather(*map(client.send, notifications(20)))
            assert {type(outcome) for outcome in sends} == {Accepted}

    run(main())


@pytest.mark.parametrize("turn", range(0, 30, 3))
def test_cancelled_in_any_turn(apns_simulator: SimulatorThread, turn: int) -> None:
    async def session() -> None:
        async with client_of(apns_simulator) as client:
            async for _ in client.send_many(notifications(20)):
                pass

    async def main() -> None:
        task = asyncio.ensure_future(session())
        await turns(turn)
        task.cancel()
        await asyncio.wait([task])
        async with client_of(apns_simulator) as client:
            assert isinstance(await client.send(notification(20)), Accepted)

    run(main())


def test_failures_are_told() -> None:
    async def main() -> None:
        with ScriptedServer(close_without_a_word) as server:
            async with Client(
                Endpoint("127.0.0.1", server.port),
                ssl_context=ssl.create_default_context(),  # which does not trust it
                config=SenderConfig(connect_floor=0.0),
            ) as client:
                send = asyncio.ensure_future(client.send(notification()))
                while client.last_error is None:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0.001)
                assert isinstance(client.last_error, ssl.SSLCertVerificationError)
                await client.aclose(timeout=0.0)
            assert isinstance(await send, Unprocessed)

    run(main())
