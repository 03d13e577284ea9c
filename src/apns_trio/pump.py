"""What moves a sender: inputs in; commands, outcomes and bytes out; its timer; those who wait.

Every input is followed by one drain of all outputs. Nothing is decided here.
"""

import logging
import math
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Final, Protocol, final

import trio

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
from apns_trio.link import Link

__all__ = ["Caller", "Pump"]

_log: Final = logging.getLogger("apns_trio")


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
        nursery: trio.Nursery,
        *,
        ssl_context: ssl.SSLContext,
        token_signer: TokenSigner | None,
        proxy: Proxy | None,
    ) -> None:
        self.sender: Final = sender
        self.token: Final = trio.lowlevel.current_trio_token()
        self.last_error: Exception | None = None
        self._nursery = nursery
        # That of the client: links are to inherit nothing from who happens to cause them.
        self._context = copy_context()
        self._ssl_context = ssl_context
        self._token_signer = token_signer
        self._proxy = proxy
        self._links: dict[ConnectionId, Link[Caller]] = {}
        self._tasks = 0
        self._callers: set[Caller] = set()
        self._line: OrderedDict[Caller, None] = OrderedDict()
        self._due = math.inf
        """When the sender is to be called, in seconds of `trio.current_time`."""
        self._alarm = trio.CancelScope(shield=True)
        self._closing = False
        self._bug: Exception | None = None
        self._finished = trio.Event()
        nursery.start_soon(self._keep_time)

    # ── inputs ──

    def tell(self, sender_input: Callable[..., object], *args: object) -> None:
        """Give the sender an input, and see to what comes of it."""
        if self._bug is None:
            try:
                sender_input(*args, trio.current_time())
            except Exception as bug:  # noqa: BLE001 - no input raises but by a bug
                self._break(bug)
        self.drain()

    def on_attempt_failed(self, link: "Link[Caller]", error: Exception | None) -> None:
        """Tell the sender that no connection came of it, and the log why."""
        self._on_end(link, error, "no connection to")
        self.tell(self.sender.connect_failed, link.connection_id)

    def on_lost(self, link: "Link[Caller]", error: Exception | None) -> None:
        """Tell the sender that a connection is gone."""
        self._on_end(link, error, "lost a connection to")
        self.tell(self.sender.receive_eof, link.connection_id)

    def _on_end(self, link: "Link[Caller]", error: Exception | None, what: str) -> None:
        del self._links[link.connection_id]
        if isinstance(error, OSError | ApnsError):
            self._report(f"{what} {link.endpoint.host}:{link.endpoint.port}", error)
        elif error is not None:
            self._break(error)

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
            self.drain()

    def leave(self, caller: Caller) -> None:
        """Forget a caller."""
        self._callers.discard(caller)
        self._line.pop(caller, None)

    def spawn(self, run: Callable[[], Awaitable[None]]) -> None:
        """Start a task that ends before the client does, in the context of who calls."""
        self._tasks += 1
        self._nursery.start_soon(self._run, run)

    async def _run(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        finally:
            self._tasks -= 1
            self.drain()

    # ── the end ──

    async def close(self, timeout: float | None) -> None:  # noqa: ASYNC109 - a bound on draining
        """Take nothing more, drain, and return when nothing is left. Cancelled, abort."""
        self.drain()  # whoever came before, and finds room, is in time
        if timeout is not None or not self._closing:
            deadline = None if timeout is None else trio.current_time() + timeout
            self.tell(partial(self.sender.close, deadline=deadline))
        self._refuse()
        try:
            await self._finished.wait()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """End everything; nothing waits for what a peer does."""
        self._refuse()
        self.tell(self.sender.abort)
        for link in list(self._links.values()):
            link.abort()

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
        _log.error("apns_trio met a bug", exc_info=bug)

    # ── outputs ──

    def drain(self) -> None:
        """See to all outputs, until there are none."""
        if self._bug is None:
            try:
                self._drain()
            except Exception as bug:  # noqa: BLE001 - whatever it is, somebody waits for it
                self._break(bug)
        if not self._links and not self._tasks and (self._bug is not None or self.sender.closed):
            self._finished.set()
            self._alarm.cancel()

    def _drain(self) -> None:
        sender = self.sender
        while True:
            for link in self._links.values():
                link.flush()
            outcomes = sender.outcomes()
            for outcome in outcomes:
                outcome.tag.deliver(outcome)
            commands = sender.commands()
            for command in commands:
                self._obey(command)
            if not (self._admit() or outcomes or commands):
                break
        when = sender.poll_timeout()
        self._due = math.inf if when is None else when
        # Optimisation (benchmark: send_many): never later. Deadlines recede with every outcome; an
        # alarm that comes early finds nothing due and is set anew.
        self._alarm.deadline = min(self._alarm.deadline, self._due)

    def _admit(self) -> bool:
        """Let those in line submit; return whether anything was submitted."""
        submitted = False
        while self._line and self.sender.room > 0:
            caller, _ = self._line.popitem(last=False)
            if not caller.admit():
                # The room is for it; when it has submitted, the next are asked.
                break
            submitted = True
        return submitted

    def _obey(self, command: Command) -> None:
        match command:
            case Connect():
                link = Link(command, self._ssl_context, self._proxy, self.sender, self)
                self._links[command.connection_id] = link
                self._context.run(self._nursery.start_soon, link.run)
            case Disconnect(connection_id, _, deadline):
                self._links[connection_id].disconnect(deadline)
            case _:
                self._sign(command.issued_at)

    def _sign(self, issued_at: int) -> None:
        signer = self._token_signer
        assert signer is not None  # noqa: S101 - a sender without tokens asks for none
        try:
            self.sender.token_signed(signer.sign(issued_at), trio.current_time())
        except Exception as error:  # noqa: BLE001 - a key service may fail in any way
            # Its text might quote the key.
            self._report(
                "no provider token", ConnectFailed(f"signing raised {type(error).__name__}")
            )
            self.sender.signing_failed(trio.current_time())

    @trio.lowlevel.enable_ki_protection
    async def _keep_time(self) -> None:
        while not self._finished.is_set():
            self._alarm = trio.CancelScope(shield=True, deadline=self._due)
            with self._alarm:
                await trio.sleep_forever()
            self.tell(self.sender.handle_timeout)

    def _report(self, what: str, error: Exception) -> None:
        # Without its traceback, which holds on to whatever took part in the attempt.
        self.last_error = error.with_traceback(None)
        _log.warning("%s: %s", what, str(error) or type(error).__name__)
