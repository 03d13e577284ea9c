"""Servers that answer the first request of each connection, and are of no use after that."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from apns_core import Connect, Disconnect, Endpoint, Notification, Sender, SenderConfig
from apns_core.commands import ConnectionId
from apns_core.links import Links
from apns_core.tickets import Submissions
from apns_simulator import SimulatorConfig, Temper
from tests.apns_core.peer import NOW, ROUTE, Peer
from tests.apns_core.world import World

CONFIG = SenderConfig(max_connections=1, max_queued=2_000)


class Resetting:
    """A sender with eighty submissions a second; servers reset all but the first request."""

    def __init__(self, code: int, first: int) -> None:
        self.code = code
        self.first = first
        """Connections that are like that; the others accept everything."""
        self.now = NOW
        self.sender: Sender[int] = Sender(
            Endpoint("apns.test"),
            rng=Random(1),
            now=NOW,
            unix_time=1.8e9,
            token_authentication=False,
            config=CONFIG,
        )
        self.peers: dict[ConnectionId, Peer] = {}
        self.connects: list[float] = []
        self.tally: Counter[str] = Counter()
        self.drains = 0

    def run(self, seconds: int) -> None:
        for tenth in range(10 * seconds):
            self.now = NOW + tenth / 10
            for number in range(8 if self.sender.room >= 8 else 0):
                self.sender.submit(Notification(ROUTE, f"{number:064x}", b"{}"), 0, self.now)
            self._drain()
            due = self.sender.poll_timeout()
            if due is not None and due <= self.now:
                self.sender.handle_timeout(self.now)
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
                if isinstance(command, Connect):
                    self.connects.append(self.now)
                    self.peers[command.connection_id] = Peer()
                    self.sender.connected(command.connection_id, self.now)
                elif isinstance(command, Disconnect):
                    del self.peers[command.connection_id]
                    self.sender.receive_eof(command.connection_id, self.now)

    def _answer(self, peer: Peer) -> bytes:
        octets = b""
        if peer.settings_seen:
            octets += peer.settings(limit=1_000) + peer.settings_ack() * peer.settings_seen
            peer.settings_seen = 0
        octets += peer.ping_acks()
        well = len(self.connects) > self.first
        for stream_id in sorted(peer.open):
            accepted = well or stream_id == 1
            octets += peer.accept(stream_id) if accepted else peer.reset(stream_id, self.code)
        return octets + peer.window_update(100_000)


@pytest.mark.parametrize("code", [2, 7])
def test_s4_one_that_resets_all_but_the_first_is_not_hammered(code: int) -> None:
    world = Resetting(code, first=10**9)
    world.run(300)
    gaps = [after - before for before, after in pairwise(world.connects)]
    assert len(world.connects) <= 16
    assert max(gaps) > 20.0
    # From the second on each pause is longer than the one before, but for what a pause is off.
    assert all(after > before - 0.2 for before, after in pairwise(gaps[1:-1]))
    assert world.drains < 40_000, "no loop spins"
    assert world.tally["Accepted"] == len(world.connects)


def test_s4_once_is_an_accident() -> None:
    world = Resetting(2, first=1)
    world.run(20)
    first, second = world.connects
    assert second - first <= 1.5, "as long as a hundred resets take"


def test_s4_one_that_served_for_a_while_starts_afresh() -> None:
    world = Resetting(2, first=8)
    world.run(120)
    count = len(world.connects)
    assert count == 9
    world.first = 10**9
    world.sender.receive_eof(max(world.peers), world.now)
    world.peers.clear()
    before = world.now
    world.run(180)
    again = [when - before for when in world.connects[count:]]
    assert again[0] <= 1.1


def test_s4_several_connections_at_once_are_one_accident() -> None:
    links: Links[int] = Links(Endpoint("apns.test"), CONFIG, Random(1), now=0.0)
    submissions: Submissions[int] = Submissions()
    head = submissions.submit(Notification(ROUTE, "00fc", b"{}"), 0, 9.0, 40.0)

    def all_relapse(now: float) -> float | None:
        made = [links[links.connect(now).connection_id] for _ in range(4)]
        for link in made:
            link.stands_since = now
            links.relapse(link, now + 1.0)
            links.remove(link)
        return links.connect_due(head)

    first, second, third = all_relapse(0.0), all_relapse(100.0), all_relapse(200.0)
    assert (first, second, third) == pytest.approx((1.0, 102.0, 202.6), abs=0.5)


@pytest.mark.parametrize(
    ("temper", "most"),
    [
        (Temper(answer_status=500, answer_reason="InternalServerError", answer_from=2), 16),
        (Temper(silent_after=1), 12),
    ],
    ids=["errors", "mute"],
)
def test_s22_one_that_errs_or_falls_silent_after_the_first_is_not_hammered(
    temper: Temper, most: int
) -> None:
    world = World(temper=temper, apns=SimulatorConfig(authentication="none"), config=CONFIG)
    for second in range(300):
        world.after(float(second), lambda: world.submit(2))
    world.run(300.0)
    gaps = [after - before for before, after in pairwise(world.connect_times)]
    assert 3 <= len(world.connect_times) <= most
    assert max(gaps) > 20.0
