import os
import subprocess
import sys
from pathlib import Path

import pytest

from apns_core import __compiled__
from tests.simulation.__main__ import main
from tests.simulation.chaos import INJECTIONS
from tests.simulation.clock import START, Clock, Trace, frames_of
from tests.simulation.faults import Fault
from tests.simulation.plants import PLANTS, planted
from tests.simulation.report import Totals, live, shrink
from tests.simulation.world import World

ROOT = Path(__file__).parents[2]
SEEDS = range(20)
_FOUND_WITHIN = range(12)
"""Seeds by which every planted mistake must be found."""

plants = pytest.mark.skipif(
    __compiled__, reason="compiled code calls its own functions directly, not what is planted there"
)


def test_no_world_sees_a_broken_promise() -> None:
    totals = Totals()
    for seed in SEEDS:
        report = live(seed)
        totals.add(report)
        assert report.violation is None, report.verdict
    # A simulation in which nothing happens would find nothing either.
    assert totals.pushes > 40 * len(SEEDS)
    assert set(totals.outcomes) == {"accepted", "rejected", "unprocessed", "unknown", "cancelled"}
    assert len(totals.injected) > len(Fault) * 0.9


@plants
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_mistake_is_found(name: str) -> None:
    with planted(name):
        assert any(live(seed).violation is not None for seed in _FOUND_WITHIN)


def test_one_seed_has_one_trace_in_every_process() -> None:
    script = (
        "from tests.simulation.report import live\n"
        "print([live(seed).trace_hash for seed in (3, 5, 7)])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1")
    }
    assert len(printed) == 1
    assert live(3).trace_hash in printed.pop()
    assert live(3).trace_hash != live(4).trace_hash


def test_showing_the_trace_changes_nothing() -> None:
    lines: list[str] = []
    assert live(5, lines.append).trace_hash == live(5).trace_hash
    assert any("HEADERS 1" in line for line in lines)


def test_the_trace_tells_no_device_and_no_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "seed 3: no violation" in printed
    assert "accepted" in printed
    # A device token has 64 digits, a JWT three parts; nothing here is half as long.
    assert max(map(len, printed.replace(",", " ").split())) < 40


def test_many_seeds_are_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0-2", "--jobs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "3 seeds" in printed
    assert "0 violations" in printed


@plants
def test_a_violation_is_told_with_the_command_that_shows_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with planted("no warming up"):
        assert main(["--seeds", "0", "--jobs", "1"]) == 1
        assert main(["--seed", "0"]) == 1
    printed = capsys.readouterr().out
    assert "python -m tests.simulation --seed 0" in printed
    assert "1 violations, seeds [0]" in printed


@plants
def test_a_violation_is_shrunk_to_the_faults_that_it_needs() -> None:
    with planted("last-stream-id is taken for 0"):
        seed = next(seed for seed in range(50) if live(seed).violation is not None)
        needed = shrink(seed)
        whole = set(World(seed).faults)
        assert set(needed) < whole
        assert live(seed, without=frozenset(whole - set(needed))).violation is not None
        for fault in needed:
            without = frozenset(whole - set(needed)) | {fault}
            assert live(seed, without=without).violation is None
    assert shrink(seed) == ()


@plants
def test_whatever_the_engine_raises_is_a_violation() -> None:
    with planted("the engine raises"):
        report = live(0)
    assert report.violation is not None
    assert "ZeroDivisionError raised at plants.py" in report.violation


def test_every_fault_can_be_injected() -> None:
    assert set(INJECTIONS) == set(Fault)


def test_equal_times_keep_their_order() -> None:
    clock = Clock()
    seen: list[int] = []
    for number in range(5):
        clock.at(START + 1, lambda number=number: seen.append(number))  # type: ignore[misc]
    clock.at(START - 1, lambda: seen.append(-1))
    clock.run(START + 2)
    assert seen == [-1, 0, 1, 2, 3, 4]
    assert clock.now == START + 2


def test_a_trace_hashes_what_is_written() -> None:
    one, other = Trace(Clock()), Trace(Clock())
    one.wire("a", "writes", b"\x00")
    other.wire("a", "writes", b"\x01")
    assert one.hash != other.hash


def test_frames_are_named() -> None:
    ping = b"\x00\x00\x08\x06\x01\x00\x00\x00\x00pingping"
    reset = b"\x00\x00\x04\x03\x00\x00\x00\x00\x05\x00\x00\x00\x07"
    assert frames_of(ping + ping + reset) == "2 x PING ACK, RST_STREAM(7) 5"
    assert frames_of(b"\x00\x00\x09\x30\x00\x00\x00\x00\x00" + b"x") == "type 48, …"
    assert frames_of(b"HT") == "…"
