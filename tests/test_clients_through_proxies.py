"""Both clients, whole, by way of a proxy, and with a key that is replaced while they run."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Final, Protocol
from urllib.parse import quote

import pytest
import trio

import apns_asyncio
import apns_asyncio.proxy
import apns_trio
import apns_trio.proxy
from apns_core import (
    Accepted,
    ConnectFailed,
    ConnectionConfig,
    Endpoint,
    Notification,
    Route,
    SenderConfig,
    Unprocessed,
)
from apns_core.proxy import Proxy
from apns_simulator import SimulatorConfig, SimulatorThread, make_provider_key
from tests.proxies import (
    PASSWORD,
    SECRETS,
    USER,
    Behaviour,
    http_proxy,
    resetting,
    running,
    silent,
    socks5_proxy,
)

ENDPOINT: Final = Endpoint("localhost", 9)
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


PATIENCE: Final = (1, 10, 40)
"""How many times as patient the client is. The first time is over before the proxy was reached
where the machine runs others just then; such a try has missed the moment, and the next is made."""


def impatient(connect_timeout: float, times: int) -> SenderConfig:
    connection = ConnectionConfig(request_timeout=0.5 * times)
    return SenderConfig(connect_timeout=connect_timeout * times, connection=connection)


AT: Final = f"{USER}:{quote(PASSWORD, safe='')}@"


def all_that_is_behind(error: BaseException | None) -> str:
    """The error, what it came of, and what the frames of all that hold, those here apart."""
    shown: list[str] = []
    while error is not None:
        shown.append(repr(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != __file__:
                shown.append(repr(frame.f_locals))
        error = error.__cause__ or error.__context__
    return "".join(shown)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize(
    ("behaviour", "problem", "connect_timeout"),
    # A reset needs no short one, which would only put a timeout in its place.
    [(silent, "did not answer in time", 0.1), (resetting, "was lost", 10.0)],
)
def test_an_error_of_a_proxy_was_a_bare_timeout_or_held_the_request(
    loop: str, scheme: str, behaviour: Behaviour, problem: str, connect_timeout: float
) -> None:
    make, run = LOOPS[loop]
    errors: list[Exception | None] = []

    async def send(client: Client) -> None:
        assert isinstance(await client.send(NOTIFICATION), Unprocessed)
        errors.append(client.last_error)

    for times in PATIENCE:
        with running(behaviour) as proxy:
            client = make(
                ENDPOINT,
                token_signer=make_provider_key(),
                proxy=Proxy(f"{scheme}://{AT}127.0.0.1:{proxy.port}"),
                config=impatient(connect_timeout, times),
            )
            run(client, send)
        if problem in str(errors[-1]):
            break
    error = errors[-1]
    assert isinstance(error, ConnectFailed)
    assert problem in str(error)
    assert "***@127.0.0.1" in str(error)
    # Whatever was too late shows no more than this.
    shown = "".join(map(all_that_is_behind, errors))
    assert not [secret for secret in SECRETS if secret in shown]


def tunnel_of_asyncio(proxy: Proxy) -> None:
    async def main() -> None:
        deadline = asyncio.get_running_loop().time() + 10.0
        await apns_asyncio.proxy.open_tunnel(proxy, ENDPOINT, deadline)

    asyncio.run(main())


def tunnel_of_trio(proxy: Proxy) -> None:
    async def main() -> None:
        await apns_trio.proxy.open_tunnel(proxy, ENDPOINT, trio.current_time() + 10.0)

    trio.run(main)


@pytest.mark.parametrize("tunnel_of", [tunnel_of_asyncio, tunnel_of_trio])
def test_frames_behind_a_lost_proxy_held_the_request(tunnel_of: Callable[[Proxy], None]) -> None:
    with running(resetting) as proxy:
        address = Proxy(f"http://{AT}127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectFailed, match=r"was lost: .") as caught:
            tunnel_of(address)
    shown = all_that_is_behind(caught.value)
    assert not [secret for secret in SECRETS if secret in shown]


def test_a_loop_that_is_held_up_beyond_both_deadlines_blames_the_proxy() -> None:
    async def main(proxy: Proxy) -> None:
        past = asyncio.get_running_loop().time() - 1.0
        with pytest.raises(ConnectFailed, match="did not answer in time") as caught:
            async with asyncio.timeout_at(past):
                await apns_asyncio.proxy.open_tunnel(proxy, ENDPOINT, past)
        assert caught.value.__cause__ is None
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    with running(silent) as proxy:
        asyncio.run(main(Proxy(f"http://{AT}127.0.0.1:{proxy.port}")))


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
