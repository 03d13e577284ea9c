"""APNs resets a stream twice: its HEADERS with REFUSED_STREAM, its DATA with STREAM_CLOSED.

The first decides. A sender that took the second reported a loss, or sent the notification twice.
"""

import pytest

from apns_core.outcomes import Cause
from tests.apns_core.peer import REFUSED_STREAM, STREAM_CLOSED, Scene, normals
from tests.apns_core.world import World


def test_s5_the_first_reset_decides() -> None:
    scene = Scene()
    scene.open()
    scene.submit(2)
    scene.feed(scene.peer.reset(3, REFUSED_STREAM, STREAM_CLOSED) + scene.peer.accept(5))
    assert normals(scene.outcomes) == [
        ("unprocessed", 0, Cause.REFUSED_STREAM),
        ("accepted", 1, "id-5", None),
    ]
    scene.check()


def test_the_other_way_round_it_is_unknown() -> None:
    scene = Scene()
    scene.open()
    scene.submit()
    scene.feed(scene.peer.reset(3, STREAM_CLOSED, REFUSED_STREAM))
    assert normals(scene.outcomes) == [("unknown", 0, Cause.RESET)]


@pytest.mark.parametrize("apart", [False, True])
def test_s5_it_is_sent_again_once(apart: bool) -> None:  # noqa: FBT001
    world = World()
    world.submit(1)
    world.run()
    server = world.live_links[0].server
    assert server is not None
    server.hold()
    world.submit(10)
    world.run(0.03)
    if apart:
        server.reset_stream(7, REFUSED_STREAM)
        world.live_links[0].pump_server()
        world.run(0.5)
        server.send_raw(bytes.fromhex("000004030000000007") + STREAM_CLOSED.to_bytes(4))
    else:
        server.reset_stream(7, REFUSED_STREAM, STREAM_CLOSED)
    world.live_links[0].pump_server()
    world.run(0.5)
    server.release(world.now)
    world.live_links[0].pump_server()
    world.finish()
    assert world.tally() == {"accepted": 11}
    assert [one.ticket.attempts for one in world.submitted].count(2) == 1
