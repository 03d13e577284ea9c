"""One connection's transport: how it is made, bytes in, bytes out, and how it ends."""

import asyncio
import ssl
from typing import Final, final

from apns_asyncio.dial import dial
from apns_asyncio.proxy import open_tunnel
from apns_core import Connect, Endpoint
from apns_core.adapters.pump import PumpBase, refused_unheard
from apns_core.proxy import Proxy
from apns_core.trust.tls import check_alpn

__all__ = ["Link"]


@final
class Link(asyncio.Protocol):
    """The only writer of its transport: no caller's cancellation reaches a write.

    Begins to connect when it is made.
    """

    def __init__(
        self,
        command: Connect,
        context: ssl.SSLContext,
        proxy: Proxy | None,
        pump: "PumpBase[Link]",
    ) -> None:
        self.connection_id = command.connection_id
        self.endpoint: Final[Endpoint] = command.endpoint
        self._deadline = command.deadline
        self._proxy = proxy
        self._sender = pump.sender
        self._pump = pump
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        """None until the sender is told that the connection stands."""
        self._plain: asyncio.Transport | None = None
        """What is below TLS; it knows first that the connection is lost."""
        self._early: list[bytes] = []
        """What was read before that: it may come in one segment with the end of the handshake."""
        self._heard = False
        self._paused = False
        self._ended = False
        """Whether nothing more is to be written."""
        self._let_go = False
        """Whether it ends because we want it to."""
        self._cut: asyncio.TimerHandle | None = None
        self._attempt = self._loop.create_task(self._connect(context))
        # Not in the task itself: one that is cancelled at once never runs.
        self._attempt.add_done_callback(self._on_attempt_end)

    def flush(self) -> None:
        """Write what the sender has, as long as the transport takes it."""
        transport, plain = self._transport, self._plain
        if transport is None or plain is None:
            return
        # One that is closing would drop it; what is not encoded can still go elsewhere.
        while not (self._paused or self._ended or plain.is_closing()):
            data = self._sender.data_to_send(self.connection_id)
            if not data:
                return
            transport.write(data)

    def disconnect(self, deadline: float) -> None:
        """Write what the sender still has, and close; by ``deadline`` at the latest."""
        transport = self._transport
        if transport is None:
            self.abort()
            return
        self._paused = False  # nothing is encoded any more, and a farewell is short
        self.flush()
        self._let_go = self._ended = True
        self._cut = self._loop.call_at(deadline, transport.abort)
        transport.close()

    def abort(self) -> None:
        """Stop connecting, or cut the connection with whatever is still to be written."""
        self._let_go = self._ended = True
        if self._transport is not None:
            self._transport.abort()
        else:
            self._attempt.cancel()

    # ── called by the event loop ──

    def data_received(self, data: bytes) -> None:
        """Pass on what was read."""
        self._heard = True
        if self._transport is None:
            self._early.append(data)
        else:
            self._pump.tell(self._sender.receive_data, self.connection_id, data)

    def eof_received(self) -> None:
        """Pull no more: what is not encoded now can still go elsewhere. asyncio closes.

        It would first write what it holds, for as long as a peer takes that no longer answers.
        """
        self._ended = True
        transport, plain = self._transport, self._plain
        if transport is None or plain is None:
            return
        if transport.get_write_buffer_size() or plain.get_write_buffer_size():
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that it is gone, however it went: what HTTP/2 has said by now decides."""
        if self._cut is not None:
            self._cut.cancel()
        if self._transport is None:  # the attempt fails by itself
            return
        self._transport = self._plain = None
        if self._let_go:
            exc = None
        elif not self._heard:
            exc = refused_unheard()
        self._pump.on_lost(self, exc)

    def pause_writing(self) -> None:
        """Stop pulling: what is not encoded can still go elsewhere."""
        self._paused = True

    def resume_writing(self) -> None:
        """Pull again."""
        self._paused = False
        self._pump.wake()

    # ── connecting ──

    async def _connect(self, context: ssl.SSLContext) -> None:
        host, port = self.endpoint.host, self.endpoint.port
        async with asyncio.timeout_at(self._deadline):
            if self._proxy is None:
                connected = await dial(host, port)
            else:
                connected = await open_tunnel(self._proxy, self.endpoint, self._deadline)
            plain, _ = await self._loop.create_connection(asyncio.Protocol, sock=connected)
            try:
                # Not `ssl=` above: cancelled at the wrong moment, that lets the handshake go on.
                transport = await self._loop.start_tls(
                    plain,
                    self,
                    context,
                    server_hostname=host,
                    ssl_handshake_timeout=_UNLIMITED,
                    ssl_shutdown_timeout=_UNLIMITED,
                )
                self._stand(transport, plain)
            except BaseException:
                plain.abort()
                raise

    def _stand(self, transport: asyncio.Transport | None, plain: asyncio.Transport) -> None:
        if transport is None:
            raise ConnectionResetError("the connection was lost in the TLS handshake")
        check_alpn(transport.get_extra_info("ssl_object").selected_alpn_protocol())
        # Pause as soon as the socket takes no more, not half a megabyte later.
        transport.set_write_buffer_limits(high=1, low=0)
        self._transport, self._plain = transport, plain
        self._pump.tell(self._sender.connected, self.connection_id)
        for data in self._early:
            self._pump.tell(self._sender.receive_data, self.connection_id, data)
        self._early.clear()

    def _on_attempt_end(self, attempt: asyncio.Task[None]) -> None:
        try:
            attempt.result()
        except asyncio.CancelledError:
            self._pump.on_attempt_failed(self, None)
        except Exception as error:  # noqa: BLE001 - sorted by the owner
            self._pump.on_attempt_failed(self, error)


_UNLIMITED: Final = 86_400.0
"""Seconds that asyncio may take for a handshake or a farewell: the sender's deadlines decide."""
