"""How a command has its requests answered: by one client, until all are, or until Ctrl-C."""

import asyncio
import logging
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final, ParamSpec, TypeVar, final

import click

from apns_asyncio import Client
from apns_cli.results import explain
from apns_cli.terminal import complain
from apns_cli.usage import Seconds
from apns_core import Cause, ClientClosed, Outcome, SenderConfig, Unknown, Unprocessed
from apns_core.requests.request import Request
from apns_core.sender import DEFAULT_SENDER_CONFIG

__all__ = ["complaints_of_client", "config_of", "send_all", "send_one", "timeout_option"]

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_TIMEOUT: Final = 1_000_000_000
"""Seconds: some thirty years, beyond which a sender takes none."""

_TIMEOUT_OPTION: Final = click.option(
    "--timeout",
    metavar="SECONDS",
    type=Seconds(min=0, min_open=True, max=LONGEST_TIMEOUT),
    default=DEFAULT_SENDER_CONFIG.connection.request_timeout,
    show_default=True,
    help="How long each request may take; connecting is part of it.",
)


def timeout_option(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the option `--timeout`, for `config_of`."""
    return _TIMEOUT_OPTION(command)


def config_of(timeout: float) -> SenderConfig:
    """Return how a sender behaves that has so many seconds for each request."""
    connection = replace(DEFAULT_SENDER_CONFIG.connection, request_timeout=timeout)
    return replace(DEFAULT_SENDER_CONFIG, connection=connection)


def send_all(
    command: str,
    client: Client,
    requests: Sequence[Request],
    on_outcome: Callable[[Outcome[object]], None],
) -> None:
    """Send all, and call ``on_outcome`` with what came of each, once for each, as it comes.

    Says on standard error why a connection failed, as soon as it did. Ctrl-C ends what is left:
    in flight as `Unknown`, else as `Unprocessed`; a second one ends the command.
    """
    with complaints_of_client(command):
        answered = asyncio.run(_send_all(client, requests, on_outcome))
    if not answered and client.last_error is not None:
        complain(f"apns {command}: {explain(client.last_error)}")


def send_one(command: str, client: Client, request: Request) -> Outcome[object]:
    """Send a single one, as `send_all` does, and return what came of it."""
    outcomes: list[Outcome[object]] = []
    send_all(command, client, [request], outcomes.append)
    (outcome,) = outcomes
    return outcome


async def _send_all(
    client: Client, requests: Sequence[Request], on_outcome: Callable[[Outcome[object]], None]
) -> bool:
    """Return whether all have an answer."""
    answered = True
    left = dict.fromkeys(requests)
    async with client:
        with _closed_by_signals(client) as closing:
            try:
                async for outcome in client.send_many(requests):
                    del left[outcome.notification]
                    answered = answered and not isinstance(outcome, Unprocessed | Unknown)
                    on_outcome(outcome)
            except ClientClosed:
                # By a bug, if not by us: then nobody knows what became of what was sent.
                if not closing:
                    raise
    # All that the client took has its outcome: these it did not take.
    for request in left:
        on_outcome(Unprocessed(request, None, Cause.CLOSED))
    return answered and not left


@contextmanager
def _closed_by_signals(client: Client) -> Generator[list[asyncio.Task[None]], None, None]:
    """Close the client on the first signal; yields a list that has something in it from then on."""
    loop = asyncio.get_running_loop()
    closing: list[asyncio.Task[None]] = []

    def close() -> None:
        # As it was before: the next one interrupts even this.
        _remove_handlers(loop)
        closing.append(loop.create_task(client.aclose(0)))

    # Where there are no such handlers (Windows), Ctrl-C ends the command at once.
    with suppress(NotImplementedError):
        for number in _SIGNALS:
            loop.add_signal_handler(number, close)
    try:
        yield closing
    finally:
        _remove_handlers(loop)


def _remove_handlers(loop: asyncio.AbstractEventLoop) -> None:
    with suppress(NotImplementedError):
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def complaints_of_client(command: str) -> Generator[None, None, None]:
    """Show what the client logs: it says there why it has no connection yet."""
    log = logging.getLogger("apns_asyncio")
    handler = _Complaints(command)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


@final
class _Complaints(logging.Handler):
    """Says each thing once: a server that is away is tried again and again."""

    def __init__(self, command: str) -> None:
        super().__init__(logging.WARNING)
        self._command = command
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._said:
            self._said.add(text)
            complain(f"apns {self._command}: {text}")
