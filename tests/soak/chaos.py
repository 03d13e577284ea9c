"""A proxy on loopback that treats each connection badly in a way of its own."""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Self, TypeAlias, final

from apns_core import Endpoint

__all__ = ["TREATMENTS", "ChaosProxy"]

Relay: TypeAlias = Callable[["Pipe", bytes], Awaitable[bytes]]
"""Takes what one side sent, and returns what the other side gets, in its time."""

_RST: Final = struct.pack("ii", 1, 0)


@final
class Pipe:
    """One direction of one connection."""

    def __init__(
        self, chaos: "ChaosProxy", rng: random.Random, writer: asyncio.StreamWriter
    ) -> None:
        self.chaos = chaos
        self.rng = rng
        self.writer = writer
        self.passed = 0
        """Octets."""
        self.limit = int(10 ** rng.uniform(2.5, 5.5))
        """Where a treatment that strikes once strikes: from some hundred octets to 300 kB."""
        self.delay = rng.uniform(0.0, 0.04)
        """Seconds."""


async def _as_it_is(_: Pipe, data: bytes) -> bytes:
    return data


async def _delayed(pipe: Pipe, data: bytes) -> bytes:
    await asyncio.sleep(pipe.delay)
    return data


async def _dripped(pipe: Pipe, data: bytes) -> bytes:
    """Octet by octet for a while, then as it is: a handshake in drips takes long enough."""
    for octet in data[: max(0, 400 - pipe.passed)]:
        pipe.writer.write(bytes((octet,)))
        await asyncio.sleep(0.001)
    return data[max(0, 400 - pipe.passed) :]


async def _in_crumbs(pipe: Pipe, data: bytes) -> bytes:
    """In pieces of any size, each a segment of its own."""
    position = 0
    while position < len(data):
        size = pipe.rng.randint(1, 2_000)
        pipe.writer.write(data[position : position + size])
        await pipe.writer.drain()
        position += size
    return b""


async def _stalled(pipe: Pipe, data: bytes) -> bytes:
    """Silent for some seconds, once."""
    if pipe.passed < pipe.limit <= pipe.passed + len(data):
        await asyncio.sleep(pipe.rng.uniform(0.2, 3.0))
    return data


async def _cut(pipe: Pipe, data: bytes) -> bytes:
    """Ended in the midst, with FIN."""
    if pipe.passed + len(data) < pipe.limit:
        return data
    pipe.writer.write(data[: pipe.limit - pipe.passed])
    with contextlib.suppress(OSError):
        await pipe.writer.drain()
    raise EOFError


async def _reset(pipe: Pipe, data: bytes) -> bytes:
    """Ended in the midst, with RST."""
    if pipe.passed + len(data) < pipe.limit:
        return data
    sock: socket.socket | None = pipe.writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    raise EOFError


async def _half_open(pipe: Pipe, data: bytes) -> bytes:
    """Neither closed nor read from some octet on, until the chaos is over."""
    if pipe.passed + len(data) < pipe.limit:
        return data
    await pipe.chaos.over.wait()
    raise EOFError


TREATMENTS: Final[Mapping[str, Relay]] = {
    "as it is": _as_it_is,
    "delayed": _delayed,
    "dripped": _dripped,
    "in crumbs": _in_crumbs,
    "stalled": _stalled,
    "cut": _cut,
    "reset": _reset,
    "half open": _half_open,
}


@final
class ChaosProxy:
    """Relays to one endpoint, in a thread with a loop of its own. A context manager.

    Each connection draws a treatment for each of its directions; `calm` ends that for later ones.
    """

    def __init__(self, target: Endpoint, seed: int) -> None:
        self.target = target
        self.treated: Counter[str] = Counter()
        """How many directions of connections had each treatment."""
        self.over = asyncio.Event()
        self._rng = random.Random(seed)
        self._calm = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos proxy")
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def calm(self) -> None:
        """Treat later connections well, and end those that are half open. Safe to call again."""
        if not self._calm:
            self._calm = True
            self._loop.call_soon_threadsafe(self.over.set)

    async def _close(self) -> None:
        self.over.set()
        if self._server is not None:
            self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        # Two turns: transports close their sockets in the next one.
        for _ in range(2):
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rng = random.Random(self._rng.random())
        self._writers.add(writer)
        try:
            there, to_there = await asyncio.open_connection(self.target.host, self.target.port)
        except OSError:
            writer.close()
            self._writers.discard(writer)
            return
        self._writers.add(to_there)
        try:
            # Whichever direction ends first ends the other: a proxy without half-closed states.
            directions = [
                asyncio.create_task(self._relay(rng, reader, to_there)),
                asyncio.create_task(self._relay(rng, there, writer)),
            ]
            # Cancelled when the proxy closes; asyncio's streams complain of a task that says so.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
        finally:
            for each in (writer, to_there):
                each.close()
                with contextlib.suppress(OSError):
                    await each.wait_closed()
                self._writers.discard(each)

    async def _relay(
        self, rng: random.Random, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        name = "as it is" if self._calm else rng.choice(list(TREATMENTS))
        self.treated[name] += 1
        relay, pipe = TREATMENTS[name], Pipe(self, rng, sink)
        with contextlib.suppress(OSError, EOFError):
            while data := await source.read(65_536):
                rest = await relay(pipe, data)
                pipe.passed += len(data)
                sink.write(rest)
                await sink.drain()
