"""One cancelled send took the connection, its neighbours or a stream for ever with it."""

import pytest

from apns_core.outcomes import Accepted
from tests.apns_core.peer import CANCEL, Scene
from tests.apns_core.world import World


@pytest.mark.parametrize("victim", [0, 37, 99])
def test_one_cancelled_send_among_a_hundred(victim: int) -> None:
    scene = Scene()
    scene.open(limit=100)
    streams = scene.submit(100)
    scene.cancel(victim)
    assert scene.resets_sent == [(streams[victim], CANCEL)]
    scene.answer_pings()
    for stream_id in sorted(scene.peer.open):
        scene.feed(scene.peer.accept(stream_id))
    assert [outcome.tag for outcome in scene.outcomes] == [n for n in range(100) if n != victim]
    assert {type(outcome) for outcome in scene.outcomes} == {Accepted}
    assert scene.connection.capacity == 100
    scene.check()


@pytest.mark.parametrize("when", [0.0, 0.01, 0.05, 0.07])
def test_one_cancelled_send_among_many_of_a_sender(when: float) -> None:
    world = World()
    tickets = world.submit(200)
    world.run(when)
    world.cancel(tickets[100])
    world.finish()
    assert len(world.connect_times) == 1
    assert world.outcomes()[100] is None
    others = [outcome for number, outcome in enumerate(world.outcomes()) if number != 100]
    assert {type(outcome) for outcome in others} == {Accepted}
