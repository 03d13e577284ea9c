"""APNs says why in a first GOAWAY and nothing in a second. Clients kept the second, and came again.

Seen with certificates of the wrong environment (jchambers/pushy#312).
"""

from apns_core import GoAwayReceived, Reason
from apns_core.outcomes import Cause
from apns_simulator import GoAway, Temper
from tests.apns_core.peer import Scene, normals, reason
from tests.apns_core.world import World


def test_s11_the_reason_of_the_first_is_kept() -> None:
    scene = Scene(token=None)
    scene.open()
    scene.submit(2)
    scene.feed(scene.peer.goaway(1, reason("BadCertificateEnvironment")))
    scene.feed(scene.peer.goaway(1))
    scene.connection.receive_eof(scene.now)
    scene.drain()
    assert normals(scene.outcomes) == [
        ("unprocessed", 1, Cause.GOAWAY),
        ("unknown", 0, Cause.GOAWAY),
    ]
    goaway = scene.connection.goaway
    assert isinstance(goaway, GoAwayReceived)
    assert goaway.reason is Reason.BAD_CERTIFICATE_ENVIRONMENT


def test_credentials_that_are_refused_are_not_tried_again() -> None:
    frames = (GoAway.because("BadCertificateEnvironment", last_stream_id=0), GoAway())
    world = World(
        token_authentication=False,
        temper=Temper(goaway_after=0, goaway_frames=frames),
    )
    world.submit(3)
    world.run()
    assert world.tally() == {"unprocessed FATAL": 3}
    assert world.sender.failure is Reason.BAD_CERTIFICATE_ENVIRONMENT
    world.run(3_600.0)
    assert len(world.connect_times) == 1
    world.finish()
