"""A loop with a clock of its own and a network in memory: time passes when there is nothing to do.

`VirtualLoop` replaces what an adapter asks of a loop: `time`, `getaddrinfo`, `sock_connect`,
`create_connection` and `start_tls`. What happens in each is a `Network`'s to say.
"""

import asyncio
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from apns_simulator import SimulatedConnection, Simulator

__all__ = ["Network", "Peer", "SilentPeer", "SimulatedPeer", "VirtualLoop", "never"]


async def never(*_: object) -> None:
    """Wait for what does not come."""
    await asyncio.get_running_loop().create_future()


async def at_once(*_: object) -> None:
    """Succeed."""


class Peer:
    """The server's end of one connection."""

    transport: "MemoryTransport"

    def connected(self) -> None:
        """TLS stands."""

    def receive(self, data: bytes) -> None:
        """Take what the client has written."""

    def lost(self) -> None:
        """The client has closed or aborted."""


class SilentPeer(Peer):
    """Reads, and says nothing."""

    def __init__(self) -> None:
        self.received = bytearray()

    def receive(self, data: bytes) -> None:
        self.received += data


class SimulatedPeer(Peer):
    """One connection of a simulated APNs."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._timer: asyncio.TimerHandle | None = None
        self._connection: SimulatedConnection | None = None

    def connected(self) -> None:
        self._connection = self._simulator.accept(self._now())
        self._flush()

    def receive(self, data: bytes) -> None:
        assert self._connection is not None
        self._connection.receive_data(data, self._now())
        self._flush()

    def lost(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _flush(self) -> None:
        connection = self._connection
        assert connection is not None
        if data := connection.data_to_send():
            self.transport.feed(data)
        if self._timer is not None:
            self._timer.cancel()
        if connection.closed:
            self.transport.end()
        elif (due := connection.poll_timeout()) is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._on_timer, due)

    def _on_timer(self, due: float) -> None:
        assert self._connection is not None
        self._connection.handle_timeout(max(due, self._now()))
        self._flush()


@dataclass
class Network:
    """What is out there. Every hook may be exchanged; those that are awaited may also raise."""

    peer: Callable[[], Peer] = SilentPeer
    """Called once a connection."""
    addresses: list[tuple[int, tuple[Any, ...]]] = field(
        default_factory=lambda: [(socket.AF_INET, ("192.0.2.1", 443))]
    )
    look_up: Callable[..., Any] = at_once
    connect: Callable[..., Any] = at_once
    handshake: Callable[..., Any] = at_once
    alpn: str | None = "h2"
    early: bytes = b""
    """What the server says with the last bytes of its handshake."""
    connects: list[float] = field(default_factory=list[float])
    """When `sock_connect` was called."""
    peers: list[Any] = field(default_factory=list[Any])
    transports: list["MemoryTransport"] = field(default_factory=lambda: list[MemoryTransport]())  # noqa: PLW0108 - defined below


class MemoryTransport(asyncio.Transport):
    """The client's end. Bytes take no time, closing one turn of the loop, as in asyncio."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__({})
        self._loop = loop
        self.protocol = protocol
        self.peer: Peer | None = None
        self.alpn: str | None = None
        self.closing = False
        self.aborted = False
        self.answers_close = True
        """Whether the peer takes part in closing."""
        self.lost = False
        self.written = bytearray()
        self.held = 0
        """Octets that the peer has not taken."""
        self.plain: socket.socket | None = None

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self if name == "ssl_object" else default

    def selected_alpn_protocol(self) -> str | None:
        return self.alpn

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert (high, low) == (1, 0)

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.held

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing, "written after closing"
        self.written += data
        if self.peer is not None:
            self._loop.call_soon(self.peer.receive, bytes(data))

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if self.answers_close:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.closing = self.aborted = True
        self._loop.call_soon(self._lose, None)

    # What the peer does.

    def feed(self, data: bytes) -> None:
        """Have the client read this in the next turn."""
        self._loop.call_soon(self._read, data)

    def end(self, error: Exception | None = None) -> None:
        """Close from the other side: in order, or with an error."""
        if error is None:
            self._loop.call_soon(self.protocol.eof_received)
        self._loop.call_soon(self._lose, error)

    def _read(self, data: bytes) -> None:
        if not self.lost:
            self.protocol.data_received(data)

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.closing = self.lost = True
            if self.plain is not None:
                self.plain.close()
            if self.peer is not None:
                self.peer.lost()
            self.protocol.connection_lost(error)


class _Selector(selectors.DefaultSelector):
    """Where asyncio would sleep, the clock jumps."""

    clock = 0.0
    early = 0.0
    """Seconds by which it wakes before it is told to."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the loop waits for ever"
        self.clock += max(timeout - self.early, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in which `network` is all there is, and waiting takes no time."""

    def __init__(self, network: Network, *, resolution: float = 0.0) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        # asyncio calls what is due within this time; sums of floats are not exact.
        self._clock_resolution = resolution or 1e-9
        self._virtual.early = resolution * 0.9
        self.network = network

    def time(self) -> float:
        return self._virtual.clock

    async def getaddrinfo(self, host: object, port: object, **_: object) -> Any:  # noqa: ANN401
        await self.network.look_up(host, port)
        kind = socket.SOCK_STREAM
        return [(family, kind, 0, "", address) for family, address in self.network.addresses]

    async def sock_connect(self, sock: socket.socket, address: object) -> None:
        del sock
        self.network.connects.append(self.time())
        await self.network.connect(address)

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], *, sock: socket.socket
    ) -> tuple["MemoryTransport", asyncio.Protocol]:
        protocol = protocol_factory()
        transport = MemoryTransport(self, protocol)
        transport.plain = sock
        try:
            await asyncio.sleep(0)
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def start_tls(  # type: ignore[override]
        self, plain: "MemoryTransport", protocol: asyncio.Protocol, *_: object, **__: object
    ) -> "MemoryTransport":
        network = self.network
        try:
            await network.handshake()
            plain.protocol = protocol
            if network.early:
                protocol.data_received(network.early)
            await asyncio.sleep(0)
        except BaseException:
            plain.close()
            raise
        plain.peer = peer = network.peer()
        plain.alpn = network.alpn
        peer.transport = plain
        network.peers.append(peer)
        network.transports.append(plain)
        self.call_soon(peer.connected)
        return plain
