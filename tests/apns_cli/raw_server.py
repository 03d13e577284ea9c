"""A server that says what a script says, octet for octet, and keeps what it was sent."""

import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final, Self, TypeAlias

import trustme

from tests.apns_core.http2 import wire

__all__ = ["CA", "RawServer", "Script", "say", "server_context"]

Connection: TypeAlias = socket.socket | ssl.SSLSocket
Script: TypeAlias = Callable[["RawServer", Connection], None]

CA: Final = trustme.CA()


def server_context(
    *names: str, alpn: tuple[str, ...] = ("h2",), not_after: dt.datetime | None = None
) -> ssl.SSLContext:
    """Return a context with a certificate of `CA` for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = CA.issue_cert(*(names or ("127.0.0.1",)), not_after=not_after)
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def say(*octets: bytes) -> Script:
    """Wait for the request, unless there are no SETTINGS before it; then say all, in one piece."""

    def script(server: "RawServer", connection: Connection) -> None:
        connection.sendall(wire.settings())
        server.read_until(connection, wire.HEADERS)
        connection.sendall(b"".join(octets))

    return script


class RawServer:
    """Takes one connection after the other, and runs the script; then reads until the client ends.

    ``received`` is all that it was sent on the last one; `frames` is that, taken apart.
    """

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.port: int = self._listener.getsockname()[1]
        self.authority = f"127.0.0.1:{self.port}"
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://{self.authority}/3/device/00"
        self.received = b""
        self.accepted = 0
        self.ended_by_client = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    @property
    def frames(self) -> list[wire.Sent]:
        """What was received, once the connection is over."""
        self._thread.join()
        return wire.parse_frames(self.received)

    @property
    def goaway_codes(self) -> list[int]:
        """The error code of each GOAWAY that was received."""
        return wire.goaway_codes(self.frames)

    def read_until(self, connection: Connection, kind: int) -> None:
        """Read until a frame of that type has begun."""
        while not any(f.kind == kind for f in self._whole_frames()):
            data = connection.recv(65_536)
            if not data:
                raise ConnectionError("the client has gone")
            self.received += data

    def _whole_frames(self) -> list[wire.Sent]:
        octets = self.received.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        position = 0
        while position + 9 <= len(octets):
            end = position + 9 + int.from_bytes(octets[position : position + 3])
            if end > len(octets):
                break
            position = end
        return wire.parse_frames(octets[:position])

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # shut down
                return
            self.accepted += 1
            self.received = b""
            connection.settimeout(10.0)
            with connection, contextlib.suppress(OSError):
                if self._context is None:
                    self._run(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as tls:
                        self._run(tls)

    def _run(self, connection: Connection) -> None:
        self._script(self, connection)
        while data := connection.recv(65_536):
            self.received += data
        self.ended_by_client = True
