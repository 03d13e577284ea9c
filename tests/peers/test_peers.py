"""Ten thousand notifications to every real server: none lost, none unknown, none sent twice.

An outcome is told by what the server said: its status, or the class where there was no answer.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from apns_asyncio import Client
from apns_core import (
    Accepted,
    Endpoint,
    Notification,
    PushType,
    Rejected,
    Route,
    SenderConfig,
)
from tests.peers.servers import RECIPES, RealServer, running

pytestmark = pytest.mark.peers

COUNT = 10_000
PAYLOAD = b'{"aps":{"alert":"' + b"x" * 180 + b'"}}'


def notifications(count: int) -> Iterator[Notification]:
    route = Route(topic="com.example.app", push_type=PushType.ALERT)
    return (Notification(route, device_token=f"{n:064x}", payload=PAYLOAD) for n in range(count))


Outcomes = Counter[tuple[bytes, int | type]]


async def send(server: RealServer, count: int, *, connect_floor: float = 1.0) -> Outcomes:
    """Send that many; return how often each device's path came to each kind of outcome."""
    endpoint = Endpoint(server.host, server.port)
    config = SenderConfig(connect_floor=connect_floor)
    async with Client(endpoint, ssl_context=server.client_context(), config=config) as client:
        outcomes = client.send_many(notifications(count))
        return Counter(
            [
                (o.notification.path, o.status if isinstance(o, Accepted | Rejected) else type(o))
                async for o in outcomes
            ]
        )


def each_answered_once(count: int, status: int = 200) -> Outcomes:
    return Counter((n.path, status) for n in notifications(count))


def test_every_notification_is_answered(real_server: RealServer) -> None:
    status = RECIPES[real_server.name].status
    assert asyncio.run(send(real_server, COUNT)) == each_answered_once(COUNT, status)


def test_a_goaway_each_hundred_requests_loses_and_repeats_nothing(tmp_path: Path) -> None:
    options = {"keepalive_requests": 100, "access_log": "paths.log paths"}
    with running("nginx", tmp_path, **options) as server:
        # A server that says goodbye this often is met in tests only: no pause between connects.
        outcomes = asyncio.run(send(server, COUNT, connect_floor=0.0))
    processed = Counter((tmp_path / "paths.log").read_bytes().splitlines())
    assert outcomes == each_answered_once(COUNT)
    assert processed == Counter(n.path for n in notifications(COUNT))


def test_s16_an_answer_before_the_body_is_read_counts(tmp_path: Path) -> None:
    with running("haproxy", tmp_path, wait_for_body="") as server:
        assert asyncio.run(send(server, 2_000)) == each_answered_once(2_000)
