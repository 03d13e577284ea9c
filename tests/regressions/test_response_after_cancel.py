"""A response that crossed the cancel touched a finished request, or the wrong one."""

import pytest

from apns_core.outcomes import Accepted
from tests.apns_core.peer import REFUSED_STREAM, STREAM_CLOSED, UNREGISTERED, Scene


@pytest.mark.parametrize("answer", ["accepted", "rejected", "reset", "in pieces"])
def test_h12_a_thousand_responses_after_their_cancels(answer: str) -> None:
    scene = Scene()
    scene.open()
    peer = scene.peer
    for round_number in range(100):
        streams = scene.submit(10)
        for tag in range(10 * round_number, 10 * round_number + 10):
            scene.cancel(tag)
        for stream_id in streams:
            # Fields that enter the table: a decoder that skipped them would misread what follows.
            new = ("apns-id", f"new-{stream_id}")
            if answer == "accepted":
                scene.feed(peer.headers(stream_id, 200, new, ends=True))
            elif answer == "rejected":
                scene.feed(peer.answer(stream_id, 410, UNREGISTERED))
            elif answer == "reset":
                scene.feed(peer.reset(stream_id, REFUSED_STREAM, STREAM_CLOSED))
            else:
                scene.feed(peer.headers(stream_id, 400, new))
                scene.feed(peer.data(stream_id, b"x" * 100))
                scene.feed(peer.data(stream_id, b"", ends=True))
        scene.answer_pings()
    assert scene.outcomes == []
    assert scene.connection.capacity == 1_000
    (stream_id,) = scene.submit()
    scene.feed(peer.headers(stream_id, 200, ("apns-id", "the last"), ends=True))
    (outcome,) = scene.outcomes
    assert isinstance(outcome, Accepted)
    assert outcome.apns_id == "the last"
    scene.check()
