from typing import Any

import pytest
from hyperframe.frame import RstStreamFrame

from apns_simulator import Temper
from apns_simulator.ledger import Ledger
from tests.apns_simulator.raw_client import RawClient, fields, make_simulator

LIMIT = 0x3
REFUSED, CLOSED = 7, 5


def limits(client: RawClient) -> list[int]:
    return [settings[LIMIT] for settings in client.settings if LIMIT in settings]


def test_a_second_stream_before_the_first_acceptance_is_refused() -> None:
    client = RawClient(make_simulator())
    first, *others = client.burst(4)
    assert first.status == 200
    assert [answer.resets for answer in others] == [[REFUSED, CLOSED]] * 3
    ledger = client.simulator.ledger
    assert ledger.streams_before_acceptance == 4
    assert ledger.by_unprocessed_cause == {"refused": 3}
    assert ledger.violation_count == 3
    assert "before a request was accepted" in ledger.violations[0]


def test_after_an_acceptance_many_streams_are_open() -> None:
    client = RawClient(make_simulator())
    client.request()
    assert [answer.status for answer in client.burst(100)] == [200] * 100
    ledger = client.simulator.ledger
    assert (ledger.streams_before_acceptance, ledger.peak_streams) == (1, 100)
    assert ledger.violations == []


def test_a_rejection_does_not_open_the_gate() -> None:
    client = RawClient(make_simulator())
    assert client.request(fields("zz")).status == 400
    assert [answer.status for answer in client.burst(2)] == [200, None]


def test_a_client_knows_of_its_own_reset_at_once() -> None:
    client = RawClient(make_simulator())
    stream_id, headers, _ = client.request_frames()
    client.send_bytes(headers)
    _, *next_request = client.request_frames()
    client.send_bytes(RstStreamFrame(stream_id, 8).serialize() + b"".join(next_request))
    assert client.answer(stream_id + 2).status == 200
    assert client.simulator.ledger.streams_before_acceptance == 1
    assert client.simulator.ledger.violations == []


@pytest.mark.parametrize(
    "config", [{"authentication": "none"}, {"one_stream_until_accepted": False}]
)
def test_the_gate_is_for_tokens_and_can_be_left_open(config: dict[str, Any]) -> None:
    client = RawClient(make_simulator(**config))
    assert [answer.status for answer in client.burst(5)] == [200] * 5
    assert client.simulator.ledger.streams_before_acceptance == 5


def test_the_first_settings_may_say_one() -> None:
    client = RawClient(make_simulator(first_max_concurrent_streams=1))
    assert limits(client) == [1]
    client.request()
    assert limits(client) == [1, 1000]
    client.request()
    assert limits(client) == [1, 1000]


@pytest.mark.parametrize("acknowledge", [True, False])
def test_the_announced_limit_is_enforced_and_blamed_on_who_knew_it(acknowledge: bool) -> None:  # noqa: FBT001
    simulator = make_simulator(authentication="none", max_concurrent_streams=3)
    client = RawClient(simulator, acknowledge=acknowledge)
    answers = client.burst(5)
    assert [answer.status for answer in answers] == [200, 200, 200, None, None]
    assert [answer.resets for answer in answers[3:]] == [[REFUSED, CLOSED]] * 2
    assert simulator.ledger.violation_count == (2 if acknowledge else 0)


def test_a_limit_of_zero_refuses_everything() -> None:
    client = RawClient(make_simulator(authentication="none", max_concurrent_streams=0))
    assert client.request().resets == [REFUSED, CLOSED]


def test_a_stream_counts_until_its_answer_has_left() -> None:
    client = RawClient(make_simulator(authentication="none", max_concurrent_streams=1))
    for _ in range(3):
        assert client.request().status == 200
    pieces = [client.request_frames() for _ in range(2)]
    for _, headers, data in pieces:
        client.connection.receive_data(headers + data, 0.0)  # Nothing is read in between.
    client.read()
    assert [client.answer(stream_id).status for stream_id, _, _ in pieces] == [200, None]


def drop_client() -> RawClient:
    client = RawClient(make_simulator(Temper(limit_drop_on_rejection=True)))
    client.request()
    return client


def test_the_limit_drops_on_a_rejection_and_returns_on_the_next_acceptance() -> None:
    client = drop_client()
    client.request(fields("zz"))
    assert limits(client) == [1000, 1]
    client.request(fields("zz"))
    assert limits(client) == [1000, 1]
    client.request()
    assert limits(client) == [1000, 1, 1000]


def test_streams_caught_by_the_drop_are_reset_twice() -> None:
    client = drop_client()
    bad = client.request_frames(fields("zz"))
    caught = [client.request_frames() for _ in range(5)]
    client.send_bytes(b"".join(headers + data for _, headers, data in [bad, *caught]))
    assert client.answer(bad[0]).status == 400
    assert [client.answer(made[0]).resets for made in caught] == [[REFUSED, CLOSED]] * 5
    ledger: Ledger = client.simulator.ledger
    assert ledger.by_unprocessed_cause == {"refused": 5}
    assert ledger.violations == []  # The client could not have known.
    assert ledger.processed_count == 2
    assert client.request().status == 200
    assert [answer.status for answer in client.burst(5)] == [200] * 5


def test_streams_in_flight_before_the_drop_are_answered() -> None:
    client = RawClient(make_simulator(Temper(limit_drop_on_rejection=True), latency=1.0))
    client.request()
    client.wait(1.0)
    bad = client.request(fields("zz"), now=2.0)
    early = client.burst(3, now=2.5)
    client.wait(3.0)
    assert bad.status == 400
    assert limits(client) == [1000, 1]
    late = client.request(now=3.1)
    assert late.resets == [REFUSED, CLOSED]
    client.wait(3.5)
    assert [answer.status for answer in early] == [200] * 3
    assert limits(client) == [1000, 1, 1000]


def test_without_the_temper_the_limit_stays() -> None:
    client = RawClient(make_simulator())
    client.request()
    client.request(fields("zz"))
    assert limits(client) == [1000]


def test_a_refused_stream_without_data_is_reset_once() -> None:
    client = RawClient(make_simulator(Temper(refuse_every=1)))
    assert client.request(body=b"").resets == [REFUSED]
    assert client.simulator.ledger.processed_count == 0


@pytest.mark.parametrize(("every", "refused"), [(1, [True] * 6), (3, [False, False, True] * 2)])
def test_refuses_every_so_manieth(every: int, refused: list[bool]) -> None:
    client = RawClient(make_simulator(Temper(refuse_every=every)))
    answers = [client.request() for _ in range(6)]
    assert [REFUSED in answer.resets for answer in answers] == refused
