import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Self, cast

import pytest

from apns_asyncio import Client
from apns_cli.sending import LONGEST_TIMEOUT, complaints_of_client, config_of, send_all
from apns_core import (
    Accepted,
    Cause,
    ClientClosed,
    Notification,
    Outcome,
    Route,
    Unknown,
    Unprocessed,
)
from apns_core.requests.request import Request

ROUTE = Route("com.example.app")
NOTIFICATIONS = [Notification(ROUTE, f"{number:02x}", b"{}") for number in range(3)]


class OneAnswer:
    """A client that answers once, and is then closed."""

    last_error = None

    def __init__(self, interrupted_by: signal.Signals | None) -> None:
        self._interrupted_by = interrupted_by
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def aclose(self, timeout: float | None) -> None:  # noqa: ASYNC109 - the client's
        assert timeout == 0
        self._closed.set()

    async def send_many(self, requests: Sequence[Request]) -> AsyncIterator[Outcome[object]]:
        yield Accepted(requests[0], None)
        if self._interrupted_by is not None:
            signal.raise_signal(self._interrupted_by)
            await self._closed.wait()
            yield Unknown(requests[1], None, Cause.CLOSED)
        raise ClientClosed("closed")


@pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_closed_client_did_not_take_is_unprocessed(number: signal.Signals) -> None:
    outcomes: list[Outcome[object]] = []
    before = signal.getsignal(number)
    send_all("test", cast("Client", OneAnswer(number)), NOTIFICATIONS, outcomes.append)
    assert outcomes == [
        Accepted(NOTIFICATIONS[0], None),
        Unknown(NOTIFICATIONS[1], None, Cause.CLOSED),
        Unprocessed(NOTIFICATIONS[2], None, Cause.CLOSED),
    ]
    assert signal.getsignal(number) is before


def test_a_client_that_closes_by_itself_is_a_bug_and_proves_nothing() -> None:
    outcomes: list[Outcome[object]] = []
    with pytest.raises(ClientClosed):
        send_all("test", cast("Client", OneAnswer(None)), NOTIFICATIONS, outcomes.append)
    assert len(outcomes) == 1


def test_what_the_client_logs_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("apns_asyncio")
    with complaints_of_client("test"):
        for _ in range(3):
            log.warning("%s: %s", "no connection", "refused")
        log.info("of no interest")
    log.warning("no connection: later")
    assert capsys.readouterr() == ("", "apns test: no connection: refused\n")


def test_the_timeout_is_that_of_each_request() -> None:
    assert config_of(1.5).connection.request_timeout == 1.5
    assert config_of(LONGEST_TIMEOUT).connection.request_timeout == LONGEST_TIMEOUT
