"""TLS over a trio socket by memory BIOs, which takes a hundred records in one read.

Optimisation (benchmark: compare): a server such as nginx writes one TLS record for each response,
and `trio.SSLStream` hands back about one record a read, at 75 µs a push. Here 256 KiB are read from
the socket at once, and the `ssl.SSLObject` is drained until it wants more.
"""

import ssl
from contextlib import suppress
from typing import Final, final

import trio

__all__ = ["TlsStream"]

_SOCKET_READ: Final = 262_144
_LONGEST_RECORD: Final = 16_384


@final
class TlsStream:
    """The client's side of one TLS connection, which owns the stream. One task reads, one writes.

    Not a `trio.abc.Stream`: it raises OSError as asyncio does, and an end of file is an end of
    file, with ``close_notify`` or without. What HTTP/2 has said by then decides (RFC 8446 section
    6.1 fears truncation; frames have lengths).
    """

    def __init__(
        self, stream: trio.SocketStream, context: ssl.SSLContext, server_hostname: str
    ) -> None:
        # The socket itself, since the stream hides which OSError ended it.
        self._connection = stream.socket
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            self._ssl = context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=server_hostname
            )
        except BaseException:
            self.close()
            raise
        self._ended = False
        self._error: OSError | None = None
        """What ended it, to be raised once all that came before it was returned."""

    @property
    def alpn(self) -> str | None:
        """The protocol that both sides agreed on."""
        return self._ssl.selected_alpn_protocol()

    @property
    def must_send(self) -> bool:
        """Whether TLS itself has something to say, such as the answer to a key update."""
        return self._outgoing.pending > 0

    async def handshake(self) -> None:
        """Agree on keys and verify the server. Raises OSError, ssl.SSLError among them."""
        while True:
            try:
                self._ssl.do_handshake()
            except ssl.SSLWantReadError:
                await self._send_outgoing()
                data = await self._connection.recv(_SOCKET_READ)
                if not data:
                    raise ConnectionResetError(
                        "the connection was lost in the TLS handshake"
                    ) from None
                self._incoming.write(data)
            else:
                await self._send_outgoing()
                return

    async def receive(self) -> bytes:
        """Return all that can be read now, at least an octet; empty at the end.

        Raises OSError, ssl.SSLError among them, if the end was none in order.
        """
        while not (plain := self._drain()) and not self._ended:
            try:
                data = await self._connection.recv(_SOCKET_READ)
            except OSError as error:
                self._end(error)
            else:
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
        if not plain and self._error is not None:
            raise self._error
        return plain

    async def send_all(self, data: bytes) -> None:
        """Encrypt and send; also what TLS has to say itself. Raises OSError."""
        if data:
            self._ssl.write(data)
        await self._send_outgoing()

    async def send_eof(self) -> None:
        """Say that nothing more comes, in TLS and in TCP. Raises OSError."""
        # It then wants the peer's close_notify, which may never come; ours is on its way.
        with suppress(ssl.SSLError):
            self._ssl.unwrap()
        await self._send_outgoing()
        self._connection.shutdown(trio.socket.SHUT_WR)

    def end(self) -> None:
        """Have the reader see the end, after all that has come by now."""
        with suppress(OSError):  # then it sees it anyhow
            self._connection.shutdown(trio.socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket at once."""
        self._connection.close()

    def _drain(self) -> bytes:
        """Decrypt all there is."""
        read = self._ssl.read
        parts: list[bytes] = []
        try:
            while part := read(_LONGEST_RECORD):
                parts.append(part)
            self._end(None)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._end(None)
        except ssl.SSLError as error:
            self._end(error)
        return b"".join(parts)

    def _end(self, error: OSError | None) -> None:
        if not self._ended:
            self._ended = True
            self._error = error

    async def _send_outgoing(self) -> None:
        data = memoryview(self._outgoing.read())
        while data:
            data = data[await self._connection.send(data) :]
