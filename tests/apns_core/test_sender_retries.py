"""What is sent again, how often and when; and what is not."""

from collections import Counter
from dataclasses import replace
from functools import partial

import pytest

from apns_core import (
    Accepted,
    ConnectionConfig,
    Notification,
    OnUnknown,
    Rejected,
    Unknown,
)
from apns_simulator import GoAway, Rejection, SettingsChange, SimulatorConfig, Temper
from tests.apns_core.world import ONE, PAYLOAD, ROUTE, START, Network, World, device_token

LOSES_THE_FIRST = Temper(close_after_requests=1, first_connections=1)


# ── provably unprocessed ──


def test_s8_a_graceful_goaway_loses_and_repeats_nothing() -> None:
    world = World()
    world.submit(1)
    world.run()
    (link,) = world.live_links
    assert link.server is not None
    link.server.hold()
    world.submit(100)
    world.run(0.03)
    assert world.sender.in_flight == 100
    link.server.send_goaway(GoAway(2**31 - 1))
    link.pump_server()
    world.run(0.01)
    # The 60th of the hundred: one stream went before them.
    link.server.send_goaway(GoAway(1 + 2 * 60))
    link.server.release(world.now)
    link.pump_server()
    world.finish()
    assert world.tally() == {"accepted": 101}
    assert set(world.attempts().values()) == {1}
    by_connection = Counter(entry.connection for entry in world.simulator.ledger.entries)
    assert by_connection == {1: 61, 2: 40}
    assert [one.ticket.attempts for one in world.submitted] == [1] * 61 + [2] * 40


def test_goaway_after_goaway_loses_nothing() -> None:
    # Each connection takes fifty, of which those above the fiftieth come back.
    world = World(
        apns=SimulatorConfig(authentication="none", max_concurrent_streams=60, latency=0.05),
        temper=Temper(goaway_after=50),
    )
    world.offer(400)
    world.finish()
    assert world.tally() == {"accepted": 400}
    assert set(world.attempts().values()) == {1}


def test_s6_a_refused_stream_is_tried_again_a_bounded_number_of_times() -> None:
    world = World(temper=Temper(refuse_every=1))
    world.submit(10)
    world.finish()
    assert world.wake_ups < 200, "no loop spins"
    # Each pause is 2^n seconds at most, and 20.
    assert world.now - START < sum(min(20.0, 2.0**number) for number in range(6)) + 1.0
    assert world.tally() == {"unprocessed REFUSED_STREAM": 10}
    assert [one.ticket.attempts for one in world.submitted] == [7] * 10
    assert world.simulator.ledger.by_unprocessed_cause["refused"] == 70


def test_refused_at_first_it_is_accepted_at_last() -> None:
    for every in (3, 10):
        world = World(temper=Temper(refuse_every=every))
        world.submit(100)
        world.finish()
        assert world.tally() == {"accepted": 100}
        assert set(world.attempts().values()) == {1}


def test_s6_the_second_attempt_is_immediate_and_the_third_is_not() -> None:
    world = World(temper=Temper(refuse_every=1), seed=5)
    (ticket,) = world.submit(1)
    world.run(0.145)
    assert ticket.attempts == 2
    world.run(0.04)
    assert (ticket.attempts, world.sender.queued) == (2, 1)
    world.finish()
    assert world.now > 1_001.0


def test_lost_before_the_whole_request_was_sent_it_is_sent_again() -> None:
    world = World(apns=SimulatorConfig(authentication="none", initial_window_size=0))
    (ticket,) = world.submit(1)
    world.run(1.0)
    assert ticket.attempts == 1
    assert not ticket.end_stream_sent
    world.live_links[0].cut()
    world.pump()
    world.run(3.0)
    (link,) = world.live_links
    assert link.server is not None
    link.server.change_settings(SettingsChange(initial_window_size=65_535))
    link.pump_server()
    world.finish()
    assert world.tally() == {"accepted": 1}
    assert ticket.attempts == 2


def test_no_attempt_begins_at_its_deadline() -> None:
    config = replace(ONE, connection=ConnectionConfig(request_timeout=0.5))
    world = World(config=config, temper=Temper(refuse_every=1))
    world.submit(10)
    world.finish()
    assert all(one.ticket.attempts < 7 for one in world.submitted)
    assert all(one.done_at <= one.deadline for one in world.submitted)


def test_a_limit_that_falls_with_every_rejection_loses_and_repeats_nothing() -> None:
    world = World(
        apns=SimulatorConfig(authentication="none", max_concurrent_streams=500, latency=0.02),
        temper=Temper(limit_drop_on_rejection=True),
    )
    bad = range(0, 1_500, 50)
    for number in bad:
        world.simulator.reject(device_token(number), Rejection.of("BadDeviceToken"))
    # One each millisecond: some are on their way whenever the limit falls.
    for number in range(1_500):
        world.after(number / 1_000, partial(world.submit, 1))
    world.run(1.5)
    world.finish()
    assert world.tally() == {"accepted": 1_500 - len(bad), "rejected BadDeviceToken": len(bad)}
    assert set(world.attempts().values()) == {1}
    assert world.simulator.ledger.by_unprocessed_cause["refused"] > 0


# ── unknown ──


def test_lost_after_the_whole_request_was_sent_it_is_never_sent_again() -> None:
    world = World(temper=LOSES_THE_FIRST)
    world.submit(1)
    world.finish()
    assert world.tally() == {"unknown CONNECTION_LOST": 1}
    assert world.attempts() == {device_token(0): 1}
    assert len(world.connect_times) == 1


def test_it_is_sent_again_where_the_caller_wants_that() -> None:
    world = World(temper=LOSES_THE_FIRST, config=replace(ONE, on_unknown=OnUnknown.RESEND))
    world.submit(1)
    world.finish()
    assert world.tally() == {"accepted": 1}
    assert world.attempts() == {device_token(0): 2}


@pytest.mark.parametrize(
    ("collapse_id", "attempts", "outcome"),
    [("score", 2, "accepted"), (None, 1, "unknown CONNECTION_LOST")],
)
def test_it_is_sent_again_where_a_duplicate_would_replace_it(
    collapse_id: str | None, attempts: int, outcome: str
) -> None:
    config = replace(ONE, on_unknown=OnUnknown.RESEND_IF_COLLAPSIBLE)
    world = World(temper=LOSES_THE_FIRST, config=config)
    world.submit(1, collapse_id=collapse_id)
    world.finish()
    assert world.tally() == {outcome: 1}
    assert world.attempts() == {device_token(0): attempts}


def test_it_is_sent_three_times_at_most() -> None:
    world = World(
        temper=Temper(close_after_requests=1), config=replace(ONE, on_unknown=OnUnknown.RESEND)
    )
    world.submit(1)
    world.finish()
    assert world.tally() == {"unknown CONNECTION_LOST": 1}
    assert world.attempts() == {device_token(0): 3}


@pytest.mark.parametrize("end", ["refused", "deadline", "close", "abort", "fatal"])
def test_sent_again_in_vain_it_is_as_unknown_as_before(end: str) -> None:
    world = World(temper=LOSES_THE_FIRST, config=replace(ONE, on_unknown=OnUnknown.RESEND))
    if end in {"deadline", "close", "abort"}:
        world.connects = lambda number: "ok" if number == 1 else "hangs"
    world.submit(1)
    world.run(0.15)
    assert world.sender.queued == 1
    world.simulator.temper = {
        "refused": Temper(refuse_every=1),
        "fatal": Temper(goaway_after=0, goaway_frames=(GoAway.because("BadCertificate"),)),
    }.get(end, world.simulator.temper)
    if end == "close":
        world.sender.close(world.now, deadline=world.now + 5.0)
        world.settle()
    elif end == "abort":
        world.sender.abort(world.now)
        world.settle()
    else:
        world.finish()
    world.check()
    (outcome,) = world.outcomes()
    assert isinstance(outcome, Unknown)
    assert world.attempts() == {device_token(0): 1}


def test_cancelled_while_it_waits_to_be_sent_again_it_leaves_nothing_behind() -> None:
    world = World(temper=LOSES_THE_FIRST, config=replace(ONE, on_unknown=OnUnknown.RESEND))
    first, second = world.submit(2)
    world.run(0.15)
    assert first.attempts == 1
    world.cancel(first)
    world.sender.withdraw(second.tag, world.now)
    world.submitted[1].cancelled = True
    world.unfinished -= 1
    world.finish()


def test_withdrawn_while_it_waits_to_be_sent_again_it_leaves_nothing_behind() -> None:
    world = World(temper=LOSES_THE_FIRST, config=replace(ONE, on_unknown=OnUnknown.RESEND))
    (ticket,) = world.submit(1)
    world.run(0.15)
    world.sender.withdraw(ticket.tag, world.now)
    world.submitted[0].cancelled = True
    world.unfinished -= 1
    world.finish()
    assert ticket.attempts == 1


# ── answered, and tried again ──


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (429, "TooManyRequests"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
        (503, None),
        (599, None),
    ],
)
def test_a_passing_fault_is_waited_out(status: int, reason: str | None) -> None:
    world = World(temper=Temper(answer_status=status, answer_reason=reason))
    (ticket,) = world.submit(1)
    world.run(0.141)
    world.simulator.temper = Temper()
    world.finish()
    assert world.tally() == {"accepted": 1}
    assert ticket.attempts == 2


@pytest.mark.parametrize("reason", ["BadDeviceToken", "Unregistered", "PayloadTooLarge"])
def test_a_verdict_is_final(reason: str) -> None:
    world = World()
    world.simulator.reject(device_token(0), Rejection.of(reason))
    (ticket,) = world.submit(1)
    world.finish()
    assert world.tally() == {f"rejected {reason}": 1}
    assert ticket.attempts == 1


def test_s22_where_all_is_refused_attempts_stay_within_the_budget() -> None:
    world = World(
        temper=Temper(answer_status=503, answer_reason="ServiceUnavailable"),
        network=Network(latency=0.001),
    )
    world.offer(10_000)
    world.finish()
    assert world.tally() == {"rejected ServiceUnavailable": 10_000}
    assert world.simulator.ledger.processed_count <= 10_000 + 100
    assert max(world.attempts().values()) <= 3
    assert len(world.connect_times) == 1


def test_acceptances_earn_retries() -> None:
    world = World(apns=SimulatorConfig(authentication="none", latency=0.01))
    for number in range(0, 1_000, 4):
        world.simulator.reject(device_token(number), Rejection.of("TooManyRequests"))
    world.offer(1_000)
    world.finish()
    assert world.tally() == {"accepted": 750, "rejected TooManyRequests": 250}
    # A hundred from the bucket as it was, and one for five acceptances.
    assert 100 < world.simulator.ledger.processed_count - 1_000 <= 100 + 750 / 5


def test_s22_retry_after_is_obeyed() -> None:
    world = World(temper=Temper(answer_status=503, retry_after=7))
    (ticket,) = world.submit(1)
    world.run(0.2)
    world.simulator.temper = Temper()
    world.run(6.8)
    assert ticket.attempts == 1
    world.finish()
    assert world.tally() == {"accepted": 1}
    assert world.submitted[0].done_at == pytest.approx(1_000.0 + 0.14 + 7 + 0.04)


@pytest.mark.parametrize(("retry_after", "expiration"), [(31, None), (7, 1_800_000_006)])
def test_a_retry_that_would_come_too_late_is_not_waited_for(
    retry_after: int, expiration: int | None
) -> None:
    world = World(temper=Temper(answer_status=503, retry_after=retry_after))
    (ticket,) = world.submit(1, expiration=expiration)
    world.run(0.2)
    assert world.tally() == {"rejected 503": 1}
    world.finish()
    assert ticket.attempts == 1


@pytest.mark.parametrize("reason", ["IdleTimeout", "Shutdown", "UnrelatedKeyIdInToken"])
def test_what_blames_the_connection_is_sent_again_on_another(reason: str) -> None:
    rejection = Rejection.of(reason)
    world = World()
    world.submit(1)
    world.run()
    world.simulator.temper = Temper(
        answer_status=rejection.status, answer_reason=reason, first_connections=1
    )
    world.submit(300)
    world.finish()
    assert world.tally() == {"accepted": 301}
    assert len(world.connect_times) == 2
    assert [record.requests for record in world.simulator.ledger.connections] == [301, 300]


def test_s22_three_server_errors_in_a_row_cost_the_connection_and_no_notification() -> None:
    world = World()
    world.submit(1)
    world.run()
    world.simulator.temper = Temper(
        answer_status=500, answer_reason="InternalServerError", first_connections=1
    )
    world.submit(20)
    world.finish()
    assert world.tally() == {"accepted": 21}
    assert len(world.connect_times) == 2


# ── what is reported ──


def test_what_came_of_the_last_attempt_is_reported() -> None:
    world = World(temper=Temper(answer_status=503, answer_reason="ServiceUnavailable"))
    world.submit(1)
    world.run(0.141)
    world.simulator.temper = Temper(answer_status=400, answer_reason="BadTopic")
    world.finish()
    (outcome,) = world.outcomes()
    assert isinstance(outcome, Rejected)
    assert outcome.reason_text == "BadTopic"


def test_an_apns_id_is_kept_over_all_attempts() -> None:
    world = World(temper=Temper(answer_status=503))
    apns_id = "123e4567-e89b-12d3-a456-426614174000"
    notification = Notification(ROUTE, device_token(0), PAYLOAD, apns_id=apns_id)
    world._submit(notification)
    world.pump()
    world.run(0.141)
    world.simulator.temper = Temper()
    world.run()
    assert [entry.apns_id for entry in world.simulator.ledger.entries] == [apns_id] * 2
    (outcome,) = world.outcomes()
    assert isinstance(outcome, Accepted)
    assert outcome.notification is notification
