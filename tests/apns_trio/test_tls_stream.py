"""`TlsStream` over loopback: many records at once, and ends of all kinds."""

import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from apns_core.trust.tls import client_context
from apns_trio.tls_stream import TlsStream
from tests.contract.server import CA_PEM, server_context

Talk = Callable[[TlsStream, trio.SocketStream, ssl.SSLObject, ssl.MemoryBIO], Awaitable[None]]


def over_loopback(talk: Talk) -> None:
    """Shake hands, then hand over both sides: the stream, and the server's TCP and TLS."""

    async def main() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        plain = await trio.open_tcp_stream(*listener.getsockname())
        accepted, _ = listener.accept()
        listener.close()
        theirs = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = server_context().wrap_bio(incoming, outgoing, server_side=True)
        stream = TlsStream(plain, client_context(cadata=CA_PEM), "localhost")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.handshake)
                while _wants_more(server):
                    await theirs.send_all(outgoing.read())
                    incoming.write(await theirs.receive_some())
                await theirs.send_all(outgoing.read())
            await talk(stream, theirs, server, outgoing)
        finally:
            stream.close()
            await trio.aclose_forcefully(theirs)

    trio.run(main)


def _wants_more(server: ssl.SSLObject) -> bool:
    try:
        server.do_handshake()
    except ssl.SSLWantReadError:
        return True
    return False


def test_a_hundred_records_in_one_read() -> None:
    async def talk(
        stream: TlsStream, theirs: trio.SocketStream, server: ssl.SSLObject, outgoing: ssl.MemoryBIO
    ) -> None:
        for number in range(100):
            server.write(b"%02d" % number)
        await theirs.send_all(outgoing.read())
        assert await stream.receive() == b"".join(b"%02d" % number for number in range(100))

    over_loopback(talk)


def test_a_long_write_is_written_whole() -> None:
    async def talk(
        stream: TlsStream, theirs: trio.SocketStream, _: ssl.SSLObject, __: ssl.MemoryBIO
    ) -> None:
        sent = bytes(2_000_000)
        received = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, sent)
            while received < len(sent):
                received += len(await theirs.receive_some())
        assert received >= len(sent)

    over_loopback(talk)


@pytest.mark.parametrize("end", ["close_notify", "FIN", "RST", "damage"])
def test_what_came_before_the_end_still_counts(end: str) -> None:
    errors = {"RST": ConnectionResetError, "damage": ssl.SSLError}

    async def talk(
        stream: TlsStream, theirs: trio.SocketStream, server: ssl.SSLObject, outgoing: ssl.MemoryBIO
    ) -> None:
        server.write(b"last words")
        if end == "close_notify":
            with suppress(ssl.SSLError):
                server.unwrap()
        elif end == "damage":
            outgoing.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        await theirs.send_all(outgoing.read())
        if end == "FIN":
            await theirs.send_eof()
        elif end == "RST":
            assert await stream.receive() == b"last words"
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            theirs.socket.close()
        if end != "RST":
            assert await stream.receive() == b"last words"
        for _ in range(2):
            if end in errors:
                with pytest.raises(errors[end]):
                    await stream.receive()
            else:
                assert await stream.receive() == b""

    over_loopback(talk)


def test_what_tls_has_to_say_itself() -> None:
    """Such as the answer to a key update, which `ssl` cannot ask for."""

    async def talk(
        stream: TlsStream, theirs: trio.SocketStream, _: ssl.SSLObject, __: ssl.MemoryBIO
    ) -> None:
        said: list[bool] = []
        for octets in (b"", b"key update"):
            stream._outgoing.write(octets)
            said.append(stream.must_send)
            await stream.send_all(b"")
            said.append(stream.must_send)
        assert said == [False, False, True, False]
        assert (await theirs.receive_some()).endswith(b"key update")

    over_loopback(talk)
