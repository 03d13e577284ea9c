"""What keeps an `apns_core.Sender` running: its commands, bytes, outcomes and timer.

It decides nothing. Every input of the sender is followed by `pump`, which does the rest.
"""

import logging
import math
import ssl
from typing import Final, Protocol, final

import trio

from apns_core import Connect, Disconnect, Outcome, Sender, SignToken
from apns_core.errors import ConnectFailed
from apns_core.sender import ConnectionId
from apns_core.trust.provider_token import TokenSigner
from apns_core.trust.tls import check_alpn
from apns_trio.tls_stream import TlsStream

__all__ = ["Driver", "Sink"]

_log: Final = logging.getLogger("apns_trio")


class Sink(Protocol):
    """Where an outcome goes: the tag of every notification that the client submits."""

    def deliver(self, outcome: Outcome[object]) -> None:
        """Take one outcome."""
        ...


class _Link:
    """One connection: the task that runs it, and its writer's signal."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.closing = False
        self.writable = trio.Event()

    def wake(self) -> None:
        self.writable.set()


@final
class Driver:
    """Runs one sender in one nursery."""

    def __init__(
        self,
        sender: Sender[Sink],
        nursery: trio.Nursery,
        context: ssl.SSLContext,
        signer: TokenSigner | None,
    ) -> None:
        self.sender = sender
        self.nursery = nursery
        self.room = trio.lowlevel.ParkingLot()
        """Where callers wait while the queue is full."""
        self.closed = trio.Event()
        """Set when the sender has nothing left to do, for ever."""
        self._context = context
        self._signer = signer
        self._links: dict[ConnectionId, _Link] = {}
        self._woken = trio.Event()
        self._alarm = math.inf
        nursery.start_soon(self._keep_time)

    def wake(self) -> None:
        """Have `pump` run once, however many inputs come before it does."""
        self._woken.set()

    def pump(self) -> None:
        """Follow an input: commands, outcomes, writers, timer."""
        sender = self.sender
        for command in sender.commands():
            match command:
                case Connect(connection_id):
                    self._links[connection_id] = link = _Link()
                    self.nursery.start_soon(self._run, command, link)
                case Disconnect(connection_id, _, deadline):
                    self._disconnect(self._links[connection_id], deadline)
                case SignToken(issued_at):
                    self._sign(issued_at)
        for outcome in sender.outcomes():
            outcome.tag.deliver(outcome)
        for link in self._links.values():
            link.wake()
        if self.room and sender.room > 0:
            self.room.unpark(count=sender.room)
        when = sender.poll_timeout()
        if when is not None and when < self._alarm:
            self._woken.set()
        if sender.closed:
            self.closed.set()

    async def _keep_time(self) -> None:
        """Pump when woken, and call the sender when its time has come."""
        while True:
            self.pump()
            when = self.sender.poll_timeout()
            self._alarm = math.inf if when is None else when
            with trio.CancelScope(deadline=self._alarm) as alarm:
                await self._woken.wait()
            self._woken = trio.Event()
            if alarm.cancelled_caught:
                self.sender.handle_timeout(trio.current_time())

    def _sign(self, issued_at: int) -> None:
        assert self._signer is not None  # noqa: S101 - a sender without tokens asks for none
        try:
            self.sender.token_signed(self._signer.sign(issued_at), trio.current_time())
        except Exception as error:  # noqa: BLE001 - a key service may fail in any way
            _log.warning("signing a provider token failed: %s", type(error).__name__)
            self.sender.signing_failed(trio.current_time())
        self.wake()

    # ── connections ──

    def _disconnect(self, link: _Link, deadline: float) -> None:
        link.closing = True
        # Before there is a writer, there is nobody to take leave of.
        link.scope.deadline = min(link.scope.deadline, deadline)
        link.wake()

    async def _run(self, command: Connect, link: _Link) -> None:
        """Make a connection and keep it until it ends."""
        with link.scope:
            stream = await self._establish(command)
            if stream is not None:
                try:
                    await self._exchange(command.connection_id, stream, link)
                finally:
                    stream.close()
                    del self._links[command.connection_id]
                    self.sender.receive_eof(command.connection_id, trio.current_time())
                    self.pump()

    async def _establish(self, command: Connect) -> TlsStream | None:
        """Return a stream that speaks HTTP/2; None where none came of it."""
        endpoint = command.endpoint
        stream = None
        try:
            with trio.fail_at(command.deadline):
                tcp = await trio.open_tcp_stream(endpoint.host, endpoint.port)
                stream = TlsStream(tcp, self._context, endpoint.host)
                await stream.handshake()
            check_alpn(stream.alpn)
        except (OSError, trio.TooSlowError, ConnectFailed) as error:
            text = str(error) or type(error).__name__
            _log.warning("connecting to %s failed: %s", endpoint.host, text)
            if stream is not None:
                stream.close()
            stream = None
        except trio.Cancelled:
            if stream is not None:
                stream.close()
            self._connect_failed(command)
            raise
        if stream is None:
            self._connect_failed(command)
        else:
            self.sender.connected(command.connection_id, trio.current_time())
            self.pump()
        return stream

    def _connect_failed(self, command: Connect) -> None:
        del self._links[command.connection_id]
        self.sender.connect_failed(command.connection_id, trio.current_time())
        self.pump()

    async def _exchange(self, connection_id: ConnectionId, stream: TlsStream, link: _Link) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, connection_id, stream, link)
            while data := await stream.receive():
                self.sender.receive_data(connection_id, data, trio.current_time())
                self.pump()
            nursery.cancel_scope.cancel()

    async def _write(self, connection_id: ConnectionId, stream: TlsStream, link: _Link) -> None:
        """Be the only writer: no caller's cancellation reaches a write."""
        try:
            while True:
                # Encode at the last moment: what is not encoded can still go elsewhere.
                await stream.wait_writable()
                data = self.sender.data_to_send(connection_id)
                if data or stream.must_send:
                    await stream.send_all(data)
                elif link.closing:
                    await stream.send_eof()
                    return
                else:
                    await link.writable.wait()
                    link.writable = trio.Event()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The reader sees the end too, and tells the sender after what it has yet to read.
            return
