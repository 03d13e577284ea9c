"""Both clients, whole, by way of a proxy, and with a key that is replaced while they run."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import pytest
import trio

import apns_asyncio
import apns_trio
from apns_core import Accepted, Endpoint, Notification, Route
from apns_core.proxy import Proxy
from apns_simulator import SimulatorConfig, SimulatorThread, make_provider_key
from tests.proxies import Behaviour, http_proxy, running, socks5_proxy

NOTIFICATION: Final = Notification(Route("com.example.app"), "00fc", b"{}")
Client = apns_asyncio.Client | apns_trio.Client


class Run(Protocol):
    def __call__(self, client: Client, body: Callable[[Client], Awaitable[None]]) -> None: ...


def run_asyncio(client: Client, body: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with client:
            await body(client)

    asyncio.run(main())


def run_trio(client: Client, body: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with client:
            await body(client)

    trio.run(main)


LOOPS: Final[dict[str, tuple[Callable[..., Client], Run]]] = {
    "asyncio": (apns_asyncio.Client, run_asyncio),
    "trio": (apns_trio.Client, run_trio),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("behaviour", "scheme"), [(http_proxy(), "http"), (socks5_proxy(), "socks5")]
)
def test_a_client_sends_through_its_proxy(loop: str, behaviour: Behaviour, scheme: str) -> None:
    make, run = LOOPS[loop]
    with SimulatorThread() as simulator, running(behaviour) as proxy:

        async def send(client: Client) -> None:
            assert isinstance(await client.send(NOTIFICATION), Accepted)

        client = make(
            Endpoint("localhost", simulator.port),
            token_signer=simulator.provider_key,
            ssl_context=simulator.client_context(),
            proxy=Proxy(f"{scheme}://127.0.0.1:{proxy.port}"),
        )
        run(client, send)
        assert proxy.targets == [("localhost", simulator.port)]
        assert simulator.ledger().accepted_count == 1


@pytest.mark.parametrize("loop", LOOPS)
def test_a_revoked_key_is_replaced_and_no_connection_outlives_it(loop: str) -> None:
    make, run = LOOPS[loop]
    old, new = make_provider_key(), make_provider_key()
    config = SimulatorConfig(trusted_keys=old.trusted() | new.trusted())
    with SimulatorThread(config) as simulator:

        async def send(client: Client) -> None:
            assert isinstance(await client.send(NOTIFICATION), Accepted)
            client.replace_token_signer(new)
            assert isinstance(await client.send(NOTIFICATION), Accepted)

        client = make(
            Endpoint(simulator.host, simulator.port),
            token_signer=old,
            ssl_context=simulator.client_context(),
        )
        run(client, send)
        ledger = simulator.ledger()
    assert [entry.connection for entry in ledger.entries] == [1, 2]
    assert [entry.status for entry in ledger.entries] == [200, 200]
