"""A TLS server in a thread, of the standard library alone: it does what a script says."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Final, Self

import trustme

__all__ = [
    "CA",
    "Script",
    "ScriptedServer",
    "accept_one_request",
    "close_in_order",
    "close_without_a_word",
    "reset",
    "server_context",
]

Script = Callable[[ssl.SSLSocket], None]

CA: Final = trustme.CA()


def server_context(*names: str, alpn: tuple[str, ...] = ("h2",)) -> ssl.SSLContext:
    """Return a context with a certificate of `CA` for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(*(names or ("127.0.0.1",))).configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class ScriptedServer:
    """Runs the script once a connection, then closes it without a close_notify."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context or server_context()
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Small, so that a script that does not read is soon felt.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._thread = threading.Thread(target=self._serve)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts this server."""
        return ssl.create_default_context(cadata=CA.cert_pem.bytes().decode())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:  # shut down
                return
            self.accepted += 1
            plain.settimeout(5.0)
            with (
                plain,
                contextlib.suppress(OSError),
                self._context.wrap_socket(
                    plain, server_side=True, suppress_ragged_eofs=False
                ) as connection,
            ):
                self._script(connection)


def accept_one_request(connection: ssl.SSLSocket) -> None:
    """Speak as little HTTP/2 as makes a client send a request, and read it."""
    connection.sendall(bytes.fromhex("000000 04 00 00000000"))  # SETTINGS
    received = b""
    while b'{"aps"' not in received:
        received += connection.recv(65_536)


def close_in_order(connection: ssl.SSLSocket) -> None:
    """Say so in TLS, then close."""
    with contextlib.suppress(OSError):
        connection.unwrap().close()


def close_without_a_word(connection: ssl.SSLSocket) -> None:
    """Close TCP only: to TLS this is a truncation."""
    connection.close()


def reset(connection: ssl.SSLSocket) -> None:
    """Have TCP send RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
