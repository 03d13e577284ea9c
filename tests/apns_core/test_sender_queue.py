"""What waits in a sender: bounds, order, cancelling, deadlines, and what waiting costs."""

import sys
from dataclasses import replace
from random import Random
from types import FrameType

import pytest

from apns_core import (
    ApiMisuse,
    Cause,
    ClientClosed,
    ConnectionConfig,
    ConnectionId,
    Endpoint,
    InvalidField,
    Notification,
    QueueFull,
    Sender,
    Unprocessed,
)
from apns_core.connection import Connection
from apns_simulator import GoAway, SettingsChange, SimulatorConfig, Temper
from tests.apns_core.peer import Peer
from tests.apns_core.world import ONE, PAYLOAD, ROUTE, World, device_token

NARROW = SimulatorConfig(authentication="none", max_concurrent_streams=1)


def notification(number: int = 0) -> Notification:
    return Notification(ROUTE, device_token(number), PAYLOAD)


# ── bounds ──


def test_the_queue_is_bounded_and_its_room_comes_back() -> None:
    world = World(config=replace(ONE, max_queued=10))
    assert world.sender.room == 10
    world.submit(10)
    assert (world.sender.room, world.sender.queued) == (0, 10)
    with pytest.raises(QueueFull):
        world.sender.submit(notification(), 99, world.now)
    assert world.sender.queued == 10
    world.run()
    assert world.sender.room == 10
    world.finish()
    assert world.tally() == {"accepted": 10}


def test_what_is_in_flight_takes_no_room() -> None:
    world = World(config=replace(ONE, max_queued=10), temper=Temper(silent_after=1))
    world.submit(1)
    world.run()
    world.submit(10)
    assert (world.sender.room, world.sender.in_flight, world.sender.queued) == (10, 10, 0)


def test_room_is_never_negative_when_what_was_in_flight_comes_back() -> None:
    world = World(config=replace(ONE, max_queued=10))
    world.submit(1)
    world.run()
    (link,) = world.live_links
    assert link.server is not None
    link.server.hold()
    for _ in range(3):
        world.submit(10)
    world.run(0.03)
    link.server.send_goaway(GoAway(1))
    link.pump_server()
    world.run(0.03)
    assert world.sender.queued == 30
    assert world.sender.room == 0
    with pytest.raises(QueueFull):
        world.sender.submit(notification(), 99, world.now)
    world.finish()
    assert world.tally() == {"accepted": 31}


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_closed_sender_takes_nothing(end: str) -> None:
    world = World()
    getattr(world.sender, end)(world.now)
    with pytest.raises(ClientClosed):
        world.sender.submit(notification(), 0, world.now)
    world.settle()
    assert world.commands == []


def test_a_sender_without_work_does_nothing() -> None:
    world = World()
    world.pump()
    assert world.sender.poll_timeout() is None
    world.run(100_000.0)
    assert (world.commands, world.wake_ups) == ([], 0)


# ── binding ──


def test_a_notification_belongs_to_no_connection_until_it_is_encoded() -> None:
    world = World(apns=NARROW)
    tickets = world.submit(3)
    assert [ticket.connection for ticket in tickets] == [None, None, None]
    world.run(0.13)  # connected, and the first is encoded
    assert [ticket.connection is None for ticket in tickets] == [False, True, True]
    world.live_links[0].cut()
    world.pump()
    # The two that waited join the next connection without having been tried.
    world.run()
    assert [ticket.attempts for ticket in tickets] == [1, 1, 1]
    world.finish()
    assert world.tally() == {"unknown CONNECTION_LOST": 1, "accepted": 2}


def test_what_comes_back_goes_first_and_in_its_order() -> None:
    world = World(apns=SimulatorConfig(authentication="none", max_concurrent_streams=4))
    world.submit(1)
    world.run()
    (link,) = world.live_links
    assert link.server is not None
    link.server.hold()
    world.submit(8)
    world.run(0.03)
    link.server.send_goaway(GoAway(1))
    link.pump_server()
    world.finish()
    processed = [int(entry.device_token, 16) for entry in world.simulator.ledger.entries]
    assert processed == list(range(9))


def test_what_the_limits_of_the_server_do_not_admit_is_reported_at_once() -> None:
    world = World(apns=SimulatorConfig(authentication="none", max_header_list_size=100))
    world.submit(3)
    world.finish()
    assert world.tally() == {"unprocessed LIMITS": 3}


# ── cancelling ──


def test_cancelled_in_the_queue_it_is_never_sent() -> None:
    world = World()
    first, second = world.submit(2)
    world.cancel(first)
    world.finish()
    assert first.attempts == 0
    assert second.attempts == 1


def test_cancelled_in_flight_it_is_reset_and_touches_no_other() -> None:
    world = World(apns=SimulatorConfig(authentication="none", latency=1.0))
    world.submit(1)
    world.run()
    tickets = world.submit(3)
    world.run(0.5)
    world.cancel(tickets[1])
    world.finish()
    assert world.tally() == {"accepted": 3, "none": 1}
    assert world.simulator.ledger.connections[0].resets_received == 1


def test_cancelled_while_it_waits_to_be_tried_again_it_is_not_tried_again() -> None:
    world = World(temper=Temper(answer_status=503, answer_reason="ServiceUnavailable"))
    (ticket,) = world.submit(1)
    world.run(0.141)
    assert (ticket.attempts, world.sender.queued, world.sender.in_flight) == (1, 1, 0)
    world.cancel(ticket)
    assert world.sender.queued == 0
    world.finish()
    assert ticket.attempts == 1


def test_cancelling_what_is_done_changes_nothing() -> None:
    world = World()
    (ticket,) = world.submit(1)
    world.run()
    for _ in range(2):
        world.cancel(ticket)
    world.finish()
    assert world.tally() == {"accepted": 1}


def test_cancelled_between_its_answer_and_the_next_drain_it_has_no_outcome() -> None:
    world = World()
    (ticket,) = world.submit(1)
    world.run(0.13)
    connection = ticket.connection
    assert isinstance(connection, Connection)
    # As if an adapter were told of the response by another of its connections' inputs.
    connection.receive_eof(world.now)
    world.cancel(ticket)
    world.cancel(ticket)
    world.run()
    assert world.outcomes() == [None]
    assert (world.sender.queued, world.sender.in_flight) == (0, 0)


def test_the_last_one_cancelled_lets_a_retired_connection_go() -> None:
    world = World(apns=SimulatorConfig(authentication="none", latency=5.0))
    world.submit(1)
    world.run()
    (ticket,) = world.submit(1)
    world.run(0.5)
    (link,) = world.live_links
    assert link.server is not None
    link.server.send_goaway()
    link.pump_server()
    world.run(0.5)
    world.cancel(ticket)
    assert link.closing
    world.finish()


def test_withdrawing_a_tag_leaves_what_is_in_flight_and_what_is_anothers() -> None:
    world = World(apns=NARROW)
    mine, other = 1, 2
    for tag in (mine, mine, other):
        world.sender.submit(notification(), tag, world.now)
    world.sender.withdraw(mine, world.now)
    assert world.sender.queued == 1
    world.sender.withdraw(other, world.now)
    assert world.sender.queued == 0
    world.sender.close(world.now)
    world.settle()
    assert world.sender.outcomes() == []


def test_withdrawing_takes_nothing_from_the_wire() -> None:
    world = World(apns=NARROW)
    first, second = world.submit(2)
    world.run(0.13)
    assert first.attempts == 1
    world.sender.withdraw(first.tag, world.now)
    world.sender.withdraw(second.tag, world.now)
    world.submitted[second.tag].cancelled = True
    world.unfinished -= 1
    world.finish()
    assert world.tally() == {"accepted": 1, "none": 1}


# ── deadlines ──


def test_the_deadline_passes_in_the_queue() -> None:
    world = World()
    world.connects = lambda _: "hangs"
    world.submit(3)
    world.finish()
    assert world.tally() == {"unprocessed DEADLINE": 3}
    assert {one.done_at - one.deadline for one in world.submitted} == {0.0}


def test_the_deadline_passes_in_flight() -> None:
    world = World(temper=Temper(silent_after=0))
    world.submit(3)
    world.finish()
    # One is let through before a token is accepted; the others wait for it, then for another.
    assert world.tally()["unknown DEADLINE"] >= 1
    assert {one.done_at - one.deadline for one in world.submitted} == {0.0}


def test_the_deadline_passes_with_the_body_held_back() -> None:
    world = World(apns=SimulatorConfig(authentication="none", initial_window_size=0))
    world.submit(1)
    world.finish()
    assert world.outcomes() == [
        Unprocessed(world.submitted[0].ticket.notification, 0, Cause.DEADLINE)
    ]


def test_the_time_without_a_window_counts_though_the_connection_ends_in_it() -> None:
    sender: Sender[int] = Sender(
        Endpoint("apns.test"),
        rng=Random(1),
        now=0.0,
        unix_time=1.8e9,
        token_authentication=False,
        config=ONE,
    )
    peer = Peer()
    for number in range(20):  # of 4 kB each: more than the first window of a connection takes
        sender.submit(Notification(ROUTE, device_token(number), bytes(4_000)), number, 0.0)
    connection_id = ConnectionId(1)
    sender.connected(connection_id, 1.0)
    sender.data_to_send(connection_id)
    sender.receive_data(connection_id, peer.settings(limit=100), 2.0)
    while sender.data_to_send(connection_id):
        pass
    assert sender.queued == 3
    assert sender.metrics.window_blocked_seconds == 0.0, "not told before it is over"
    sender.receive_eof(connection_id, 9.0)
    assert sender.metrics.window_blocked_seconds == 7.0
    sender.abort(9.0)
    assert sender.metrics.window_blocked_seconds == 7.0


def test_at_the_deadline_an_answered_attempt_decides() -> None:
    world = World(temper=Temper(answer_status=503, answer_reason="ServiceUnavailable"))
    world.submit(1)
    world.run(0.141)
    # It is to be tried again, and there is nothing to try it on.
    world.connects = lambda _: "hangs"
    (link,) = world.live_links
    assert link.server is not None
    link.server.change_settings(SettingsChange(max_concurrent_streams=0))
    link.pump_server()
    world.finish()
    assert world.tally() == {"rejected ServiceUnavailable": 1}
    assert world.submitted[0].done_at == world.submitted[0].deadline


def test_the_deadline_is_the_configured_one() -> None:
    config = replace(ONE, connection=ConnectionConfig(request_timeout=2.5))
    world = World(config=config)
    world.connects = lambda _: "hangs"
    world.submit(1)
    world.run()
    assert world.now == world.submitted[0].deadline
    assert world.submitted[0].deadline == 1_002.5
    world.finish()


# ── cost ──


def calls_of_an_answer(queued: int) -> int:
    """Count the Python calls that one response costs with so many in the queue."""
    world = World(
        config=replace(ONE, max_queued=5_000),
        apns=SimulatorConfig(authentication="none", max_concurrent_streams=1),
    )
    world.submit(queued + 2)
    world.run(0.13)  # the first is in flight
    count = 0

    def profile(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        world.run(0.03)
    finally:
        sys.setprofile(None)
    assert world.tally()["accepted"] == 1
    assert world.sender.queued == queued
    return count


def test_an_input_costs_the_same_however_many_are_queued() -> None:
    assert calls_of_an_answer(2_000) <= calls_of_an_answer(20) + 20


def test_one_that_waits_does_not_keep_those_that_have_ended() -> None:
    world = World(config=replace(ONE, max_queued=10_000))
    world.connects = lambda _: "hangs"
    tickets = world.submit(5_000)
    for ticket in tickets[1:]:
        world.sender.cancel(ticket, world.now)
    submissions = world.sender._submissions
    assert len(submissions._pending) < 1_100
    assert len(submissions._by_deadline) < 1_100
    assert submissions.oldest_queued() is tickets[0]


# ── misuse ──


def test_a_connection_that_is_not_there_is_the_callers_mistake() -> None:
    world = World()
    gone = ConnectionId(7)
    now = world.now
    with pytest.raises(ApiMisuse):
        world.sender.connected(gone, now)
    with pytest.raises(ApiMisuse):
        world.sender.connect_failed(gone, now)
    with pytest.raises(ApiMisuse):
        world.sender.receive_data(gone, b"", now)
    with pytest.raises(ApiMisuse):
        world.sender.receive_eof(gone, now)
    assert world.sender.data_to_send(gone) == b""


def test_a_token_nobody_asked_for_is_the_callers_mistake() -> None:
    world = World()
    with pytest.raises(InvalidField):
        world.sender.token_signed("a.b.c", world.now)
