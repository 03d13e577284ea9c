"""The client that callers use: `send`, `send_many`, `aclose`."""

import random
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self, final

import trio

from apns_core import Notification, Outcome, Sender, SenderConfig
from apns_core.endpoints import PRODUCTION, Endpoint
from apns_core.errors import ClientClosed
from apns_core.sender import DEFAULT_SENDER_CONFIG
from apns_core.trust.provider_token import TokenSigner
from apns_core.trust.tls import client_context, prepare_context
from apns_trio.driver import Driver, Sink

__all__ = ["Client"]


@final
class Client:
    """A sender of notifications to one endpoint. Use it as ``async with``, once.

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
        self._nursery_manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._driver: Driver | None = None
        self._closing = False

    async def __aenter__(self) -> Self:
        if self._nursery_manager is not None:
            raise ClientClosed("a client is entered once; make another")
        self._nursery_manager = trio.open_nursery()
        nursery = await self._nursery_manager.__aenter__()
        sender: Sender[Sink] = Sender(
            self._endpoint,
            rng=random.Random(),  # noqa: S311 - jitter
            now=trio.current_time(),
            unix_time=time.time(),
            token_authentication=self._token_signer is not None,
            config=self._config,
        )
        self._driver = Driver(sender, nursery, self._ssl_context, self._token_signer)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._driver is not None  # noqa: S101 - entered
        assert self._nursery_manager is not None  # noqa: S101 - entered
        try:
            if exc is None:
                await self.aclose()
        finally:
            self._abort(self._driver)
            self._driver.nursery.cancel_scope.cancel()
            suppressed = await self._nursery_manager.__aexit__(exc_type, exc, traceback)
        return suppressed

    async def send(self, notification: Notification) -> Outcome[object]:
        """Send one notification and return what came of it.

        Waits while the queue is full. Cancelling it withdraws this notification and no other.
        Raises ClientClosed on a client that is not open.
        """
        driver = self._running()
        await self._wait_for_room(driver)
        answer = _Answer()
        ticket = driver.sender.submit(notification, answer, trio.current_time())
        driver.wake()
        try:
            await answer.delivered.wait()
        except trio.Cancelled:
            driver.sender.cancel(ticket, trio.current_time())
            driver.wake()
            raise
        assert answer.outcome is not None  # noqa: S101 - delivered
        return answer.outcome

    async def send_many(
        self, notifications: Iterable[Notification] | AsyncIterable[Notification]
    ) -> AsyncGenerator[Outcome[object], None]:
        """Send many, and yield each outcome as it comes; its `notification` says whose it is.

        Takes from ``notifications`` only what the queue has room for, and nothing while the caller
        takes no outcomes: memory is bounded however many there are. What ``notifications`` raises
        is raised here, after the outcomes of all that it gave before. When the generator is closed
        early, what is still queued is withdrawn.
        """
        driver = self._running()
        batch = _Batch()
        driver.nursery.start_soon(self._feed, notifications, batch, driver)
        outcomes = batch.outcomes
        try:
            while outcomes or batch.unanswered or not batch.fed:
                while outcomes:
                    yield outcomes.popleft()
                batch.drained.set()
                if batch.unanswered or not batch.fed:
                    await batch.changed.wait()
                    batch.changed = trio.Event()
        finally:
            batch.feeding.cancel()
            if batch.unanswered:
                driver.sender.withdraw(batch, trio.current_time())
                driver.wake()
        if batch.error is not None:
            raise batch.error

    async def aclose(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait for all outcomes, then close the connections. Safe to call twice.

        After ``timeout`` seconds the rest ends with what is known of it; None leaves each
        notification the deadline it has.
        """
        driver = self._driver
        if driver is None:
            return
        deadline = None if timeout is None else trio.current_time() + timeout
        self._closing = True
        driver.sender.close(trio.current_time(), deadline=deadline)
        driver.room.unpark_all()
        driver.wake()
        await driver.closed.wait()

    # ── inside ──

    def _running(self) -> Driver:
        if self._driver is None:
            raise ClientClosed("the client is not open yet: use it as `async with`")
        return self._driver

    def _abort(self, driver: Driver) -> None:
        self._closing = True
        driver.sender.abort(trio.current_time())
        driver.room.unpark_all()
        driver.pump()

    async def _wait_for_room(self, driver: Driver) -> None:
        while driver.sender.room <= 0 and not self._closing:
            await driver.room.park()

    async def _feed(
        self,
        notifications: Iterable[Notification] | AsyncIterable[Notification],
        batch: "_Batch",
        driver: Driver,
    ) -> None:
        try:
            with batch.feeding:
                if isinstance(notifications, AsyncIterable):
                    async for notification in notifications:
                        await self._submit(notification, batch, driver)
                else:
                    for notification in notifications:
                        await self._submit(notification, batch, driver)
        except Exception as error:  # noqa: BLE001 - it is the caller's, and raised there
            batch.error = error
        finally:
            batch.fed = True
            batch.changed.set()

    async def _submit(self, notification: Notification, batch: "_Batch", driver: Driver) -> None:
        while len(batch.outcomes) >= self._config.max_queued:
            batch.drained = trio.Event()
            await batch.drained.wait()
        if driver.sender.room <= 0:
            await self._wait_for_room(driver)
        driver.sender.submit(notification, batch, trio.current_time())
        batch.unanswered += 1
        if batch.unanswered == 1:
            driver.wake()


class _Answer:
    """One caller that waits for one outcome."""

    __slots__ = ("delivered", "outcome")

    def __init__(self) -> None:
        self.delivered = trio.Event()
        self.outcome: Outcome[object] | None = None

    def deliver(self, outcome: Outcome[object]) -> None:
        self.outcome = outcome
        self.delivered.set()


class _Batch:
    """One `send_many`: no task and no event a notification."""

    __slots__ = ("changed", "drained", "error", "fed", "feeding", "outcomes", "unanswered")

    def __init__(self) -> None:
        self.outcomes: deque[Outcome[object]] = deque()
        self.unanswered = 0
        """Submitted, and without an outcome."""
        self.changed = trio.Event()
        self.drained = trio.Event()
        """Whether the caller has taken all outcomes that there were."""
        self.feeding = trio.CancelScope()
        self.fed = False
        self.error: Exception | None = None

    def deliver(self, outcome: Outcome[object]) -> None:
        self.outcomes.append(outcome)
        self.unanswered -= 1
        self.changed.set()
