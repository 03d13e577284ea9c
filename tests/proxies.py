"""Proxies on loopback: HTTP CONNECT and SOCKS5, well-behaved or not, in a thread of their own."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from base64 import b64encode
from collections.abc import Callable, Coroutine, Generator
from typing import Final, TypeAlias, final

USER: Final = "canary-user"
PASSWORD: Final = "canary-passwörd/@:%"
SECRETS: Final = (USER, PASSWORD, "canary", b64encode(f"{USER}:{PASSWORD}".encode()).decode())
"""What nothing may show."""

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Behaviour: TypeAlias = Callable[["RunningProxy", Reader, Writer], Coroutine[None, None, None]]
"""What is done with one connection. It is closed afterwards."""


@final
class RunningProxy:
    """One proxy: where it is, and what it was asked for."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.port = 0
        self.targets: list[tuple[str, int]] = []
        """Hosts and ports that it was asked for."""
        self.connected = threading.Event()
        self.left = threading.Event()
        """Set when the client has closed a connection."""
        self.route: tuple[str, int] | None = None
        """Where it connects to whatever the target; None means to the target."""

    async def serve(self, reader: Reader, writer: Writer) -> None:
        self.connected.set()
        try:
            with contextlib.suppress(OSError, EOFError):
                await self._behaviour(self, reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def relay(self, host: str, port: int, reader: Reader, writer: Writer) -> None:
        """Connect to a target and carry bytes both ways until one side ends."""
        their_reader, their_writer = await asyncio.open_connection(*(self.route or (host, port)))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, their_writer))
                tasks.create_task(_copy(their_reader, writer))
        finally:
            their_writer.close()


async def _copy(source: Reader, sink: Writer) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
        sink.write_eof()


@contextlib.contextmanager
def running(behaviour: Behaviour, *, tls: ssl.SSLContext | None = None) -> Generator[RunningProxy]:
    """Run a proxy, or with ``tls`` another server, on a free port until the block ends."""
    proxy = RunningProxy(behaviour)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        async with asyncio.TaskGroup() as connections:

            def accept(reader: Reader, writer: Writer) -> None:
                tasks.add(connections.create_task(proxy.serve(reader, writer)))

            tasks: set[asyncio.Task[None]] = set()
            server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
            proxy.port = server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()
            server.close()
            for task in tasks:
                task.cancel()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


# ── HTTP ──


def http_proxy(
    *, authorization: str | None = None, pieces: bool = False, head: bytes | None = None
) -> Behaviour:
    """A proxy for CONNECT that wants this ``Proxy-Authorization``, and answers in single bytes."""

    async def behave(proxy: RunningProxy, reader: Reader, writer: Writer) -> None:
        request, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").splitlines()
        method, target, version = request.split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        assert f"Host: {target}" in fields
        host, _, port = target.rpartition(":")
        if authorization is not None and f"Proxy-Authorization: {authorization}" not in fields:
            # Some repeat what they were given.
            echo = "\r\n".join(field for field in fields if field.startswith("Proxy-Auth"))
            writer.write(b"HTTP/1.1 407 Wrong: " + echo.encode() + b"\r\n\r\n")
            return
        proxy.targets.append((host.strip("[]"), int(port)))
        answer = head or b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n"
        await _write(writer, answer, pieces=pieces)
        await proxy.relay(host.strip("[]"), int(port), reader, writer)

    return behave


def basic(user: str = USER, password: str = PASSWORD) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


# ── SOCKS5 ──


def socks5_proxy(
    *,
    credentials: tuple[str, str] | None = None,
    pieces: bool = False,
    reply: int = 0,
    bound: bytes = b"\x01\x7f\0\0\1\x12\x34",
) -> Behaviour:
    """A SOCKS5 proxy that wants these credentials, and answers in single bytes."""

    async def behave(proxy: RunningProxy, reader: Reader, writer: Writer) -> None:
        version, count = await reader.readexactly(2)
        if version != 5:
            return
        methods = await reader.readexactly(count)
        wanted = 0 if credentials is None else 2
        if wanted not in methods:
            writer.write(b"\x05\xff")
            return
        await _write(writer, bytes([5, wanted]), pieces=pieces)
        if credentials is not None:
            assert await reader.readexactly(1) == b"\x01"
            given = [await _counted(reader) for _ in range(2)]
            right = given == [part.encode() for part in credentials]
            await _write(writer, b"\x01\x00" if right else b"\x01\x01", pieces=pieces)
            if not right:
                return
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        (kind,) = await reader.readexactly(1)
        if kind == 3:
            host = (await _counted(reader)).decode("ascii")
        else:
            host = _text(await reader.readexactly({1: 4, 4: 16}[kind]))
        port = int.from_bytes(await reader.readexactly(2), "big")
        proxy.targets.append((host, port))
        await _write(writer, bytes([5, reply, 0]) + bound, pieces=pieces)
        if reply == 0:
            await proxy.relay(host, port, reader, writer)

    return behave


def _text(packed: bytes) -> str:
    return ".".join(map(str, packed)) if len(packed) == 4 else packed.hex(":", 2)


async def _counted(reader: Reader) -> bytes:
    (length,) = await reader.readexactly(1)
    return await reader.readexactly(length)


async def _write(writer: Writer, data: bytes, *, pieces: bool) -> None:
    for piece in [data[i : i + 1] for i in range(len(data))] if pieces else [data]:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)


# ── what is not a proxy ──


async def echo(proxy: RunningProxy, reader: Reader, writer: Writer) -> None:
    """Says what it hears: for the far end."""
    del proxy
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def silent(proxy: RunningProxy, reader: Reader, writer: Writer) -> None:
    """Never answers."""
    del writer
    while await reader.read(65_536):
        pass
    proxy.left.set()


async def closing(proxy: RunningProxy, reader: Reader, writer: Writer) -> None:
    """Closes when it has read something."""
    del proxy, writer
    await reader.read(1)


async def resetting(proxy: RunningProxy, reader: Reader, writer: Writer) -> None:
    """Resets the connection when it has read something."""
    del proxy
    await reader.read(1)
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def saying(data: bytes) -> Behaviour:
    """Answers with this, whatever it is asked."""

    async def behave(proxy: RunningProxy, reader: Reader, writer: Writer) -> None:
        del proxy
        await reader.read(65_536)
        writer.write(data)
        await writer.drain()
        while await reader.read(65_536):
            pass

    return behave
