"""Answers were given to whoever had sent their apns-id, which the server may mix up."""

import pytest

from apns_core import Accepted, Notification, Reason, Rejected
from tests.apns_core.peer import DEVICE, ROUTE, UNREGISTERED, Scene

IDS = [f"00000000-0000-4000-8000-{n:012d}" for n in range(3)]


@pytest.mark.parametrize("order", [(3, 5, 7), (7, 5, 3), (5, 7, 3)])
def test_an_answer_belongs_to_its_stream_whatever_id_it_bears(order: tuple[int, ...]) -> None:
    scene = Scene()
    scene.open()
    for apns_id in IDS:
        scene.submit(1, Notification(ROUTE, DEVICE, b'{"aps":{}}', apns_id=apns_id))
    peer = scene.peer
    # Each answer bears the id of the next one's request, and the middle one is bad news.
    borne: dict[int, str] = dict(zip((3, 5, 7), (*IDS[1:], IDS[0]), strict=True))
    for stream_id in order:
        if stream_id == 5:
            scene.feed(peer.headers(5, 410, ("apns-id", borne[5])))
            scene.feed(peer.data(5, UNREGISTERED, ends=True))
        else:
            scene.feed(peer.headers(stream_id, 200, ("apns-id", borne[stream_id]), ends=True))
    by_tag = {outcome.tag: outcome for outcome in scene.outcomes}
    assert sorted(by_tag) == [0, 1, 2]
    for tag, stream_id in enumerate((3, 5, 7)):
        outcome = by_tag[tag]
        assert isinstance(outcome, Rejected if stream_id == 5 else Accepted)
        assert isinstance(outcome.notification, Notification)
        assert outcome.notification.apns_id == IDS[tag]
        # What the server said is told as it said it.
        assert outcome.apns_id == borne[stream_id]
    gone = by_tag[1]
    assert isinstance(gone, Rejected)
    assert gone.reason is Reason.UNREGISTERED
    scene.check()
