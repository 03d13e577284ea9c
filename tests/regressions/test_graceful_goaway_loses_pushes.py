"""GOAWAY(2^31-1), then GOAWAY with the real id: clients dropped answers, or sent them all again."""

from apns_core.outcomes import Accepted, Cause
from apns_simulator import GoAway
from tests.apns_core.peer import NEVER, Scene, normals
from tests.apns_core.world import World


def test_s8_60_answered_40_unprocessed_0_unknown() -> None:
    scene = Scene()
    scene.open()
    streams = scene.submit(100)
    scene.feed(scene.peer.goaway(NEVER))
    assert scene.outcomes == []
    assert scene.connection.capacity == 0
    scene.feed(scene.peer.goaway(streams[59]))
    assert normals(scene.outcomes) == [("unprocessed", tag, Cause.GOAWAY) for tag in range(60, 100)]
    for stream_id in streams[:60]:
        assert scene.closed is None
        scene.feed(scene.peer.accept(stream_id))
    assert sum(isinstance(outcome, Accepted) for outcome in scene.outcomes) == 60
    assert scene.closed is not None
    assert scene.closed.cause is Cause.GOAWAY
    scene.check()


def test_s8_40_are_sent_again_on_a_new_connection_and_nothing_is_unknown() -> None:
    world = World()
    world.submit(1)
    world.run()
    link = world.live_links[0]
    server = link.server
    assert server is not None
    server.hold()
    world.submit(100)
    world.run(0.03)
    assert world.sender.in_flight == 100
    sixtieth = sorted(one.ticket.stream_id for one in world.submitted[1:])[59]
    server.send_goaway(GoAway(last_stream_id=NEVER))
    link.pump_server()
    world.run(0.5)
    server.send_goaway(GoAway(last_stream_id=sixtieth))
    server.release(world.now)
    link.pump_server()
    world.finish()
    assert world.tally() == {"accepted": 101}
    assert len(world.connect_times) == 2
    assert [one.ticket.attempts for one in world.submitted].count(2) == 40
    assert max(world.attempts().values()) == 1, "no server has processed any of them twice"
