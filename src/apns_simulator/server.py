"""Puts a simulated APNs on a TCP port, with TLS, in a running asyncio loop."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Self, TypeVar, cast, final

from .authority import Authority
from .config import SimulatorConfig
from .connection import SimulatedConnection
from .simulator import Simulator
from .temper import Temper

__all__ = ["SimulatorServer"]

T = TypeVar("T")


@final
class SimulatorServer:
    """A server for one ``Simulator``: an async context manager, or ``start`` and ``close``.

    Port 0 takes a free one; ``port`` tells which after ``start``. Without ``tls`` it speaks HTTP/2
    in cleartext with prior knowledge, which APNs never does.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        temper: Temper | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = True,
        alpn_protocols: Sequence[str] = ("h2",),
        keep_entries: bool = True,
    ) -> None:
        self.host = host
        self.port = port
        self.authority = Authority()
        self._config = config or SimulatorConfig()
        self._temper = temper
        self._keep_entries = keep_entries
        asks_clients = self._config.authentication == "certificate"
        self._context = (
            self.authority.server_context(alpn_protocols, asks_clients=asks_clients)
            if tls
            else None
        )
        self._simulator: Simulator | None = None
        self._server: asyncio.Server | None = None
        self._protocols: set[_Protocol] = set()

    @property
    def ca_pem(self) -> str:
        """The certificate authority to trust."""
        return self.authority.ca_pem

    @property
    def simulator(self) -> Simulator:
        """What the connections share. After changing live connections, go through ``run``."""
        if self._simulator is None:
            msg = "the server is not started"
            raise RuntimeError(msg)
        return self._simulator

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken or is not ours, or there is none.
            ValueError: the configuration holds an unreadable key.

        """
        if not self.host:
            # A variable that is not set, perhaps; to asyncio, it is every address of the machine.
            raise OSError("no host to listen on: name 0.0.0.0 if it is to be all addresses")
        loop = asyncio.get_running_loop()
        self._simulator = simulator = Simulator(
            self._config,
            unix_time=time.time(),
            now=loop.time(),
            rng=Random(),  # noqa: S311 - names for notifications, not secrets
            temper=self._temper,
            keep_entries=self._keep_entries,
        )
        self._server = await loop.create_server(
            lambda: _Protocol(simulator, self.authority, self._protocols),
            self.host,
            self.port,
            ssl=self._context,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and reset what is connected."""
        if self._server is not None:
            self._server.close()
            for protocol in list(self._protocols):
                protocol.abort()
            await self._server.wait_closed()
            # One turn of the loop, in which the transports tell their protocols that they are gone.
            await asyncio.sleep(0)
            self._server = None

    def run(self, action: Callable[[Simulator, float], T]) -> T:
        """Call `action` with the simulator and the time, then send what it had written.

        Only from the loop's own thread.
        """
        result = action(self.simulator, asyncio.get_running_loop().time())
        for protocol in list(self._protocols):
            protocol.flush()
        return result

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@final
class _Protocol(asyncio.Protocol):
    """Moves bytes between one transport and one simulated connection, and keeps its timer."""

    def __init__(
        self, simulator: Simulator, authority: Authority, protocols: "set[_Protocol]"
    ) -> None:
        self._simulator = simulator
        self._authority = authority
        self._protocols = protocols
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due: float | None = None
        self._transport: asyncio.Transport
        self._connection: SimulatedConnection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = self._authority.client_certificate(tls and tls.getpeercert(binary_form=True))
        self._connection = self._simulator.accept(self._loop.time(), certificate)
        self._protocols.add(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._connection.receive_data(data, self._loop.time())
        self.flush()

    def eof_received(self) -> None:
        self._connection.receive_eof(self._loop.time())
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._connection.receive_eof(self._loop.time())
        self._protocols.discard(self)
        self._arm(None)

    def pause_writing(self) -> None:
        # A client that reads nothing gets nothing done: its answers would fill the memory.
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def flush(self) -> None:
        """Send what there is, set the timer anew, and close if the connection says so."""
        connection = self._connection
        # A temper may close in the midst of what is sent.
        data = connection.data_to_send()
        if connection.aborted:
            self._reset()
            return
        if data:
            self._transport.write(data)
        if connection.closed:
            self._transport.close()
        self._arm(connection.poll_timeout())

    def abort(self) -> None:
        self._transport.abort()

    def _reset(self) -> None:
        # A socket that does not linger ends with RST in place of FIN.
        plain = self._transport.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _arm(self, due: float | None) -> None:
        if due == self._timer_due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = None if due is None else self._loop.call_at(due, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self._timer_due = None
        # The loop may fire a little early, by the resolution of its clock.
        due = self._connection.poll_timeout()
        self._connection.handle_timeout(max(self._loop.time(), due or 0.0))
        self.flush()
