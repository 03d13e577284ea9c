"""What moves a sender, on whatever loop: inputs in; commands and outcomes out; those who wait.

An adapter makes a `Pump` of it by adding its loop's clock, timer, tasks and transports. Every input
is followed by a drain of all outputs. Nothing is decided here.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, Generic, Protocol, TypeVar, cast

from apns_core.adapters.signers import MAX_THREADS, TIMED_OUT, NotSigned, Signed, signed
from apns_core.commands import Command, Connect, ConnectionId, Disconnect
from apns_core.endpoints import Endpoint
from apns_core.errors import ApnsError, ClientClosed, ConnectFailed
from apns_core.outcomes import Outcome
from apns_core.sender import Sender
from apns_core.trust.provider_token import TokenSigner

__all__ = ["AnyLink", "Caller", "PumpBase", "looking_up", "refused_unheard"]


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


class AnyLink(Protocol):
    """One connection's transport, and the only writer of it.

    It tells the pump of its end by `PumpBase.on_attempt_failed` or by `PumpBase.on_lost`, one of
    them, once.
    """

    @property
    def connection_id(self) -> ConnectionId:
        """The sender's name for it."""
        ...

    @property
    def endpoint(self) -> Endpoint:
        """Where it leads to."""
        ...

    def flush(self) -> None:
        """Write what the sender has, as long as the transport takes it."""
        ...

    def disconnect(self, deadline: float) -> None:
        """Write what the sender still has, and close; by ``deadline`` at the latest."""
        ...

    def abort(self) -> None:
        """Stop connecting, or cut the connection with whatever is still to be written."""
        ...


L = TypeVar("L", bound=AnyLink)


class PumpBase(ABC, Generic[L]):
    """Holds the links, and the line of those who wait for room."""

    def __init__(self, sender: Sender[Caller], token_signer: TokenSigner | None) -> None:
        self.sender: Final = sender
        self.last_error: Exception | None = None
        self._token_signer = token_signer
        self._signings = 0
        self._signing: int | None = None
        """Which signing a thread is at, whose result is wanted."""
        self._in_threads: set[int] = set()
        """Which signings of this signer's have not ended, wanted or not."""
        self._links: dict[ConnectionId, L] = {}
        self._callers: set[Caller] = set()
        self._line: OrderedDict[Caller, None] = OrderedDict()
        self._guest: Caller | None = None
        """Who was asked to submit in its own time and has not come yet; the room is kept for it."""
        self._invitations = 0
        self._closing = False
        self._bug: Exception | None = None

    # ── what an adapter adds ──

    @abstractmethod
    def now(self) -> float:
        """Return the time of the loop, in seconds, never less than before."""

    @abstractmethod
    def wake(self) -> None:
        """Have all outputs seen to, at once or once in this turn of the loop."""

    @abstractmethod
    def _connect(self, command: Connect) -> L:
        """Begin a connection."""

    @abstractmethod
    def _start_thread(self, sign: Callable[[], Signed], then: Callable[[Signed], None]) -> None:
        """Call ``sign`` in a thread, and ``then`` in the loop; nothing waits for it at the end.

        After `SIGNING_TIMEOUT`, call ``then`` with `TIMED_OUT`. To call it again does no harm.
        """

    @abstractmethod
    def _set_timer(self, due: float | None) -> None:
        """Have `Sender.handle_timeout` told when it is time."""

    @abstractmethod
    def _await_guest(self) -> None:
        """Have `_pass_over` called once the guest had its chance to come, and drain then."""

    @abstractmethod
    def _complain(self, bug: Exception) -> None:
        """Make a bug known, and have the end noticed that it brings."""

    @abstractmethod
    def _warn(self, what: str, error: Exception) -> None:
        """Write to the log."""

    # ── inputs ──

    def tell(self, sender_input: Callable[..., object], *args: object) -> None:
        """Give the sender an input, and see to what comes of it."""
        if self._bug is None:
            try:
                sender_input(*args, self.now())
            except Exception as bug:  # noqa: BLE001 - no input raises but by a bug
                self._break(bug)
        self.wake()

    def on_attempt_failed(self, link: L, error: Exception | None) -> None:
        """Tell the sender that no connection came of it; ``error`` is None if it was called off."""
        self._forget(link, error, "no connection to")
        self.tell(self.sender.connect_failed, link.connection_id)

    def on_lost(self, link: L, error: Exception | None) -> None:
        """Tell the sender that a connection is gone; ``error`` is None if that was in order."""
        self._forget(link, error, "lost a connection to")
        self.tell(self.sender.receive_eof, link.connection_id)

    def replace_token_signer(self, token_signer: TokenSigner) -> None:
        """Have the next token signed by another key, and none of the old one's sent.

        Raises ClientClosed when nothing is left to be signed for: one that closes may still sign.
        """
        if self._bug is not None or self.sender.closed:
            raise self.closed_error()
        self._token_signer = token_signer
        self._in_threads = set()
        # By the old key: it may take its time, and is not waited for. To be known before the sender
        # is told, who may have the new key sign there and then.
        outstanding, self._signing = self._signing, None
        self.tell(self.sender.replace_token_key)
        if outstanding is not None:
            self.tell(self.sender.signing_failed)

    def _forget(self, link: L, error: Exception | None, what: str) -> None:
        del self._links[link.connection_id]
        # To be out of memory is no bug, and passes.
        if isinstance(error, OSError | ApnsError | MemoryError):
            self._report(f"{what} {_place(link)}", error)
        elif error is not None:
            self._break(error)

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
        if caller is self._guest:
            self._guest = None
            self.wake()

    def came(self, caller: Caller) -> None:
        """Note that one who was to submit in its own time has done so; `wake` is to follow."""
        if caller is self._guest:
            self._guest = None

    def on_source_error(self, error: Exception) -> None:
        """Write to the log what a source raised at its end that is raised nowhere else."""
        self._log(f"a source raised {type(error).__name__} when it was closed", error)

    # ── the end ──

    def _begin_close(self, timeout: float | None) -> None:
        """Take nothing more, and drain; in ``timeout`` seconds, if that is given."""
        if timeout is not None or not self._closing:
            deadline = None if timeout is None else self.now() + timeout
            self.tell(partial(self.sender.close, deadline=deadline))
        self._refuse()

    def _admit_nobody(self) -> None:
        self._closing = True
        self._line.clear()
        self._guest = None

    def _refuse(self) -> None:
        self._admit_nobody()
        for caller in list(self._callers):
            caller.refuse()

    def _cut(self) -> None:
        for link in list(self._links.values()):
            link.abort()

    def _break(self, bug: Exception) -> None:
        """Met a bug, which leaves the sender in no state to go on: let nobody wait for it."""
        self._bug = bug
        self._admit_nobody()
        for caller in list(self._callers):
            caller.fail()
        self._cut()
        with suppress(Exception):  # see `_log`
            self._complain(bug)

    # ── outputs ──

    def _see_to_outputs(self) -> bool:
        """Drain; return whether nothing is left of the sender and its links, for ever."""
        if self._bug is None:
            try:
                self._drain()
            except Exception as bug:  # noqa: BLE001 - whatever it is, somebody waits for it
                self._break(bug)
        return not self._links and (self._bug is not None or self.sender.closed)

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
        # The room is for the guest, and so is what becomes free until it comes. Those behind would
        # take it all, every time, and a batch among many who send would never find any.
        while self._guest is None and self._line and self.sender.room > 0:
            caller, _ = self._line.popitem(last=False)
            if caller.admit():
                submitted = True
            else:
                self._guest = caller
                self._invitations += 1
        if self._guest is not None and self._line:
            self._await_guest()
        return submitted

    def _pass_over(self, invitation: int) -> None:
        """Keep no more room for a guest who did not come; it may be busy for long."""
        if invitation == self._invitations:
            self._guest = None

    def _obey(self, command: Command) -> None:
        match command:
            case Connect(connection_id):
                self._links[connection_id] = self._connect(command)
            case Disconnect(connection_id, _, deadline, error):
                link = self._links[connection_id]
                if error is not None:
                    self._report(f"gave up a connection to {_place(link)}", error)
                link.disconnect(deadline)
            case _:
                self._sign(command.issued_at)

    def _sign(self, issued_at: int) -> None:
        signer = self._token_signer
        assert signer is not None  # noqa: S101 - a sender without tokens asks for none
        if not getattr(signer, "blocking", False):
            self._take(signed(signer, issued_at), self.now())
            return
        in_threads = self._in_threads
        if len(in_threads) >= MAX_THREADS:
            self._take(TIMED_OUT, self.now())
            return
        self._signings += 1
        self._signing = signing = self._signings

        def sign() -> Signed:
            try:
                # A thread may meet the end of all, and is to tell of that too.
                return signed(signer, issued_at, but=())
            finally:
                in_threads.discard(signing)

        in_threads.add(signing)
        try:
            self._start_thread(sign, partial(self._on_signed, signing))
        except RuntimeError as error:  # there is none to be had
            in_threads.discard(signing)
            self._signing = None
            self._take(NotSigned(type(error).__name__), self.now())

    def _on_signed(self, signing: int, result: Signed) -> None:
        if result is not TIMED_OUT:
            self._in_threads.discard(signing)  # where none was to be had, too
        if signing == self._signing and not self.sender.closed:
            self._signing = None
            self.tell(self._take, result)

    def _take(self, result: Signed, now: float) -> None:
        if not isinstance(result, NotSigned):
            try:
                self.sender.token_signed(result, now)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no token
                result = NotSigned(type(error).__name__)
            else:
                return
        self._report("no provider token", ConnectFailed(f"signing raised {result.error}"))
        self.sender.signing_failed(now)

    def _report(self, what: str, error: Exception) -> None:
        _without_frames(error)
        self.last_error = error
        self._log(what, error)

    def _log(self, what: str, error: Exception) -> None:
        # A handler or a filter of the application's may raise, and is not to come between an input
        # and what follows from it.
        with suppress(Exception):
            self._warn(what, error)


def _without_frames(error: BaseException) -> None:
    """Let go of the frames of an error and of all behind it.

    They hold on to whatever took part in the attempt, a proxy's password among it.
    """
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = None
        left += (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            left += cast("BaseExceptionGroup[BaseException]", one).exceptions


def _place(link: AnyLink) -> str:
    return f"{link.endpoint.host}:{link.endpoint.port}"


@contextmanager
def looking_up() -> Generator[None]:
    """Raise ConnectFailed in place of what the look-up of a name raises beside OSError.

    No thread can be started for it, which passes; or the name has no form in DNS. Neither is a bug.
    """
    try:
        yield
    except (RuntimeError, UnicodeError) as error:
        raise ConnectFailed(f"no name could be looked up: {error}") from error


def refused_unheard() -> ConnectFailed:
    """Return why a connection was probably lost on which the server never said a word.

    TLS 1.3 tells a client that its certificate is refused only after the handshake, and the alert
    is often lost in the reset that follows it.
    """
    return ConnectFailed(
        "the server closed the connection before it said anything; "
        "possibly it refuses the client certificate"
    )
