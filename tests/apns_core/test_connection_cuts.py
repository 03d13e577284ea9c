"""However the transport cuts what the server sends, the same comes of it."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.apns_core.peer import (
    BAD_DEVICE_TOKEN,
    INTERNAL_SERVER_ERROR,
    NEVER,
    REFUSED_STREAM,
    STREAM_CLOSED,
    UNREGISTERED,
    Peer,
    Scene,
    feed_all_ways,
    normals,
    reason,
)


def ten_in_flight() -> Scene:
    """Streams 3 to 21 carry the tags 0 to 9."""
    scene = Scene()
    scene.open(limit=100)
    scene.submit(10)
    return scene


def just_connected() -> Scene:
    scene = Scene()
    scene.submit(3)
    return scene


def held_back() -> Scene:
    """Streams 1 to 9 carry the tags 0 to 4, and none of their bodies may be sent."""
    scene = Scene(token=None)
    scene.drain()
    scene.feed(scene.peer.settings(limit=100, window=0) + scene.peer.settings_ack())
    scene.submit(5)
    return scene


def everything(peer: Peer) -> bytes:
    return (
        peer.accept(5)
        + peer.ping()
        + peer.answer(3, 410, UNREGISTERED)
        + peer.headers(7, 400)
        + peer.data(7, BAD_DEVICE_TOKEN[:5])
        + peer.accept(9)
        + peer.data(7, BAD_DEVICE_TOKEN[5:])
        + peer.data(7, b"", ends=True)
        + peer.settings(limit=1, window=10, table=0)
        + peer.reset(11, REFUSED_STREAM, STREAM_CLOSED)
        + peer.window_update(1_000)
        + peer.window_update(1_000, 13)
        + peer.answer(13, 500, INTERNAL_SERVER_ERROR)
        + peer.reset(15, 2)
        + peer.accept(21)
        + peer.accept(19)
    )


SCRIPTS: dict[str, tuple[Callable[[], Scene], Callable[[Peer], bytes]]] = {
    "greeting": (just_connected, lambda peer: peer.settings(limit=3) + peer.settings_ack()),
    "everything": (ten_in_flight, everything),
    "limits one after the other": (
        ten_in_flight,
        lambda peer: (
            peer.settings(limit=1)
            + peer.reset(11, REFUSED_STREAM)
            + peer.settings(limit=100)
            + peer.settings(limit=4, table=0)
        ),
    ),
    "graceful GOAWAY": (
        ten_in_flight,
        lambda peer: (
            peer.goaway(NEVER)
            + peer.accept(3)
            + peer.goaway(7, reason("Shutdown"))
            + peer.accept(7)
            + peer.answer(5, 410, UNREGISTERED)
        ),
    ),
    "GOAWAY twice, then what nobody reads": (
        ten_in_flight,
        lambda peer: peer.goaway(0, reason("BadCertificate")) + peer.goaway(0) + peer.accept(3),
    ),
    "drained, then GOAWAY and SETTINGS": (
        ten_in_flight,
        lambda peer: (
            peer.goaway(3)
            + peer.accept(3)
            + peer.goaway(3, reason("Shutdown"))
            + peer.settings(limit=5)
        ),
    ),
    "wedged": (
        ten_in_flight,
        lambda peer: (
            peer.answer(3, 403, reason("ExpiredProviderToken"))
            + b"".join(peer.accept(stream_id) for stream_id in range(5, 23, 2))
            + peer.settings(limit=1)
            + peer.goaway(21)
        ),
    ),
    "refused token": (
        ten_in_flight,
        lambda peer: peer.answer(3, 403, reason("InvalidProviderToken")) + peer.accept(5),
    ),
    "no HTTP/2": (just_connected, lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\nno"),
    "broken rule": (ten_in_flight, lambda peer: peer.accept(3) + bytes(9) + peer.accept(5)),
    "GOAWAY that rises": (ten_in_flight, lambda peer: peer.goaway(3) + peer.goaway(5)),
    "large body": (
        ten_in_flight,
        lambda peer: (
            peer.headers(3, 413)
            + b"".join(peer.data(3, b"x" * 1_000) for _ in range(20))
            + peer.accept(5)
        ),
    ),
    "one malformed": (
        ten_in_flight,
        lambda peer: (
            peer.accept(3)
            + peer.headers(5, 200, ("Upper", "case"), ends=True)
            + peer.accept(7)
            + peer.headers(9, 200, ("connection", "close"))
            + peer.answer(11, 410, UNREGISTERED)
        ),
    ),
    "informational, and then trailers": (
        ten_in_flight,
        lambda peer: (
            b"".join(peer.headers(3, 103) for _ in range(8))
            + peer.headers(3, 200)
            + peer.trailers(3, ("x", "y"))
            + b"".join(peer.headers(5, 103) for _ in range(9))
            + peer.headers(7, 200)
            + peer.trailers(7, (":status", "200"))
            + peer.accept(9)
        ),
    ),
    "early answers to what is held back": (
        held_back,
        lambda peer: (
            peer.answer(1, 413, b"")
            + peer.reset(3, 0)
            + peer.window_update(5, 5)
            + peer.accept(5)
            + peer.reset(5, 0)
            + peer.goaway(7)
        ),
    ),
    "reset one and all": (
        ten_in_flight,
        lambda peer: b"".join(
            peer.reset(stream_id, code)
            for stream_id, code in zip(range(3, 23, 2), (2, 8, 7, 0, 5) * 2, strict=True)
        ),
    ),
    "more to answer than is read": (
        ten_in_flight,
        lambda peer: peer.accept(3) + peer.ping() * 1_100 + peer.accept(5),
    ),
    "credit of all kinds": (
        held_back,
        lambda peer: (
            peer.settings(window=10)
            + peer.window_update(20, 1)
            + peer.settings(window=0)
            + peer.window_update(2**31 - 1, 3)
            + peer.accept(5)
            + peer.window_update(2**31 - 1)
        ),
    ),
    "half an answer": (ten_in_flight, lambda peer: peer.headers(3, 200) + peer.headers(5, 200)[:7]),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_cuts_make_no_difference(name: str) -> None:
    make, script = SCRIPTS[name]
    feed_all_ways(make, lambda scene: script(scene.peer))


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_end_at_any_octet_leaves_one_outcome_each(name: str) -> None:
    make, script = SCRIPTS[name]
    whole = make()
    before = len(whole.events)
    octets = script(whole.peer)
    whole.feed(octets)
    expected = normals(whole.events[before:])
    for end in range(0, len(octets), 1 + len(octets) // 300):
        scene = make()
        script(scene.peer)
        scene.feed(octets[:end])
        # What was said before the cut was said: it is how the whole script begins.
        said = normals(scene.events[before:])
        assert said == expected[: len(said)]
        scene.connection.receive_eof(scene.now)
        scene.drain()
        scene.check()
        assert scene.closed is not None
        assert len(scene.outcomes) == len(scene.tickets)


@settings(deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_t12_anything_at_all_makes_no_difference_and_never_raises(
    octets: bytes,
    greeted: bool,  # noqa: FBT001
) -> None:
    make = ten_in_flight if greeted else just_connected
    scene = feed_all_ways(make, lambda _: octets)
    scene.connection.receive_eof(scene.now)
    scene.drain()
    scene.check()
    assert len(scene.outcomes) == len(scene.tickets)


@settings(deadline=None)
@given(st.sampled_from(sorted(SCRIPTS)), st.integers(0, 10_000), st.binary(max_size=4))
def test_t12_a_damaged_script_makes_no_difference_and_never_raises(
    name: str, at: int, damage: bytes
) -> None:
    make, script = SCRIPTS[name]

    def damaged(scene: Scene) -> bytes:
        octets = script(scene.peer)
        position = at % len(octets)
        return octets[:position] + damage + octets[position + len(damage) :]

    scene = feed_all_ways(make, damaged)
    scene.connection.receive_eof(scene.now)
    scene.drain()
    scene.check()
    assert len(scene.outcomes) == len(scene.tickets)
