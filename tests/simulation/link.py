"""Simulated TCP connections: bytes keep their order; they are late, cut or lost, never changed."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final, final

from apns_core import ConnectionId, Ticket
from tests.simulation.checks import AnswerTap, FrameTap
from tests.simulation.clock import Clock

if TYPE_CHECKING:
    from tests.simulation.host import Host, Push
    from tests.simulation.servers import Server, ServerSide

__all__ = ["Direction", "Link", "Path"]

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
    idle_limit: float | None = None
    """After so long without an octet, a box in between knows nothing of the connection."""


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
        self._drip = 0.0
        self._forgotten = False
        self.busy_at = clock.now
        """When something was last written or read."""
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
        self.busy_at = self._clock.now
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

    def drip(self, seconds: float) -> None:
        """Let one octet arrive each so many seconds."""
        self._drip = seconds

    def forget(self) -> None:
        """Lose all that is on its way and all that will be, for good, and let nobody know."""
        self._forgotten = True
        self._pieces.clear()

    def heal(self) -> None:
        """End what ails it: what was sent meanwhile is sent again, as TCP does."""
        self._black_hole = False
        self._drip = 0.0
        self._held_until = 0.0
        self._clock.after(self._path.latency, self._arrive)

    def discard(self) -> None:
        """Nobody reads any more."""
        self._finished = True
        self._pieces.clear()

    def _schedule(self, piece: bytes | None, size: int) -> None:
        if self._forgotten:
            return
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
                if self._drip:
                    piece, rest = piece[:1], piece[1:]
                    if rest:
                        self._pieces.appendleft((now, rest))
                    self.stall(self._drip)
                self.delivered += len(piece)
                self.busy_at = now
                self._deliver(piece)

    def _cut(self, data: bytes) -> list[bytes]:
        if not self._path.segments or len(data) < 2:
            return [data] if data else []
        count = min(self._rng.randrange(4), len(data) - 1)
        cuts = sorted(self._rng.sample(range(1, len(data)), count))
        return [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@final
class Link:
    """One connection of a host: two directions, and the server at the other end."""

    def __init__(self, host: "Host", connection_id: ConnectionId) -> None:
        self.host = host
        self.connection_id = connection_id
        self.side: ServerSide | None = None
        self.to_server: Direction | None = None
        self.to_client: Direction | None = None
        self._requests = FrameTap()
        self.answers = AnswerTap()
        self._next_stream_id = 1
        self.established = False
        """Whether the sender was told that it is connected, and not yet that it is gone."""
        self.over = False
        """Whether the sender was told that it is gone, or came to nothing."""
        self.closing = False

    @property
    def name(self) -> str:
        """For the trace."""
        return f"{self.host.name} link {self.connection_id}"

    def establish(self, server: "Server") -> None:
        """Let the handshake be over."""
        host = self.host
        self.side = side = server.accept()
        self.to_client = Direction(
            host.clock, host.rng, host.machine.path, self._client_reads, self.lose
        )
        self.to_server = Direction(
            host.clock, host.rng, host.machine.path, self._server_reads, side.reads_end
        )
        side.to_client = self.to_client
        self.established = True
        host.trace.note(self.name, f"connected to {side.name}")

    def write(self) -> None:
        """Pull from the sender what the transport takes."""
        to_server = self.to_server
        if to_server is None:
            return
        host = self.host
        limit = host.machine.path.send_buffer
        while self.established and (self.closing or to_server.in_flight < limit):
            data = host.sender.data_to_send(self.connection_id, min(65_536, limit))
            if not data:
                break
            assert self.to_client is not None
            self._requests.read(data, server_spoke=self.to_client.delivered > 0)
            self._note_streams()
            host.trace.wire(self.name, "writes", data)
            idle = host.clock.now - max(to_server.busy_at, self.to_client.busy_at)
            to_server.send(data)
            if host.machine.path.idle_limit is not None and idle > host.machine.path.idle_limit:
                self._be_forgotten(to_server, self.to_client)

    def _be_forgotten(self, to_server: Direction, to_client: Direction) -> None:
        """Meet a box that has forgotten the connection: it says so, or says nothing."""
        says_so = self.host.rng.random() < 0.5
        for direction in (to_server, to_client):
            if says_so:
                direction.sever(0)
            else:
                direction.forget()
        self.host.trace.note(self.name, f"was forgotten{', and is reset' * says_so}")

    def _note_streams(self) -> None:
        """Enter which pushes have just gone where."""
        connection = self.host.sender._links[self.connection_id].connection
        if connection is None:
            return
        http = connection._http
        for stream_id in range(self._next_stream_id, http.next_stream_id, 2):
            stream = http._streams.get(stream_id)
            if isinstance(stream, Ticket):
                push: Push = stream.tag  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
                push.last_sent = (self, stream_id)
        self._next_stream_id = http.next_stream_id

    def was_sent(self, stream_id: int) -> bool:
        """Whether a whole request was written on a stream."""
        return stream_id in self._requests.ended

    def close(self, deadline: float) -> None:
        """Close from this side once all that was written has been sent."""
        if self.closing or self.to_server is None:
            return
        self.write()
        self.closing = True
        self.to_server.finish()
        self.host.clock.at(deadline, self.lose)

    def lose(self) -> None:
        """Tell the sender that it is gone."""
        if not self.established:
            return
        self.established = False
        self.over = True
        del self.host.links[self.connection_id]
        assert self.to_client is not None
        assert self.to_server is not None
        self.to_client.discard()
        # What was sent may still arrive, and the server act on it.
        self.to_server.finish()
        self.host.trace.note(self.name, "is gone")
        self.host.act(partial(self.host.sender.receive_eof, self.connection_id))

    def _client_reads(self, data: bytes) -> None:
        if self.established:
            self.answers.read(data)
            self.host.act(partial(self.host.sender.receive_data, self.connection_id, data))

    def _server_reads(self, data: bytes) -> None:
        assert self.side is not None
        assert self.to_server is not None
        had_to_wait = self.to_server.in_flight + len(data) >= self.host.machine.path.send_buffer
        self.side.reads(data)
        if had_to_wait and self.established:
            self.host.pump()
