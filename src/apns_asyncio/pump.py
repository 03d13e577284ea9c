"""The pump in asyncio: one drain of all outputs in a turn of the loop follows its inputs."""

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from typing import Final, final

from apns_asyncio.link import Link
from apns_core import Connect, Sender
from apns_core.adapters.pump import Caller, PumpBase
from apns_core.adapters.signers import SIGNING_TIMEOUT, TIMED_OUT, Signed
from apns_core.proxy import Proxy
from apns_core.trust.provider_token import TokenSigner

__all__ = ["Pump"]

_log: Final = logging.getLogger("apns_asyncio")


@final
class Pump(PumpBase[Link]):
    """Adds the loop's clock, its timer, its tasks and its transports."""

    def __init__(
        self,
        sender: Sender[Caller],
        *,
        ssl_context: ssl.SSLContext,
        token_signer: TokenSigner | None,
        proxy: Proxy | None,
        now: float,
    ) -> None:
        super().__init__(sender, token_signer)
        self.loop: Final = asyncio.get_running_loop()
        # That of the client: connections and timers are to inherit nothing from who happens to
        # cause them, nor to keep it alive.
        self._context = copy_context()
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._awaited = 0
        """For which invitation the next in line waits already."""
        self._timer: asyncio.TimerHandle | None = None
        self._due = now
        """When it was set for; not every loop's handle can tell."""
        self._signing_limit: asyncio.TimerHandle | None = None
        self._latest = now
        self._disconnected = asyncio.Event()
        """Whether nothing is left of the sender and its links."""
        self._finished = asyncio.Event()
        """Whether nothing is left of the tasks that read either."""

    def now(self) -> float:
        """Return the time of the loop, which never runs backwards here."""
        self._latest = max(self._latest, self.loop.time())
        return self._latest

    def wake(self) -> None:
        """Drain once in this turn of the loop, however many inputs it brings."""
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._turn, context=self._context)

    def on_lost(self, link: Link, error: Exception | None) -> None:
        """Tell the sender that a connection is gone; whatever its transport met is for the log."""
        del self._links[link.connection_id]
        if error is not None:
            self._report(f"lost a connection to {link.endpoint.host}:{link.endpoint.port}", error)
        self.tell(self.sender.receive_eof, link.connection_id)

    def spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start a task that ends before the client does."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_end)
        return task

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.wake()

    # ── the end ──

    async def close(self, timeout: float | None) -> None:  # noqa: ASYNC109 - a bound on draining
        """Take nothing more, drain, and return when nothing is left. Cancelled, abort."""
        self._guest = None  # is refused: what was kept for it is for those behind
        self._turn()  # whoever came before, and finds room, is in time
        self._begin_close(timeout)
        try:
            await self._finished.wait()
        except asyncio.CancelledError:
            self._abort()
            # Not for the tasks that read: a source may close its own client, also in a task of its
            # own making, and is then cancelled with it.
            await self._disconnected.wait()
            raise

    async def abort(self) -> None:
        """End everything, and return when nothing is left: no waiting for what a peer does."""
        self._abort()
        await self._finished.wait()

    def _abort(self) -> None:
        self._refuse()
        self.tell(self.sender.abort)
        self._turn()
        self._cut()

    # ── outputs ──

    def _turn(self) -> None:
        self._scheduled = False
        if self._see_to_outputs():
            self._disconnected.set()
            if not self._tasks:
                self._set_timer(None)
                if self._signing_limit is not None:
                    self._signing_limit.cancel()
                self._finished.set()

    def _connect(self, command: Connect) -> Link:
        # A copy, for a turn may be in it already.
        return self._context.copy().run(Link, command, self._ssl_context, self._proxy, self)

    def _start_thread(self, sign: Callable[[], Signed], then: Callable[[Signed], None]) -> None:
        def run() -> None:
            result = sign()
            with suppress(RuntimeError):  # the loop is closed: nobody wants it
                self.loop.call_soon_threadsafe(end, result)

        def end(result: Signed) -> None:
            limit.cancel()
            then(result)

        # None of the loop's own executor, for whose threads `asyncio.run` waits at its end.
        thread = threading.Thread(target=run, name="apns_asyncio signs", daemon=True)
        thread.start()
        if self._signing_limit is not None:
            self._signing_limit.cancel()
        self._signing_limit = limit = self.loop.call_later(
            SIGNING_TIMEOUT, then, TIMED_OUT, context=self._context
        )

    def _await_guest(self) -> None:
        if self._awaited != self._invitations:
            self._awaited = self._invitations
            # Behind its waking, even if a turn is scheduled already.
            self._scheduled = True
            self.loop.call_soon(self._ask_next, self._invitations, context=self._context)

    def _ask_next(self, invitation: int) -> None:
        self._pass_over(invitation)
        self._turn()

    def _complain(self, bug: Exception) -> None:
        self.wake()
        self.loop.call_exception_handler({"message": "apns_asyncio met a bug", "exception": bug})

    def _warn(self, what: str, error: Exception) -> None:
        _log.warning("%s: %s", what, str(error) or type(error).__name__)

    def _set_timer(self, due: float | None) -> None:
        if self._timer is not None:
            if due is not None and self._due <= due:
                # Optimisation (benchmark: send_many): deadlines recede with every outcome; a timer
                # that comes early finds nothing due and is set anew.
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._due = due
            self._timer = self.loop.call_at(due, self._on_timer, context=self._context)

    def _on_timer(self) -> None:
        self._timer = None
        # A loop may call a timer early, by the resolution of its clock. It is time nevertheless, or
        # the same timer would be set again and again until it is.
        self._latest = max(self._latest, self._due)
        self.tell(self.sender.handle_timeout)
