import math

import pytest

from gate import Check, Skipped, instruction_check


@pytest.mark.parametrize(
    ("counted", "holds"), [(899, False), (900, True), (1_100, True), (1_101, False)]
)
def test_instructions_may_move_by_a_tenth_either_way(counted: int, *, holds: bool) -> None:
    assert instruction_check(counted, 1_000).holds is holds


def test_a_broken_limit_says_what_to_do() -> None:
    assert "BROKEN (if meant: python benchmarks/gate.py --update)" in str(instruction_check(2, 1))


def test_a_ratio_has_only_an_upper_limit() -> None:
    assert Check("ratio", 0.0, 1.5).holds
    assert not Check("ratio", 1.6, 1.5).holds
    assert str(Check("ratio", 1.25, 1.5)) == "ratio: 1.25 (at most 1.5) ok"


def test_a_rate_has_only_a_lower_limit() -> None:
    assert Check("rate", 9.0, high=math.inf, low=2.5).holds
    assert not Check("rate", 2.4, high=math.inf, low=2.5).holds
    assert str(Check("rate", 3.5, high=math.inf, low=2.5)) == "rate: 3.5 (at least 2.5) ok"


@pytest.mark.parametrize(("promised", "holds"), [("1", False), ("", True)])
def test_what_is_missing_breaks_the_gate_only_where_it_is_promised(
    promised: str, monkeypatch: pytest.MonkeyPatch, *, holds: bool
) -> None:
    monkeypatch.setenv("APNS_REQUIRE_PEERS", promised)
    skipped = Skipped("adapters", "nginx is not installed")
    assert skipped.holds is holds
    assert "skipped, nginx is not installed" in str(skipped)
