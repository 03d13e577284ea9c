import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from click.testing import CliRunner

from apns_cli.audit import Discrepancy
from apns_cli.command import apns
from apns_cli.demo import REJECTIONS, Report, Run, failures, make_notifications, make_report
from apns_core import DISPOSITIONS, Accepted, Cause, Disposition, Reason, Rejected, Unknown
from apns_simulator import Ledger, Rejection, SimulatorConfig, SimulatorProcess, Temper
from tests.apns_cli.facts import read_facts

KEYS = [
    *("submitted", "accepted", "rejected", "unprocessed", "unknown", "seconds", "per_second"),
    *("p50_ms", "p99_ms", "streams_before_acceptance", "peak_streams", "header_bytes"),
    "ledger_agrees",
]

GOOD = Report(
    submitted=1,
    accepted=1,
    rejected={},
    unprocessed=0,
    unknown=0,
    seconds=1.0,
    per_second=1.0,
    p50_ms=1.0,
    p99_ms=1.0,
    streams_before_acceptance=1,
    peak_streams=1,
    header_bytes=80.0,
    ledger_agrees=True,
)


@pytest.mark.timeout(60)
def test_the_real_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "apns_cli", "demo", "--count", "300", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert list(report) == KEYS
    assert (report["submitted"], report["accepted"]) == (300, 297)
    assert (report["unprocessed"], report["unknown"]) == (0, 0)
    assert list(report["rejected"].values()) == [1, 1, 1]
    assert report["streams_before_acceptance"] == 1
    assert report["ledger_agrees"] is True
    # Rounded to a millisecond, it may be half of one too short; on a fast machine that is more than
    # what is between the last outcomes and the end.
    longest, shortest = report["seconds"] + 0.0005, report["seconds"] - 0.0005
    assert 0 < report["p50_ms"] <= report["p99_ms"] <= longest * 1000 + 0.005
    assert 300 / longest - 0.05 <= report["per_second"] <= 300 / shortest + 0.05
    assert 1 <= report["peak_streams"] <= 300
    assert report["header_bytes"] <= 90


def test_the_table_fits_a_terminal_of_80_columns_and_needs_no_colour() -> None:
    result = CliRunner().invoke(apns, ["demo", "--count", "100"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    facts = read_facts(result.stdout)
    expected = {
        "Submitted": "100",
        "Accepted": "99",
        "Rejected": "1",
        "Unprocessed": "0",
        "Unknown": "0",
        "Streams open before the first acceptance": "1",
        "The simulator's ledger agrees": "yes",
    }
    assert {name: facts.get(name) for name in expected} == expected
    assert facts["Latency, queue included: p50"].endswith(" ms")
    assert sum(rejection.reason in facts for rejection in REJECTIONS.values()) == 1
    assert "Each notification has exactly one outcome" in result.stdout


def test_fails_where_an_outcome_and_the_ledger_part(monkeypatch: pytest.MonkeyPatch) -> None:
    # The connection goes when the 5th request is processed and not yet answered.
    temper = Temper(first_connections=1, close_after_requests=5)
    monkeypatch.setattr("apns_cli.demo.SimulatorProcess", partial(SimulatorProcess, temper=temper))
    result = CliRunner().invoke(apns, ["demo", "--count", "20", "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["ledger_agrees"] is False
    assert report["unknown"] >= 1
    assert report["submitted"] == 20
    assert f"1 {Discrepancy.UNKNOWN}" in result.stderr


def test_fails_where_requests_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def count_only(config: SimulatorConfig) -> SimulatorProcess:
        return SimulatorProcess(config, keep_entries=False)

    monkeypatch.setattr("apns_cli.demo.SimulatorProcess", count_only)
    result = CliRunner().invoke(apns, ["demo", "--count", "20"])
    assert result.exit_code == 1
    assert f"20 {Discrepancy.NOT_PROCESSED}" in result.stderr
    assert "exactly one outcome" not in result.stdout


def test_fails_where_no_simulator_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = partial(SimulatorProcess, host="192.0.2.1")
    monkeypatch.setattr("apns_cli.demo.SimulatorProcess", elsewhere)
    result = CliRunner().invoke(apns, ["demo", "--json"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "the simulator did not start" in result.stderr


@pytest.mark.parametrize("options", [["--count", "0"], ["--count", "x"], ["--seed", "x"], ["x"]])
def test_wrong_usage(options: list[str]) -> None:
    result = CliRunner().invoke(apns, ["demo", *options])
    assert result.exit_code == 2
    assert "Usage: apns demo" in result.stderr


@pytest.mark.parametrize(("count", "rejected"), [(1, 0), (99, 0), (100, 1), (1234, 12)])
def test_one_in_a_hundred_goes_to_a_rejected_device(count: int, rejected: int) -> None:
    notifications = make_notifications(count, seed=1)
    tokens = [notification.device_token for notification in notifications]
    prefixes = Counter(token[:4] for token in tokens if token.startswith(tuple(REJECTIONS)))
    assert len(set(tokens)) == len(tokens) == count
    assert prefixes.total() == rejected
    assert len(prefixes) == min(rejected, len(REJECTIONS))
    assert {len(notification.payload) for notification in notifications} == {200}
    assert json.loads(notifications[0].payload)["aps"]["alert"]


def test_the_seed_decides() -> None:
    def tokens(seed: int) -> list[str]:
        return [notification.device_token for notification in make_notifications(500, seed)]

    assert tokens(1) == tokens(1)
    assert not set(tokens(1)) & set(tokens(2))


def test_no_rejection_is_one_that_is_tried_again() -> None:
    # A retry would be in the ledger as a request of its own.
    final = {Disposition.FAIL, Disposition.FORGET_DEVICE}
    assert len(REJECTIONS) >= 3
    for rejection in REJECTIONS.values():
        assert rejection.reason is not None
        assert rejection == Rejection.of(rejection.reason)
        assert DISPOSITIONS[Reason(rejection.reason)] in final


def test_the_report_counts_both_sides() -> None:
    one, *others = make_notifications(5, seed=1)
    run = Run(
        submitted=5,
        seconds=2.0,
        outcomes=[
            Accepted(one, None),
            *(
                Rejected(other, None, status, None, text)
                for other, (status, text) in zip(
                    others, [(410, "Unregistered"), (400, "New"), (502, None)], strict=False
                )
            ),
            Unknown(others[3], None, Cause.DEADLINE),
        ],
        latencies=[0.005, 0.001, 0.002, 0.004, 0.003],
    )
    report = make_report(run, Ledger(), agrees=False)
    assert report == Report(
        submitted=5,
        accepted=1,
        rejected={"502": 1, "New": 1, "Unregistered": 1},
        unprocessed=0,
        unknown=1,
        seconds=2.0,
        per_second=2.5,
        p50_ms=3.0,
        p99_ms=5.0,
        streams_before_acceptance=0,
        peak_streams=0,
        header_bytes=0.0,
        ledger_agrees=False,
    )


def test_the_report_of_no_outcome_has_no_latency() -> None:
    report = make_report(Run(submitted=1, seconds=1.0), Ledger(), agrees=False)
    assert (report.p50_ms, report.p99_ms, report.per_second) == (None, None, 0.0)


@pytest.mark.parametrize(
    ("report", "discrepancies", "complaints"),
    [
        (GOOD, {}, []),
        (
            replace(GOOD, streams_before_acceptance=2),
            {},
            ["2 streams were open before the first acceptance, and one may be"],
        ),
        (
            replace(GOOD, ledger_agrees=False, streams_before_acceptance=0),
            {Discrepancy.NOT_SENT: 1200, Discrepancy.NO_OUTCOME: 1},
            [
                "1,200 processed by the server, not sent from here",
                "1 without an outcome",
                "0 streams were open before the first acceptance, and one may be",
            ],
        ),
    ],
)
def test_what_fails_is_said(
    report: Report, discrepancies: dict[Discrepancy, int], complaints: list[str]
) -> None:
    assert list(failures(report, Counter(discrepancies))) == complaints
