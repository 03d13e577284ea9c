"""Ten thousand notifications to every real server: none lost, none unknown, none sent twice.

An outcome is told by what the server said: its status, or the class where there was no answer.
"""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
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
from apns_simulator import make_provider_key
from tests.peers.servers import RECIPES, RealServer, running

pytestmark = pytest.mark.peers

COUNT = 10_000
PAYLOAD = b'{"aps":{"alert":"' + b"x" * 180 + b'"}}'


def notifications(count: int) -> Iterator[Notification]:
    route = Route(topic="com.example.app", push_type=PushType.ALERT)
    return (Notification(route, device_token=f"{n:064x}", payload=PAYLOAD) for n in range(count))


Outcomes = Counter[tuple[bytes, int | type]]


async def send(
    server: RealServer, submitted: Iterable[Notification], *, connect_floor: float = 1.0
) -> Outcomes:
    """Send them; return how often each device's path came to each kind of outcome."""
    client = Client(
        Endpoint(server.host, server.port),
        # Nobody looks at it, but as the longest of all fields it has its effect on tables.
        token_signer=make_provider_key(),
        ssl_context=server.client_context(),
        config=SenderConfig(connect_floor=connect_floor),
    )
    async with client:
        outcomes = client.send_many(submitted)
        return Counter(
            [
                (o.notification.path, o.status if isinstance(o, Accepted | Rejected) else type(o))
                async for o in outcomes
            ]
        )


def each_answered_once(count: int, status: int = 200) -> Outcomes:
    return Counter((n.path, status) for n in notifications(count))


@pytest.mark.timeout(240)  # with the server's start; where nothing is in its cache, Go compiles all
def test_every_notification_is_answered(real_server: RealServer) -> None:
    status = RECIPES[real_server.name].status
    assert asyncio.run(send(real_server, notifications(COUNT))) == each_answered_once(COUNT, status)


def test_a_goaway_each_hundred_requests_loses_and_repeats_nothing(tmp_path: Path) -> None:
    options = {"keepalive_requests": 100, "access_log": "paths.log paths"}
    with running("nginx", tmp_path, **options) as server:
        # A server that says goodbye this often is met in tests only: no pause between connects.
        outcomes = asyncio.run(send(server, notifications(COUNT), connect_floor=0.0))
    processed = Counter((tmp_path / "paths.log").read_bytes().splitlines())
    assert outcomes == each_answered_once(COUNT)
    assert processed == Counter(n.path for n in notifications(COUNT))


def test_s16_an_answer_before_the_body_is_read_counts(tmp_path: Path) -> None:
    with running("haproxy", tmp_path, wait_for_body="") as server:
        assert asyncio.run(send(server, notifications(2_000))) == each_answered_once(2_000)


# ── tables of header fields ──

TABLES = pytest.mark.parametrize("table", [0, 256, 4_096])


def varied(count: int) -> list[Notification]:
    """Make notifications that take turns in what a table may learn, and in what it should not."""
    routes = [
        Route("com.example.app"),
        Route("com.example.app", PushType.BACKGROUND),
        Route("com.example.a-much-longer-name-than-that.voip", PushType.VOIP, priority=5),
    ]
    return [
        Notification(
            routes[n // 10 % 3],
            f"{n:064x}",
            PAYLOAD,
            expiration=1_800_000_000 + n if n % 4 == 1 else None,
            collapse_id=f"collapse-{n}" if n % 4 == 2 else None,
            apns_id=f"00000000-0000-4000-8000-{n:012d}" if n % 4 == 3 else None,
        )
        for n in range(count)
    ]


def all_accepted(submitted: Iterable[Notification]) -> Outcomes:
    return Counter((n.path, 200) for n in submitted)


Fields = frozenset[tuple[str, str]]


def logged_by_nghttpd(log: Path) -> Counter[Fields]:
    """Count the requests in its output: each the set of its fields, less the credentials."""
    fields: defaultdict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    line = re.compile(r"^\[id=(\d+)\] .* recv \(stream_id=(\d+)\) (:?[^:]+): (.*)$", re.MULTILINE)
    for connection, stream, name, value in line.findall(log.read_text()):
        if name != "authorization":
            fields[connection, stream].add((name, value))
    return Counter(map(frozenset, fields.values()))


def as_logged(server: RealServer, notification: Notification) -> Fields:
    own = (*notification.route.fields, *notification.extra_fields)
    return frozenset(
        {
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", f"{server.host}:{server.port}"),
            (":path", notification.path.decode()),
            *((name.decode(), value.decode()) for name, value in own),
        }
    )


@TABLES
def test_h6_nghttpd_reads_all_fields_whatever_the_size_of_its_table(
    table: int, tmp_path: Path
) -> None:
    submitted = varied(2_000)
    with running("nghttpd", tmp_path, header_table_size=table, verbose="-v") as server:
        outcomes = asyncio.run(send(server, submitted))
    assert outcomes == all_accepted(submitted)
    logged = logged_by_nghttpd(tmp_path / "nghttpd.log")
    assert logged == Counter(as_logged(server, each) for each in submitted)


@TABLES
def test_h6_node_reads_all_fields_whatever_the_size_of_its_table(
    table: int, tmp_path: Path
) -> None:
    submitted = varied(2_000)
    with running("node", tmp_path, header_table_size=table) as server:
        assert asyncio.run(send(server, submitted)) == all_accepted(submitted)
