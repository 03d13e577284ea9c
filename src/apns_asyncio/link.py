"""One connection's transport: bytes in, bytes out, and when it stands or is gone."""

import asyncio
import socket
from collections.abc import Callable
from typing import final

from apns_core.errors import ConnectFailed
from apns_core.outcomes import Outcome
from apns_core.sender import ConnectionId, Sender
from apns_core.trust.tls import check_alpn

__all__ = ["Link", "Sink"]


class Sink:
    """Where outcomes go: the tag of every notification that an adapter submits."""

    __slots__ = ()

    def deliver(self, outcome: Outcome[object]) -> None:
        """Take one outcome."""
        raise NotImplementedError


@final
class Link(asyncio.Protocol):
    """The only writer of its transport: no caller's cancellation reaches a write."""

    def __init__(
        self, connection_id: ConnectionId, sender: Sender[Sink], wake: Callable[[], None]
    ) -> None:
        self._connection_id = connection_id
        self._sender = sender
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self.connecting: asyncio.Task[None] | None = None
        self.error: ConnectFailed | None = None
        """Why a connection that stood was refused at once."""
        self.gone = False
        """Whether the transport was lost after the sender had been told of it."""

    @property
    def established(self) -> bool:
        """Whether the sender has been told that it is connected."""
        return self._transport is not None

    # ── called by the event loop ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS stands. Told to the sender at once: the server's first bytes may come next."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what Protocol gets
        ssl_object = transport.get_extra_info("ssl_object")
        try:
            check_alpn(ssl_object.selected_alpn_protocol())
        except ConnectFailed as error:
            self.error = error
            transport.abort()
            return
        plain = transport.get_extra_info("socket")
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        self._sender.connected(self._connection_id, self._loop.time())
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Pass on what was read."""
        if self._transport is not None:
            self._sender.receive_data(self._connection_id, data, self._loop.time())
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the sender, which need not know how: what HTTP/2 has said by now decides."""
        del exc
        if self._transport is not None:
            self._transport = None
            self.gone = True
            self._sender.receive_eof(self._connection_id, self._loop.time())
            self._wake()

    def pause_writing(self) -> None:
        """Stop pulling: what is not encoded can still go elsewhere."""
        self._paused = True

    def resume_writing(self) -> None:
        """Pull again."""
        self._paused = False
        self._wake()

    # ── called by the client ──

    def flush(self) -> None:
        """Write what the sender has, as long as the transport takes it."""
        transport = self._transport
        while transport is not None and not self._paused:
            data = self._sender.data_to_send(self._connection_id)
            if not data:
                return
            transport.write(data)

    def disconnect(self, deadline: float) -> None:
        """Close, by ``deadline`` at the latest."""
        if self._transport is None:
            if self.connecting is not None:
                self.connecting.cancel()
            return
        self.flush()
        self._loop.call_at(deadline, self._transport.abort)
        self._transport.close()
