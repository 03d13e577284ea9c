"""Senders waited for ever, or an hour, for a server that took requests and said nothing."""

from apns_core.connection_config import ConnectionConfig
from apns_core.outcomes import Cause
from apns_simulator import Temper
from tests.apns_core.peer import NOW, Scene, normals
from tests.apns_core.world import World


def test_a_dead_server_is_left_at_25_seconds() -> None:
    scene = Scene()
    scene.open()
    scene.submit(10)
    scene.advance(24.9)
    assert scene.outcomes == []
    scene.advance(0.1)
    assert scene.closed is not None
    assert scene.now == NOW + 25.0
    assert normals(scene.outcomes) == [("unknown", tag, Cause.UNRESPONSIVE) for tag in range(10)]


def test_a_mute_server_is_left_at_15_seconds_and_each_request_ends_at_its_deadline() -> None:
    scene = Scene(ConnectionConfig(request_timeout=30.0))
    scene.open()
    scene.submit(10)
    for _ in range(30):
        scene.advance(1.0)
        scene.answer_pings()
        assert scene.connection.stalled == (scene.now >= NOW + 15.0)
    assert normals(scene.outcomes) == [("unknown", tag, Cause.DEADLINE) for tag in range(10)]
    assert scene.closed is not None


def test_a_server_that_never_answers_a_sender() -> None:
    world = World(temper=Temper(silent_after=0, first_connections=1))
    world.submit(20)
    world.run(16.0)
    # One was sent while the token was untried. The others go elsewhere when the stall is plain.
    world.finish()
    assert world.tally() == {"accepted": 19, "unknown DEADLINE": 1}
    assert len(world.connect_times) == 2
