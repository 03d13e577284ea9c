"""A sender that forgets flow-control credit for error bodies stalls after some 2,427 rejections.

65,535 octets of connection window, 27 octets a body: one that never returns credit is dead then.
"""

from apns_core import Rejected
from apns_simulator import Temper
from tests.apns_core.peer import BAD_DEVICE_TOKEN, Scene
from tests.apns_core.world import World


def test_5000_rejected_in_a_row_on_one_connection() -> None:
    scene = Scene()
    scene.open()
    scene.feed(scene.peer.window_update(2**30))
    for _ in range(50):
        for stream_id in scene.submit(100):
            scene.feed(scene.peer.answer(stream_id, 400, BAD_DEVICE_TOKEN))
    assert len(scene.outcomes) == 5_000
    assert {type(outcome) for outcome in scene.outcomes} == {Rejected}
    assert scene.closed is None
    # The peer's book of what the server may still send.
    assert 32_000 < scene.peer.credit <= 65_535
    scene.check()


def test_c13_5000_rejected_in_a_row_by_a_server_that_counts_credit() -> None:
    temper = Temper(answer_status=400, answer_reason="BadDeviceToken", answer_from=2)
    world = World(temper=temper)
    world.offer(5_001)
    world.finish()
    assert world.tally() == {"accepted": 1, "rejected BadDeviceToken": 5_000}
    assert len(world.connect_times) == 1
