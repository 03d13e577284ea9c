"""Real TLS: how it may fail, and that each failure is told, does no harm and costs one attempt."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apns_asyncio import Client
from apns_core import (
    Accepted,
    Cause,
    ConnectFailed,
    ConnectionConfig,
    Endpoint,
    Notification,
    SenderConfig,
    Unknown,
    Unprocessed,
)
from apns_core.trust.tls import client_context
from apns_simulator import SimulatorConfig, SimulatorThread
from tests.apns_asyncio.harness import ROUTE, device, notification, notifications, run
from tests.apns_asyncio.tls_server import (
    CA,
    Script,
    ScriptedServer,
    accept_one_request,
    close_in_order,
    close_without_a_word,
    reset,
    server_context,
)
from tests.ports import held_port


def client_of(server: ScriptedServer, **config: Any) -> Client:  # noqa: ANN401
    return Client(
        Endpoint("127.0.0.1", server.port),
        ssl_context=server.client_context(),
        config=SenderConfig(**config),
    )


@pytest.mark.parametrize("end", [close_in_order, close_without_a_word, reset])
def test_however_a_connection_ends_the_outcome_is_the_same(end: Script) -> None:
    def script(connection: ssl.SSLSocket) -> None:
        accept_one_request(connection)
        end(connection)

    async def main() -> None:
        with ScriptedServer(script) as server:
            async with client_of(server) as client:
                outcome = await client.send(notification())
        assert isinstance(outcome, Unknown)
        assert outcome.cause is Cause.CONNECTION_LOST

    run(main())


@pytest.mark.parametrize("end", [close_in_order, close_without_a_word, reset])
def test_however_it_ends_before_settings_nothing_was_sent(end: Script) -> None:
    async def main() -> None:
        with ScriptedServer(end) as server:
            async with client_of(server) as client:
                send = asyncio.ensure_future(client.send(notification()))
                error = await failure_of(client)
                assert isinstance(error, ConnectFailed)
                assert "possibly it refuses the client certificate" in str(error)
                assert client._open().sender.queued == 1
                await client.aclose(timeout=0.0)
            assert isinstance(await send, Unprocessed)

    run(main())


async def failure_of(client: Client) -> Exception:
    """Wait for the first one."""
    async with asyncio.timeout(5.0):
        while client.last_error is None:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.001)
    return client.last_error


async def expect_failure(server: ScriptedServer, client: Client) -> Exception:
    """Return why no connection came of it; meanwhile nothing was sent, lost or tried again."""
    async with client:
        send = asyncio.ensure_future(client.send(notification()))
        error = await failure_of(client)
        await asyncio.sleep(0.05)
        assert server.accepted == 1
        assert client._open().sender.queued == 1
        await client.aclose(timeout=0.0)
    outcome = await send
    assert isinstance(outcome, Unprocessed)
    assert outcome.cause is Cause.CLOSED
    return error


def read_all(received: list[bytes]) -> Script:
    def script(connection: ssl.SSLSocket) -> None:
        while data := connection.recv(65_536):
            received.append(data)

    return script


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
def test_a_server_that_does_not_choose_http2_is_sent_nothing(alpn: tuple[str, ...]) -> None:
    received: list[bytes] = []

    async def main() -> None:
        with ScriptedServer(read_all(received), server_context(alpn=alpn)) as server:
            error = await expect_failure(server, client_of(server))
            assert isinstance(error, ConnectFailed)
            assert "ALPN" in str(error)

    run(main())
    assert received == []


def expired() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    then = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    CA.issue_cert("127.0.0.1", not_after=then).configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


def of_an_unknown_authority() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


def self_signed(folder: str) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = f"{folder}/self-signed.pem"
    pem = serialization.Encoding.PEM
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(certificate.public_bytes(pem))
        file.write(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("expired", "certificate has expired"),
        ("wrong host", "IP address mismatch"),
        ("unknown authority", "unable to get local issuer certificate|self-signed certificate in"),
        ("self-signed", "self-signed certificate"),
    ],
)
def test_a_server_that_is_not_to_be_trusted(
    fault: str, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    makers: dict[str, Callable[[], ssl.SSLContext]] = {
        "expired": expired,
        "wrong host": lambda: server_context("192.0.2.1"),
        "unknown authority": of_an_unknown_authority,
        "self-signed": lambda: self_signed(str(tmp_path_factory.mktemp("tls"))),
    }
    context = makers[fault]()

    async def main() -> None:
        received: list[bytes] = []
        with ScriptedServer(read_all(received), context) as server:
            error = await expect_failure(server, client_of(server))
            assert isinstance(error, ssl.SSLCertVerificationError)
            assert error.__traceback__ is None
            with pytest.raises(ssl.SSLCertVerificationError, match=text):
                raise error
        assert received == []

    run(main())


@pytest.mark.parametrize("fault", ["TLS 1.1", "CBC"])
def test_a_server_that_is_too_weak(fault: str) -> None:
    context = server_context()
    if fault == "CBC":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    else:
        with pytest.deprecated_call():
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")

    async def main() -> None:
        with ScriptedServer(accept_one_request, context) as server:
            client = Client(
                Endpoint("127.0.0.1", server.port),
                ssl_context=client_context(cadata=CA.cert_pem.bytes()),
            )
            error = await expect_failure(server, client)
            assert isinstance(error, ssl.SSLError)

    run(main())


def mutual(simulator: SimulatorThread) -> None:
    context = simulator._server._context
    assert context is not None
    context.load_verify_locations(cadata=CA.cert_pem.bytes().decode())
    context.verify_mode = ssl.CERT_REQUIRED


def test_a_client_certificate_in_place_of_tokens() -> None:
    simulator = SimulatorThread(SimulatorConfig(authentication="none"))
    mutual(simulator)

    async def main() -> None:
        context = simulator.client_context()
        CA.issue_cert("client.example").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        with simulator:
            async with Client(
                Endpoint(simulator.host, simulator.port), ssl_context=context
            ) as client:
                outcomes = [outcome async for outcome in client.send_many(notifications(20))]
        assert [type(outcome) for outcome in outcomes] == [Accepted] * 20

    run(main())


def test_a_client_certificate_that_is_refused() -> None:
    simulator = SimulatorThread(SimulatorConfig(authentication="none"))
    mutual(simulator)

    async def main() -> None:
        with simulator:
            async with Client(
                Endpoint(simulator.host, simulator.port), ssl_context=simulator.client_context()
            ) as client:
                send = asyncio.ensure_future(client.send(notification()))
                error = await failure_of(client)
                assert isinstance(error, ConnectFailed)
                assert "client certificate" in str(error)
                await client.aclose(timeout=0.0)
            assert isinstance(await send, Unprocessed)

    run(main())


def test_a_server_that_does_not_answer_the_hello() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
            async with Client(
                Endpoint("127.0.0.1", port),
                ssl_context=ssl.create_default_context(cadata=CA.cert_pem.bytes().decode()),
                config=SenderConfig(connect_timeout=0.05),
            ) as client:
                send = asyncio.ensure_future(client.send(notification()))
                assert isinstance(await failure_of(client), TimeoutError)
                await client.aclose(timeout=0.0)
            assert isinstance(await send, Unprocessed)

    run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        with held_port() as port:
            async with Client(
                Endpoint("127.0.0.1", port), ssl_context=ssl.create_default_context()
            ) as client:
                send = asyncio.ensure_future(client.send(notification()))
                assert isinstance(await failure_of(client), ConnectionRefusedError)
                send.cancel()

    run(main())


@pytest.mark.parametrize("end", ["FIN", "close_notify"])
def test_a_server_that_stops_reading_and_closes_is_left_at_once(end: str) -> None:
    stalled, finished = threading.Event(), threading.Event()

    def script(connection: ssl.SSLSocket) -> None:
        settings = bytes.fromhex("000006 04 00 00000000 0004 7fffffff")
        credit = bytes.fromhex("000004 08 00 00000000 7fff0000")
        connection.sendall(settings + credit)
        stalled.wait(5.0)
        if end == "close_notify":
            connection.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLError):
                connection.unwrap()
        socket.socket.shutdown(connection, socket.SHUT_WR)
        finished.wait(5.0)

    body = b'{"aps":{"alert":"' + b"x" * 4_000 + b'"}}'
    many = [Notification(ROUTE, device(n), body) for n in range(5_000)]

    async def main() -> None:
        with ScriptedServer(script) as server:
            client = client_of(
                server, max_queued=5_000, connection=ConnectionConfig(max_streams=5_000)
            )
            async with client:
                batch = asyncio.ensure_future(anext(client.send_many(many)))
                pump = client._open()
                async with asyncio.timeout(5.0):
                    while not any(link._paused for link in pump._links.values()):  # noqa: ASYNC110
                        await asyncio.sleep(0.001)
                    stalled.set()
                    assert isinstance(await batch, Unknown)
                assert pump.sender.queued > 0
                finished.set()
                await client.aclose(timeout=0.0)

    run(main())
