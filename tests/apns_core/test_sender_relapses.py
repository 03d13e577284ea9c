"""Servers that are of use at first, and of none after that; or of less than they should be."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest

from apns_core import Endpoint, Notification, SenderConfig
from apns_core.links import Links
from apns_core.relapses import SERVED_WELL, Relapses
from apns_core.tickets import Submissions
from apns_simulator import SettingsChange, SimulatorConfig, Temper
from tests.apns_core.answering import CONFIG, Answering, accept
from tests.apns_core.peer import (
    INTERNAL_SERVER_ERROR,
    REFUSED_STREAM,
    ROUTE,
    UNREGISTERED,
    Peer,
)
from tests.apns_core.world import World


def first_alone(code: int) -> Callable[[Peer, int], bytes]:
    """Accept the first request of each connection, and reset the others."""
    return lambda peer, stream_id: (
        peer.accept(stream_id) if stream_id == 1 else peer.reset(stream_id, code)
    )


def err(peer: Peer, stream_id: int) -> bytes:
    """Answer InternalServerError."""
    return peer.answer(stream_id, 500, INTERNAL_SERVER_ERROR)


def unregistered(peer: Peer, stream_id: int) -> bytes:
    """Reject it for good."""
    return peer.answer(stream_id, 410, UNREGISTERED)


def refuse(peer: Peer, stream_id: int) -> bytes:
    """Refuse to process it."""
    return peer.reset(stream_id, REFUSED_STREAM)


def at_random(
    share: float, otherwise: Callable[[Peer, int], bytes]
) -> Callable[[Peer, int], bytes]:
    """Accept all but a share, which comes when it comes."""
    rng = Random(1)
    return lambda peer, stream_id: (
        otherwise(peer, stream_id) if rng.random() < share else peer.accept(stream_id)
    )


@pytest.mark.parametrize("code", [2, 7])
def test_s4_one_that_resets_all_but_the_first_is_not_hammered(code: int) -> None:
    world = Answering(first_alone(code))
    world.run(300)
    gaps = [after - before for before, after in pairwise(world.connects)]
    assert len(world.connects) <= 16
    assert max(gaps) > 20.0
    # From the second on each pause is longer than the one before, but for what a pause is off.
    assert all(after > before - 0.2 for before, after in pairwise(gaps[1:-1]))
    assert world.drains < 40_000, "no loop spins"
    assert world.tally["Accepted"] == len(world.connects)
    told = "the server answered nothing but resets or errors for a while"
    assert {str(error) for error in world.errors} == {told}
    assert {type(error) for error in world.errors} == {ConnectionError}


def test_s4_once_is_an_accident() -> None:
    def rule(peer: Peer, stream_id: int) -> bytes:
        good = stream_id == 1 or len(world.connects) > 1
        return peer.accept(stream_id) if good else peer.reset(stream_id, 2)

    world = Answering(rule)
    world.run(20)
    first, second = world.connects
    assert second - first <= 1.5, "as long as a hundred resets take"


def test_s23_one_that_served_well_leaves_nothing_behind() -> None:
    world = Answering(first_alone(2))
    world.run(100)
    outage = [after - before for before, after in pairwise(world.connects)]
    assert max(outage) > 10.0
    world.rule = accept
    world.run(60)
    served_by = len(world.connects)
    world.sender.receive_eof(max(world.peers), world.now)  # and not by a relapse
    world.peers.clear()
    world.rule = first_alone(2)
    world.run(20)
    first, second = world.connects[served_by : served_by + 2]
    assert first <= world.now - 20.0 + 1.1
    assert second - first <= 1.5 + 1.6


def test_s23_a_relapse_of_long_ago_is_forgotten() -> None:
    relapses = Relapses(Random(1))
    for now in (0.0, 100.0, 200.0, 300.0):
        relapses.count(now, stood=1.0, judged=1)
    assert relapses.until > 302.0
    relapses.count(700.0, stood=1.0, judged=1)
    assert relapses.any
    assert relapses.until < 700.0
    relapses.count(710.0, stood=1.0, judged=1)
    assert 710.8 <= relapses.until <= 711.2


@pytest.mark.parametrize(("stood", "judged"), [(60.0, 1), (1.0, 10)])
def test_s23_whatever_served_well_is_the_first_again(stood: float, judged: int) -> None:
    relapses = Relapses(Random(1))
    for now in (0.0, 10.0, 20.0):
        relapses.count(now, stood=1.0, judged=1)
    assert relapses.until > 20.0
    relapses.count(30.0, stood=stood, judged=judged)
    assert relapses.until < 30.0


@pytest.mark.parametrize(
    ("share", "rate", "otherwise", "least"),
    [
        (0.2, 2, err, 0.93),
        (0.3, 2, err, 0.75),
        (0.1, 6, refuse, 0.99),
    ],
    ids=["a fifth errs", "three tenths err", "a tenth is refused"],
)
def test_s23_one_that_fails_now_and_then_is_not_shunned(
    share: float, rate: int, otherwise: Callable[[Peer, int], bytes], least: float
) -> None:
    config = SenderConfig(max_connections=8, max_queued=500)
    world = Answering(at_random(share, otherwise), rate=rate, config=config)
    world.run(300)
    assert world.tally["Accepted"] >= least * 10 * 300 * rate
    assert world.tally["Unprocessed"] == 0


def test_s23_one_that_has_nothing_but_rejections_to_say_serves_well_too() -> None:
    world = Answering(first_alone(2))
    world.run(4)
    assert world.sender._links.relapses.any
    world.rule = unregistered
    world.run(10)
    assert world.tally["Rejected"] >= SERVED_WELL
    assert not world.sender._links.relapses.any


def test_s23_companions_of_one_that_relapses_are_not_made() -> None:
    world = Answering(first_alone(2), config=SenderConfig(max_connections=20, max_queued=2_000))
    world.run(300)
    assert len(world.connects) <= 16 + 2


def test_s4_several_connections_at_once_are_one_accident() -> None:
    links: Links[int] = Links(Endpoint("apns.test"), CONFIG, Random(1), now=0.0)
    submissions: Submissions[int] = Submissions()
    head = submissions.submit(Notification(ROUTE, "00fc", b"{}"), 0, 9.0, 40.0)

    def all_relapse(now: float) -> float | None:
        made = [links[links.connect(now).connection_id] for _ in range(4)]
        for link in made:
            link.stands_since = now
            links.relapse(link, now + 1.0)
            links.remove(link)
        return links.connect_due(head)

    first, second, third = all_relapse(0.0), all_relapse(100.0), all_relapse(200.0)
    assert (first, second, third) == pytest.approx((1.0, 102.0, 202.6), abs=0.5)


@pytest.mark.parametrize("max_connections", [1, 8])
def test_s23_one_that_lowers_its_limit_to_0_after_the_first_is_not_hammered(
    max_connections: int,
) -> None:
    temper = Temper(settings_after=1, settings=SettingsChange(max_concurrent_streams=0))
    world = World(
        temper=temper,
        apns=SimulatorConfig(authentication="none"),
        config=SenderConfig(max_connections=max_connections, max_queued=1_000),
    )
    for second in range(600):
        world.after(float(second), world.submit)
    world.run(600.0)
    assert len(world.connect_times) <= 18
    gaps = [after - before for before, after in pairwise(world.connect_times)]
    assert max(gaps) > 60.0


@pytest.mark.parametrize(
    ("temper", "most"),
    [
        (Temper(answer_status=500, answer_reason="InternalServerError", answer_from=2), 16),
        (Temper(silent_after=1), 12),
    ],
    ids=["errors", "mute"],
)
def test_s22_one_that_errs_or_falls_silent_after_the_first_is_not_hammered(
    temper: Temper, most: int
) -> None:
    world = World(temper=temper, apns=SimulatorConfig(authentication="none"), config=CONFIG)
    for second in range(300):
        world.after(float(second), lambda: world.submit(2))
    world.run(300.0)
    gaps = [after - before for before, after in pairwise(world.connect_times)]
    assert 3 <= len(world.connect_times) <= most
    assert max(gaps) > 20.0
