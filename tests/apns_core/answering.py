"""A sender against scripted servers, at once: no network is between them, and no simulator."""

from collections import Counter
from collections.abc import Callable
from random import Random

from apns_core import Connect, Endpoint, Notification, Sender, SenderConfig, SignToken
from apns_core.commands import ConnectionId
from tests.apns_core.peer import NOW, ROUTE, Peer

CONFIG = SenderConfig(max_connections=1, max_queued=2_000)


class Answering:
    """A sender with eighty submissions a second, against servers that answer each by a rule."""

    def __init__(
        self,
        rule: Callable[[Peer, int], bytes],
        *,
        rate: int = 8,
        config: SenderConfig = CONFIG,
        token_authentication: bool = False,
    ) -> None:
        """``rate``: submissions in a tenth of a second, while it runs."""
        self.rule = rule
        self.rate = rate
        self.now = NOW
        self.sender: Sender[int] = Sender(
            Endpoint("apns.test"),
            rng=Random(1),
            now=NOW,
            unix_time=1.8e9,
            token_authentication=token_authentication,
            config=config,
        )
        self.peers: dict[ConnectionId, Peer] = {}
        self.connects: list[float] = []
        self.signings: list[float] = []
        self.errors: list[Exception | None] = []
        """What it said of each connection that it gave up."""
        self.tally: Counter[str] = Counter()
        self.drains = 0

    def run(self, seconds: int) -> None:
        start = self.now
        for tenth in range(10 * seconds):
            self.now = start + tenth / 10
            for number in range(self.rate if self.sender.room >= self.rate else 0):
                self.sender.submit(Notification(ROUTE, f"{number:064x}", b"{}"), 0, self.now)
            self._drain()
            due = self.sender.poll_timeout()
            if due is not None and due <= self.now:
                self.sender.handle_timeout(self.now)
                self._drain()

    def submit(self) -> int:
        """Submit one, and return the stream that carries it."""
        self.sender.submit(Notification(ROUTE, "00fc", b"{}"), 0, self.now)
        self._drain()
        return max(self.peer.requests)

    @property
    def peer(self) -> Peer:
        """The server of the last connection."""
        return self.peers[max(self.peers)]

    def feed(self, octets: bytes) -> None:
        """Let the last server say so."""
        self.sender.receive_data(max(self.peers), octets, self.now)
        self._drain()

    def end(self) -> None:
        """Let the last server close."""
        connection_id = max(self.peers)
        del self.peers[connection_id]
        self.sender.receive_eof(connection_id, self.now)
        self._drain()

    def _drain(self) -> None:
        busy = True
        while busy:
            self.drains += 1
            busy = False
            for connection_id, peer in list(self.peers.items()):
                if data := self.sender.data_to_send(connection_id):
                    busy = True
                    peer.read(data)
                    self.sender.receive_data(connection_id, self._answer(peer), self.now)
            for outcome in self.sender.outcomes():
                self.tally[type(outcome).__name__] += 1
            for command in self.sender.commands():
                busy = True
                if isinstance(command, SignToken):
                    self.signings.append(self.now)
                    self.sender.token_signed(f"token-{len(self.signings)}", self.now)
                elif isinstance(command, Connect):
                    self.connects.append(self.now)
                    self.peers[command.connection_id] = Peer()
                    self.sender.connected(command.connection_id, self.now)
                else:
                    self.errors.append(command.error)
                    del self.peers[command.connection_id]
                    self.sender.receive_eof(command.connection_id, self.now)

    def _answer(self, peer: Peer) -> bytes:
        octets = b""
        if peer.settings_seen:
            octets += peer.settings(limit=1_000) + peer.settings_ack() * peer.settings_seen
            peer.settings_seen = 0
        octets += peer.ping_acks()
        for stream_id in sorted(peer.open):
            octets += self.rule(peer, stream_id)
        return octets + peer.window_update(100_000)


def accept(peer: Peer, stream_id: int) -> bytes:
    """Accept all."""
    return peer.accept(stream_id)


def hold(_peer: Peer, _stream_id: int) -> bytes:
    """Say nothing yet."""
    return b""
