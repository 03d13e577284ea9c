"""What a scenario is given, so that one text runs on both loops; and what is compared afterwards.

A scenario is an ``async def`` that awaits nothing but the client and its kit. `both_loops` makes a
test of it: it runs on asyncio and on trio, each with real TLS over loopback and in virtual time,
and all that could be observed must be the same on both.
"""

import functools
import gc
import inspect
import logging
import os
import random
import ssl
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
)
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias
from unittest.mock import patch

from apns_core import (
    Accepted,
    Endpoint,
    Notification,
    Outcome,
    PushType,
    Rejected,
    Route,
    Sender,
    SenderConfig,
    Unknown,
    Unprocessed,
)
from apns_core.connection_config import DEFAULT_CONFIG as DEFAULT
from apns_core.metrics import Metrics
from apns_core.trust.provider_token import TokenSigner
from apns_core.trust.tls import client_context
from tests.contract.server import CA_PEM, Reactor, Server

__all__ = [
    "END_OF_TIME",
    "GRACE",
    "ROUTE",
    "Client",
    "Kit",
    "Log",
    "Notifications",
    "Observed",
    "both_loops",
    "checked",
    "collect",
    "counted",
    "describe",
    "device",
    "each_loop",
    "log_of",
    "name_of",
    "notification",
    "notifications",
    "number_of",
    "observe",
    "send",
    "trickle",
]

HOST: Final = "localhost"
GRACE: Final = 0.002
"""Seconds of real time without anything to do after which virtual time jumps to the next timer."""
END_OF_TIME: Final = 100_000.0
"""Virtual seconds after which a scenario has hung."""

Notifications: TypeAlias = Iterable[Notification] | AsyncIterable[Notification]


class Outcomes(Protocol):
    """What `send_many` returns."""

    def __aiter__(self) -> AsyncIterator[Outcome[object]]: ...
    def __anext__(self) -> Awaitable[Outcome[object]]: ...
    def aclose(self) -> Awaitable[None]: ...


class Client(Protocol):
    """What both adapters offer."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def send(self, notification: Notification) -> Outcome[object]: ...
    def send_many(self, notifications: Notifications) -> Outcomes: ...
    async def aclose(self, timeout: float | None = None) -> None: ...  # noqa: ASYNC109
    @property
    def last_error(self) -> Exception | None: ...
    @property
    def metrics(self) -> Metrics: ...


class Task(Protocol):
    """A task of a scenario."""

    def cancel(self) -> None:
        """Cancel it, as its loop does."""
        ...

    async def end(self) -> str:
        """Wait for it; say in a word or two how it ended: what it returned, raised or neither."""
        ...


class Alarm(Protocol):
    """A bound on what a block takes."""

    expired: bool


class Kit(ABC):
    """One loop, its clock, its names, and servers."""

    name: str
    reactor: Reactor

    def __init__(self) -> None:
        self.servers: list[Server] = []
        self.addresses = ["127.0.0.1"]
        """What every name is looked up to."""
        self.looked_up: list[float] = []
        """When a name was looked up."""
        self.bugs = 0
        """How many bugs a scenario brings about."""
        self.look_up: Callable[[], Awaitable[None]] | None = None
        """Awaited by every look-up; it may raise."""

    # Clients and servers.

    def serve(self, **options: Any) -> Server:  # noqa: ANN401 - passed on
        """Start a `Server` with these options. It is stopped after the scenario."""
        server = Server(self.reactor, **options)
        self.servers.append(server)
        return server

    def client(
        self,
        server: Server | int,
        *,
        host: str = HOST,
        context: ssl.SSLContext | None = None,
        signer: TokenSigner | None = None,
        connection: Mapping[str, Any] | None = None,
        **config: Any,  # noqa: ANN401 - passed on
    ) -> Client:
        """Make a client of the adapter under test."""
        port = server if isinstance(server, int) else server.port
        return self.make_client(
            Endpoint(host, port),
            token_signer=signer,
            ssl_context=context or client_context(cadata=CA_PEM),
            config=replace(
                SenderConfig(max_connections=1, connection=replace(DEFAULT, **(connection or {}))),
                **config,
            ),
        )

    @abstractmethod
    def make_client(self, endpoint: Endpoint, **options: Any) -> Client: ...  # noqa: ANN401

    def sender(self, client: Client) -> Sender[Any]:
        """Return what a client moves."""
        sender: Sender[Any] = getattr(client, "_open")().sender  # noqa: B009 - not in the protocol
        return sender

    @abstractmethod
    def outgoing(self, client: Client) -> int:
        """Count the octets that its one connection has pulled and the system has not taken."""
        ...

    # The loop.

    @abstractmethod
    def now(self) -> float: ...

    @abstractmethod
    async def sleep(self, seconds: float) -> None: ...

    @abstractmethod
    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> Task: ...

    async def spawn_in_order(
        self, function: Callable[..., Awaitable[object]], client: Client, numbers: Iterable[int]
    ) -> list[Task]:
        """Spawn one for each number, the next when the one before has begun: trio shuffles."""
        tasks: list[Task] = []
        for number in numbers:
            tasks.append(self.spawn(function, client, number))
            await self.turns(2)
        return tasks

    @abstractmethod
    def at_most(self, seconds: float) -> AbstractContextManager[Alarm]:
        """Cancel the block after so long."""
        ...

    @abstractmethod
    def shielded(self) -> AbstractContextManager[object]:
        """Keep cancellations out of the block, where that has to be said."""
        ...

    @abstractmethod
    def task(self) -> object:
        """Return the task in which this is called."""
        ...

    @abstractmethod
    def tasks(self) -> int:
        """Count the tasks that there are."""
        ...

    @abstractmethod
    def block(self, seconds: float) -> None:
        """Hold up the loop for so long."""
        ...

    async def turns(self, count: int = 5) -> None:
        """Let everybody do what they can do without time passing."""
        for _ in range(count):
            await self.sleep(0)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something to become true."""
        while not condition():
            await self.sleep(0.001)

    async def settle(self) -> None:
        """Wait until bytes that are on their way have arrived."""
        await self.sleep(0.01)


@dataclass
class Observed:
    """All that is compared between the loops."""

    result: object
    logged: list[tuple[str, str]]
    bugs: int
    ended_at: float
    """Virtual seconds that it took."""
    looked_up: list[float]
    accepted: list[list[float]]
    """Of each server: when it accepted connections."""
    processed: list[dict[str, int]]
    """Of each server: how many notifications it has processed for each device."""
    spoken: list[list[bool]]
    """Of each server and connection: whether the client said anything within TLS."""


Scenario: TypeAlias = Callable[..., Awaitable[object]]
Run: TypeAlias = Callable[[Callable[[Kit], Awaitable[object]]], Observed]


async def observe(kit: Kit, scenario: Callable[[Kit], Awaitable[object]], log: "Log") -> Observed:
    """Run a scenario within its loop. Fails if it leaves anything behind."""
    tasks = kit.tasks()
    try:
        result = await scenario(kit)
        assert len(log.bugs) == kit.bugs, log.bugs
        ended_at = kit.now()
        await kit.settle()
        assert kit.tasks() == tasks, "tasks are left"
        assert not any(server.open for server in kit.servers), "connections are left"
    finally:
        for server in kit.servers:
            server.close()
    return Observed(
        result,
        log.said,
        len(log.bugs),
        round(ended_at, 6),
        [round(at, 6) for at in kit.looked_up],
        [[round(at, 6) for at in server.accepted] for server in kit.servers],
        [dict(sorted(server.ledger.processed_by_device().items())) for server in kit.servers],
        [[bool(peer.heard) for peer in server.peers] for server in kit.servers],
    )


class Log(logging.Handler):
    """Keeps what an adapter logs, without what differs from run to run."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, str]] = []
        self.bugs: list[str] = []
        """What the adapter called a bug of its own, or the loop complained of."""

    def emit(self, record: logging.LogRecord) -> None:
        what, _, _ = record.getMessage().partition(":")
        if record.levelno >= logging.ERROR:
            self.bugs.append(what)
        else:
            self.said.append((record.levelname, what))


@contextmanager
def log_of(*adapters: str) -> Generator[Log]:
    """Keep what adapters log while in the block."""
    log = Log()
    loggers = [logging.getLogger(name) for name in adapters]
    for logger in loggers:
        logger.addHandler(log)
    try:
        yield log
    finally:
        for logger in loggers:
            logger.removeHandler(log)


def checked(run: Callable[[Callable[[Kit], Awaitable[object]], Log], Observed]) -> Run:
    """Hold a run to what must be true of all: nothing stays open, nothing is random."""

    @functools.wraps(run)
    def checked_run(scenario: Callable[[Kit], Awaitable[object]]) -> Observed:
        files = _open_files()
        # What there was before need not be looked at afterwards: that takes most of the time.
        gc.freeze()
        try:
            with (
                log_of("apns_asyncio", "apns_trio") as log,
                # Jitter is the same on both loops.
                patch("random.Random", functools.partial(random.Random, 1)),
            ):
                observed = run(scenario, log)
        finally:
            still_open = _open_files()
            # Whatever has been forgotten complains when it is collected.
            gc.collect()
            gc.unfreeze()
        assert still_open == files, "files are left"
        return observed

    return checked_run


def _open_files() -> list[str]:
    """Return the sockets and files that this process has open, where the system tells."""
    folder = Path("/proc/self/fd")
    names = os.listdir(folder) if folder.exists() else []  # noqa: PTH208 - one fewer open file
    opened: list[str] = []
    for name in names:
        with suppress(FileNotFoundError):
            opened.append(str((folder / name).readlink()))
    return sorted(opened)


def both_loops(scenario: Scenario) -> Callable[..., None]:
    """Make a test of a scenario, whose first argument is the kit; others are the test's own.

    All that is observed must be the same on both loops.
    """

    def compare(observed: list[Observed]) -> None:
        in_asyncio, in_trio = observed
        assert in_trio == in_asyncio

    return _test_of(scenario, compare)


def each_loop(scenario: Scenario) -> Callable[..., None]:
    """Make a test as `both_loops` does, of what may differ, such as who comes first."""
    return _test_of(scenario, len)


def _test_of(
    scenario: Scenario, compare: Callable[[list[Observed]], object]
) -> Callable[..., None]:
    from tests.contract import on_asyncio, on_trio  # noqa: PLC0415 - they need what is above

    @functools.wraps(scenario)
    def test(**arguments: object) -> None:
        observed: list[Observed] = []
        for loop in (on_asyncio, on_trio):
            try:
                observed.append(loop.run(functools.partial(scenario, **arguments)))
            except BaseException as error:
                error.add_note(f"in {loop.__name__}")
                raise
        compare(observed)

    signature = inspect.signature(scenario)
    parameters = list(signature.parameters.values())[1:]
    test.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    return test


# ── notifications and outcomes ──


def device(number: int) -> str:
    return f"{number:064x}"


ROUTE: Final = Route("com.example.app", push_type=PushType.ALERT)


def notification(number: int = 0) -> Notification:
    return Notification(ROUTE, device(number), b'{"aps":{"alert":"Hi"}}')


def notifications(count: int) -> list[Notification]:
    return [notification(number) for number in range(count)]


async def trickle(count: int) -> AsyncGenerator[Notification, None]:
    """Yield notifications, without ever waiting."""
    for number in range(count):
        yield notification(number)


def describe(outcome: Outcome[object]) -> str:
    """Name an outcome in a word or two. Fails if it refers to who waited for it."""
    assert outcome.tag is None
    match outcome:
        case Accepted():
            return "accepted"
        case Rejected(reason_text=reason, status=status):
            return f"rejected {reason or status}"
        case Unprocessed(cause=cause):
            return f"unprocessed {cause.name}"
        case Unknown(cause=cause):
            return f"unknown {cause.name}"


def number_of(outcome: Outcome[object]) -> int:
    """Return which notification it is the outcome of."""
    return int(outcome.notification.path.rpartition(b"/")[2], 16)


async def send(client: Client, number: int = 0) -> str:
    """Send one; name its outcome."""
    return describe(await client.send(notification(number)))


async def collect(outcomes: Outcomes) -> dict[int, str]:
    """Take all outcomes. Fails if one comes twice."""
    by_number: dict[int, str] = {}
    async for outcome in outcomes:
        number = number_of(outcome)
        assert number not in by_number
        by_number[number] = describe(outcome)
    return dict(sorted(by_number.items()))


def counted(outcomes: dict[int, str]) -> dict[str, int]:
    """Count the kinds of outcomes."""
    return dict(sorted(Counter(outcomes.values()).items()))


def name_of(error: BaseException | None) -> str:
    """Name the class of an error."""
    return "none" if error is None else type(error).__name__
