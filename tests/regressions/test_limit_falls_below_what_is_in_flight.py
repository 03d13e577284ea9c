"""A limit below what is in flight deadlocked one client, made another raise, a third cancel.

APNs lowers it to 1 after a rejection, and resets what it catches with 7 and then 5.
"""

from apns_simulator import Rejection, SimulatorConfig, Temper
from tests.apns_core.peer import Scene
from tests.apns_core.world import World, device_token


def test_s7_in_flight_is_finished_and_the_queue_drains_when_the_limit_rises() -> None:
    scene = Scene()
    scene.open(limit=500)
    scene.submit(700)
    assert scene.connection.in_flight == 500
    scene.feed(scene.peer.settings(limit=1))
    for stream_id in sorted(scene.peer.open):
        scene.feed(scene.peer.accept(stream_id))
    assert len(scene.peer.open) == 1
    scene.feed(scene.peer.settings(limit=500))
    while scene.peer.open:
        scene.feed(scene.peer.accept(min(scene.peer.open)))
    assert len(scene.outcomes) == 700
    assert scene.resets_sent == []
    scene.check()


def test_streams_caught_by_the_drop_are_sent_again_and_nothing_is_sent_twice() -> None:
    bad = {device_token(number): Rejection.of("BadDeviceToken") for number in range(50, 1_000, 50)}
    world = World(
        apns=SimulatorConfig(authentication="none", rejections=bad, max_concurrent_streams=100),
        temper=Temper(limit_drop_on_rejection=True),
    )
    world.offer(1_000)
    world.finish()
    assert world.tally() == {"accepted": 981, "rejected BadDeviceToken": 19}
    assert len(world.connect_times) == 1, "a falling limit is no reason to leave"
