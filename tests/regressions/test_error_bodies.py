"""Error bodies that are absent, split, HTML or a megabyte made senders raise, hang or misreport."""

import pytest

from apns_core import Accepted, Reason, Rejected
from apns_simulator import Temper
from tests.apns_core.peer import BAD_DEVICE_TOKEN, NOTIFICATION, Scene
from tests.apns_core.world import World

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
HUGE = b'{"reason":"' + b"x" * 1_000_000 + b'"}'


@pytest.mark.parametrize(
    ("pieces", "reason", "text"),
    [
        ([], None, None),
        ([b""], None, None),
        ([BAD_DEVICE_TOKEN], Reason.BAD_DEVICE_TOKEN, "BadDeviceToken"),
        ([bytes([c]) for c in BAD_DEVICE_TOKEN], Reason.BAD_DEVICE_TOKEN, "BadDeviceToken"),
        ([BAD_DEVICE_TOKEN, b""], Reason.BAD_DEVICE_TOKEN, "BadDeviceToken"),
        ([HTML], None, None),
        ([b"\xff\xfe\x00"], None, None),
        ([b'{"reason":"NewIn2031"}'], None, "NewIn2031"),
        ([b'{"reason":17}'], None, None),
        ([b"[" * 10_000], None, None),
    ],
)
def test_s20_the_status_decides_and_the_reason_is_told_if_it_can_be_read(
    pieces: list[bytes], reason: Reason | None, text: str | None
) -> None:
    scene = Scene()
    scene.open()
    scene.submit(2)
    peer = scene.peer
    scene.feed(peer.headers(3, 400, ends=not pieces))
    for index, piece in enumerate(pieces, start=1):
        scene.feed(peer.data(3, piece, ends=index == len(pieces)))
    assert scene.outcomes == [Rejected(NOTIFICATION, 0, 400, reason, text)]
    scene.feed(peer.accept(5))
    assert isinstance(scene.outcomes[1], Accepted)
    scene.check()


def test_s15_a_megabyte_is_cut_short_and_hurts_nobody() -> None:
    scene = Scene()
    scene.open()
    scene.submit(2)
    peer = scene.peer
    scene.feed(peer.headers(3, 413))
    for start in range(0, len(HUGE), 10_000):
        scene.feed(peer.data(3, HUGE[start : start + 10_000]))
        if start == 20_000:
            # What was read decides; the rest is refused, and its credit returned all the same.
            assert scene.outcomes == [Rejected(NOTIFICATION, 0, 413, None)]
            assert scene.resets_sent == [(3, 8)]
    assert peer.credit > 32_000
    scene.feed(peer.accept(5))
    assert isinstance(scene.outcomes[1], Accepted)
    scene.check()


@pytest.mark.parametrize(
    "style", ["absent", "empty", "split", "html", "huge", "padded", "trailers"]
)
def test_s20_a_server_with_such_bodies_is_answered_for(style: str) -> None:
    temper = Temper.from_json(
        f'{{"answer_status":400,"answer_reason":"BadDeviceToken","answer_from":2,"body_style":"{style}"}}'
    )
    world = World(temper=temper)
    world.submit(1)
    world.run()
    world.submit(20)
    world.finish()
    assert [type(outcome) for outcome in world.outcomes()] == [Accepted] + [Rejected] * 20
    assert len(world.connect_times) == 1
    # The megabyte of the simulator is an object and then spaces: what we keep of it is whole JSON.
    known = style in {"split", "padded", "trailers", "huge"}
    expected = Reason.BAD_DEVICE_TOKEN if known else None
    assert {o.reason for o in world.outcomes() if isinstance(o, Rejected)} == {expected}
