"""Provider tokens: signed when due, shared by the connections, replaced when refused."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from apns_core import Reason, Sender, SignToken
from apns_simulator import GoAway, SimulatorConfig, Temper
from tests.apns_core.answering import Answering, accept, hold
from tests.apns_core.peer import NOW, reason
from tests.apns_core.world import ENDPOINT, ONE, START, World, token_authority

HOUR = 3_600.0
KEY, APNS = token_authority()


def submit_every(world: World, seconds: float, during: float, count: int = 1) -> None:
    """Submit so many at each of so many seconds, for so long."""
    for step in range(int(during / seconds)):
        world.after(step * seconds, partial(world.submit, count))


def _cannot_sign(_issued_at: int) -> None:
    return None


def test_a_token_is_signed_for_work_and_once() -> None:
    world = World(apns=APNS, key=KEY)
    world.run(10 * HOUR)
    assert world.signings == []
    world.submit(50)
    world.finish()
    assert world.signings == [START + 10 * HOUR]
    assert world.tally() == {"accepted": 50}


def test_with_a_certificate_none_is_signed() -> None:
    world = World(apns=SimulatorConfig(authentication="none"), token_authentication=False)
    world.submit(50)
    world.finish()
    assert world.signings == []
    assert world.tally() == {"accepted": 50}
    # Nobody asked for either.
    world.sender.token_signed("a.b.c", world.now)
    world.sender.signing_failed(world.now)
    world.sender.replace_token_key(world.now)


def test_with_a_certificate_an_expired_token_is_no_business_of_ours() -> None:
    world = World(
        apns=SimulatorConfig(authentication="none"),
        temper=Temper(answer_status=403, answer_reason="ExpiredProviderToken", first_connections=1),
        token_authentication=False,
    )
    world.submit(1)
    world.finish()
    assert world.tally() == {"accepted": 1}


def test_for_a_day_no_token_is_too_old_or_changes_too_soon() -> None:
    world = World(apns=APNS, key=KEY)
    submit_every(world, 60.0, 24 * HOUR)
    world.run(24 * HOUR)
    world.finish()
    # The simulator would have refused either.
    assert world.tally() == {"accepted": 24 * 60}
    assert len(world.connect_times) == 1
    assert len(world.signings) == 36
    assert all(after - before >= 20 * 60.0 for before, after in pairwise(world.signings))


@pytest.mark.parametrize("seed", range(2))
def test_nor_where_connections_come_and_go_at_any_age_of_it(seed: int) -> None:
    world = World(
        apns=SimulatorConfig(trusted_keys=APNS.trusted_keys, max_concurrent_streams=2, latency=2.0),
        key=KEY,
        seed=seed,
        config=replace(ONE, max_connections=3, surplus_after=1_000.0),
    )
    submit_every(world, 150.0, 8 * HOUR, count=8)

    def cut() -> None:
        for link in world.live_links[:1]:
            link.cut()

    at = 50.0
    while at < 8 * HOUR:
        world.after(at, cut)
        at += world.rng.uniform(200.0, 4_000.0)
    world.run(8 * HOUR)
    world.finish()
    assert world.simulator.ledger.by_reason.total() == 0
    assert set(world.tally()) <= {"accepted", "unknown CONNECTION_LOST"}
    assert len(world.connect_times) > 10


def test_an_expired_token_is_signed_anew_once_and_nothing_is_lost() -> None:
    # The machine's clock is 50 minutes slow: so is the token's.
    world = World(apns=APNS, key=KEY)
    world.sign = lambda issued_at: KEY.sign(issued_at - 3_000)
    submit_every(world, 0.5, 900.0)
    world.run(900.0)
    world.finish()
    assert world.tally() == {"accepted": 1_800}
    assert len(world.signings) == 2
    assert len(world.connect_times) == 2
    refused = world.simulator.ledger.by_reason
    assert set(refused) == {"ExpiredProviderToken"}


def test_a_full_connection_of_expired_tokens_loses_nothing() -> None:
    world = World()
    world.submit(1)
    world.run(400.0)
    world.simulator.temper = Temper(
        answer_status=403, answer_reason="ExpiredProviderToken", first_connections=1
    )
    world.submit(1_000)
    world.finish()
    assert world.tally() == {"accepted": 1_001}
    assert len(world.signings) == 2
    assert len(world.connect_times) == 2


def test_every_connection_that_used_a_refused_token_is_let_go() -> None:
    world = World(
        apns=SimulatorConfig(authentication="none", max_concurrent_streams=2, latency=0.5),
        config=replace(ONE, max_connections=2),
    )
    world.submit(20)
    world.run()
    assert len(world.live_links) == 2
    world.run(400.0)
    world.simulator.temper = Temper(
        answer_status=403, answer_reason="ExpiredProviderToken", first_connections=1
    )
    world.submit(4)
    world.finish()
    assert world.tally() == {"accepted": 24}
    assert {record.requests > 0 for record in world.simulator.ledger.connections} == {True}
    # Both knew the old token; what was left was sent on new ones, with the new token.
    assert len(world.signings) == 2
    assert len(world.connect_times) in {3, 4}


def test_too_many_updates_are_answered_with_another_connection_and_no_other_token() -> None:
    world = World()
    world.submit(1)
    world.run()
    world.simulator.temper = Temper(
        answer_status=429, answer_reason="TooManyProviderTokenUpdates", first_connections=1
    )
    world.submit(300)
    world.finish()
    assert world.tally() == {"accepted": 301}
    assert len(world.signings) == 1
    assert len(world.connect_times) == 2


def test_a_signing_that_fails_is_tried_again() -> None:
    world = World(apns=APNS, key=KEY)
    answers = [None, None, "ok"]
    world.sign = lambda issued_at: KEY.sign(issued_at) if answers.pop(0) else None
    world.submit(5)
    world.finish()
    assert world.tally() == {"accepted": 5}
    assert world.signings == [START, START + 10.0, START + 20.0]


def test_without_a_token_what_is_queued_ends_at_its_deadline() -> None:
    world = World()
    world.sign = lambda _: None
    world.submit(5)
    world.finish()
    assert world.tally() == {"unprocessed DEADLINE": 5}
    assert len(world.connect_times) == 1


def test_a_slow_signer_holds_up_and_does_no_harm() -> None:
    world = World(apns=APNS, key=KEY, config=replace(ONE, max_connections=4))
    world.sign_latency = 20.0
    world.submit(1_000)
    world.finish()
    assert world.tally() == {"accepted": 1_000}
    # Waiting for a token is not waiting on capacity.
    assert len(world.connect_times) == 1


def test_a_token_that_grows_old_while_signing_fails_is_sent_no_more() -> None:
    world = World(apns=APNS, key=KEY)
    world.submit(1)
    world.run()
    world.sign = lambda _: None
    submit_every(world, 30.0, 2 * HOUR)
    world.run(2 * HOUR)
    world.finish()
    # Refused by nobody: after an hour it was not offered any more.
    assert set(world.tally()) == {"accepted", "unprocessed DEADLINE"}
    assert world.simulator.ledger.by_reason.total() == 0


def test_after_a_key_was_revoked_all_connections_are_new_and_nothing_is_lost() -> None:
    other, trusted = token_authority()
    world = World(
        apns=SimulatorConfig(
            trusted_keys={**APNS.trusted_keys, **trusted.trusted_keys},
            max_concurrent_streams=5,
            latency=0.5,
        ),
        key=KEY,
        config=replace(ONE, max_connections=2),
    )
    world.submit(60)
    world.run(3.0)
    assert len(world.live_links) == 2
    assert world.sender.in_flight == 10
    world.sign = other.sign
    world.sender.replace_token_key(world.now)
    world.finish()
    # A connection that knew the first key would have refused the second.
    assert world.tally() == {"accepted": 60}
    assert world.simulator.ledger.by_reason.total() == 0
    assert len(world.signings) == 2
    assert len(world.connect_times) == 4


def test_a_key_that_is_revoked_while_it_connects_is_not_used() -> None:
    other, trusted = token_authority()
    world = World(apns=trusted, key=KEY)
    world.submit(3)
    world.run(0.01)
    world.sign = other.sign
    world.sender.replace_token_key(world.now)
    world.finish()
    assert world.tally() == {"accepted": 3}
    assert len(world.connect_times) == 1


@pytest.mark.parametrize("minutes", [30, 59, 61, 125, 600])
def test_a_connection_that_was_idle_for_as_long_as_a_token_lasts_is_kept(minutes: int) -> None:
    world = World(apns=APNS, key=KEY)
    world.submit(1)
    world.run(60.0 * minutes)
    world.submit(2)
    world.finish()
    assert world.tally() == {"accepted": 3}
    assert len(world.connect_times) == 1
    assert world.simulator.ledger.by_reason.total() == 0


def test_nothing_goes_with_an_old_token_while_none_can_be_signed() -> None:
    world = World(apns=APNS, key=KEY)
    world.submit(1)
    world.run(HOUR + 60.0)
    sign = world.sign
    world.sign = _cannot_sign
    world.submit(1)
    world.run(5.0)
    assert world.sender.queued == 1
    world.sign = sign
    world.finish()
    assert world.tally() == {"accepted": 2}
    assert len(world.connect_times) == 1


def test_another_key_lifts_what_was_said_of_the_one_before() -> None:
    world = World(apns=APNS, key=KEY)
    world.submit(1)
    world.run()
    (link,) = world.live_links
    assert link.server is not None
    link.server.hold()
    world.submit(1)
    world.run(0.05)
    link.server.send_goaway(GoAway.because("BadEnvironmentKeyIdInToken"))
    link.pump_server()
    world.run(1.0)
    assert world.sender.failure is Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN
    world.sender.replace_token_key(world.now)
    failure: object = world.sender.failure
    assert failure is None
    # It may say so again, of the key that is gone.
    world.submit(2)
    world.finish()
    assert world.tally()["accepted"] == 3


def test_a_token_is_neither_shown_nor_kept_in_the_open() -> None:
    world = World()
    world.sign = lambda _: "canary.canary.canary"
    world.submit(1)
    world.run()
    assert "canary" not in repr(world.commands) + repr(world.outcomes()) + repr(world.sender)
    world.finish()


def test_no_wall_clock_is_read_but_the_one_given() -> None:
    world = World()
    sender: Sender[int] = Sender(ENDPOINT, rng=world.rng, now=50.0, unix_time=1_000.5)
    sender.submit(world.submit(1)[0].notification, 0, 60.0)
    assert SignToken(1_010) in sender.commands()
    world.finish()


def test_a_refusal_is_of_the_token_that_the_request_carried() -> None:
    world = Answering(accept, token_authentication=True)
    world.submit()
    world.now += 38 * 60.0
    world.end()
    world.submit()  # the first token, on a connection that may not change it at once
    world.now += 3 * 60.0
    world.submit()  # another is signed, and waits
    assert world.signings == [NOW, NOW + 41 * 60.0]
    world.rule = hold
    world.now = NOW + 58.9 * 60.0
    world.sender.handle_timeout(world.now)
    former = world.submit()
    world.now = NOW + 59.2 * 60.0
    latter = world.submit()
    fields = {i: dict(world.peer.requests[i].fields)[b"authorization"] for i in (former, latter)}
    assert fields == {former: b"bearer token-1", latter: b"bearer token-2"}
    world.feed(world.peer.answer(former, 403, reason("ExpiredProviderToken")))
    # It is sent again, on a connection of its own, with the token that nobody has refused.
    assert len(world.signings) == 2
    assert list(world.peers) == [2, 3]
    assert dict(world.peer.requests[1].fields)[b"authorization"] == b"bearer token-2"
