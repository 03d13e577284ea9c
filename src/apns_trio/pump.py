"""The pump in trio: inputs are followed by a drain of all outputs at once."""

import logging
import math
import ssl
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Final, final

import trio

from apns_core import Connect, Sender
from apns_core.adapters.pump import Caller, PumpBase
from apns_core.adapters.signers import SIGNING_TIMEOUT, TIMED_OUT, NotSigned, Signed
from apns_core.proxy import Proxy
from apns_core.trust.provider_token import TokenSigner
from apns_trio.link import Link

__all__ = ["Pump"]

_log: Final = logging.getLogger("apns_trio")


@final
class Pump(PumpBase[Link]):
    """Adds trio's clock, an alarm, tasks and transports."""

    def __init__(
        self,
        sender: Sender[Caller],
        nursery: trio.Nursery,
        *,
        ssl_context: ssl.SSLContext,
        token_signer: TokenSigner | None,
        proxy: Proxy | None,
    ) -> None:
        super().__init__(sender, token_signer)
        self.token: Final = trio.lowlevel.current_trio_token()
        self._nursery = nursery
        # That of the client: links are to inherit nothing from who happens to cause them.
        self._context = copy_context()
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._tasks = 0
        self._awaited = 0
        """For which invitation the next in line waits already."""
        self._due = math.inf
        """When the sender is to be called, in seconds of `trio.current_time`."""
        self._alarm = trio.CancelScope(shield=True)
        self._signing_scope = trio.CancelScope()
        """Of the thread that signs, or the last that did."""
        self._finished = trio.Event()
        nursery.start_soon(self._keep_time)

    def now(self) -> float:
        """Return the time of trio's clock."""
        return trio.current_time()

    # Ctrl-C in the frame of a caller would leave the sender with half an input, or lose outputs.

    @trio.lowlevel.enable_ki_protection
    def tell(self, sender_input: Callable[..., object], *args: object) -> None:
        """Give the sender an input, and see to what comes of it."""
        super().tell(sender_input, *args)

    @trio.lowlevel.enable_ki_protection
    def wake(self) -> None:
        """See to all outputs, until there are none."""
        if self._see_to_outputs() and not self._tasks:
            self._finished.set()
            self._alarm.cancel()
            self._signing_scope.cancel()

    def spawn(self, run: Callable[[], Awaitable[None]]) -> None:
        """Start a task that ends before the client does, in the context of who calls."""
        self._tasks += 1
        self._nursery.start_soon(self._run, run)

    async def _run(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        finally:
            self._tasks -= 1
            self.wake()

    # ── the end ──

    async def close(self, timeout: float | None) -> None:  # noqa: ASYNC109 - a bound on draining
        """Take nothing more, drain, and return when nothing is left. Cancelled, abort."""
        self._guest = None  # is refused: what was kept for it is for those behind
        self.wake()  # whoever came before, and finds room, is in time
        self._begin_close(timeout)
        try:
            await self._finished.wait()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """End everything; nothing waits for what a peer does."""
        self._refuse()
        self.tell(self.sender.abort)
        self._cut()

    # ── outputs ──

    def _connect(self, command: Connect) -> Link:
        link = Link(command, self._ssl_context, self._proxy, self)
        self._context.run(self._nursery.start_soon, link.run)
        return link

    def _start_thread(self, sign: Callable[[], Signed], then: Callable[[Signed], None]) -> None:
        self._signing_scope.cancel()
        self._signing_scope = trio.CancelScope(shield=True)
        self._context.run(
            self._nursery.start_soon, self._sign_in_thread, self._signing_scope, sign, then
        )

    @trio.lowlevel.enable_ki_protection
    async def _sign_in_thread(
        self, scope: trio.CancelScope, sign: Callable[[], Signed], then: Callable[[Signed], None]
    ) -> None:
        with scope:
            result: Signed = TIMED_OUT
            try:
                with trio.move_on_after(SIGNING_TIMEOUT):
                    result = await trio.to_thread.run_sync(
                        sign,
                        abandon_on_cancel=True,
                        # Its own: one that was abandoned may hold its place for long.
                        limiter=trio.CapacityLimiter(1),
                    )
            except RuntimeError as error:  # there is no thread to be had
                result = NotSigned(type(error).__name__)
            then(result)

    def _await_guest(self) -> None:
        if self._awaited != self._invitations:
            self._awaited = self._invitations
            self.token.run_sync_soon(self._wait_a_turn, self._invitations)

    def _wait_a_turn(self, invitation: int) -> None:
        # Once more round the loop: who was invited has submitted by then, unless it is busy.
        self.token.run_sync_soon(self._ask_next, invitation)

    def _ask_next(self, invitation: int) -> None:
        self._pass_over(invitation)
        self.wake()

    def _complain(self, bug: Exception) -> None:
        _log.error("apns_trio met a bug", exc_info=bug)

    def _warn(self, what: str, error: Exception) -> None:
        _log.warning("%s: %s", what, str(error) or type(error).__name__)

    def _set_timer(self, due: float | None) -> None:
        self._due = math.inf if due is None else due
        # Optimisation (benchmark: send_many): never later. Deadlines recede with every outcome; an
        # alarm that comes early finds nothing due and is set anew.
        self._alarm.deadline = min(self._alarm.deadline, self._due)

    @trio.lowlevel.enable_ki_protection
    async def _keep_time(self) -> None:
        while not self._finished.is_set():
            self._alarm = trio.CancelScope(shield=True, deadline=self._due)
            with self._alarm:
                await trio.sleep_forever()
            # After a loop that was held up, answers may lie in sockets whose readers trio has woken
            # in the same turn: they count.
            await trio.lowlevel.cancel_shielded_checkpoint()
            self.tell(self.sender.handle_timeout)
