"""Expirations given as durations: they count from the submission, whatever happens after it."""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest

from apns_core import (
    Accepted,
    ApiMisuse,
    Connect,
    ConnectionId,
    Notification,
    Outcome,
    Rejected,
    Sender,
)
from apns_core.requests.broadcast import Broadcast, BroadcastRoute
from apns_core.requests.channels import ListChannels
from apns_core.requests.request import Request
from tests.apns_core.peer import Peer, Scene, reason
from tests.apns_core.world import ENDPOINT, ONE, PAYLOAD, ROUTE, START, UNIX_TIME, device_token

HOUR = timedelta(hours=1)
CHANNEL = BroadcastRoute("com.example.app", "dHN0LXNyY2gtY2hubA==")


@dataclass
class Wire:
    """A sender, and a server that reads its octets with another codec and answers as told."""

    sender: Sender[int] = field(
        default_factory=lambda: Sender(
            ENDPOINT,
            rng=Random(0),
            now=START,
            unix_time=UNIX_TIME,
            token_authentication=False,
            config=ONE,
        )
    )
    peer: Peer = field(default_factory=Peer)
    link: ConnectionId | None = None

    def connect(self, now: float) -> None:
        """Execute the sender's wish for a connection, and announce a server's settings there."""
        self.sender.handle_timeout(now)
        (command,) = [one for one in self.sender.commands() if isinstance(one, Connect)]
        self.link, self.peer = command.connection_id, Peer()
        self.sender.connected(self.link, now)
        self.pull()
        self.feed(self.peer.settings(limit=100) + self.peer.settings_ack(), now)

    def feed(self, octets: bytes, now: float) -> list[Outcome[int]]:
        assert self.link is not None
        self.sender.receive_data(self.link, octets, now)
        outcomes = self.sender.outcomes()
        self.pull()
        return outcomes

    def pull(self) -> None:
        assert self.link is not None
        self.peer.read(self.sender.data_to_send(self.link))

    def expirations(self) -> list[list[bytes]]:
        """The field of each request that the server has seen on the present connection."""
        return [
            [value for name, value in seen.fields if name == b"apns-expiration"]
            for seen in self.peer.requests.values()
        ]


def notification(expiration: timedelta | None = HOUR) -> Notification:
    return Notification(ROUTE, device_token(0), PAYLOAD, expiration=expiration)


@pytest.mark.parametrize(
    "request_",
    [notification(), Broadcast(CHANNEL, PAYLOAD, expiration=HOUR)],
    ids=["device", "broadcast"],
)
def test_it_counts_from_the_submission_and_not_from_the_sending(request_: Request) -> None:
    wire = Wire()
    wire.sender.submit(request_, 0, START + 5.0)
    wire.sender.submit(request_, 1, START + 7.5)
    wire.connect(START + 20.0)
    assert wire.expirations() == [[b"1800003605"], [b"1800003608"]]
    outcomes = wire.feed(wire.peer.accept(1) + wire.peer.accept(3), START + 21.0)
    # What the caller gave comes back, and can be given again.
    assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted]
    assert all(outcome.notification is request_ for outcome in outcomes)


@pytest.mark.parametrize("request_", [notification(None), ListChannels("com.example.app")])
def test_what_has_none_is_sent_without(request_: Request) -> None:
    wire = Wire()
    wire.sender.submit(request_, 0, START)
    wire.connect(START + 1.0)
    assert wire.expirations() == [[]]


def test_another_attempt_has_the_expiration_of_the_first() -> None:
    wire = Wire()
    made = notification()
    wire.sender.submit(made, 0, START)
    wire.connect(START + 1.0)
    # Refused by the stream at once, then by a server that goes away: three attempts, two servers.
    assert wire.feed(wire.peer.reset(1, 7), START + 5.0) == []
    assert wire.expirations() == [[b"1800003600"]] * 2
    assert wire.feed(wire.peer.goaway(1), START + 6.0) == []
    wire.sender.handle_timeout(START + 10.0)
    wire.connect(START + 12.0)
    assert wire.expirations() == [[b"1800003600"]]
    (outcome,) = wire.feed(wire.peer.accept(1), START + 13.0)
    assert outcome.notification is made


@pytest.mark.parametrize(("seconds", "attempts"), [(3, 1), (60, 2)])
def test_no_attempt_begins_after_it(seconds: int, attempts: int) -> None:
    wire = Wire()
    made = notification(timedelta(seconds=seconds))
    ticket = wire.sender.submit(made, 0, START)
    wire.connect(START + 1.0)
    refusal = wire.peer.headers(1, 503, ("retry-after", "7"))
    refusal += wire.peer.data(1, reason("ServiceUnavailable"), ends=True)
    outcomes = wire.feed(refusal, START + 2.0)
    wire.sender.handle_timeout(START + 20.0)
    wire.pull()
    assert ticket.attempts == attempts
    if attempts == 1:
        (outcome,) = outcomes
        assert isinstance(outcome, Rejected)
        assert outcome.notification is made
    else:
        assert outcomes == []


def test_a_connection_alone_has_no_date_to_count_from() -> None:
    scene = Scene()
    scene.open()
    with pytest.raises(ApiMisuse, match=r"^expiration: "):
        scene.connection.submit(notification(), 7, scene.now)
    # Nothing was queued by it; and what it comes to may be submitted.
    assert scene.drain() == []
    sent = notification().submitted_at(UNIX_TIME)
    (stream_id,) = scene.submit(notification=sent)
    assert (b"apns-expiration", b"1800003600") in scene.peer.requests[stream_id].fields
