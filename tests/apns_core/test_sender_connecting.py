"""When a sender connects, and when it does not: demand, backoff, GOAWAY, several connections."""

from dataclasses import replace
from itertools import pairwise

import pytest

from apns_core import (
    Cause,
    Connect,
    ConnectionConfig,
    ConnectionId,
    Disconnect,
    Notification,
    Reason,
    Sender,
)
from apns_core.accounting import ConnectionState
from apns_simulator import GoAway, Rejection, SimulatorConfig, Temper
from tests.apns_core.world import ONE, ROUTE, START, Network, World, device_token

NO_TOKENS = SimulatorConfig(authentication="none")


def submit_each_second(world: World, seconds: int, most_queued: int = 500) -> None:
    """Submit one notification a second, for as long as they are taken."""
    for second in range(seconds):

        def submit() -> None:
            if world.sender.queued < most_queued:
                world.submit(1)

        world.after(float(second), submit)


# ── demand ──


def test_it_connects_for_work_and_for_nothing_else() -> None:
    world = World()
    world.run(100.0)
    assert world.connect_times == []
    world.submit(5)
    world.run(7_000.0)
    assert world.connect_times == [START + 100.0]
    # Lost while nothing is to be sent: nothing is made in its place.
    world.live_links[0].cut()
    world.run(1_000.0)
    assert len(world.connect_times) == 1
    world.submit(1)
    world.finish()
    assert len(world.connect_times) == 2
    assert world.tally() == {"accepted": 6}


def test_what_is_not_to_be_tried_yet_is_no_reason_to_connect() -> None:
    world = World(temper=Temper(answer_status=503, retry_after=10, first_connections=1))
    world.submit(1)
    world.run(0.2)
    world.live_links[0].cut()
    world.run(9.0)
    assert len(world.connect_times) == 1
    world.finish()
    assert world.connect_times[1] == pytest.approx(START + 10.14)
    assert world.tally() == {"accepted": 1}


def test_an_idle_connection_asks_for_life_once_an_hour() -> None:
    world = World()
    world.submit(1)
    world.run()
    woken = world.wake_ups
    world.run(10 * 3_601.0)
    assert world.simulator.ledger.connections[0].pings_received == 10
    assert world.wake_ups == woken + 10
    world.finish()
    assert len(world.connect_times) == 1


# ── failures ──


def test_extra_connections_that_fail_do_not_hold_up_the_successor_of_the_good_one() -> None:
    """A box in between admits one connection; the load would fill more."""
    world = World(
        apns=SimulatorConfig(authentication="none", max_concurrent_streams=5, latency=0.5),
        config=replace(ONE, max_connections=4, max_queued=40),
    )
    world.connects = lambda _: "ok" if not world.live_links else "refused"
    for tenth in range(2_100):
        world.after(tenth / 10, lambda: world.submit(min(2, world.sender.room)))
    world.run(200.0)
    failed = len(world.connect_times) - 1
    assert 5 <= failed <= 12, "they have a backoff of their own"
    (link,) = world.live_links
    link.cut()
    lost_at = world.now
    world.run(5.0)
    assert world.connect_times[failed + 1] - lost_at <= 1.1
    assert len(world.live_links) == 1
    world.finish()
    assert world.tally()["accepted"] > 1_900


def test_refused_connects_follow_the_backoff() -> None:
    world = World()
    world.connects = lambda _: "refused"
    submit_each_second(world, 600)
    world.run(600.0)
    gaps = [after - before for before, after in pairwise(world.connect_times)]
    for number, gap in enumerate(gaps):
        nominal = min(1.6**number, 100.0)
        assert 0.8 * nominal <= gap - 0.04 <= 1.2 * nominal
    assert 8 <= len(world.connect_times) <= 14


def test_a_connect_that_hangs_is_given_up_and_counted() -> None:
    world = World()
    world.connects = lambda number: "hangs" if number <= 2 else "ok"
    submit_each_second(world, 60)
    world.run(60.0)
    first, second, third = world.connect_times
    assert second - first == pytest.approx(21.0, abs=0.2)
    assert third - second == pytest.approx(21.6, abs=0.4)
    world.finish()


def test_s23_only_a_response_resets_the_backoff() -> None:
    world = World(temper=Temper(close_after_requests=0, first_connections=6))
    submit_each_second(world, 400)
    world.run(400.0)
    # TLS and SETTINGS came of the first six, and no answer: each counts twice.
    failed = [after - before for before, after in pairwise(world.connect_times[:7])]
    for number, gap in enumerate(failed):
        nominal = min(1.6 ** (2 * number + 1), 100.0)
        assert 0.8 * nominal <= gap <= 1.2 * nominal + 0.2
    # The seventh answers. After it the backoff starts again.
    assert world.unfinished == 0
    world.simulator.temper = Temper(close_after_requests=0)
    world.live_links[0].cut()
    lost_at = world.now
    submit_each_second(world, 3)
    world.run(4.0)
    again = [when for when in world.connect_times if when >= lost_at]
    assert [when - lost_at for when in again] == pytest.approx([0.0, 1.7], abs=0.4)


def test_s23_a_server_that_accepts_and_says_goaway_is_not_hammered() -> None:
    for seed in range(20):
        world = World(seed=seed, temper=Temper(goaway_after=0))
        submit_each_second(world, 600)
        world.run(600.0)
        assert 8 <= len(world.connect_times) <= 12


def test_nor_one_that_says_goaway_to_a_request_it_never_answers() -> None:
    # Each such connection drains for half a minute: to wait for its end would be no backoff.
    for seed in range(5):
        temper = Temper(goaway_after=1, goaway_close=False, silent_after=0)
        world = World(seed=seed, temper=temper)
        submit_each_second(world, 600)
        world.run(600.0)
        assert len(world.connect_times) <= 14


def test_nor_one_that_blames_every_connection() -> None:
    temper = Temper(answer_status=403, answer_reason="ExpiredProviderToken")
    world = World(temper=temper)
    submit_each_second(world, 600)
    world.run(600.0)
    assert len(world.connect_times) <= 12
    assert len(world.signings) <= 3


def test_a_goaway_before_the_answers_costs_no_wait() -> None:
    world = World(
        apns=SimulatorConfig(authentication="none", latency=0.1),
        temper=Temper(goaway_after=1, first_connections=1),
    )
    world.submit(1)
    world.run(0.2)
    world.submit(1)
    world.finish()
    assert world.tally() == {"accepted": 2}
    assert world.connect_times == [START, START + 1.0]


def test_the_floor_lies_between_any_two_connects() -> None:
    temper = Temper(goaway_after=1, goaway_frames=(GoAway(2**31 - 1), GoAway(1)))
    world = World(temper=temper, config=replace(ONE, connect_floor=5.0))
    world.submit(4)
    world.finish()
    assert [after - before for before, after in pairwise(world.connect_times)] == [5.0] * 3


def test_no_settings_end_a_connection_and_count_against_it() -> None:
    world = World()
    world.submit(1)
    world.run(0.09)
    world.live_links[0].black_hole = True
    world.finish()
    assert world.connect_times[1] == pytest.approx(START + 20.08 + 1.6, abs=0.4)
    assert world.tally() == {"accepted": 1}


# ── fatal reasons ──


@pytest.mark.parametrize("reason", ["BadCertificate", "BadCertificateEnvironment"])
def test_s23_a_fatal_reason_ends_it_all_and_says_why(reason: str) -> None:
    temper = Temper(goaway_after=0, goaway_frames=(GoAway.because(reason, last_stream_id=0),))
    world = World(temper=temper)
    world.submit(20)
    world.run()
    assert world.sender.failure is Reason(reason)
    world.submit(5)
    world.run(600.0)
    world.finish()
    assert world.tally() == {"unprocessed FATAL": 25}
    assert len(world.connect_times) == 1


def test_a_fatal_reason_names_itself_for_what_it_throws_back() -> None:
    world = World()
    world.submit(1)
    world.run(0.1)
    (link,) = world.live_links
    assert link.server is not None
    link.server.hold()
    world.submit(2)
    world.run(0.03)
    link.server.send_goaway(GoAway.because("BadCertificate", last_stream_id=0))
    link.pump_server()
    world.finish()
    assert world.tally() == {"unprocessed FATAL": 3}


def test_a_fatal_reason_reaches_what_waits_to_be_tried_again_and_what_connects() -> None:
    world = World(
        config=replace(ONE, max_connections=2),
        apns=SimulatorConfig(authentication="none", max_concurrent_streams=1),
    )
    world.connects = lambda number: "ok" if number == 1 else "hangs"
    world.submit(1)
    world.run()
    (link,) = world.live_links
    assert link.server is not None
    world.simulator.reject(device_token(1), Rejection.of("ServiceUnavailable"))
    link.server.hold()
    world.submit(3)
    world.run(1.2)  # long enough to want a second connection
    assert len(world.connect_times) == 2
    link.server.release(world.now)
    link.server.hold()
    link.pump_server()
    world.run(0.05)
    link.server.send_goaway(GoAway.because("BadCertificate", last_stream_id=3))
    link.pump_server()
    world.finish()
    assert world.tally() == {
        "accepted": 1,
        "rejected ServiceUnavailable": 1,
        "unprocessed FATAL": 2,
    }
    assert [c.cause for _, c in world.commands if isinstance(c, Disconnect)] == [
        Cause.FATAL,
        Cause.GOAWAY,
    ]


def test_a_fatal_reason_overtakes_an_attempt_that_was_about_to_begin() -> None:
    world = World()
    world.submit(1)
    world.run(0.1)
    (link,) = world.live_links
    assert link.server is not None
    link.server.hold()
    world.run(0.03)
    # Both in one read.
    link.server.reset_stream(1, 7)
    link.server.send_goaway(GoAway.because("BadCertificate"))
    link.pump_server()
    world.finish()
    assert world.tally() == {"unprocessed FATAL": 1}


def test_after_a_fatal_reason_an_answer_is_the_last_word() -> None:
    world = World(apns=SimulatorConfig(authentication="none", latency=1.0))
    world.simulator.reject(device_token(1), Rejection.of("ServiceUnavailable"))
    world.submit(1)
    world.run()
    world.submit(1)
    world.run(0.5)
    (link,) = world.live_links
    assert link.server is not None
    link.server.send_goaway(GoAway.because("BadCertificate"))
    link.pump_server()
    world.finish()
    assert world.tally() == {"accepted": 1, "rejected ServiceUnavailable": 1}


# ── several connections ──


def narrow(**changes: object) -> World:
    """Make a world where each connection carries ten notifications a second."""
    config = replace(ONE, max_connections=4, max_queued=2_000, **changes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    apns = SimulatorConfig(authentication="none", max_concurrent_streams=5, latency=0.46)
    return World(config=config, apns=apns)


def test_more_connections_are_made_where_work_waits_on_capacity() -> None:
    world = narrow()
    world.offer(900)
    world.run(28.0)
    begun = world.connect_times
    assert len(begun) == 4
    # The first is warm after 0.1 s and an answer, and then blocked at once.
    assert begun[1] - begun[0] == pytest.approx(0.6 + 0.5, abs=0.1)
    assert all(after - before >= 1.0 for before, after in pairwise(begun))
    world.finish()
    assert world.tally() == {"accepted": 900}


def test_more_connections_are_made_where_work_waits_on_the_window() -> None:
    world = World(
        config=replace(ONE, max_connections=3, max_queued=2_000),
        network=Network(latency=0.2),
    )
    world.submit(1_000, payload=b'{"aps":"' + b"x" * 4_000 + b'"}')
    world.finish()
    assert world.tally() == {"accepted": 1_000}
    assert len(world.connect_times) == 3


def test_none_is_made_while_one_warms_up() -> None:
    world = narrow()
    states: list[list[ConnectionState | None]] = []

    def note(_number: int) -> str:
        states.append(
            [link.connection and link.connection.state for link in list(world.sender._links)[:-1]]
        )
        return "ok"

    world.connects = note  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    world.simulator.config = SimulatorConfig(
        authentication="none", max_concurrent_streams=5, latency=3.0
    )
    world.offer(60)
    world.finish()
    assert len(states) == 4
    for made_with in states:
        assert set(made_with) <= {ConnectionState.OPEN}


def test_the_wait_for_the_first_connection_is_no_reason_for_a_second() -> None:
    world = World(
        config=replace(ONE, max_connections=4),
        apns=SimulatorConfig(authentication="none", max_concurrent_streams=50),
        network=Network(latency=1.0),
    )
    world.submit(400)
    world.run(9.0)
    # Connected after 4 s, warm after 7 s; from then on the queue waits on capacity.
    assert world.connect_times == [START, START + 7.5]


def test_as_many_as_are_allowed_and_no_more() -> None:
    world = narrow()
    world.submit(400)
    world.run(20.0)
    assert len(world.live_links) == 4
    world.finish()
    assert len(world.connect_times) == 4


def test_surplus_connections_are_closed_and_one_is_kept() -> None:
    world = narrow(surplus_after=100.0)
    world.offer(900)
    world.run()
    assert len(world.live_links) == 4
    world.run(99.0)
    assert len(world.live_links) == 4
    woken = world.wake_ups
    world.run(2.0)
    assert len(world.live_links) == 1
    assert world.wake_ups <= woken + 4
    closed = [command for _, command in world.commands if isinstance(command, Disconnect)]
    assert {command.cause for command in closed} == {Cause.RETIRED}
    world.run(3_000.0)
    assert len(world.live_links) == 1
    # What was let go is no failure: the next connect waits for nothing.
    world.live_links[0].cut()
    world.submit(1)
    world.finish()
    assert len(world.connect_times) == 5


def test_a_surplus_connection_that_was_never_of_use_is_no_failure() -> None:
    world = World(
        config=replace(ONE, max_connections=2, surplus_after=50.0),
        apns=SimulatorConfig(authentication="none", max_concurrent_streams=5, latency=0.6),
        network=Network(latency=0.4),
    )
    # All is done before the second connection stands. Then the first is kept in use.
    world.submit(8)
    world.after(10.0, lambda: submit_each_second(world, 50))
    world.run(10.0)
    while len(world.live_links) == 2:
        world.run(0.5)
    assert [record.requests > 0 for record in world.simulator.ledger.connections] == [True, False]
    world.live_links[0].cut()
    at = world.now
    world.submit(1)
    world.run(0.1)
    assert world.connect_times[-1] == at


def test_the_floor_lies_between_connections_that_work_asks_for() -> None:
    # With a certificate a connection is open, and blocked, before anything is answered.
    world = World(
        config=replace(ONE, max_connections=4, scale_after=0.0, connect_floor=5.0),
        apns=SimulatorConfig(authentication="none", max_concurrent_streams=5, latency=4.0),
        token_authentication=False,
    )
    world.submit(60)
    world.finish()
    gaps = [after - before for before, after in pairwise(world.connect_times)]
    assert len(gaps) >= 2
    assert gaps == pytest.approx([5.0] * len(gaps), abs=1.0)


# ── late answers to commands ──


def bare() -> Sender[int]:
    world = World()
    return Sender(world.sender._endpoint, rng=world.rng, now=0.0, unix_time=0.0)


def submit(sender: Sender[int], now: float) -> ConnectionId:
    sender.submit(Notification(ROUTE, "ab", b"{}"), 0, now)
    (connect,) = [command for command in sender.commands() if isinstance(command, Connect)]
    return connect.connection_id


def test_given_up_while_it_is_made_and_made_all_the_same_it_is_closed() -> None:
    sender = bare()
    connection_id = submit(sender, 0.0)
    sender.abort(0.1)
    (disconnect,) = sender.commands()
    assert isinstance(disconnect, Disconnect)
    sender.connected(connection_id, 0.2)
    assert b"PRI * HTTP/2.0" in sender.data_to_send(connection_id)
    (again,) = sender.commands()
    assert again == Disconnect(connection_id, Cause.CLOSED, 3.2)
    closed_before = sender.closed
    sender.receive_eof(connection_id, 0.3)
    assert [closed_before, sender.closed] == [False, True]
    assert sender.poll_timeout() is None


def test_given_up_while_it_is_made_it_is_gone_when_it_has_failed() -> None:
    sender = bare()
    connection_id = submit(sender, 0.0)
    sender.abort(0.1)
    sender.connect_failed(connection_id, 0.2)
    assert sender.closed
    assert sender.commands() == []


def test_no_command_comes_for_a_connection_that_is_gone() -> None:
    sender = bare()
    connection_id = submit(sender, 0.0)
    sender.connected(connection_id, 0.1)
    sender.abort(0.2)  # commands `Disconnect`, and before it is drained:
    sender.receive_eof(connection_id, 0.2)
    assert sender.commands() == []
    assert sender.data_to_send(connection_id) == b""
    assert sender.closed


def test_before_it_is_connected_there_is_nothing_to_send_and_nothing_to_read() -> None:
    sender = bare()
    connection_id = submit(sender, 0.0)
    assert sender.data_to_send(connection_id) == b""
    sender.receive_data(connection_id, b"junk", 0.1)
    sender.receive_eof(connection_id, 0.1)
    # Told in the wrong words, but told: it is gone.
    assert sender.poll_timeout() == pytest.approx(1.0)


def test_a_ready_connection_is_told_of_no_time_that_has_passed() -> None:
    world = World(config=replace(ONE, connection=ConnectionConfig(idle_ping_after=None)))
    world.submit(1)
    world.run()
    assert world.sender.poll_timeout() is None


def test_s19_where_stream_ids_run_out_another_connection_takes_over() -> None:
    world = World(apns=SimulatorConfig(authentication="none"))
    world.submit(1)
    world.run()
    (link,) = world.sender._links
    assert link.connection is not None
    link.connection._http.next_stream_id = 2**30 - 21
    world.submit(50)
    world.run(0.05)
    world.submit(50)
    world.finish()
    assert world.tally() == {"accepted": 101}
    assert set(world.attempts().values()) == {1}
    assert len(world.connect_times) == 2
