"""The client: callers on one side, an `apns_core.Sender` and its connections on the other.

It decides nothing. Every input of the sender is followed, once in a turn of the loop, by `_pump`:
do its commands, hand out its outcomes, write its bytes, set its timer.
"""

import asyncio
import logging
import random
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from types import TracebackType
from typing import Final, Protocol, Self, final

from apns_asyncio.link import Link, Sink
from apns_core import Connect, Disconnect, Notification, Outcome, Sender, SenderConfig, SignToken
from apns_core.endpoints import PRODUCTION, Endpoint
from apns_core.errors import ClientClosed, ConnectFailed
from apns_core.sender import DEFAULT_SENDER_CONFIG, ConnectionId
from apns_core.trust.tls import client_context, prepare_context

__all__ = ["Client", "TokenSigner"]

_log: Final = logging.getLogger("apns_asyncio")


class TokenSigner(Protocol):
    """What signs provider tokens: an `apns_core.trust.signing.TokenKey`, or a key service."""

    def sign(self, issued_at: int) -> str:
        """Return an ES256 JWT with this ``iat`` (UNIX seconds)."""
        ...


@final
class Client:
    """A sender of notifications to one endpoint. Use it as ``async with``; it is for one loop.

    ``token_signer`` signs provider tokens; None means that ``ssl_context`` presents a certificate.
    ``ssl_context`` replaces the default, which trusts the system's authorities; ALPN and the
    minimum version are set on it.
    """

    def __init__(
        self,
        endpoint: Endpoint = PRODUCTION,
        *,
        token_signer: TokenSigner | None = None,
        ssl_context: ssl.SSLContext | None = None,
        config: SenderConfig = DEFAULT_SENDER_CONFIG,
    ) -> None:
        self._endpoint = endpoint
        self._token_signer = token_signer
        self._ssl_context = (
            client_context() if ssl_context is None else prepare_context(ssl_context)
        )
        self._config = config
        self._links: dict[ConnectionId, Link] = {}
        self._waiting_for_room: deque[asyncio.Future[None]] = deque()
        self._pump_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sender: Sender[Sink] | None = None

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ClientClosed("a client is entered once; make another")
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        self._sender = Sender(
            self._endpoint,
            rng=random.Random(),  # noqa: S311 - jitter
            now=self._loop.time(),
            unix_time=time.time(),
            token_authentication=self._token_signer is not None,
            config=self._config,
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            await self.aclose()
        else:
            await self._abort()

    async def send(self, notification: Notification) -> Outcome[object]:
        """Send one notification and return what came of it.

        Waits while the queue is full. Cancelling it withdraws this notification and no other.
        Raises ClientClosed on a client that is not open.
        """
        loop, sender = self._running()
        while sender.room <= 0:
            await self._wait_for_room(loop)
        answer = _Answer(loop.create_future())
        ticket = sender.submit(notification, answer, loop.time())
        self._wake()
        try:
            return await answer.future
        except asyncio.CancelledError:
            sender.cancel(ticket, loop.time())
            self._wake()
            raise

    async def send_many(
        self, notifications: Iterable[Notification] | AsyncIterable[Notification]
    ) -> AsyncGenerator[Outcome[object], None]:
        """Send many, and yield each outcome as it comes; its `notification` says whose it is.

        Takes from ``notifications`` only what the queue has room for, and nothing while the caller
        takes no outcomes: memory is bounded however many there are. What ``notifications`` raises
        is raised here, after the outcomes of all that it gave before. When the generator is closed
        early, what is still queued is withdrawn.
        """
        loop, sender = self._running()
        batch = _Batch()
        feeder = loop.create_task(self._feed(notifications, batch))
        feeder.add_done_callback(batch.on_fed)
        outcomes = batch.outcomes
        try:
            while outcomes or batch.unanswered or not feeder.done():
                while outcomes:
                    yield outcomes.popleft()
                batch.drained.set()
                if batch.unanswered or not feeder.done():
                    await batch.changed.wait()
                    batch.changed.clear()
            await feeder
        finally:
            if not feeder.done():
                feeder.cancel()
                await asyncio.wait([feeder])
            if batch.unanswered:
                sender.withdraw(batch, loop.time())
                self._wake()

    async def aclose(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - a bound on draining
        """Wait for all outcomes, then close the connections. Safe to call twice.

        After ``timeout`` seconds the rest ends with what is known of it; None leaves each
        notification the deadline it has.
        """
        if self._loop is None or self._sender is None or self._closed is None:
            return
        deadline = None if timeout is None else self._loop.time() + timeout
        self._sender.close(self._loop.time(), deadline=deadline)
        self._wake()
        try:
            await self._closed.wait()
        except asyncio.CancelledError:
            await self._abort()
            raise

    # ── callers ──

    def _running(self) -> tuple[asyncio.AbstractEventLoop, Sender[Sink]]:
        if self._loop is None or self._sender is None:
            raise ClientClosed("the client is not open yet: use it as `async with`")
        return self._loop, self._sender

    async def _feed(
        self, notifications: Iterable[Notification] | AsyncIterable[Notification], batch: "_Batch"
    ) -> None:
        loop, sender = self._running()
        if isinstance(notifications, AsyncIterable):
            async for notification in notifications:
                await self._submit(notification, batch, sender, loop)
            return
        for notification in notifications:
            if sender.room > 0 and len(batch.outcomes) < self._config.max_queued:
                # Optimisation (benchmark: send_many): no coroutine where nothing is waited for.
                sender.submit(notification, batch, loop.time())
                batch.unanswered += 1
                if batch.unanswered == 1:
                    self._wake()
            else:
                await self._submit(notification, batch, sender, loop)
        self._wake()

    async def _submit(
        self,
        notification: Notification,
        batch: "_Batch",
        sender: Sender[Sink],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        while True:
            if len(batch.outcomes) >= self._config.max_queued:
                batch.drained.clear()
                await batch.drained.wait()
            elif sender.room <= 0:
                self._wake()
                await self._wait_for_room(loop)
            else:
                break
        sender.submit(notification, batch, loop.time())
        batch.unanswered += 1
        self._wake()

    async def _wait_for_room(self, loop: asyncio.AbstractEventLoop) -> None:
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting_for_room.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                # Woken and cancelled in the same turn: the room is another's.
                self._wake()
            raise

    # ── the sender ──

    def _wake(self) -> None:
        """Pump once in this turn of the loop, however many inputs it brings."""
        if not self._pump_scheduled and self._loop is not None:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        loop, sender = self._running()
        while True:
            for link in list(self._links.values()):
                link.flush()
            outcomes = sender.outcomes()
            for outcome in outcomes:
                outcome.tag.deliver(outcome)
            commands = sender.commands()
            for command in commands:
                match command:
                    case Connect():
                        self._connect(command, loop, sender)
                    case Disconnect(connection_id, _, deadline):
                        self._links[connection_id].disconnect(deadline)
                    case SignToken(issued_at):
                        self._sign(issued_at, loop, sender)
            if not commands and not outcomes:
                break
        for _ in range(min(sender.room, len(self._waiting_for_room))):
            waiter = self._waiting_for_room.popleft()
            if not waiter.done():
                waiter.set_result(None)
        self._rearm(loop, sender)
        if sender.closed and self._closed is not None:
            self._closed.set()

    def _rearm(self, loop: asyncio.AbstractEventLoop, sender: Sender[Sink]) -> None:
        when = sender.poll_timeout()
        if self._timer is not None:
            if when is not None and self._timer.when() <= when:
                # Optimisation (benchmark: send_many): deadlines recede with every outcome; a timer
                # that comes early finds nothing due and is set anew.
                return
            self._timer.cancel()
            self._timer = None
        if when is not None:
            self._timer = loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        loop, sender = self._running()
        self._timer = None
        # A loop may call a timer early, by the resolution of its clock.
        sender.handle_timeout(loop.time())
        self._pump()

    def _sign(self, issued_at: int, loop: asyncio.AbstractEventLoop, sender: Sender[Sink]) -> None:
        signer = self._token_signer
        assert signer is not None  # noqa: S101 - a sender without tokens asks for none
        try:
            sender.token_signed(signer.sign(issued_at), loop.time())
        except Exception as error:  # noqa: BLE001 - a key service may fail in any way
            _log.warning("signing a provider token failed: %s", type(error).__name__)
            sender.signing_failed(loop.time())

    # ── connections ──

    def _connect(
        self, command: Connect, loop: asyncio.AbstractEventLoop, sender: Sender[Sink]
    ) -> None:
        link = Link(command.connection_id, sender, self._wake)
        self._links[command.connection_id] = link
        link.connecting = loop.create_task(self._establish(command, link, loop, sender))

    async def _establish(
        self,
        command: Connect,
        link: Link,
        loop: asyncio.AbstractEventLoop,
        sender: Sender[Sink],
    ) -> None:
        endpoint = command.endpoint
        try:
            async with asyncio.timeout_at(command.deadline):
                await loop.create_connection(
                    lambda: link,
                    endpoint.host,
                    endpoint.port,
                    ssl=self._ssl_context,
                    server_hostname=endpoint.host,
                    happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY,
                )
            if link.error is not None:
                raise link.error
        except (OSError, ConnectFailed) as error:
            _log.warning(
                "connecting to %s failed: %s", endpoint.host, error or type(error).__name__
            )
        finally:
            link.connecting = None
            if not link.established and not link.gone:
                sender.connect_failed(command.connection_id, loop.time())
                del self._links[command.connection_id]
                self._wake()

    async def _abort(self) -> None:
        """End everything now, and leave nothing behind."""
        loop, sender = self._running()
        sender.abort(loop.time())
        self._pump()
        for link in list(self._links.values()):
            link.disconnect(loop.time())
        tasks = [link.connecting for link in self._links.values() if link.connecting is not None]
        if tasks:
            await asyncio.wait(tasks)
        if self._closed is not None:
            await self._closed.wait()


class _Answer(Sink):
    """One caller that waits for one outcome."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[Outcome[object]]) -> None:
        self.future = future

    def deliver(self, outcome: Outcome[object]) -> None:
        if not self.future.done():
            self.future.set_result(outcome)


class _Batch(Sink):
    """One `send_many`: no future and no task a notification."""

    __slots__ = ("changed", "drained", "outcomes", "unanswered")

    def __init__(self) -> None:
        self.outcomes: deque[Outcome[object]] = deque()
        self.unanswered = 0
        """Submitted, and without an outcome."""
        self.changed = asyncio.Event()
        self.drained = asyncio.Event()
        """Whether the caller has taken all outcomes that there were."""

    def deliver(self, outcome: Outcome[object]) -> None:
        self.outcomes.append(outcome)
        self.unanswered -= 1
        self.changed.set()

    def on_fed(self, feeder: asyncio.Task[None]) -> None:
        """Note that there is nothing more to submit."""
        del feeder
        self.changed.set()


_HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds (RFC 8305 §5)."""
