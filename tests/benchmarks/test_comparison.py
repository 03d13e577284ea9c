from typing import Any

import pytest

from comparison import round_of, summarise, table


def sender(name: str, *us_cpu: float, error: str | None = None) -> dict[str, Any]:
    rounds = [{"us_cpu": us, "per_second": 1e6 / us} for us in us_cpu]
    return {
        "name": name,
        "label": name,
        "note": "",
        "pinned": "1.0",
        "error": error,
        "versions": {name: "1.0"},
        "rounds": rounds,
    }


def test_a_round_is_cpu_of_user_and_system_for_each_push() -> None:
    done = {"sent": 200, "seconds": 0.5, "cpu_user": 0.003, "cpu_sys": 0.001}
    assert round_of(done) == {"us_cpu": 20.0, "per_second": 400.0}


def test_the_ratio_is_the_median_of_ratios_within_rounds() -> None:
    # The machine was four times slower in the second round: ratios of medians would say 20 / 10.
    base, other = sender("base", 10, 40, 10), sender("other", 20, 120, 30)
    summarise([base, other], baseline="base")
    assert base["ratio"] == 1.0
    assert other["ratio"] == 3.0
    assert other["us_cpu"] == 30.0
    assert other["us_cpu_range"] == [20.0, 120.0]


def test_a_sender_that_failed_later_is_compared_by_the_rounds_that_it_has() -> None:
    base, other = sender("base", 10, 10, 10), sender("other", 50, error="round 2: it fell over")
    summarise([base, other], baseline="base")
    assert other["ratio"] == 5.0


def test_without_a_baseline_there_is_no_ratio() -> None:
    other = sender("other", 50)
    summarise([other], baseline="base")
    assert "ratio" not in other
    assert other["us_cpu"] == 50.0


@pytest.mark.parametrize("rounds", [(), (50.0,)], ids=["at once", "later"])
def test_a_failure_has_a_row_with_its_error(rounds: tuple[float, ...]) -> None:
    one = sender("one", *rounds, error="round 1: a | b `c`")
    summarise([one], baseline="base")
    head, rule, row = table({"senders": [one]})
    assert "**failed**, round 1: a / b 'c'" in row
    assert head.count("|") == rule.count("|") == row.count("|")


def test_the_cheapest_comes_first_and_failures_last() -> None:
    rows = [sender("dear", 50), sender("none", error="x"), sender("cheap", 10)]
    summarise(rows, baseline="cheap")
    order = [line.split("|")[1].strip() for line in table({"senders": rows})][2:]
    assert order == ["cheap", "dear", "none"]
