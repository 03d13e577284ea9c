"""The client: what its users call. The work is done by a `Pump` and decided by the sender."""

import random
import ssl
import time
from collections.abc import AsyncIterable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self, final

import trio

from apns_core import Outcome, Sender, SenderConfig
from apns_core.adapters.pump import Caller
from apns_core.adapters.signers import check_signer
from apns_core.endpoints import PRODUCTION, Endpoint
from apns_core.errors import ApiMisuse, ClientClosed
from apns_core.metrics import Metrics
from apns_core.proxy import Proxy
from apns_core.requests.request import Request
from apns_core.sender import DEFAULT_SENDER_CONFIG
from apns_core.trust.provider_token import TokenSigner
from apns_core.trust.tls import client_context, prepare_context
from apns_trio.callers import Answer, Batch, Outcomes
from apns_trio.pump import Pump

__all__ = ["Client"]


@final
class Client:
    """A sender of notifications to one endpoint. Use it as ``async with``, once.

    ``token_signer`` signs provider tokens; one that is ``blocking`` does so in a thread, and within
    20 s or in vain. None means that ``ssl_context`` presents a certificate.
    ``ssl_context`` replaces the default, which trusts the system's authorities; ALPN and the
    minimum version are set on it. ``proxy`` is a tunnel to the endpoint, by HTTP CONNECT or SOCKS5.

    Leaving the block waits for all outcomes, as `aclose` does. Leaving it by an exception does not:
    what is in flight ends as `Unknown`, what is queued as `Unprocessed`. The exception comes out as
    it is, in no group.

    Its tasks run in a nursery of its own, where no cancellation from outside reaches them: it
    reaches those who call, and who leave the block.
    """

    def __init__(
        self,
        endpoint: Endpoint = PRODUCTION,
        *,
        token_signer: TokenSigner | None = None,
        ssl_context: ssl.SSLContext | None = None,
        config: SenderConfig = DEFAULT_SENDER_CONFIG,
        proxy: Proxy | None = None,
    ) -> None:
        """Raises InvalidField for a ``token_signer`` that would have to be awaited."""
        check_signer(token_signer)
        self._endpoint = endpoint
        self._token_signer = token_signer
        self._ssl_context = (
            client_context() if ssl_context is None else prepare_context(ssl_context)
        )
        self._config = config
        self._proxy = proxy
        self._nursery: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._pump: Pump | None = None

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        """Raises ApiMisuse the second time."""
        if self._pump is not None:
            raise ApiMisuse("a client is entered once; make another")
        sender: Sender[Caller] = Sender(
            self._endpoint,
            rng=random.Random(),  # noqa: S311 - jitter
            now=trio.current_time(),
            unix_time=time.time(),
            token_authentication=self._token_signer is not None,
            config=self._config,
        )
        self._nursery = trio.open_nursery()
        self._pump = Pump(
            sender,
            await self._nursery.__aenter__(),
            ssl_context=self._ssl_context,
            token_signer=self._token_signer,
            proxy=self._proxy,
        )
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pump, nursery = self._open(), self._nursery
        assert nursery is not None  # noqa: S101 - entered
        try:
            if exc is None:
                await pump.close(None)
        finally:
            try:
                pump.abort()
            finally:
                await _leave(nursery)

    async def send(self, notification: Request) -> Outcome[object]:
        """Send a notification, broadcast or channel request, and return what came of it.

        Waits in line while the queue is full. The time in line counts towards nothing: the deadline
        (``request_timeout``) and a lifetime begin with its place in the queue. Cancelling it
        withdraws this notification and touches no other.

        Raises ClientClosed on a client that is not open, and InvalidField for a route that leaves
        the topic to a certificate where provider tokens are used.
        """
        pump = self._open()
        answer = Answer(notification, pump)
        pump.enter(answer)
        pump.join(answer)
        try:
            return await answer.wait()
        except trio.Cancelled:
            answer.withdraw()
            raise
        finally:
            pump.leave(answer)

    def send_many(self, notifications: Iterable[Request] | AsyncIterable[Request]) -> Outcomes:
        """Send many, and yield each outcome as it comes; its `notification` says whose it is.

        Takes from ``notifications`` what the queue has room for, and nothing while the caller
        takes no outcomes: memory is bounded however many there are. An asynchronous iterable is
        read a little ahead, by a task of its own, which closes it if it is a generator.

        What ``notifications`` raises is raised here, after the outcomes of all that it gave before;
        so is ClientClosed, when the client closes before all are taken. What was read ahead by then
        ends as ``Unprocessed(CLOSED)``. Raises ClientClosed at once on a client that is not open.
        What an asynchronous iterable raises when it is closed before its end goes to the log.

        When the iteration is left early, what is still queued is withdrawn: soon after ``break``,
        there and then with `contextlib.aclosing`.
        """
        pump = self._open()
        return Outcomes(Batch(notifications, pump), pump.token)

    async def aclose(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - a bound on draining
        """Take no more notifications, wait for all outcomes, then close. Safe to call twice.

        After ``timeout`` seconds the rest ends with what is known of it; None leaves each
        notification the deadline it has. Cancelled, it ends everything at once.
        """
        if self._pump is not None:
            await self._pump.close(timeout)

    def replace_token_signer(self, token_signer: TokenSigner) -> None:
        """Sign with another key from now on, because the one in use was revoked.

        No token of the old key is sent again: every connection drains and others take over (Apple,
        "Establishing a token-based connection to APNs"). Raises ClientClosed, and InvalidField for
        a signer that would have to be awaited.
        """
        check_signer(token_signer)
        self._open().replace_token_signer(token_signer)

    @property
    def last_error(self) -> Exception | None:
        """Why a connection last failed or a token could not be signed; None if that never was.

        Neither is raised anywhere: it is tried again, and notifications keep until their deadline.
        Where all of them end as ``Unprocessed(DEADLINE)``, the reason is here: an OSError (among
        them `ssl.SSLCertVerificationError`), a ConnectFailed, or the `RemoteProtocolError` of a
        server that broke a rule of HTTP/2, with the heads of its last frames. A server that resets
        all, or answers nothing but errors, is a ConnectionError, which is an OSError too.
        """
        return None if self._pump is None else self._pump.last_error

    @property
    def metrics(self) -> Metrics:
        """What has happened so far, in numbers. Raises ClientClosed before the client is open."""
        return self._open().sender.metrics

    def _open(self) -> Pump:
        if self._pump is None:
            raise ClientClosed("the client is not open yet: use it as `async with`")
        return self._pump


async def _leave(nursery: AbstractAsyncContextManager[trio.Nursery]) -> None:
    """Wait for its tasks, none of which raises anything. Raises KeyboardInterrupt as it is.

    It is not told of the exception that leaves the block, which it would wrap in a group.
    """
    try:
        await nursery.__aexit__(None, None, None)
    except BaseExceptionGroup as group:
        interrupts, others = group.split(KeyboardInterrupt)
        if interrupts is None or others is not None:
            raise
    else:
        return
    # Ctrl-C, while it waited. Out here its context is what left the block, and not the group.
    raise KeyboardInterrupt
