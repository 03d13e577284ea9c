"""The client: what its users call. The work is done by a `Pump` and decided by the sender."""

import asyncio
import random
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from types import TracebackType
from typing import Self, final

from apns_asyncio.callers import Answer, Batch
from apns_asyncio.pump import Pump
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

__all__ = ["Client"]


@final
class Client:
    """A sender of notifications to one endpoint. Use it as ``async with``, once and in one loop.

    ``token_signer`` signs provider tokens; one that is ``blocking`` does so in a thread, and within
    20 s or in vain. None means that ``ssl_context`` presents a certificate.
    ``ssl_context`` replaces the default, which trusts the system's authorities; ALPN and the
    minimum version are set on it. ``proxy`` is a tunnel to the endpoint, by HTTP CONNECT or SOCKS5.

    Leaving the block waits for all outcomes, as `aclose` does. Leaving it by an exception does not:
    what is in flight ends as `Unknown`, what is queued as `Unprocessed`.
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
        self._pump: Pump | None = None

    async def __aenter__(self) -> Self:
        """Raises ApiMisuse the second time."""
        if self._pump is not None:
            raise ApiMisuse("a client is entered once; make another")
        now = asyncio.get_running_loop().time()
        sender: Sender[Caller] = Sender(
            self._endpoint,
            rng=random.Random(),  # noqa: S311 - jitter
            now=now,
            unix_time=time.time(),
            token_authentication=self._token_signer is not None,
            config=self._config,
        )
        self._pump = Pump(
            sender,
            ssl_context=self._ssl_context,
            token_signer=self._token_signer,
            proxy=self._proxy,
            now=now,
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pump = self._open()
        if exc is not None:
            await pump.abort()
            return
        try:
            await pump.close(None)
        except asyncio.CancelledError:
            await pump.abort()
            raise

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
            return await answer.future
        except asyncio.CancelledError:
            answer.withdraw()
            raise
        finally:
            pump.leave(answer)

    def send_many(
        self, notifications: Iterable[Request] | AsyncIterable[Request]
    ) -> AsyncGenerator[Outcome[object], None]:
        """Send many, and yield each outcome as it comes; its `notification` says whose it is.

        Takes from ``notifications`` what the queue has room for, and nothing while the caller
        takes no outcomes: memory is bounded however many there are. An asynchronous iterable is
        read a little ahead, by a task of its own, which closes it if it is a generator.

        What ``notifications`` raises is raised here, after the outcomes of all that it gave before;
        so is ClientClosed, when the client closes before all are taken. What was read ahead by then
        ends as ``Unprocessed(CLOSED)``. Raises ClientClosed at once on a client that is not open.
        What an asynchronous iterable raises when it is closed before its end goes to the log.

        When the generator is closed early, what is still queued is withdrawn. ``break`` alone
        closes it only when it is collected; `contextlib.aclosing` does it there and then.
        """
        return Batch(self._open()).run(notifications)

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
