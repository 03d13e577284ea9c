import pytest

from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.limits import GlitchBudget, window_updates_allowed


def spend(budget: GlitchBudget, times: int, now: float, streams: int = 0) -> None:
    for _ in range(times):
        budget.spend("frames of no use", now, streams)


def refused(budget: GlitchBudget, now: float, streams: int = 0) -> None:
    with pytest.raises(RemoteProtocolError, match="a flood of frames of no use") as caught:
        budget.spend("frames of no use", now, streams)
    assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM


def test_a_burst_of_10_000_and_no_more() -> None:
    budget = GlitchBudget(now=5.0)
    spend(budget, 10_000, now=5.0)
    refused(budget, now=5.0)


def test_330_a_second_for_ever() -> None:
    budget = GlitchBudget(now=0.0)
    for second in range(1_000):
        spend(budget, 330, now=float(second))


def test_331_a_second_not_for_ever() -> None:
    budget = GlitchBudget(now=0.0)

    def go_on() -> None:
        for second in range(20_000):
            spend(budget, 331, now=float(second))

    with pytest.raises(RemoteProtocolError):
        go_on()


def test_time_and_streams_refill_up_to_the_burst() -> None:
    budget = GlitchBudget(now=0.0)
    spend(budget, 10_000, now=0.0)
    spend(budget, 10_001, now=1e9, streams=10**9)
    refused(budget, now=1e9, streams=10**9)


def test_four_a_stream_need_no_time() -> None:
    # A server that answers each request with SETTINGS twice and RST_STREAM twice.
    budget = GlitchBudget(now=0.0)
    for streams in range(1, 20_000):
        spend(budget, 4, now=0.0, streams=streams)


def test_five_a_stream_are_too_many() -> None:
    budget = GlitchBudget(now=0.0)

    def go_on() -> None:
        for streams in range(1, 20_000):
            spend(budget, 5, now=0.0, streams=streams)

    with pytest.raises(RemoteProtocolError):
        go_on()


def test_a_dear_frame_counts_for_many() -> None:
    budget = GlitchBudget(now=0.0)
    budget.spend("frames of no use", 0.0, 0, cost=9_999)
    spend(budget, 1, now=0.0)
    refused(budget, now=0.0)


def test_window_updates_follow_what_was_sent() -> None:
    assert window_updates_allowed(0, 0) == 5
    assert window_updates_allowed(1, 1) == 27
    assert window_updates_allowed(10, 30) == 625
