from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core.backoff import BASE, CAP, JITTER, Backoff
from apns_core.errors import InvalidField


def delays(backoff: Backoff, count: int) -> list[float]:
    return [backoff.failed(0.0) for _ in range(count)]


def test_without_jitter_it_grows_by_the_factor_up_to_the_cap() -> None:
    assert delays(Backoff(Random(1), jitter=0.0), 13) == pytest.approx(
        [
            *(1, 1.6, 2.56, 4.096, 6.5536, 10.48576, 16.777216, 26.8435456, 42.94967296),
            *(68.719476736, 109.9511627776, 120, 120),
        ]
    )


def test_the_delay_starts_at_the_failure() -> None:
    assert Backoff(Random(1), jitter=0.0).failed(1_000.0) == 1_001.0


def test_success_starts_over() -> None:
    backoff = Backoff(Random(1), jitter=0.0)
    delays(backoff, 5)
    backoff.succeeded()
    assert delays(backoff, 2) == [1.0, 1.6]


def test_the_same_generator_makes_the_same_delays() -> None:
    assert delays(Backoff(Random(7)), 20) == delays(Backoff(Random(7)), 20)
    assert delays(Backoff(Random(7)), 20) != delays(Backoff(Random(8)), 20)


@given(st.integers())
def test_delays_grow_and_stay_in_their_bounds(seed: int) -> None:
    first, *rest = delays(Backoff(Random(seed)), 30)
    assert BASE * (1 - JITTER) <= first <= BASE * (1 + JITTER)
    early = [first, *rest[:9]]
    assert early == sorted(set(early))
    assert max(first, *rest) <= CAP
    # A fleet at the cap stays spread out: neither early nor all at once.
    late = rest[12:]
    assert min(late) >= CAP * (1 - JITTER) / (1 + JITTER)
    assert len(set(late)) == len(late)


def test_jitter_goes_both_ways() -> None:
    firsts = [Backoff(Random(seed)).failed(0.0) for seed in range(100)]
    assert min(firsts) < BASE * (1 - JITTER * 0.8)
    assert max(firsts) > BASE * (1 + JITTER * 0.8)


def test_it_can_run_for_years() -> None:
    backoff = Backoff(Random(1))
    assert max(delays(backoff, 10_000)) <= CAP


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"base": 0.0}, "base"),
        ({"base": -1.0}, "base"),
        ({"base": float("nan")}, "base"),
        ({"factor": 0.99}, "factor"),
        ({"factor": float("nan")}, "factor"),
        ({"jitter": -0.1}, "jitter"),
        ({"jitter": 1.0}, "jitter"),
        ({"jitter": float("nan")}, "jitter"),
        ({"cap": 1.1}, "cap"),
        ({"cap": float("nan")}, "cap"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        Backoff(Random(1), **options)
    assert caught.value.field == field


def test_options_at_their_bounds_are_taken() -> None:
    backoff = Backoff(Random(1), base=2.0, factor=1.0, jitter=0.0, cap=2.0)
    assert delays(backoff, 3) == [2.0, 2.0, 2.0]
