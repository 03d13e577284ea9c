"""Every kind of request against every check; `matrix` has the table."""

from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from apns_core import Broadcast, ChannelRequest, Notification, PushType
from tests.apns_core.requests import matrix
from tests.apns_core.requests.kinds import KINDS, Kind
from tests.apns_core.requests.matrix import CHECKS

PAGE = Path(__file__).parents[3] / "docs" / "requests.md"


@cache
def documented() -> dict[str, dict[str, str]]:
    """Read the page's table: row, then column."""
    _, _, section = PAGE.read_text("utf-8").partition("## What is tested of each\n")
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    )
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def test_the_page_has_the_same_rows_and_columns() -> None:
    assert [*documented()] == [kind.name for kind in KINDS]
    assert all([*row] == [*CHECKS] for row in documented().values())


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
@pytest.mark.parametrize("check", CHECKS)
def test_cell(kind: Kind, check: str) -> None:
    assert CHECKS[check](kind) == documented()[kind.name][check]


def test_no_kind_is_missing() -> None:
    names = {kind.name for kind in KINDS}
    assert {push_type.value for push_type in PushType} < names
    made = {type(kind.make()) for kind in KINDS}
    assert made == {Notification, Broadcast, *get_args(ChannelRequest)}


def test_a_mistake_in_a_row_is_seen() -> None:
    # The checks are not empty: a row that differs from what is sent fails in its column.
    alert = KINDS[0]
    wrong = {
        "topic": Kind("alert", alert.make, ".voip"),
        "priority": Kind("alert", alert.make, "", priorities=(5,)),
        "payload, octets": Kind("alert", alert.make, "", limit=4_095),
        "built by": Kind("alert", alert.make, "", limit=4_095, builders=alert.builders),
        "expiration": Kind("alert", alert.make, "", expiration="required"),
        "collapse id": Kind("alert", alert.make, ""),
        "injection": Kind("alert", alert.make, "", texts={"collapse_id": ("harmless",)}),
        "accepted by the simulator": Kind("alert", alert.make, "", status=201),
    }
    for check, kind in wrong.items():
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            CHECKS[check](kind)


def test_it_is_printed_as_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "CHECKS", {"topic": CHECKS["topic"]})
    lines = matrix.markdown().splitlines()
    assert lines[:2] == ["| request | topic |", "| --- | --- |"]
    assert lines[2] == "| alert | bundle id |"
    assert len(lines) == 2 + len(KINDS)
