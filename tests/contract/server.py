"""A simulated APNs on loopback TLS, driven by whichever loop the client runs in."""

import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any, Final, Literal, Protocol, TypeAlias

import trustme

from apns_simulator import (
    Ledger,
    Rejection,
    SimulatedConnection,
    Simulator,
    SimulatorConfig,
    Temper,
)

__all__ = ["CA", "CA_PEM", "Peer", "Reactor", "Server", "server_context"]

CA: Final = trustme.CA()
CA_PEM: Final = CA.cert_pem.bytes()
_CERTIFICATE: Final = CA.issue_cert("localhost", "127.0.0.1")

Stop: TypeAlias = Callable[[], object]
Ending: TypeAlias = Literal["clean", "truncated", "reset"]
"""With close_notify and FIN; with FIN alone; with RST."""


class Reactor(Protocol):
    """What a server needs of a loop."""

    def now(self) -> float: ...
    def on_readable(self, readable: socket.socket, callback: Callable[[], None]) -> Stop: ...
    def call_at(self, when: float, callback: Callable[[], None]) -> Stop: ...


def server_context(
    certificate: trustme.LeafCert = _CERTIFICATE, alpn: tuple[str, ...] = ("h2",)
) -> ssl.SSLContext:
    """Return a context like that of APNs; change it to be another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class Server:
    """Listens on a free port. ``temper`` and ``config`` are the simulator's.

    ``hangs`` is where it does nothing more: before a connection is accepted, before TLS begins,
    before it speaks HTTP/2, after it has (it reads no more, which with a ``receive_buffer`` of few
    octets is soon felt), or when the client has said goodbye. ``greets`` is what it says within TLS
    in place of HTTP/2, on connections that are accepted while it is set.
    """

    def __init__(
        self,
        reactor: Reactor,
        *,
        context: ssl.SSLContext | None = None,
        temper: Temper | None = None,
        hangs: Literal["TCP", "TLS", "HTTP/2", "reading", "goodbye"] | None = None,
        greets: bytes | None = None,
        receive_buffer: int | None = None,
        ends: Ending = "clean",
        address: str = "127.0.0.1",
        port: int = 0,
        **config: Any,  # noqa: ANN401 - passed on
    ) -> None:
        self.reactor = reactor
        self.context = context or server_context()
        self.hangs = hangs
        self.greets = greets
        self.ends: Ending = ends
        """How connections end that the simulator closes in order."""
        self.accepted: list[float] = []
        """When a connection was accepted."""
        self.peers: list[Peer] = []
        self.simulator = Simulator(
            replace(SimulatorConfig(authentication="none"), **config),
            unix_time=time.time(),
            now=reactor.now(),
            rng=Random(1),
            temper=temper,
        )
        self._listener = socket.create_server((address, port), backlog=0 if hangs == "TCP" else 100)
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        # Those who fill the queue of connections, so that the next SYN is not answered.
        self._crowd = [socket.socket() for _ in range(4 if hangs == "TCP" else 0)]
        for stranger in self._crowd:
            stranger.setblocking(False)
            stranger.connect_ex((address, self.port))
        self._stop = (
            reactor.on_readable(self._listener, self._accept) if hangs != "TCP" else _nothing
        )

    @property
    def ledger(self) -> Ledger:
        return self.simulator.ledger

    @property
    def open(self) -> "list[Peer]":
        """The connections that the client has not closed."""
        return [peer for peer in self.peers if not peer.left]

    def reject(self, number: int, reason: str) -> None:
        """Reject what is sent to a device, with one of Apple's reasons."""
        self.simulator.reject(f"{number:064x}", Rejection.of(reason))

    def run(self, action: Callable[[SimulatedConnection], object]) -> None:
        """Do something to every connection that stands, and send what comes of it."""
        for peer in self.open:
            if peer.connection is not None:
                action(peer.connection)
                peer.advance()

    def say(self, data: bytes) -> None:
        """Send this within TLS, on every connection that stands."""
        for peer in self.open:
            peer.say(data)

    def end(self, how: Ending) -> None:
        """End every connection."""
        for peer in self.open:
            peer.end(how)

    def leave(self) -> None:
        """Close every socket of a connection."""
        for peer in self.peers:
            peer.leave()

    def close(self) -> None:
        """Stop listening, and let nothing stay open."""
        self._stop()
        for sock in (*self._crowd, self._listener):
            sock.close()
        self.leave()

    def _accept(self) -> None:
        plain, _ = self._listener.accept()
        self.accepted.append(self.reactor.now())
        self.peers.append(Peer(self, plain))


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: Server, plain: socket.socket) -> None:
        self._server = server
        self._greets = server.greets
        self._reactor = server.reactor
        self._socket = plain
        plain.setblocking(False)
        # Or an answer waits for an acknowledgement, in real time.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = server.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.connection: SimulatedConnection | None = None
        """None until TLS stands."""
        self.alert: str | None = None
        """Why TLS failed, as OpenSSL has it."""
        self.heard = bytearray()
        """What came within TLS."""
        self.certificate: dict[str, Any] | None = None
        """What the client presented."""
        self.left = False
        self._ended = False
        self._due: float | None = None
        self._stop_timer: Stop = _nothing
        self._stop_reading = self._reactor.on_readable(plain, self._on_readable)

    def advance(self) -> None:
        """Do whatever can be done by now."""
        if self._server.hangs != "TLS" and not self._ended:
            try:
                self._talk()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.alert = error.reason
                self.end("truncated")
        self._send()

    def say(self, data: bytes) -> None:
        """Send this within TLS."""
        self._tls.write(data)
        self._send()

    def end(self, how: Ending) -> None:
        """End the connection."""
        if self._ended:
            return
        self._ended = True
        self._stop_timer()
        if how == "reset":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.leave()
            return
        if how == "clean":
            with suppress(ssl.SSLError):
                self._tls.unwrap()
        self._send()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        """Close the socket."""
        if not self.left:
            self.left = True
            self._ended = True
            self._stop_timer()
            self._stop_reading()
            self._socket.close()

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(262_144)
        except OSError:
            data = b""
        if data:
            self._incoming.write(data)
            self.advance()
            if self._server.hangs == "reading" and self.heard:
                self._stop_reading()
        elif self._server.hangs == "goodbye":
            self._stop_reading()
        else:
            self.leave()

    def _talk(self) -> None:
        if self.connection is None:
            self._tls.do_handshake()
            self.certificate = self._tls.getpeercert()
            self.connection = self._server.simulator.accept(self._reactor.now())
            if self._greets is not None:
                self._tls.write(self._greets)
        try:
            while data := self._tls.read(65_536):
                self.heard += data
                self.connection.receive_data(data, self._reactor.now())
        except ssl.SSLWantReadError:
            self._answer(self.connection)
        else:
            self._answer(self.connection)
            self._say_goodbye("clean")

    def _answer(self, connection: SimulatedConnection) -> None:
        # Who offers no HTTP/2 does not speak it.
        mute = (
            self._server.hangs == "HTTP/2"
            or self._greets is not None
            or self._tls.selected_alpn_protocol() != "h2"
        )
        if not mute and (data := connection.data_to_send()):
            self._tls.write(data)
        if connection.closed:
            self._say_goodbye("reset" if connection.aborted else self._server.ends)
            return
        due = connection.poll_timeout()
        if due != self._due:
            self._stop_timer()
            self._stop_timer = (
                _nothing if due is None else self._reactor.call_at(due, self._on_timer)
            )
            self._due = due

    def _say_goodbye(self, how: Ending) -> None:
        if self._server.hangs != "goodbye":
            self.end(how)

    def _on_timer(self) -> None:
        assert self.connection is not None
        assert self._due is not None
        due, self._due = self._due, None
        self.connection.handle_timeout(max(due, self._reactor.now()))
        self.advance()

    def _send(self) -> None:
        data = self._outgoing.read()
        if data and not self.left:
            with suppress(OSError):
                sent = self._socket.send(data)
                assert sent == len(data), "the client does not read"


def _nothing() -> None:
    """Stop what was not started."""
