"""A TCP proxy on loopback that delivers everything later: half a round trip in each direction.

    python benchmarks/delay_proxy.py --target 8443 --rtt 0.08     prints the port that it listens on

It delays what connections carry. The handshake of TCP with it is as fast as loopback, and there is
neither loss nor slow start: what it shows is the cost of waiting, not of a bad network.
"""

import argparse
import asyncio
from collections import deque
from typing import Final, final

from loopback import ADDRESS

__all__ = ["DelayedWriter"]

CHUNK: Final = 256 * 1024


@final
class DelayedWriter:
    """Writes to a transport in order, each piece ``delay`` seconds after it came."""

    def __init__(self, writer: asyncio.StreamWriter, delay: float) -> None:
        self._writer = writer
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        # One timer and one queue: timers of the loop that are due at once have no order.
        self._pieces: deque[tuple[float, bytes]] = deque()

    def write(self, data: bytes) -> None:
        """Deliver ``data`` later; b"" delivers the end."""
        self._pieces.append((self._loop.time() + self._delay, data))
        if len(self._pieces) == 1:
            self._loop.call_at(self._pieces[0][0], self._deliver)

    def _deliver(self) -> None:
        pieces, now = self._pieces, self._loop.time()
        while pieces and pieces[0][0] <= now:
            if data := pieces.popleft()[1]:
                self._writer.write(data)
            else:
                self._writer.close()
        if pieces:
            self._loop.call_at(pieces[0][0], self._deliver)


async def carry(reader: asyncio.StreamReader, writer: DelayedWriter) -> None:
    """Carry one direction to its end."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
    except ConnectionError:
        pass
    finally:
        writer.write(b"")


async def serve(target: int, rtt: float) -> None:
    """Listen until the process is ended."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection(ADDRESS, target, limit=CHUNK)
        await asyncio.gather(
            carry(reader, DelayedWriter(their_writer, rtt / 2)),
            carry(their_reader, DelayedWriter(writer, rtt / 2)),
        )

    server = await asyncio.start_server(connection, ADDRESS, 0, limit=CHUNK)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", type=int, required=True, help="port on loopback")
    parser.add_argument("--rtt", type=float, required=True, help="seconds")
    options = parser.parse_args()
    asyncio.run(serve(options.target, options.rtt))


if __name__ == "__main__":
    main()
