"""One transport: what is written when, and every way in which it may end."""

import asyncio
import logging
import ssl

import pytest

from apns_core import Accepted, ConnectFailed, Sender, Unprocessed
from apns_simulator import GoAway, Temper
from tests.apns_asyncio.harness import notification, notifications, turns
from tests.apns_asyncio.scene import Scene
from tests.apns_asyncio.virtual import SilentPeer

SETTINGS = bytes.fromhex("000000 04 00 00000000")


def test_nothing_is_encoded_while_the_transport_takes_nothing() -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.client as client:
            await client.send(notification())
            sender = client._open().sender
            (transport,) = scene.network.transports
            transport.protocol.pause_writing()
            written = len(transport.written)
            sends = [asyncio.ensure_future(client.send(each)) for each in notifications(5)]
            await asyncio.sleep(1.0)
            assert (sender.queued, sender.in_flight) == (5, 0)
            assert len(transport.written) == written
            # Paused in the midst: what was encoded is written, and no more.
            write = transport.write

            def write_and_pause(data: bytes | bytearray | memoryview) -> None:
                write(data)
                transport.protocol.pause_writing()

            transport.write = write_and_pause  # type: ignore[method-assign]
            transport.protocol.resume_writing()
            await asyncio.sleep(1.0)
            assert len(transport.written) > written
            transport.write = write  # type: ignore[method-assign]
            transport.protocol.resume_writing()
            assert {type(await send) for send in sends} == {Accepted}

    scene.run(main())


def test_a_farewell_is_written_although_the_transport_is_paused() -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.client as client:
            await client.send(notification())
            (transport,) = scene.network.transports
            transport.protocol.pause_writing()
        assert scene.simulator.ledger.connections[0].goaways_received == 1

    scene.run(main())


def test_nothing_is_encoded_for_a_peer_that_has_closed() -> None:
    scene = Scene(connect_floor=0.0)

    async def main() -> None:
        async with scene.client as client:
            await client.send(notification(1))
            (transport,) = scene.network.transports
            # It closed while there was nothing to do, and asyncio takes its time to say so.
            transport.protocol.eof_received()
            send = asyncio.ensure_future(client.send(notification(2)))
            await turns(5)
            assert client._open().sender.queued == 1
            transport._lose(None)
            assert isinstance(await send, Accepted)
            assert client.last_error is None  # it said something before

    scene.run(main())
    assert len(scene.network.transports) == 2


@pytest.mark.parametrize("held", [0, 1])
def test_what_a_peer_that_has_closed_does_not_take_holds_up_nothing(held: int) -> None:
    scene = Scene(connect_floor=0.0)

    async def main() -> None:
        async with scene.client as client:
            await client.send(notification(1))
            (transport,) = scene.network.transports
            transport.held = held
            transport.protocol.eof_received()
            assert transport.aborted == bool(held)
            if not held:
                transport.close()
            assert isinstance(await client.send(notification(2)), Accepted)

    scene.run(main())
    assert len(scene.network.transports) == 2


def test_nothing_is_encoded_for_a_transport_that_is_closing() -> None:
    """It met an error in this turn, and tells of it in the next."""
    scene = Scene(connect_floor=0.0)

    async def main() -> None:
        async with scene.client as client:
            await client.send(notification(1))
            (transport,) = scene.network.transports
            transport.closing = True
            send = asyncio.ensure_future(client.send(notification(2)))
            await turns(5)
            assert client._open().sender.queued == 1
            transport._lose(ConnectionResetError())
            assert isinstance(await send, Accepted)

    scene.run(main())
    assert len(scene.network.transports) == 2


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, None),
        (ConnectionResetError("reset"), "reset"),
        (ssl.SSLError(1, "[SSL: ALERT]"), "ALERT"),
    ],
)
def test_a_connection_that_is_lost_in_use(error: Exception | None, text: str | None) -> None:
    scene = Scene(connect_floor=0.0)

    async def main() -> None:
        async with scene.client as client:
            await client.send(notification(1))
            scene.network.transports[0].end(error)
            await turns(3)
            assert isinstance(await client.send(notification(2)), Accepted)
            assert client.last_error is error
            assert text is None or text in str(client.last_error)

    scene.run(main())
    assert len(scene.network.transports) == 2


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset by peer")])
def test_a_connection_that_is_lost_before_the_server_has_spoken(error: Exception | None) -> None:
    scene = Scene()
    scene.network.peer = SilentPeer

    async def main() -> None:
        async with scene.client as client:
            send = asyncio.ensure_future(client.send(notification()))
            while not scene.network.transports:
                await turns(1)
            await turns(3)
            scene.network.transports[0].end(error)
            await turns(3)
            assert isinstance(client.last_error, ConnectFailed)
            assert "possibly it refuses the client certificate" in str(client.last_error)
            scene.network.peer = scene.simulated_peer
            assert isinstance(await send, Accepted)

    scene.run(main())
    # The backoff was heeded: nothing came of the first.
    assert scene.network.connects[1] > 1.0


def test_what_comes_with_the_end_of_the_handshake_is_read() -> None:
    scene = Scene()
    scene.network.peer = SilentPeer
    scene.network.early = SETTINGS

    async def main() -> None:
        async with scene.client as client:
            send = asyncio.ensure_future(client.send(notification()))
            await asyncio.sleep(0.1)
            (peer,) = scene.network.peers
            # A request is not sent before SETTINGS: so they were read.
            assert notification().payload in peer.received
            send.cancel()

    scene.run(main())


@pytest.mark.parametrize("alpn", [None, "http/1.1"])
def test_a_server_without_http2(alpn: str | None) -> None:
    scene = Scene()
    scene.network.alpn = alpn
    scene.network.early = b"HTTP/1.1 400 Bad Request\r\n\r\n"

    async def main() -> None:
        async with scene.client as client:
            outcome = await client.send(notification())
            assert isinstance(outcome, Unprocessed)
            assert isinstance(client.last_error, ConnectFailed)
            assert ("no protocol" if alpn is None else "'http/1.1'") in str(client.last_error)

    scene.run(main())
    assert 5 <= len(scene.network.transports) <= 10
    for transport in scene.network.transports:
        assert transport.written == b""
        assert transport.lost


def test_lost_at_the_end_of_the_handshake() -> None:
    scene = Scene()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        start_tls = loop.start_tls

        async def lost(transport: asyncio.WriteTransport, *_: object, **__: object) -> None:
            transport.close()
            loop.start_tls = start_tls  # type: ignore[method-assign]

        loop.start_tls = lost  # type: ignore[method-assign]
        async with scene.client as client:
            assert isinstance(await client.send(notification()), Accepted)
            assert isinstance(client.last_error, ConnectionResetError)

    scene.run(main())


def test_a_goaway_and_the_end_of_the_connection_in_one_turn() -> None:
    # The command to disconnect comes for a connection that is gone by then.
    scene = Scene(connect_floor=0.0)
    scene.simulator.temper = Temper(
        goaway_after=1, goaway_frames=(GoAway.because("Shutdown"),), first_connections=1
    )

    async def main() -> None:
        async with scene.client as client:
            outcomes = [outcome async for outcome in client.send_many(notifications(20))]
        assert [type(outcome) for outcome in outcomes] == [Accepted] * 20

    scene.run(main())
    assert scene.simulator.ledger.duplicates() == {}


def test_links_are_forgotten() -> None:
    scene = Scene(connect_floor=0.0)
    scene.simulator.temper = Temper(goaway_after=1)

    async def main() -> None:
        async with scene.client as client:
            for each in notifications(10):
                assert isinstance(await client.send(each), Accepted)
                assert len(client._open()._links) <= 2

    scene.run(main())
    assert len(scene.network.transports) == 10


def test_the_log_tells_of_failures_and_of_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scene = Scene()
    scene.network.connect = refuse

    async def main() -> None:
        async with scene.client as client:
            await client.send(notification())
            assert isinstance(client.last_error, ConnectionRefusedError)
            assert client.last_error.__traceback__ is None

    scene.run(main())
    lines = {record.getMessage() for record in caplog.records if record.name == "apns_asyncio"}
    assert lines == {"no connection to api.push.apple.com:443: nobody listens"}
    assert notification().device_token not in caplog.text


async def refuse(*_: object) -> None:
    raise ConnectionRefusedError("nobody listens")


def test_the_sender_is_told_the_end_of_each_attempt_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    for name in ("connected", "connect_failed", "receive_eof"):

        def tell(
            self: Sender[object],
            *arguments: object,
            name: str = name,
            original: object = getattr(Sender, name),
        ) -> None:
            told.append(f"{name} {arguments[0]}")
            original(self, *arguments)  # type: ignore[operator]

        monkeypatch.setattr(Sender, name, tell)
    scene = Scene()
    scene.network.connect = refuse

    async def main() -> None:
        async with scene.client as client:
            send = asyncio.ensure_future(client.send(notification()))
            await asyncio.sleep(0.5)
            scene.network.connect = scene.network.look_up
            await send

    scene.run(main())
    assert told == ["connect_failed 1", "connected 2", "receive_eof 2"]
