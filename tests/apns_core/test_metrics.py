"""The counters of a sender, and the histogram under them."""

import math
import random

import pytest

from apns_core import PRODUCTION, Cause, Connect, Notification, Reason, Route, Sender
from apns_core.metrics import Histogram, Metrics, label
from apns_core.outcomes import Accepted, Outcome, Rejected, Unknown, Unprocessed

NOTIFICATION = Notification(Route("com.example.app"), "00fc", b"{}")
OUTCOMES: tuple[tuple[Outcome[None], str], ...] = (
    (Accepted(NOTIFICATION, None), "accepted"),
    (Rejected(NOTIFICATION, None, 410, Reason.UNREGISTERED), "Unregistered"),
    (Rejected(NOTIFICATION, None, 418, None, "Teapot"), "418"),
    (Unprocessed(NOTIFICATION, None, Cause.GOAWAY), "the server is going away"),
    (Unknown(NOTIFICATION, None, Cause.DEADLINE), "its deadline passed"),
)


@pytest.mark.parametrize(("outcome", "name"), OUTCOMES)
def test_each_outcome_has_a_name_from_a_closed_set(outcome: Outcome[None], name: str) -> None:
    assert label(outcome) == name


def test_each_outcome_is_counted_in_one_place() -> None:
    metrics = Metrics()
    for outcome, _ in OUTCOMES:
        metrics.count(outcome, 0.02)
    assert metrics.accepted == 1
    assert metrics.rejected == {"Unregistered": 1, "418": 1}
    assert metrics.unprocessed == {Cause.GOAWAY: 1}
    assert metrics.unknown == {Cause.DEADLINE: 1}
    assert metrics.latency.count == 3, "what nobody answered has no latency"


def test_a_bound_is_inclusive_and_the_last_bucket_has_none() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 7.0


def test_a_quantile_is_the_bound_of_its_bucket() -> None:
    histogram = Histogram((1.0, 2.0))
    assert histogram.quantile(0.5) == 0.0
    for value in (0.5, 0.5, 1.5, 9.0):
        histogram.observe(value)
    assert [histogram.quantile(share) for share in (0.5, 0.75, 0.99)] == [1.0, 2.0, math.inf]


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []

    def on_outcome(self, outcome: Outcome[object], seconds: float) -> None:
        self.seen.append((label(outcome), seconds))

    def on_retry(self, cause: str) -> None:
        self.seen.append(("retry", cause))

    def on_connect(self) -> None:
        self.seen.append(("connect", None))

    def on_goaway(self, reason: str) -> None:
        self.seen.append(("goaway", reason))


def test_a_sender_tells_its_observer_what_it_counts() -> None:
    recorder = Recorder()
    sender: Sender[None] = Sender(
        PRODUCTION,
        rng=random.Random(1),
        now=0.0,
        unix_time=1e9,
        token_authentication=False,
        observer=recorder,
    )
    sender.submit(NOTIFICATION, None, 0.0)
    (command,) = sender.commands()
    assert isinstance(command, Connect)
    connection_id = command.connection_id
    sender.connected(connection_id, 1.0)
    empty_settings = bytes.fromhex("000000040000000000")
    sender.receive_data(connection_id, empty_settings, 1.0)
    sender.data_to_send(connection_id)
    goaway = bytes.fromhex("000008070000000000 00000000 00000000")
    sender.receive_data(connection_id, goaway, 1.5)
    sender.handle_timeout(30.0)
    assert recorder.seen == [
        ("connect", None),
        ("goaway", ""),
        ("retry", "the server is going away"),
        *[("connect", None)] * (sender.metrics.connects - 1),
        ("its deadline passed", 30.0),
    ]
    assert sender.metrics.submitted == 1
    assert sender.metrics.goaways == {"": 1}
    assert sender.metrics.retries == {"the server is going away": 1}
    assert sender.metrics.unprocessed == {Cause.DEADLINE: 1}
