"""How a sender ends: in its own time, by a deadline, or at once."""

from dataclasses import replace

import pytest

from apns_core import Cause, Disconnect
from apns_simulator import SimulatorConfig, Temper
from tests.apns_core.world import ONE, START, Network, World

SLOW = SimulatorConfig(authentication="none", max_concurrent_streams=10, latency=1.0)


def test_closing_waits_for_all_there_is() -> None:
    world = World(apns=SLOW)
    world.submit(50)
    world.sender.close(world.now)
    world.settle()
    world.check()
    assert world.tally() == {"accepted": 50}
    assert world.simulator.ledger.connections[0].goaways_received == 1


def test_closing_before_anything_was_sent_still_sends_it() -> None:
    world = World()
    world.submit(3)
    world.sender.close(world.now)
    assert not world.sender.closed
    world.settle()
    assert world.tally() == {"accepted": 3}


def test_closing_retries_as_ever_and_connects_no_faster() -> None:
    world = World(temper=Temper(goaway_after=0))
    world.submit(3)
    world.sender.close(world.now)
    world.settle()
    world.check()
    assert world.tally() == {"unprocessed DEADLINE": 3}
    assert len(world.connect_times) <= 6


def test_at_the_deadline_the_rest_ends_with_what_is_known() -> None:
    world = World(apns=SLOW)
    world.submit(50)
    world.sender.close(world.now, deadline=world.now + 2.5)
    world.settle()
    world.check()
    assert world.tally() == {"accepted": 11, "unknown CLOSED": 10, "unprocessed CLOSED": 29}
    assert max(one.done_at for one in world.submitted) == START + 2.5


def test_a_deadline_that_is_not_needed_leaves_nothing_behind() -> None:
    world = World()
    world.submit(3)
    world.sender.close(world.now, deadline=world.now + 1_000.0)
    world.settle()
    assert world.now < START + 1.0
    assert world.tally() == {"accepted": 3}


def test_a_deadline_in_the_past_ends_it_at_once() -> None:
    world = World(apns=SLOW)
    world.submit(50)
    world.run(1.2)
    world.sender.close(world.now, deadline=world.now)
    world.settle()
    world.check()
    assert max(one.done_at for one in world.submitted) == START + 1.2


def test_aborting_ends_all_at_once_and_honestly() -> None:
    world = World(apns=SLOW)
    world.submit(50)
    world.run(1.5)
    assert (world.sender.in_flight, world.sender.queued) == (10, 39)
    world.sender.abort(world.now)
    world.pump()
    assert world.tally() == {"accepted": 1, "unknown CLOSED": 10, "unprocessed CLOSED": 39}
    assert world.now == START + 1.5
    world.settle()
    world.check()


def test_aborting_with_the_body_held_back_knows_that_it_was_not_sent() -> None:
    world = World(apns=SimulatorConfig(authentication="none", initial_window_size=0))
    world.submit(1)
    world.run(1.0)
    assert world.sender.in_flight == 1
    world.sender.abort(world.now)
    world.settle()
    world.check()
    assert world.tally() == {"unprocessed CLOSED": 1}


def test_aborting_reports_the_answer_of_a_former_attempt() -> None:
    world = World(temper=Temper(answer_status=503, retry_after=5))
    world.submit(1)
    world.run(1.0)
    world.sender.abort(world.now)
    world.settle()
    world.check()
    assert world.tally() == {"rejected 503": 1}


def test_aborting_reports_an_answer_whose_body_never_came() -> None:
    temper = Temper(answer_status=503, answer_reason="ServiceUnavailable", body_style="unfinished")
    world = World(temper=temper)
    world.submit(1)
    world.run(1.0)
    assert world.sender.in_flight == 1
    world.sender.abort(world.now)
    world.settle()
    world.check()
    assert world.tally() == {"rejected ServiceUnavailable": 1}


@pytest.mark.parametrize("end", ["close", "abort"])
@pytest.mark.parametrize("connects", ["hangs", "refused", "ok"])
def test_ending_while_it_connects_gives_that_up(end: str, connects: str) -> None:
    world = World(network=Network(latency=0.5))
    world.connects = lambda _: connects  # type: ignore[assignment, return-value]  # pyright: ignore[reportAttributeAccessIssue]
    (ticket,) = world.submit(1)
    world.run(0.3)
    world.cancel(ticket)
    getattr(world.sender, end)(world.now)
    world.pump()
    assert world.sender.closed
    (disconnect,) = [command for _, command in world.commands if isinstance(command, Disconnect)]
    assert disconnect.cause is Cause.CLOSED
    world.settle()


def test_ending_twice_is_ending_once() -> None:
    world = World(apns=SLOW)
    world.submit(20)
    world.run(1.5)
    world.sender.close(world.now)
    world.sender.close(world.now, deadline=world.now + 0.1)
    world.pump()
    world.sender.abort(world.now)
    world.sender.abort(world.now)
    world.settle()
    world.check()
    assert len([c for _, c in world.commands if isinstance(c, Disconnect)]) == 1


def test_an_idle_sender_closes_its_connections() -> None:
    world = World(
        apns=SLOW, config=replace(ONE, max_connections=3, max_queued=100, scale_after=0.1)
    )
    world.submit(100)
    world.run()
    assert len(world.live_links) == 3
    world.sender.close(world.now)
    world.settle()
    world.check()
    disconnects = [c for _, c in world.commands if isinstance(c, Disconnect)]
    assert [d.cause for d in disconnects] == [Cause.CLOSED] * 3
    assert world.now < disconnects[0].deadline


def test_closing_a_connection_that_drains_already_waits_for_its_answers() -> None:
    world = World(apns=SLOW)
    world.submit(1)
    world.run()
    world.submit(5)
    world.run(0.1)
    (link,) = world.live_links
    assert link.server is not None
    link.server.send_goaway()
    link.pump_server()
    world.sender.close(world.now)
    world.settle()
    world.check()
    assert world.tally() == {"accepted": 6}
    assert len(world.connect_times) == 1
