import asyncio
from typing import Any, cast

import pytest

from delay_proxy import DelayedWriter
from rtt import payload_of, window_allows


@pytest.mark.parametrize("size", [200, 1_000, 4_096])
def test_a_payload_has_the_size_that_is_asked_for(size: int) -> None:
    assert len(payload_of(size)) == size


def test_what_the_window_allows() -> None:
    assert window_allows(0.08, 3_000, 1) == 273  # 21.8 bodies, 12.5 times a second
    assert window_allows(0.08, 3_000, 16) == 4_369
    assert window_allows(0.1, 1, 1) == 10_000  # a thousand streams, not 65,535 bodies


class Sink:
    """Stands for a StreamWriter; notes when each piece came."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self.closed = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.pieces.append((asyncio.get_running_loop().time(), data))

    def close(self) -> None:
        self.closed.set()


def test_what_is_delayed_comes_in_order_and_no_sooner() -> None:
    delay = 0.01

    async def run() -> tuple[float, Sink]:
        sink = Sink()
        writer = DelayedWriter(cast("Any", sink), delay)
        start = asyncio.get_running_loop().time()
        for number in range(50):
            writer.write(b"%d" % number)
        writer.write(b"")
        await sink.closed.wait()
        return start, sink

    start, sink = asyncio.run(run())
    assert [data for _, data in sink.pieces] == [b"%d" % number for number in range(50)]
    assert min(time for time, _ in sink.pieces) >= start + delay
