"""Routes without a topic: the certificate says it, and with provider tokens nothing does."""

from collections.abc import Iterable
from random import Random

import pytest

from apns_core import Accepted, InvalidField, Notification, Rejected, Route, Sender
from apns_core.requests.broadcast import Broadcast, BroadcastRoute
from apns_core.requests.channels import ListChannels
from apns_core.requests.request import Request
from apns_simulator import SimulatorConfig
from tests.apns_core.peer import Scene
from tests.apns_core.world import ENDPOINT, PAYLOAD, START, UNIX_TIME, World, device_token

WITHOUT = Notification(Route(None), device_token(0), PAYLOAD)
REQUESTS: Iterable[Request] = (
    Notification(Route("com.example.app"), device_token(0), PAYLOAD),
    Broadcast(BroadcastRoute("com.example.app", "dHN0LXNyY2gtY2hubA=="), PAYLOAD, expiration=0),
    ListChannels("com.example.app"),
)


def make_sender(*, token_authentication: bool) -> Sender[int]:
    return Sender(
        ENDPOINT,
        rng=Random(0),
        now=START,
        unix_time=UNIX_TIME,
        token_authentication=token_authentication,
    )


def test_with_provider_tokens_it_is_refused_before_anything_is_done() -> None:
    sender = make_sender(token_authentication=True)
    with pytest.raises(InvalidField, match=r"^topic: missing") as caught:
        sender.submit(WITHOUT, 0, START)
    assert caught.value.field == "topic"
    assert (sender.queued, sender.metrics.submitted) == (0, 0)
    assert (sender.commands(), sender.poll_timeout()) == ([], None)


def test_a_connection_alone_refuses_it_too() -> None:
    scene = Scene()
    scene.open()
    with pytest.raises(InvalidField, match=r"^topic: missing"):
        scene.connection.submit(WITHOUT, 7, scene.now)
    assert scene.drain() == []


@pytest.mark.parametrize("request_", REQUESTS)
def test_all_else_is_taken(request_: Request) -> None:
    for token_authentication in (True, False):
        sender = make_sender(token_authentication=token_authentication)
        sender.submit(request_, 0, START)
        assert sender.queued == 1


@pytest.mark.parametrize(
    ("default_topic", "reason"), [("com.example.app", None), (None, "MissingTopic")]
)
def test_with_a_certificate_the_server_says_what_it_stands_for(
    default_topic: str | None, reason: str | None
) -> None:
    apns = SimulatorConfig(authentication="none", default_topic=default_topic)
    world = World(apns=apns, token_authentication=False)
    world._submit(WITHOUT)
    world.pump()
    world.run()
    (outcome,) = world.outcomes()
    if reason is None:
        assert isinstance(outcome, Accepted)
    else:
        assert isinstance(outcome, Rejected)
        assert outcome.reason_text == reason
    (entry,) = world.simulator.ledger.entries
    assert entry.topic == ""
