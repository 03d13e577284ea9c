"""Simulated TCP connections: bytes keep their order; they are late, cut or lost, never changed."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, final

from tests.simulation.clock import Clock

__all__ = ["Direction", "Path"]

_FIN: Final = None


@final
@dataclass(slots=True)
class Path:
    """What lies between one sender and the servers. Times are seconds."""

    latency: float
    """One way."""
    jitter: float = 0.0
    """Share of the latency that comes on top, at most."""
    segments: bool = False
    """Whether bytes arrive in pieces of random sizes."""
    bandwidth: float = 10e6
    """Octets a second."""
    send_buffer: int = 1 << 20
    """Octets that may be on their way before the writer has to wait."""


@final
class Direction:
    """One direction of a link, from a writer to a reader."""

    def __init__(
        self,
        clock: Clock,
        rng: Random,
        path: Path,
        deliver: Callable[[bytes], None],
        end: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._path = path
        self._deliver = deliver
        self._end = end
        self._pieces: deque[tuple[float, bytes | None]] = deque()
        self._free_at = 0.0
        self._held_until = 0.0
        self._finished = False
        self._black_hole = False
        self.sent = 0
        """Octets that were written."""
        self.delivered = 0
        """Octets that were read."""

    @property
    def in_flight(self) -> int:
        """Octets written and not read."""
        return self.sent - self.delivered

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._pieces

    def send(self, data: bytes) -> None:
        """Write bytes."""
        if self._finished:
            return
        self.sent += len(data)
        for piece in self._cut(data):
            self._schedule(piece, len(piece))

    def finish(self) -> None:
        """Write the end of the stream."""
        if not self._finished:
            self._finished = True
            self._schedule(_FIN, 0)

    def sever(self, keep: int) -> None:
        """Lose all but the next ``keep`` octets of what is on its way; the end follows them."""
        kept: list[tuple[float, bytes | None]] = []
        for arrival, piece in self._pieces:
            if piece is None or not keep:
                break
            kept.append((arrival, piece[:keep]))
            keep -= len(piece[:keep])
        self._pieces = deque(kept)
        self._finished = False
        self.finish()

    def stall(self, seconds: float) -> None:
        """Let nothing arrive for a while."""
        self._held_until = max(self._held_until, self._clock.now + seconds)
        self._clock.at(self._held_until, self._arrive)

    def swallow(self) -> None:
        """Let nothing arrive, and nobody know."""
        self._black_hole = True

    def heal(self) -> None:
        """End stalls and black holes: what was sent meanwhile is sent again, as TCP does."""
        self._black_hole = False
        self._held_until = 0.0
        self._clock.after(self._path.latency, self._arrive)

    def discard(self) -> None:
        """Nobody reads any more."""
        self._finished = True
        self._pieces.clear()

    def _schedule(self, piece: bytes | None, size: int) -> None:
        path = self._path
        delay = path.latency
        if path.jitter:
            delay *= 1 + self._rng.uniform(0.0, path.jitter)
        arrival = max(self._clock.now + delay, self._free_at) + size / path.bandwidth
        self._free_at = arrival
        self._pieces.append((arrival, piece))
        self._clock.at(arrival, self._arrive)

    def _arrive(self) -> None:
        """Let arrive what is due."""
        now = self._clock.now
        while (
            self._pieces
            and self._pieces[0][0] <= now
            and not self._black_hole
            and self._held_until <= now
        ):
            _, piece = self._pieces.popleft()
            if piece is None:
                self.discard()
                self._end()
            else:
                self.delivered += len(piece)
                self._deliver(piece)

    def _cut(self, data: bytes) -> list[bytes]:
        if not self._path.segments or len(data) < 2:
            return [data] if data else []
        count = min(self._rng.randrange(4), len(data) - 1)
        cuts = sorted(self._rng.sample(range(1, len(data)), count))
        return [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]
