"""TLS over a trio stream by memory BIOs, which takes a hundred records in one read.

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
_PLAIN_READ: Final = 65_536


@final
class TlsStream:
    """The client's side of one TLS connection. One task reads, one writes.

    Not `trio.abc.Stream`: an end of file is an end of file, with `close_notify` or without. What
    HTTP/2 has said by then decides (RFC 8446 §6.1 fears truncation; frames have lengths).
    """

    def __init__(
        self, stream: trio.SocketStream, context: ssl.SSLContext, server_hostname: str
    ) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )

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
        try:
            while True:
                try:
                    self._ssl.do_handshake()
                except ssl.SSLWantReadError:
                    await self._send_outgoing()
                    data = await self._stream.receive_some(_SOCKET_READ)
                    if not data:
                        raise ConnectionResetError(
                            "the server closed the connection during the TLS handshake"
                        ) from None
                    self._incoming.write(data)
                else:
                    break
            await self._send_outgoing()
        except trio.BrokenResourceError as error:
            raise ConnectionResetError("the connection was reset during TLS") from error

    async def receive(self) -> bytes:
        """Return all that can be read now, at least an octet; empty at the end, however it came."""
        while True:
            plain = self._drain()
            if plain is not None:
                return plain
            try:
                data = await self._stream.receive_some(_SOCKET_READ)
            except trio.BrokenResourceError:
                return b""
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    async def send_all(self, data: bytes) -> None:
        """Encrypt and send; also what TLS has to say itself. Raises trio.BrokenResourceError."""
        if data:
            self._ssl.write(data)
        await self._send_outgoing()

    async def wait_writable(self) -> None:
        """Wait until sending is likely not to block. Raises trio.BrokenResourceError."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing more comes, in TLS and in TCP. Raises trio.BrokenResourceError."""
        # It then wants the peer's close_notify, which may never come; ours is on its way.
        with suppress(ssl.SSLError):
            self._ssl.unwrap()
        await self._send_outgoing()
        await self._stream.send_eof()

    def close(self) -> None:
        """Close the socket at once."""
        self._stream.socket.close()

    def _drain(self) -> bytes | None:
        """Decrypt all there is; None if more must be read first, empty at the end."""
        parts: list[bytes] = []
        try:
            while part := self._ssl.read(_PLAIN_READ):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts) or None
        except ssl.SSLError:
            # close_notify, its absence, or an alert: what came before it still counts.
            return b"".join(parts)
        return b"".join(parts)

    async def _send_outgoing(self) -> None:
        data = self._outgoing.read()
        if data:
            await self._stream.send_all(data)
