"""One connection: how it is made, bytes in, bytes out, and how it ends."""

import ssl
from contextlib import ExitStack
from typing import Final, final

import trio

from apns_core import Connect, Endpoint
from apns_core.adapters.pump import PumpBase, looking_up, refused_unheard
from apns_core.proxy import Proxy
from apns_core.trust.tls import check_alpn
from apns_trio.dial import dial
from apns_trio.proxy import open_tunnel
from apns_trio.tls_stream import TlsStream

__all__ = ["Link"]


@final
class Link:
    """The only writer of its connection: no caller's cancellation reaches a write."""

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
        self._context = context
        self._sender = pump.sender
        self._pump = pump
        # Nobody's but the client's to cancel: whoever waits is cancelled by what surrounds *them*.
        self._scope = trio.CancelScope(shield=True)
        self._stream: TlsStream | None = None
        """None until the sender is told that the connection stands."""
        self._outgoing = b""
        self._writing = False
        """Whether the writer is at work, or about to be."""
        self._due = trio.Event()
        self._write_error: Exception | None = None
        self._heard = False
        self._ended = False
        """Whether nothing more is to be pulled."""
        self._let_go = False
        """Whether it ends because we want it to."""

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Make the connection, keep it until it ends, and report how it did."""
        error: Exception | None = None
        try:
            with self._scope:
                error = await self._live()
        except Exception as failure:  # noqa: BLE001 - sorted by the owner
            error = failure
        if self._stream is None:
            self._pump.on_attempt_failed(self, error)
        else:
            self._pump.on_lost(self, error)

    def flush(self) -> None:
        """Write what the sender has, unless there is enough on its way already."""
        stream = self._stream
        if stream is None or self._writing or self._ended:
            return
        self._outgoing = self._sender.data_to_send(self.connection_id)
        if self._outgoing or stream.must_send:
            self._write_soon()

    def disconnect(self, deadline: float) -> None:
        """Write what the sender still has, and close; by ``deadline`` at the latest."""
        if self._stream is None:
            self.abort()
            return
        # Nothing is encoded any more, and a farewell is short.
        while data := self._sender.data_to_send(self.connection_id):
            self._outgoing += data
        self._let_go = self._ended = True
        self._scope.deadline = deadline
        self._write_soon()

    def abort(self) -> None:
        """Stop connecting, or cut the connection with whatever is still to be written."""
        self._let_go = self._ended = True
        self._scope.cancel()

    # ── while it lives ──

    async def _live(self) -> Exception | None:
        """Return what ended it, None for an end in order. Raises what kept it from standing."""
        with ExitStack() as stack:
            try:
                with trio.fail_at(self._deadline):
                    with looking_up():
                        if self._proxy is None:
                            plain = await dial(self.endpoint.host, self.endpoint.port)
                        else:
                            plain = await open_tunnel(self._proxy, self.endpoint, self._deadline)
                    stream = TlsStream(plain, self._context, self.endpoint.host)
                    stack.callback(stream.close)
                    await stream.handshake()
            except trio.TooSlowError:
                raise TimeoutError from None
            check_alpn(stream.alpn)
            if self._let_go:  # called off in the very moment in which it stood
                return None
            self._stream = stream
            self._pump.tell(self._sender.connected, self.connection_id)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, stream)
                error = await self._read(stream)
                nursery.cancel_scope.cancel()
            return error

    async def _read(self, stream: TlsStream) -> Exception | None:
        error: Exception | None = None
        # Whatever it is, it is returned: raised, it would come out of the nursery in a group.
        try:
            while data := await stream.receive():
                self._heard = True
                self._pump.tell(self._sender.receive_data, self.connection_id, data)
        except Exception as failure:  # noqa: BLE001 - sorted by the owner
            error = failure
        self._ended = True
        error = error or self._write_error
        if not isinstance(error, OSError | None):
            return error
        if self._let_go:
            return None
        return error if self._heard else refused_unheard()

    async def _write(self, stream: TlsStream) -> None:
        try:
            while not self._ended or self._outgoing:
                await self._due.wait()
                self._due = trio.Event()
                data, self._outgoing = self._outgoing, b""
                await stream.send_all(data)
                self._writing = False
                self._pump.wake()
            await stream.send_eof()
        except Exception as error:  # noqa: BLE001 - sorted by the owner
            # The reader tells the sender, after what it has yet to read. It need not see the end by
            # itself: there may have been no memory, or no buffer of the system's.
            self._write_error = error
            stream.end()

    def _write_soon(self) -> None:
        self._writing = True
        self._due.set()
