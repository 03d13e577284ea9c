"""What moves a sender: inputs in; commands, outcomes and bytes out; its timer; those who wait.

Every input is followed, once in a turn of the loop, by one drain of all outputs. Nothing is decided
here.
"""

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final, Protocol, final

from apns_asyncio.link import Link
from apns_core import (
    ApnsError,
    ClientClosed,
    Command,
    Connect,
    ConnectFailed,
    ConnectionId,
    Disconnect,
    Outcome,
    Sender,
)
from apns_core.proxy import Proxy
from apns_core.trust.provider_token import TokenSigner

__all__ = ["Caller", "Pump"]

_log: Final = logging.getLogger("apns_asyncio")


class Caller(Protocol):
    """Who waits for outcomes, and before that for room. The tag of what it submits."""

    def admit(self) -> bool:
        """Submit, now that there is room; False if that will come in the caller's own time."""
        ...

    def deliver(self, outcome: Outcome[object]) -> None:
        """Take one outcome."""
        ...

    def refuse(self) -> None:
        """Submit nothing more: the client closes."""
        ...

    def fail(self) -> None:
        """Expect nothing more: the client is broken."""
        ...


@final
class Pump:
    """Holds the links, the timer, and the line of those who wait for room."""

    def __init__(
        self,
        sender: "Sender[Caller]",
        *,
        ssl_context: ssl.SSLContext,
        token_signer: TokenSigner | None,
        proxy: Proxy | None,
        now: float,
    ) -> None:
        self.loop: Final = asyncio.get_running_loop()
        self.sender: Final = sender
        self.last_error: Exception | None = None
        self._ssl_context = ssl_context
        self._token_signer = token_signer
        self._proxy = proxy
        self._links: dict[ConnectionId, Link[Caller]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._callers: set[Caller] = set()
        self._line: OrderedDict[Caller, None] = OrderedDict()
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._due = now
        """When it was set for; not every loop's handle can tell."""
        self._latest = now
        self._closing = False
        self._bug: Exception | None = None
        self._finished = asyncio.Event()

    # ── inputs ──

    def now(self) -> float:
        """Return the time of the loop, which never runs backwards here."""
        self._latest = max(self._latest, self.loop.time())
        return self._latest

    def tell(self, sender_input: Callable[..., object], *args: object) -> None:
        """Give the sender an input, and see to what comes of it."""
        if self._bug is None:
            try:
                sender_input(*args, self.now())
            except Exception as bug:  # noqa: BLE001 - no input raises but by a bug
                self._break(bug)
        self.wake()

    def wake(self) -> None:
        """Drain once in this turn of the loop, however many inputs it brings."""
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._turn)

    def on_attempt_failed(self, link: "Link[Caller]", error: Exception | None) -> None:
        """Tell the sender that no connection came of it, and the log why."""
        del self._links[link.connection_id]
        if error is not None and not isinstance(error, OSError | ApnsError):
            self._break(error)
        elif error is not None:
            self._report(f"no connection to {link.endpoint.host}:{link.endpoint.port}", error)
        self.tell(self.sender.connect_failed, link.connection_id)

    def on_lost(self, link: "Link[Caller]", error: Exception | None) -> None:
        """Tell the sender that a connection is gone."""
        del self._links[link.connection_id]
        if error is not None:
            self._report(f"lost a connection to {link.endpoint.host}:{link.endpoint.port}", error)
        self.tell(self.sender.receive_eof, link.connection_id)

    def replace_token_signer(self, token_signer: TokenSigner) -> None:
        """Have the next token signed by another key, and none of the old one's sent."""
        self._token_signer = token_signer
        self.tell(self.sender.replace_token_key)

    # ── callers ──

    def closed_error(self) -> ClientClosed:
        """Return what to raise at those who come too late, or waited when a bug was met."""
        if self._bug is None:
            return ClientClosed("the client is closed")
        error = ClientClosed("the client met a bug and closed; what was in flight is not known")
        error.__cause__ = self._bug
        return error

    def enter(self, caller: Caller) -> None:
        """Note a caller, who is to `leave`. Raises ClientClosed."""
        if self._closing:
            raise self.closed_error()
        self._callers.add(caller)

    def join(self, caller: Caller) -> None:
        """Have a caller admitted when it is its turn and there is room; it keeps its place."""
        if caller in self._callers:
            self._line.setdefault(caller)
            self.wake()

    def leave(self, caller: Caller) -> None:
        """Forget a caller."""
        self._callers.discard(caller)
        self._line.pop(caller, None)

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
        self._turn()  # whoever came before, and finds room, is in time
        if timeout is not None or not self._closing:
            deadline = None if timeout is None else self.now() + timeout
            self.tell(partial(self.sender.close, deadline=deadline))
        self._refuse()
        try:
            await self._finished.wait()
        except asyncio.CancelledError:
            # A source that closes its own client is cancelled, and would wait for itself.
            if asyncio.current_task() not in self._tasks:
                await self.abort()
            raise

    async def abort(self) -> None:
        """End everything, and return when nothing is left: no waiting for what a peer does."""
        self._refuse()
        self.tell(self.sender.abort)
        self._turn()
        for link in list(self._links.values()):
            link.abort()
        await self._finished.wait()

    def _refuse(self) -> None:
        self._closing = True
        self._line.clear()
        for caller in list(self._callers):
            caller.refuse()

    def _break(self, bug: Exception) -> None:
        """Met a bug, which leaves the sender in no state to go on: let nobody wait for it."""
        self._bug = bug
        self._closing = True
        self._line.clear()
        for caller in list(self._callers):
            caller.fail()
        for link in list(self._links.values()):
            link.abort()
        self.loop.call_exception_handler({"message": "apns_asyncio met a bug", "exception": bug})
        self.wake()

    # ── outputs ──

    def _turn(self) -> None:
        self._scheduled = False
        if self._bug is None:
            try:
                self._drain()
            except Exception as bug:  # noqa: BLE001 - whatever it is, somebody waits for it
                self._break(bug)
        if not self._links and not self._tasks and (self._bug is not None or self.sender.closed):
            self._set_timer(None)
            self._finished.set()

    def _drain(self) -> None:
        sender = self.sender
        while True:
            for link in list(self._links.values()):
                link.flush()
            outcomes = sender.outcomes()
            for outcome in outcomes:
                outcome.tag.deliver(outcome)
            commands = sender.commands()
            for command in commands:
                self._obey(command)
            if not (self._admit() or outcomes or commands):
                break
        self._set_timer(sender.poll_timeout())

    def _admit(self) -> bool:
        """Let those in line submit; return whether anything was submitted."""
        submitted = False
        while self._line and self.sender.room > 0:
            caller, _ = self._line.popitem(last=False)
            if not caller.admit():
                # The room is for it; what it leaves is for the next, and the next turn.
                self.wake()
                break
            submitted = True
        return submitted

    def _obey(self, command: Command) -> None:
        match command:
            case Connect():
                link = Link(command, self._ssl_context, self._proxy, self.sender, self)
                self._links[command.connection_id] = link
            case Disconnect(connection_id, _, deadline):
                self._links[connection_id].disconnect(deadline)
            case _:
                self._sign(command.issued_at)

    def _sign(self, issued_at: int) -> None:
        signer = self._token_signer
        assert signer is not None  # noqa: S101 - a sender without tokens asks for none
        try:
            self.sender.token_signed(signer.sign(issued_at), self.now())
        except Exception as error:  # noqa: BLE001 - a key service may fail in any way
            # Its text might quote the key.
            self._report(
                "no provider token", ConnectFailed(f"signing raised {type(error).__name__}")
            )
            self.sender.signing_failed(self.now())

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
            self._timer = self.loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        # A loop may call a timer early, by the resolution of its clock. It is time nevertheless, or
        # the same timer would be set again and again until it is.
        self._latest = max(self._latest, self._due)
        self.tell(self.sender.handle_timeout)

    def _report(self, what: str, error: Exception) -> None:
        # Without its traceback, which holds on to whatever took part in the attempt.
        self.last_error = error.with_traceback(None)
        _log.warning("%s: %s", what, str(error) or type(error).__name__)
