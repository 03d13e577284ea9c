"""The page and the chart are what the results say, and nobody has typed into them."""

import json
from pathlib import Path
from typing import Any

import pytest

from page import SECTIONS, page, paragraphs
from report import CHART, PAGE, RESULTS, chart_digest, results

REMEDY = "run `python benchmarks/report.py`"


def test_the_page_is_made_from_the_committed_results() -> None:
    assert PAGE.read_text() == page(results()), REMEDY


@pytest.mark.parametrize("file", CHART, ids=lambda file: str(file.suffix))
def test_the_chart_shows_the_committed_comparison(file: Path) -> None:
    assert f"compare.json {chart_digest()}".encode() in file.read_bytes(), REMEDY


@pytest.mark.parametrize("name", ["compare", "core", "growth", "memory", "rtt", "floods"])
def test_a_result_says_where_it_was_taken(name: str) -> None:
    provenance = json.loads((RESULTS / f"{name}.json").read_text())["provenance"]
    assert provenance.keys() >= {"date", "cpu", "cores", "python", "versions"}


def test_every_figure_comes_from_the_results() -> None:
    """Change one figure in each, and the page changes."""
    found = results()
    changes: list[tuple[Any, Any]] = [
        (found["compare"]["senders"][0], "us_cpu"),
        (found["core"]["parts"][0], "us"),
        (found["growth"]["growth"], "old_to_new"),
        (found["memory"]["soak"][0], "octets_a_notification"),
        (found["rtt"]["rows"][0], "per_second"),
        (found["floods"]["rows"][0], "ratio"),
        (found["instructions"], next(iter(found["instructions"]))),
    ]
    before = page(found)
    for holder, key in changes:
        holder[key] = 987_654
        after = page(found)
        assert after != before, key
        before = after


def test_a_missing_result_is_said_to_be_missing() -> None:
    text = page({})
    assert text.count("Not measured yet: `python benchmarks/") == len(SECTIONS)


def test_paragraphs_are_wrapped_and_parted() -> None:
    lines = list(paragraphs("word " * 50 + "end", "next"))
    assert max(map(len, lines)) <= 100
    assert lines[-2:] == ["", "next"]
    assert " ".join(lines[:-2]) == "word " * 50 + "end"
