"""What servers and networks do to a sender, in virtual time: the same at the same times."""

import socket
from dataclasses import replace
from typing import Literal

import pytest

from apns_core import Notification
from apns_simulator import GRACEFUL_GOAWAY, GoAway, Temper
from tests.contract.kit import (
    ROUTE,
    Client,
    Kit,
    both_loops,
    collect,
    counted,
    device,
    each_loop,
    name_of,
    notifications,
    send,
)
from tests.contract.server import Ending
from tests.ports import held_port

FIRST = Temper(first_connections=1)
"""The next connection is to a server in its right mind."""


@pytest.mark.parametrize(
    "temper",
    [
        replace(FIRST, goaway_after=20),
        replace(FIRST, goaway_after=20, goaway_frames=GRACEFUL_GOAWAY),
        replace(
            FIRST,
            goaway_after=20,
            goaway_frames=(GoAway.because("Shutdown"), GoAway(delay=0.1)),
        ),
        Temper(refuse_every=5),
        replace(FIRST, close_after_requests=0),
        Temper(informational=2, ping_every=0.05),
        Temper(uppercase_apns_id=True, omit_apns_id=True),
    ],
    ids=["goaway", "graceful goaway", "two goaways", "refused", "closed", "informal", "no id"],
)
@both_loops
async def test_nothing_is_lost(kit: Kit, temper: Temper) -> None:
    server = kit.serve(temper=temper, latency=0.05, max_concurrent_streams=30)
    async with kit.client(server, connect_floor=0.1) as client:
        outcomes = await collect(client.send_many(notifications(100)))
    assert counted(outcomes) == {"accepted": 100}
    assert set(server.ledger.processed_by_device().values()) == {1}
    assert server.ledger.violations == []


@pytest.mark.parametrize("reason", ["BadCertificate", "BadCertificateEnvironment"])
@both_loops
async def test_credentials_that_are_refused_for_good(kit: Kit, reason: str) -> None:
    goaway = Temper(goaway_after=0, goaway_frames=(GoAway.because(reason), GoAway()))
    server = kit.serve(temper=goaway)
    async with kit.client(server) as client:
        outcomes = await collect(client.send_many(notifications(20)))
        assert await send(client) == "unprocessed FATAL"
    assert counted(outcomes) == {"unprocessed FATAL": 20}
    assert len(server.accepted) == 1


@pytest.mark.parametrize("reason", ["Unregistered", "BadDeviceToken"])
@both_loops
async def test_a_limit_that_drops_with_each_rejection(kit: Kit, reason: str) -> object:
    server = kit.serve(
        temper=Temper(limit_drop_on_rejection=True), latency=0.02, max_concurrent_streams=50
    )
    for number in range(0, 100, 10):
        server.reject(number, reason)
    async with kit.client(server) as client:
        outcomes = await collect(client.send_many(notifications(100)))
    assert counted(outcomes) == {"accepted": 90, f"rejected {reason}": 10}
    return outcomes


@pytest.mark.parametrize("ends", ["clean", "truncated", "reset"])
@pytest.mark.parametrize("after", ["settings", "some answers", "requests"])
@both_loops
async def test_t1_an_end_is_an_end_however_it_comes(kit: Kit, ends: Ending, after: str) -> None:
    """T1: what HTTP/2 has said by then decides, not how TLS and TCP went."""
    server = kit.serve(latency=1, max_concurrent_streams=10)
    async with kit.client(server) as client:
        batch = kit.spawn(_count, client)
        if after == "settings":
            await kit.until(lambda: server.ledger.connections)
        else:
            await kit.sleep(1.5 if after == "some answers" else 0.5)
        server.end(ends)
        end = await batch.end()
    lost = {"settings": 10, "some answers": 10, "requests": 10}[after]
    assert end == str({"accepted": 30 - lost, "unknown CONNECTION_LOST": lost})
    assert name_of(client.last_error) == ("ConnectionResetError" if ends == "reset" else "none")


async def _count(client: Client) -> object:
    return counted(await collect(client.send_many(notifications(30))))


@pytest.mark.parametrize("cut", [1, 9, 24, 60, 90, 100, 130])
@pytest.mark.parametrize("ends", ["clean", "reset"])
@both_loops
async def test_cut_at_any_byte_of_an_answer(kit: Kit, cut: int, ends: Ending) -> object:
    temper = replace(FIRST, close_after_bytes_sent=cut)
    async with kit.client(kit.serve(temper=temper, ends=ends)) as client:
        return await send(client)


@both_loops
async def test_deadlines(kit: Kit) -> None:
    server = kit.serve(temper=Temper(silent_after=0), max_concurrent_streams=2)
    async with kit.client(server, connection={"request_timeout": 5.0}) as client:
        tasks = await kit.spawn_in_order(send, client, range(3))
        await kit.sleep(1)
        late = kit.spawn(send, client, 3)
        assert [await task.end() for task in tasks] == [
            "unknown DEADLINE",
            "unknown DEADLINE",
            "unprocessed DEADLINE",
        ]
        assert kit.now() == 5
        await late.end()
        assert kit.now() == 6


@both_loops
async def test_a_mute_server_is_left_for_another_connection(kit: Kit) -> object:
    server = kit.serve(temper=replace(FIRST, silent_after=0))
    async with kit.client(server, connection={"stall_after": 15.0}) as client:
        muted = kit.spawn(send, client, 0)
        await kit.sleep(16)
        assert await send(client, 1) == "accepted"
        return await muted.end()


@both_loops
async def test_s21_a_black_hole_is_found_by_a_ping(kit: Kit) -> None:
    hole = replace(FIRST, silent_after=1, silence="everything")
    async with kit.client(kit.serve(temper=hole)) as client:
        assert await send(client, 0) == "accepted"
        assert await send(client, 1) == "unknown UNRESPONSIVE"
        assert kit.now() == 25
        assert await send(client, 2) == "accepted"


@both_loops
async def test_a_window_that_nobody_gives_back(kit: Kit) -> object:
    server = kit.serve(temper=Temper(credit_windows=False))
    async with kit.client(server) as client:
        big = [_big(number) for number in range(30)]
        return counted(await collect(client.send_many(big)))


def _big(number: int) -> Notification:
    return Notification(ROUTE, device(number), b'{"aps":{"alert":"' + b"x" * 4_000 + b'"}}')


@both_loops
async def test_s22_a_server_that_answers_503(kit: Kit) -> object:
    server = kit.serve(temper=Temper(answer_status=503, answer_reason="ServiceUnavailable"))
    async with kit.client(server) as client:
        outcomes = await collect(client.send_many(notifications(10)))
    assert counted(outcomes) == {"rejected ServiceUnavailable": 10}
    return server.ledger.processed_count


@both_loops
async def test_several_connections_for_a_long_way(kit: Kit) -> object:
    server = kit.serve(latency=2, max_concurrent_streams=10)
    async with kit.client(server, max_connections=4) as client:
        outcomes = await collect(client.send_many(notifications(120)))
    assert counted(outcomes) == {"accepted": 120}
    assert len(server.accepted) > 1
    return outcomes


@each_loop
async def test_a_server_that_stops_reading_holds_up_the_encoder(kit: Kit) -> None:
    # Windows without a bound: nothing but TCP holds the client back.
    server = kit.serve(
        hangs="reading",
        receive_buffer=65_536,
        initial_window_size=2**31 - 1,
        connection_window_size=2**31 - 1,
        max_concurrent_streams=5_000,
    )
    # More than any system takes before it says no.
    many = [_big(number) for number in range(5_000)]
    connection = {"max_streams": 5_000, "request_timeout": 1_000.0}
    async with kit.client(server, max_queued=5_000, connection=connection) as client:
        sender = kit.sender(client)
        batch = kit.spawn(collect, client.send_many(many))
        in_flight = -1
        while in_flight != sender.in_flight or not in_flight:
            in_flight = sender.in_flight
            await kit.sleep(1)  # as long as there is something to do, none of it passes
        assert sender.queued > 0
        # What an adapter takes before it is paused, and one pull.
        assert 0 < kit.outgoing(client) < 3 * 65_536
        await client.aclose(timeout=0.0)
        await batch.end()
    server.leave()


@both_loops
async def test_c8_why_a_connection_ends_is_told_before_its_end(kit: Kit) -> None:
    """C8: a window that overflows."""
    server = kit.serve(latency=1)
    async with kit.client(server) as client:
        task = kit.spawn(send, client)
        await kit.sleep(0.5)
        server.say(bytes.fromhex("000004 08 00 00000000 7fffffff"))
        assert await task.end() == "unknown PROTOCOL_ERROR"
        await kit.until(lambda: not server.open)
        assert name_of(client.last_error) == "RemoteProtocolError"
    (peer,) = server.peers
    assert _goaways(bytes(peer.heard)) == [3]


def _goaways(heard: bytes) -> list[int]:
    """Return the error codes of all that a client has sent."""
    frames = heard[24:]  # after the preface
    codes: list[int] = []
    while frames:
        if frames[3] == 7:
            codes.append(int.from_bytes(frames[13:17]))
        frames = frames[9 + int.from_bytes(frames[:3]) :]
    return codes


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"<html><body>no</body></html>",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
@both_loops
async def test_c4_a_server_of_something_else_is_named_and_waited_for(
    kit: Kit, greeting: bytes
) -> None:
    """C4: TLS and ALPN say that it would be HTTP/2."""
    server = kit.serve(greets=greeting)
    async with kit.client(server) as client:
        task = kit.spawn(send, client)
        await kit.sleep(5)
        assert name_of(client.last_error) == "ConnectFailed"
        assert "no HTTP/2" in str(client.last_error)
        assert kit.sender(client).queued == 1
        assert 1 <= len(server.accepted) <= 5
        server.greets = None
        assert await task.end() == "accepted"
    assert server.ledger.processed_by_device() == {device(0): 1}


# ── no connection ──


@both_loops
async def test_nobody_listens(kit: Kit) -> object:
    """Backoff with the same times on both, until the deadline; the reason is kept."""
    with held_port() as port:
        async with kit.client(port) as client:
            assert await send(client) == "unprocessed DEADLINE"
            assert name_of(client.last_error) == "ConnectionRefusedError"
            assert kit.now() == 30
    return None


@both_loops
async def test_nobody_listens_anywhere(kit: Kit) -> None:
    kit.addresses = ["127.0.0.2", "127.0.0.1"]
    with held_port() as port:
        async with kit.client(port, connection={"request_timeout": 1.0}) as client:
            assert await send(client) == "unprocessed DEADLINE"
            assert name_of(client.last_error) == "OSError"
            assert str(client.last_error).count("127.0.0.") == 2


@both_loops
async def test_an_unknown_name(kit: Kit) -> None:
    async def fail() -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    kit.look_up = fail
    async with kit.client(443) as client:
        assert await send(client) == "unprocessed DEADLINE"
        assert name_of(client.last_error) == "gaierror"


@pytest.mark.parametrize("hangs", ["TCP", "TLS", "HTTP/2"])
@both_loops
async def test_a_server_that_hangs(kit: Kit, hangs: Literal["TCP", "TLS", "HTTP/2"]) -> object:
    async with kit.client(kit.serve(hangs=hangs), connect_timeout=10.0) as client:
        assert await send(client) == "unprocessed DEADLINE"
        return name_of(client.last_error)


@pytest.mark.parametrize("ends", ["clean", "truncated", "reset"])
@both_loops
async def test_a_connection_that_ends_in_the_handshake(kit: Kit, ends: Ending) -> None:
    server = kit.serve(hangs="TLS")
    async with kit.client(server, connection={"request_timeout": 3.0}) as client:
        task = kit.spawn(send, client)
        await kit.sleep(0.5)
        server.end(ends)
        await kit.turns()
        await kit.settle()
        assert name_of(client.last_error) == "ConnectionResetError"
        assert await task.end() == "unprocessed DEADLINE"


@both_loops
async def test_a_server_that_comes_back(kit: Kit) -> None:
    server = kit.serve(hangs="TLS")
    async with kit.client(server, connect_timeout=3.0) as client:
        task = kit.spawn(send, client)
        await kit.sleep(1)
        server.hangs = None
        assert await task.end() == "accepted"
        assert name_of(client.last_error) == "TimeoutError"


@both_loops
async def test_the_second_address_when_the_first_refuses(kit: Kit) -> None:
    kit.addresses = ["127.0.0.2", "127.0.0.1"]
    async with kit.client(kit.serve()) as client:
        assert await send(client) == "accepted"
    assert kit.now() == 0


@both_loops
async def test_the_second_address_when_the_first_hangs(kit: Kit) -> None:
    server = kit.serve()
    kit.serve(hangs="TCP", address="127.0.0.2", port=server.port)
    kit.addresses = ["127.0.0.2", "127.0.0.1"]
    async with kit.client(server) as client:
        assert await send(client) == "accepted"
    assert kit.now() == 0.25


@both_loops
async def test_names_are_looked_up_afresh(kit: Kit) -> None:
    server = kit.serve(temper=Temper(close_after_requests=1))
    async with kit.client(server) as client:
        for number in range(3):
            await send(client, number)
    assert len(kit.looked_up) == 3
