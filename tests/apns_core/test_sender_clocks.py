"""Servers that stop answering: mute ones, black holes, and how soon others take over."""

from dataclasses import replace
from functools import partial

import pytest

from apns_core import Accepted, ConnectionConfig, Unknown
from apns_simulator import SettingsChange, SimulatorConfig, Temper
from tests.apns_core.world import ONE, START, Submitted, World


def submit_ten_a_second(world: World, seconds: float) -> None:
    for step in range(int(10 * seconds)):
        world.after(step / 10, partial(world.submit, 1))


def submitted_after(world: World, seconds: float) -> list[Submitted]:
    at = START + seconds + world.config.connection.request_timeout
    return [one for one in world.submitted if one.deadline >= at]


def test_a_mute_server_is_left_within_its_bound() -> None:
    world = World(temper=Temper(silent_after=50, first_connections=1))
    submit_ten_a_second(world, 60.0)
    world.run(60.0)
    world.finish()
    # It answers PING, and no request from the 50th on, at second 5; noticed 15 s later.
    assert len(world.connect_times) == 2
    assert world.connect_times[1] - START < 5.3 + 15.0
    assert world.simulator.ledger.connections[0].pings_received >= 1
    assert all(isinstance(one.outcome, Accepted) for one in submitted_after(world, 20.5))
    muted = [one for one in world.submitted if not isinstance(one.outcome, Accepted)]
    assert all(isinstance(one.outcome, Unknown) for one in muted)
    assert 140 <= len(muted) <= 160
    assert all(one.done_at <= one.deadline for one in muted)


def test_a_server_that_is_mute_from_the_start_is_left_within_its_bound() -> None:
    world = World(temper=Temper(silent_after=0, first_connections=1))
    submit_ten_a_second(world, 40.0)
    world.run(40.0)
    world.finish()
    # One stream until a token is accepted: one notification is in doubt, the others have waited.
    assert world.tally() == {"accepted": 399, "unknown DEADLINE": 1}
    assert len(world.connect_times) == 2


def test_servers_that_are_all_mute_are_not_hammered() -> None:
    world = World(temper=Temper(silent_after=0))
    submit_ten_a_second(world, 120.0)
    world.run(120.0)
    world.finish()
    assert len(world.connect_times) <= 120 / 15
    assert len(world.live_links) == 0


def test_s21_a_black_hole_is_left_within_26_seconds() -> None:
    world = World()
    submit_ten_a_second(world, 60.0)

    def swallow() -> None:
        world.live_links[0].black_hole = True

    world.after(5.0, swallow)
    world.run(60.0)
    world.finish()
    assert all(isinstance(one.outcome, Accepted) for one in submitted_after(world, 5.0 + 26.0))
    lost = [one for one in world.submitted if not isinstance(one.outcome, Accepted)]
    assert all(isinstance(one.outcome, Unknown) for one in lost)
    assert max(one.done_at for one in lost) <= START + 5.0 + 26.0
    assert len(world.connect_times) == 2


def test_of_a_black_hole_nobody_takes_leave() -> None:
    world = World()
    world.submit(1)
    world.run()
    world.live_links[0].black_hole = True
    world.submit(1)
    world.run(26.0)
    assert world.live_links == []
    assert world.tally() == {"accepted": 1, "unknown UNRESPONSIVE": 1}
    world.finish()


def test_clocks_are_configured() -> None:
    config = replace(ONE, connection=ConnectionConfig(stall_after=2.0, drain_timeout=3.0))
    world = World(config=config, temper=Temper(silent_after=1, first_connections=1))
    world.submit(1)
    world.run()
    at = world.now
    world.submit(10)
    world.run(2.5)
    world.submit(1)
    world.run()
    assert world.tally() == {"accepted": 2, "unknown UNRESPONSIVE": 10}
    assert world.now - at <= 5.1
    world.finish()


def test_a_connection_that_takes_nothing_is_let_go() -> None:
    # Its limit is 0 and stays so: nothing is in flight that could stall.
    world = World(apns=SimulatorConfig(authentication="none", first_max_concurrent_streams=0))
    submit_ten_a_second(world, 20.0)
    world.run(10.0)
    world.simulator.config = SimulatorConfig(authentication="none")
    world.run(10.0)
    assert world.sender.queued == 0
    assert world.connect_times[1] == pytest.approx(START + 0.1 + 15.0 + 1.6, abs=0.4)
    world.finish()
    assert world.tally() == {"accepted": 200}
    assert len(world.connect_times) == 2


def test_a_window_that_nobody_gives_back_is_let_go() -> None:
    world = World(temper=Temper(credit_windows=False, first_connections=1))
    # A hundred and one bodies use the window up to its last octet, and are all answered.
    world.submit(1, payload=b'{"aps":"' + b"x" * (65_535 - 650 * 100 - 10) + b'"}')
    world.submit(100, payload=b'{"aps":"' + b"x" * 640 + b'"}')
    world.run()
    assert world.tally() == {"accepted": 101}
    world.submit(10)
    world.run(16.0)
    world.finish()
    assert world.tally() == {"accepted": 111}
    assert len(world.connect_times) == 2


def test_one_that_takes_nothing_and_is_asked_for_nothing_is_kept() -> None:
    world = World()
    world.submit(1)
    world.run()
    (link,) = world.live_links
    assert link.server is not None
    link.server.change_settings(SettingsChange(max_concurrent_streams=0))
    link.pump_server()
    (ticket,) = world.submit(1)
    world.run(1.0)
    world.cancel(ticket)
    world.run(100.0)
    assert len(world.live_links) == 1
    link.server.change_settings(SettingsChange(max_concurrent_streams=5))
    link.pump_server()
    world.run(1.0)
    world.submit(1)
    world.finish()
    assert len(world.connect_times) == 1


def test_s7_a_limit_of_none_is_waited_out() -> None:
    world = World(apns=SimulatorConfig(authentication="none", first_max_concurrent_streams=0))
    world.submit(5)
    world.run(10.0)
    assert world.sender.queued == 5
    (link,) = world.live_links
    assert link.server is not None
    link.server.change_settings(SettingsChange(max_concurrent_streams=2))
    link.pump_server()
    world.finish()
    assert world.tally() == {"accepted": 5}
    assert len(world.connect_times) == 1
