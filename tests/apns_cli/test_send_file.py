import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from apns_cli import file_run
from apns_cli.results import fingerprint
from apns_cli.results_file import ResultsFile
from apns_core.sender import DEFAULT_SENDER_CONFIG
from apns_simulator import Temper
from tests.apns_cli.conftest import Simulated
from tests.apns_cli.facts import read_facts

HELLO = ("send-file", "--app", "com.example.app", "--body", "Hello")
Json: TypeAlias = dict[str, Any]


def tokens(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(1, count + 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file of 20 device tokens."""
    path = tmp_path / "tokens.csv"
    path.write_text("\n".join(tokens(20)) + "\n")
    return path


def results_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.results.jsonl")


def records(path: Path) -> list[Json]:
    """Return the records, in the order of the input; each line must have one, and no more."""
    found: list[Json] = list(map(json.loads, results_of(path).read_text().splitlines()))
    found.sort(key=lambda record: int(record["line"]))
    lines = [record["line"] for record in found]
    assert len(set(lines)) == len(lines)
    return found


def sent(simulated: Simulated) -> Counter[str]:
    return Counter(entry.device_token for entry in simulated.simulator.ledger().entries)


NO_SPACE = (28, "No space left on device")
BROKEN = (5, "Input/output error")


def fails(
    error: tuple[int, str], *, then: Callable[..., None] | None = None
) -> Callable[..., None]:
    """Return what fails in place of a function: always, or once and then does what that does."""
    calls = 0

    def fail(*args: object) -> None:
        nonlocal calls
        calls += 1
        if then is None or calls == 1:
            raise OSError(*error)
        then(*args)

    return fail


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@contextmanager
def running(simulated: Simulated, *args: str) -> Generator["subprocess.Popen[str]"]:
    """Run the command in a process of its own, with an open standard input."""
    with subprocess.Popen(
        simulated.command(*args),
        env=os.environ | simulated.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


# ── whole runs ──


def test_a_list_of_device_tokens(simulated: Simulated, path: Path) -> None:
    simulated.simulator.reject("0" * 63 + "7", "Unregistered")
    result = simulated.run(*HELLO, "--json", str(path))
    assert (result.exit_code, result.stderr) == (1, "")
    report = json.loads(result.stdout)
    assert report.pop("seconds") > 0
    assert report.pop("per_second") > 0
    assert report == {
        "accepted": 19,
        "rejected": {"Unregistered": 1},
        "unprocessed": {},
        "unknown": {},
        "invalid": {},
        "earlier": 0,
        "stopped": None,
        "results": str(results_of(path)),
    }
    found = records(path)
    assert [record["line"] for record in found] == list(range(1, 21))
    assert [record["device"] for record in found] == list(map(fingerprint, tokens(20)))
    assert {record["outcome"] for record in found} == {"accepted", "rejected"}
    assert (found[6]["reason"], found[6]["status"]) == ("Unregistered", 410)
    assert "timestamp" in found[6]
    by_token = {entry.device_token: entry.apns_id for entry in simulated.simulator.ledger().entries}
    assert [record["apns_id"] for record in found] == [by_token[token] for token in tokens(20)]
    assert results_of(path).stat().st_mode & 0o777 == 0o600
    assert tokens(1)[0] not in results_of(path).read_text()
    assert simulated.simulator.ledger().violations == []


def test_the_table(simulated: Simulated, path: Path) -> None:
    result = simulated.run(*HELLO, str(path), "--tokens-in-results", "--fsync")
    assert (result.exit_code, result.stderr) == (0, "")
    facts = read_facts(result.stdout)
    assert {name: facts[name] for name in ("Accepted", "Rejected", "Invalid")} == {
        "Accepted": "20",
        "Rejected": "0",
        "Invalid": "0",
    }
    assert [record["device_token"] for record in records(path)] == tokens(20)


def test_whole_notifications_in_csv(simulated: Simulated, tmp_path: Path) -> None:
    path = tmp_path / "notifications.csv"
    path.write_text(
        "device_token,push_type,priority,payload,apns_id\n"
        f"{tokens(3)[0]},,,,\n"
        f'{tokens(3)[1]},background,5,"{{""aps"":{{""content-available"":1}}}}",'
        "00000000-0000-0000-0000-00000000000a\n"
        f"{tokens(3)[2]},nonsense,,,\n"
        '"\n'
    )
    result = simulated.run(*HELLO, "--json", str(path))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["invalid"] == {"push_type": 1, "line": 1}
    found = records(path)
    assert [record["line"] for record in found] == [2, 3, 4, 5]
    assert found[2]["outcome"] == found[3]["outcome"] == "invalid"
    assert found[2]["field"] == "push_type"
    assert found[2]["problem"].startswith("not one of alert")
    assert "nonsense" not in results_of(path).read_text()
    ledger = simulated.simulator.ledger()
    entries = {entry.device_token: entry for entry in ledger.entries}
    assert list(entries) == tokens(2)
    assert entries[tokens(2)[1]].apns_id == "00000000-0000-0000-0000-00000000000a"
    # Which it would be, were a background notification sent as an alert.
    assert ledger.violations == []


def test_whole_notifications_in_json_need_no_options(simulated: Simulated, tmp_path: Path) -> None:
    path = tmp_path / "notifications.jsonl"
    lines = [
        {"device_token": token, "topic": "com.example.app", "payload": {"aps": {"badge": 1}}}
        for token in tokens(2)
    ]
    path.write_text("\n".join(map(json.dumps, [*lines, {"device_token": "ab"}])))
    result = simulated.run("send-file", str(path))
    assert result.exit_code == 1
    assert [record["outcome"] for record in records(path)] == ["accepted", "accepted", "invalid"]
    assert records(path)[2]["field"] == "topic"


def test_standard_input_is_sent_as_it_comes(simulated: Simulated, tmp_path: Path) -> None:
    results = tmp_path / "sent.jsonl"
    args = (*HELLO, "--format", "csv", "--results", str(results), "--json", "-")
    with running(simulated, *args) as process:
        assert process.stdin is not None
        process.stdin.write(f"{tokens(1)[0]}\n")
        process.stdin.flush()
        wait_until(lambda: count_lines(results) == 1)
        output, errors = process.communicate("xyz\n" + tokens(2)[1], timeout=20)
    assert (process.returncode, errors) == (1, "")
    assert json.loads(output)["accepted"] == 2
    assert json.loads(output)["invalid"] == {"device_token": 1}
    assert count_lines(results) == 3


# ── after the end of a process ──


def test_killed_and_resumed_each_line_has_one_outcome_and_no_other_is_sent_again(
    simulated: Simulated, path: Path
) -> None:
    # Answers ten, and is then mute: the others are in flight when the process is killed.
    simulated.simulator.set_temper(Temper(first_connections=1, silent_after=10))
    with running(simulated, *HELLO, str(path)) as process:
        wait_until(lambda: count_lines(results_of(path)) == 10)
        wait_until(lambda: sent(simulated).total() == 20)
        process.kill()
    # And with the process ends the line that it was writing.
    with results_of(path).open("a") as file:
        file.write('{"line":20,"device":"sha2')
    without = set(tokens(20)) - {tokens(20)[record["line"] - 1] for record in records_cut(path)}
    assert len(without) == 10

    result = simulated.run(*HELLO, "--json", "--resume", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert (report["accepted"], report["earlier"]) == (20, 10)
    assert [record["line"] for record in records(path)] == list(range(1, 21))
    twice = {token for token, count in sent(simulated).items() if count == 2}
    assert twice == without
    assert sent(simulated).total() == 30

    # There is nothing left to do.
    result = simulated.run(*HELLO, "--resume", str(path))
    assert result.exit_code == 0
    assert read_facts(result.stdout)["Of these from before"] == "20"
    assert sent(simulated).total() == 30


def records_cut(path: Path) -> list[Json]:
    whole = results_of(path).read_text().splitlines()[:-1]
    return list(map(json.loads, whole))


def test_after_a_signal_all_that_was_taken_has_its_outcome(
    simulated: Simulated, tmp_path: Path
) -> None:
    results = tmp_path / "sent.jsonl"
    args = (*HELLO, "--format", "csv", "--results", str(results), "--json", "-")
    with running(simulated, *args) as process:
        assert process.stdin is not None
        process.stdin.write("".join(f"{token}\n" for token in tokens(5)))
        process.stdin.flush()
        wait_until(lambda: count_lines(results) == 5)
        process.send_signal(signal.SIGTERM)
        # The input is open still: it is not read on.
        assert process.wait(20) == 1
        output, errors = process.stdout, process.stderr
        assert output is not None
        assert errors is not None
        report = json.loads(output.read())
        complaint = errors.read()
    assert (report["accepted"], report["stopped"]) == (5, "SIGTERM")
    assert "stopped: SIGTERM; --resume sends what has no outcome yet" in complaint
    assert "Traceback" not in complaint


def test_a_second_signal_ends_at_once_what_is_in_flight(simulated: Simulated, path: Path) -> None:
    simulated.simulator.set_temper(Temper(first_connections=1, silent_after=10))
    with running(simulated, *HELLO, "--json", str(path)) as process:
        wait_until(lambda: count_lines(results_of(path)) == 10)
        wait_until(lambda: sent(simulated).total() == 20)
        # Of one kind, they might be one.
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=8)
    assert process.returncode == 1
    assert json.loads(output)["unknown"] == {"closed": 10}
    assert len(records(path)) == 20
    assert "Traceback" not in errors

    # It may have arrived: it is not sent again unasked.
    result = simulated.run(*HELLO, "--resume", str(path))
    assert result.exit_code == 1
    assert sent(simulated).total() == 20
    result = simulated.run(*HELLO, "--resume", "--resend-unknown", str(path))
    assert result.exit_code == 0
    assert sent(simulated).total() == 30
    assert {record["outcome"] for record in records(path)} == {"accepted"}


# ── resuming ──


def test_what_was_not_sent_is_tried_again(
    simulated: Simulated, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("".join(f"{token}\n" for token in [*tokens(3), "xyz"]))
    monkeypatch.setitem(simulated.env, "APNS_SERVER", "127.0.0.1:1")
    result = simulated.run_until_said("no connection", *HELLO, "--json", "--overwrite", str(path))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["unprocessed"] == {"deadline": 3}
    assert "no connection to 127.0.0.1:1" in result.stderr
    monkeypatch.undo()
    simulated.env["APNS_SERVER"] = f"{simulated.simulator.host}:{simulated.simulator.port}"
    # A line that was invalid has been corrected.
    path.write_text("".join(f"{token}\n" for token in tokens(4)))
    result = simulated.run(*HELLO, "--json", "--resume", str(path))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["accepted"] == 4
    assert len(records(path)) == 4


def test_rejections_are_final_but_for_the_reasons_that_are_named(
    simulated: Simulated, path: Path
) -> None:
    simulated.simulator.reject("0", "TopicDisallowed")
    simulated.simulator.reject("0" * 63 + "3", "Unregistered")
    assert simulated.run(*HELLO, str(path)).exit_code == 1
    simulated.simulator.reject("0", None)
    simulated.simulator.reject("0" * 63 + "3", None)
    result = simulated.run(*HELLO, "--json", "--resume", str(path))
    assert json.loads(result.stdout)["rejected"] == {"TopicDisallowed": 19, "Unregistered": 1}
    assert sent(simulated).total() == 20
    result = simulated.run(
        *HELLO, "--json", "--resume", "--resend-rejected", "TopicDisallowed", str(path)
    )
    assert result.exit_code == 1
    assert json.loads(result.stdout)["accepted"] == 19
    assert json.loads(result.stdout)["rejected"] == {"Unregistered": 1}
    assert sent(simulated).total() == 39


def test_a_header_is_read_also_when_the_rows_after_it_are_skipped(
    simulated: Simulated, tmp_path: Path
) -> None:
    path = tmp_path / "notifications.csv"
    path.write_text(f"collapse_id,device_token\na,{tokens(1)[0]}\n")
    assert simulated.run(*HELLO, str(path)).exit_code == 0
    with path.open("a") as file:
        file.write(f"b,{tokens(2)[1]}\n")
    result = simulated.run(*HELLO, "--json", "--resume", str(path))
    assert (result.exit_code, json.loads(result.stdout)["accepted"]) == (0, 2)
    assert sent(simulated) == Counter(tokens(2))


def test_a_first_device_token_with_an_outcome_is_not_sent_again(
    simulated: Simulated, path: Path
) -> None:
    path.write_text(f"{tokens(1)[0]}\n")
    assert simulated.run(*HELLO, str(path)).exit_code == 0
    # What follows is neither a header nor reason to look for one.
    path.write_text(f"{tokens(1)[0]}\nx,y\n{tokens(2)[1]}\n")
    assert simulated.run(*HELLO, "--resume", str(path)).exit_code == 1
    assert [record["outcome"] for record in records(path)] == ["accepted", "invalid", "accepted"]
    assert sent(simulated) == Counter(tokens(2))


def test_an_input_that_has_changed_is_refused_before_anything_is_sent(
    simulated: Simulated, path: Path
) -> None:
    assert simulated.run(*HELLO, str(path)).exit_code == 0
    before = results_of(path).read_bytes()
    path.write_text("".join(f"{token}\n" for token in tokens(21)[1:]))
    result = simulated.run(*HELLO, "--resume", str(path))
    assert result.exit_code == 2
    assert "line 1 is for another device than the results say" in result.stderr
    assert results_of(path).read_bytes() == before
    assert sent(simulated).total() == 20


def test_a_stream_that_has_changed_ends_the_run(simulated: Simulated, path: Path) -> None:
    assert simulated.run(*HELLO, str(path)).exit_code == 0
    args = (*HELLO, "--format", "csv", "--results", str(results_of(path)), "--resume", "-")
    with running(simulated, *args) as process:
        output, errors = process.communicate("".join(f"{token}\n" for token in tokens(21)))
        assert (process.returncode, errors) == (0, "")
        assert read_facts(output)["Accepted"] == "21"
    with running(simulated, *args, "--json") as process:
        output, errors = process.communicate("".join(f"{token}\n" for token in tokens(22)[1:]))
        assert process.returncode == 1
        assert "stopped: INPUT is not as it was: line 1 is for another device" in errors
        # Who reads the JSON alone must not take it for the end of the input.
        assert json.loads(output)["stopped"].startswith("INPUT is not as it was: line 1")
    assert sent(simulated).total() == 21


# ── what goes wrong ──


def test_gives_up_when_nothing_gets_through(
    simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_run, "GIVE_UP_AFTER", 3)
    path = tmp_path / "tokens.csv"
    count = 8 * DEFAULT_SENDER_CONFIG.max_queued
    path.write_text("".join(f"{token}\n" for token in tokens(count)))
    monkeypatch.setitem(simulated.env, "APNS_SERVER", "127.0.0.1:1")
    result = simulated.run_until_said("no connection", *HELLO, "--json", "--overwrite", str(path))
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert 3 <= report["unprocessed"]["deadline"] < count
    assert report["stopped"] == "3 in a row were unprocessed"
    assert "nothing listens there" in result.stderr


def test_stops_when_results_cannot_be_written(
    simulated: Simulated, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("".join(f"{token}\n" for token in tokens(2_000)))
    monkeypatch.setattr(ResultsFile, "flush", fails(NO_SPACE, then=ResultsFile.flush))
    result = simulated.run(*HELLO, "--json", str(path))
    assert result.exit_code == 1
    assert "the results cannot be written: No space left on device" in result.stderr
    # There was room again: what was sent is on record.
    assert {tokens(2_000)[record["line"] - 1] for record in records(path)} == set(sent(simulated))
    assert len(records(path)) < 2_000


def test_stops_also_in_the_midst_of_invalid_lines(
    simulated: Simulated, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("xyz\n" * 2_000)
    monkeypatch.setattr(ResultsFile, "flush", fails(NO_SPACE, then=ResultsFile.flush))
    assert simulated.run(*HELLO, str(path)).exit_code == 1
    assert len(records(path)) == file_run.FLUSH_AT


def test_says_that_results_were_not_written(
    simulated: Simulated, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResultsFile, "flush", fails(NO_SPACE))
    result = simulated.run(*HELLO, "--json", str(path))
    assert result.exit_code == 1
    assert "stopped: the results cannot be written: No space left on device" in result.stderr
    assert "20 outcomes are not on record, and --resume sends these lines again" in result.stderr


def test_a_disk_without_room_to_resume_is_not_the_fault_of_the_input(
    simulated: Simulated, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert simulated.run(*HELLO, str(path)).exit_code == 0
    before = results_of(path).read_bytes()

    monkeypatch.setattr(ResultsFile, "flush", fails(NO_SPACE))
    result = simulated.run(*HELLO, "--resume", str(path))
    assert result.exit_code == 2
    assert "--results: cannot be used (No space left on device)" in result.stderr
    assert results_of(path).read_bytes() == before


def test_an_input_that_cannot_be_read_is_named(
    simulated: Simulated, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert simulated.run(*HELLO, str(path)).exit_code == 0

    monkeypatch.setattr("apns_cli.send_file.verify", fails(BROKEN))
    result = simulated.run(*HELLO, "--resume", str(path))
    assert result.exit_code == 2
    assert "INPUT: cannot be used (Input/output error)" in result.stderr


def test_says_that_the_disk_did_not_keep_the_results(
    simulated: Simulated, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResultsFile, "sync", fails(BROKEN))
    result = simulated.run(*HELLO, "--json", str(path))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["stopped"] == "Input/output error"
    assert "stopped: Input/output error; --resume sends" in result.stderr


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ((), "Missing argument"),
        (("missing.csv",), "INPUT: cannot be opened (No such file"),
        (("tokens",), "--format"),
        (("-",), "--format"),
        (("--format", "csv", "-"), "--results"),
        (("tokens.csv", "--resume", "--overwrite"), "not both"),
        (("tokens.csv", "--resend-unknown"), "go with --resume"),
        (("tokens.csv", "--resend-rejected", "Shutdown"), "go with --resume"),
        (("tokens.csv", "--topic", "com.example.app"), "--topic takes the place of --app"),
        (("tokens.csv", "--results", "tokens.csv", "--overwrite"), "tokens.csv: is the input"),
        (("tokens.csv", "--results", "old.jsonl"), "--resume goes on with it"),
        (("tokens.csv", "--results", "old.jsonl", "--resume"), "line 1 is not one"),
        (("tokens.csv", "--results", "no/where.jsonl"), "--results: cannot be opened (No"),
        (("tokens.csv", "--push-type", "background"), "--body"),
        (("empty.csv",), "empty.csv: there is nothing in it"),
        (("strange.csv",), "column 2 of the header"),
    ],
)
def test_wrong_usage(
    args: tuple[str, ...],
    complaint: str,
    simulated: Simulated,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(path.parent)
    Path("tokens").write_text("ab\n")
    Path("old.jsonl").write_text("precious\n")
    Path("empty.csv").write_text("\n# nothing\n")
    Path("strange.csv").write_text("device_token,secret\n")
    result = simulated.run(*HELLO, *args)
    assert result.exit_code == 2
    # Not as the lines are broken.
    assert complaint in " ".join(result.stderr.split())
    assert "secret" not in result.stderr
    assert Path("old.jsonl").read_text() == "precious\n"
    assert path.read_text() == "\n".join(tokens(20)) + "\n"
    assert sent(simulated).total() == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--body", "Hello"), "name the app by --app"),
        (("--app", "com.example.app"), "no payload"),
        (("--topic", "com.example.app", "--push-type", "voip"), "topic: push type voip asks"),
    ],
)
def test_what_would_be_wrong_with_every_line_is_wrong_usage(
    options: tuple[str, ...], complaint: str, simulated: Simulated, path: Path
) -> None:
    result = simulated.run("send-file", *options, str(path))
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert not results_of(path).exists()
