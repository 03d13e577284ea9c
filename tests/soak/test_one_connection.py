from dataclasses import replace
from pathlib import Path

import pytest

from apns_core import Accepted, Cause, Unknown
from apns_core.metrics import Metrics
from tests.soak.one_connection import (
    CLIENTS,
    GROWTH_KIB,
    KINDS,
    Stretch,
    Watch,
    notifications,
    send_stretches,
)
from tests.soak.rounds import Usage

HELD = Usage(files=9, threads=1, rss_kib=50_000)
GOOD = Stretch(
    kind="accepted", count=100, others=0, connects=1, cpu_us=20.0, settled=HELD, last=HELD
)


@pytest.mark.peers
@pytest.mark.parametrize("adapter", CLIENTS)
def test_both_kinds_are_answered_on_one_connection(adapter: str, tmp_path: Path) -> None:
    stretches = send_stretches(adapter, 3_000, tmp_path, samples=4)
    assert [(s.kind, s.count, s.others, s.connects) for s in stretches] == [
        (kind, 3_000, 0, 1) for kind in KINDS
    ]


def test_one_that_is_repeated_lost_or_of_another_kind_is_counted() -> None:
    first, second, third, _ = notifications("accepted", 4)
    watch = Watch("accepted", 4)
    for outcome in (
        Accepted(second, None),
        Accepted(first, None),
        Accepted(first, None),
        Unknown(third, None, Cause.RESET),
    ):
        watch.take(outcome)
    stretch = watch.done(Metrics())
    assert (stretch.count, stretch.others) == (2, 3)


def test_what_is_kept_is_a_fault() -> None:
    assert GOOD.faults == []
    held = replace(HELD, rss_kib=HELD.rss_kib + GROWTH_KIB)
    assert replace(GOOD, last=held).faults == []


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, others=1),
        replace(GOOD, connects=2),
        replace(GOOD, last=replace(HELD, rss_kib=HELD.rss_kib + GROWTH_KIB + 1)),
        replace(GOOD, last=replace(HELD, files=10)),
        replace(GOOD, last=replace(HELD, threads=2)),
    ],
    ids=["another outcome", "another connection", "memory", "files", "threads"],
)
def test_each_fault_is_told(bad: Stretch) -> None:
    assert len(bad.faults) == 1
