import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import final

import pytest

from apns_simulator import (
    GoAway,
    Rejection,
    SimulatorConfig,
    SimulatorProcess,
    SimulatorServer,
    SimulatorThread,
    Temper,
    make_provider_key,
)
from apns_simulator.authority import Authority
from apns_simulator.server import _Protocol
from tests.apns_simulator.h2_client import connected
from tests.apns_simulator.raw_client import make_simulator

Runner = SimulatorThread | SimulatorProcess


@pytest.fixture(params=[SimulatorThread, SimulatorProcess])
def server(request: pytest.FixtureRequest) -> Iterator[Runner]:
    with request.param() as running:
        yield running


def test_accepts_rejects_and_remembers(server: Runner) -> None:
    server.reject("dead", "Unregistered")
    server.reject("beef", Rejection(418, "Teapot"))
    with connected(server) as client:
        statuses = [
            client.request(server.provider_key, device) for device in ("ab", "dead", "beef")
        ]
        server.reject("dead", None)
        statuses.append(client.request(server.provider_key, "dead"))
    assert statuses == [200, 410, 418, 200]
    ledger = server.ledger()
    assert ledger.by_reason == {"Unregistered": 1, "Teapot": 1}
    assert ledger.accepted_by_device() == {"ab": 1, "dead": 1}
    assert (ledger.answered_count, ledger.violations) == (4, [])


def test_the_temper_changes_while_it_runs(server: Runner) -> None:
    with connected(server) as client:
        assert client.request(server.provider_key) == 200
        server.set_temper(Temper(answer_status=503, answer_reason="ServiceUnavailable"))
        assert client.request(server.provider_key) == 503


def test_goaway_at_a_command(server: Runner) -> None:
    with connected(server) as client:
        client.request(server.provider_key)
        server.send_goaway(GoAway.because("Shutdown", error_code=2))
        goaway = client.wait_for_goaway()
    assert (goaway.last_stream_id, goaway.error_code) == (1, 2)
    assert goaway.additional_data == b'{"reason": "Shutdown"}'


def test_connections_are_closed_at_a_command(server: Runner) -> None:
    with connected(server) as client:
        client.request(server.provider_key)
        server.close_connections()
        client.wait_for_end()
    with connected(server) as client:
        client.request(server.provider_key)
        server.close_connections(abort=True)
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            client.wait_for_end()
    assert [record.closed for record in server.ledger().connections] == [True, True]


def test_a_strange_authority_is_not_trusted(server: Runner) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection((server.host, server.port), timeout=10) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname=server.host)


@pytest.mark.parametrize("kind", [SimulatorThread, SimulatorProcess])
def test_configuration_and_temper_reach_the_server(kind: type[Runner]) -> None:
    key = make_provider_key()
    config = SimulatorConfig(trusted_keys=key.trusted(), latency=0.05, environment="production")
    temper = Temper(answer_status=500)
    with kind(config, temper=temper, keep_entries=False) as server:
        with connected(server) as client:
            before = time.monotonic()
            assert client.request(key) == 500
            assert time.monotonic() - before >= 0.05
        with pytest.raises(LookupError, match="trusted_keys"):
            _ = server.provider_key
        ledger = server.ledger()
    assert (ledger.processed_count, ledger.entries) == (1, [])


def test_cleartext_on_request() -> None:
    with SimulatorThread(tls=False) as server, connected(server, tls=False) as client:
        assert client.request(server.provider_key) == 200


def test_aborts_between_processing_and_answering() -> None:
    with (
        SimulatorThread(temper=Temper(close_after_requests=1, close_by="abort")) as server,
        connected(server) as client,
    ):
        with pytest.raises((ConnectionResetError, ssl.SSLError, EOFError)):
            client.request(server.provider_key)
        assert server.ledger().entries[0].answered is False


def test_an_answer_that_is_due_later_dies_with_its_connection() -> None:
    config = SimulatorConfig(authentication="none", latency=60.0)
    with SimulatorThread(config) as server, connected(server) as client:
        server.set_temper(Temper(close_after_requests=2))
        client.send(make_provider_key())
        client.send(make_provider_key())
        client.wait_for_end()
        assert [entry.answered for entry in server.ledger().entries] == [False, False]


def test_an_abort_is_a_tcp_reset() -> None:
    with SimulatorThread(tls=False) as server, connected(server, tls=False) as client:
        assert client.request(server.provider_key) == 200
        server.close_connections(abort=True)
        with pytest.raises(ConnectionResetError):
            client.wait_for_end()


@final
class StubTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.reading = True
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def test_a_client_that_does_not_read_is_not_read_either() -> None:
    async def scenario() -> list[bool]:
        transport = StubTransport()
        protocol = _Protocol(make_simulator(), Authority(), set())
        protocol.connection_made(transport)
        assert transport.written[3] == 4
        seen: list[bool] = []
        protocol.pause_writing()
        seen.append(transport.reading)
        protocol.resume_writing()
        seen.append(transport.reading)
        return seen

    assert asyncio.run(scenario()) == [False, True]


def test_a_taken_port_is_reported() -> None:
    with SimulatorThread() as server:
        with pytest.raises(OSError, match="address already in use"):
            SimulatorThread(port=server.port).start()
        with pytest.raises(OSError, match="exit code 2"):
            SimulatorProcess(port=server.port).start()


def test_it_does_not_listen_on_all_addresses_unless_it_is_told_to() -> None:
    with pytest.raises(OSError, match="no host to listen on"):
        SimulatorThread(host="").start()


def test_a_thread_ends_with_its_context() -> None:
    with SimulatorThread() as server, connected(server) as client:
        assert client.request(server.provider_key) == 200
    assert "apns_simulator" not in {thread.name for thread in threading.enumerate()}
    server.close()


def test_a_process_that_is_not_started_says_so() -> None:
    process = SimulatorProcess()
    process.close()
    with pytest.raises(RuntimeError, match="not started"):
        process.ledger()


def test_commands_it_does_not_know_are_answered() -> None:
    with SimulatorProcess() as server:
        for command in ("nonsense", "temper"):
            with pytest.raises(RuntimeError, match="KeyError"):
                server._command(command)
        with pytest.raises(RuntimeError, match="AttributeError"):
            server._command("reject", prefix=5, rejection=None)
        server._input.write("[" * 100_000)
        with pytest.raises(RuntimeError, match="RecursionError"):
            server._command("ledger")
        assert server.ledger().processed_count == 0


def test_in_a_loop_of_its_caller() -> None:
    async def scenario() -> tuple[int, int]:
        idle = SimulatorServer()
        with pytest.raises(RuntimeError, match="not started"):
            _ = idle.simulator
        await idle.close()
        async with SimulatorServer() as server:
            context = server.authority.client_context()
            reader, writer = await asyncio.open_connection(
                server.host, server.port, ssl=context, server_hostname="localhost"
            )
            first_frame = await reader.readexactly(9)
            live = server.run(lambda simulator, _now: len(simulator.live))
            writer.close()
        return first_frame[3], live

    assert asyncio.run(scenario()) == (4, 1)
