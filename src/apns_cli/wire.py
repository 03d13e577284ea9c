"""One connection for a close look: by address, TCP or TLS, read while it writes, closed in order.

Commands that send go through `apns_asyncio`. Those that examine a server must see each step, and
must get their last words through to a server that misbehaves.
"""

import selectors
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Final, TypeAlias, final

from apns_core.tcp import set_options

__all__ = ["Address", "Wire", "connect", "resolve"]

_SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]

READ_SIZE: Final = 65_536
"""Octets read at once: a server that floods is held up after each."""


@final
@dataclass(frozen=True, slots=True)
class Address:
    """One address of a host, with the port."""

    family: int
    socket_address: _SocketAddress
    port: int

    def __str__(self) -> str:
        host = str(self.socket_address[0])
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def resolve(host: str, port: int, timeout: float) -> list[Address]:
    """Return all addresses of a host, as the system orders them.

    Raises OSError: `socket.gaierror`, or TimeoutError after ``timeout`` seconds.
    """
    answers: SimpleQueue[list[Address] | OSError] = SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([Address(family, address, port) for family, _, _, _, address in found])
        except OSError as error:
            answers.put(error)
        except UnicodeError:  # a label that the codec of host names does not take
            answers.put(socket.gaierror(socket.EAI_NONAME, "not a host name"))

    # A resolver takes its time, and nothing stops it. Nobody waits for a daemon at the end.
    Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except Empty:
        raise TimeoutError(f"the resolver did not answer in {timeout:g} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def connect(address: Address, timeout: float) -> socket.socket:
    """Return a socket connected to an address. Raises OSError."""
    plain = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        plain.settimeout(timeout)
        plain.connect(address.socket_address)
    except BaseException:
        plain.close()
        raise
    set_options(plain)
    return plain


@final
class Wire:
    """A connected socket, which it owns from now on. Deadlines are in seconds of `monotonic`.

    `write` queues; `turn` moves octets both ways, once; `finish` ends the connection in order.
    """

    def __init__(self, plain: socket.socket) -> None:
        plain.setblocking(False)
        self.ended = False
        """Whether the peer will send nothing more, or nothing that can be read."""
        self.problem: Exception | None = None
        """Why it ended, if not in order."""
        self.tls: ssl.SSLObject | None = None
        """Once `start_tls` has been called."""
        self._plain = plain
        self._selector = selectors.DefaultSelector()
        self._selector.register(plain, selectors.EVENT_READ)
        self._received = ssl.MemoryBIO()
        self._to_send = ssl.MemoryBIO()
        self._unsent = bytearray()
        self._eof = False
        """Whether TCP has no more to give; TLS may end before."""
        self._deaf = False
        """Whether the peer has said that it reads no more."""

    @property
    def unsent(self) -> int:
        """Octets that wait for the socket."""
        return len(self._unsent)

    def start_tls(self, context: ssl.SSLContext, host: str, deadline: float) -> None:
        """Make the handshake. Raises OSError: `ssl.SSLError`, TimeoutError, or what TCP says."""
        self.tls = context.wrap_bio(self._received, self._to_send, server_hostname=host)
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._collect()
            except ssl.SSLError:
                # The peer is told why.
                self._collect()
                self._send()
                raise
            else:
                self._collect()
                return
            raw = self._move(deadline)
            if self._eof:
                raise self.problem or ConnectionResetError("closed in the TLS handshake")
            self._received.write(raw)

    def write(self, data: bytes) -> None:
        """Queue octets to be sent. They go nowhere where the peer reads no more."""
        if self.tls is None:
            self._unsent += data
        elif data:
            with suppress(ssl.SSLError):  # TLS that has failed; reading tells of it
                self.tls.write(data)
            self._collect()

    def turn(self, deadline: float) -> bytes:
        """Wait until the socket takes or gives octets; return what was read, which may be nothing.

        Look at `ended` afterwards. Raises TimeoutError at the deadline.
        """
        if self.ended:
            return b""
        raw = self._move(deadline)
        if self.tls is None:
            self.ended = self._eof
            return raw
        if self._eof:
            self._received.write_eof()
        else:
            self._received.write(raw)
        data = self._decrypt(self.tls)
        self._collect()
        return data

    def finish(self, deadline: float) -> None:
        """Send what is queued, say that nothing follows, and wait until the peer says so too.

        To close with octets unread makes TCP send RST, which may destroy what is under way to the
        peer: the reason why the connection ended. So they are read, and dropped, until its end of
        file, or until the deadline.
        """
        if self.tls is not None:
            # Raises as the peer has not said so yet; close_notify is queued all the same.
            with suppress(ssl.SSLError):
                self.tls.unwrap()
            self._collect()
        try:
            # OSError: the connection is gone. TimeoutError, which is one: it has had its time.
            with suppress(OSError):
                while self._unsent:
                    self._move(deadline)
                self._plain.shutdown(socket.SHUT_WR)
                while not self._eof:
                    self._move(deadline)
        finally:
            self.close()

    def close(self) -> None:
        """Close at once."""
        self._selector.close()
        self._plain.close()

    def _decrypt(self, tls: ssl.SSLObject) -> bytes:
        parts: list[bytes] = []
        try:
            while part := tls.read(READ_SIZE):
                parts.append(part)
            self.ended = True  # by a close_notify
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLEOFError:  # without one
            self.ended = True
        except ssl.SSLError as error:
            self.ended, self.problem = True, error
        return b"".join(parts)

    def _collect(self) -> None:
        if self._to_send.pending:
            self._unsent += self._to_send.read()

    def _move(self, deadline: float) -> bytes:
        """Write and read what the socket lets, once it does; return what was read, as it came."""
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        events = 0 if self._eof else selectors.EVENT_READ
        if self._unsent:
            events |= selectors.EVENT_WRITE
        self._selector.modify(self._plain, events)
        ready = self._selector.select(left)
        if not ready:
            raise TimeoutError
        _, mask = ready[0]
        if mask & selectors.EVENT_WRITE:
            self._send()
        return self._receive() if mask & selectors.EVENT_READ else b""

    def _send(self) -> None:
        try:
            sent = len(self._unsent) if self._deaf else self._plain.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            # What it has sent before can still be read.
            self._deaf = True
            sent = len(self._unsent)
        del self._unsent[:sent]

    def _receive(self) -> bytes:
        try:
            data = self._plain.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            self.problem = error
            data = b""
        self._eof = not data
        return data
