import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from apns_cli.results import fingerprint
from apns_cli.results_file import Earlier, Record, ResultsFile, UnfitResults


def line(number: int, outcome: str = "accepted", **members: object) -> str:
    device = {} if outcome == "invalid" else {"device": fingerprint(f"{number:04}")}
    return json.dumps({"line": number, **device, "outcome": outcome, **members}) + "\n"


def keep_all(record: Record) -> bool:
    return record["outcome"] != "invalid"


def nothing(earlier: Earlier) -> None:
    del earlier


def resume(
    path: Path,
    keep: Callable[[Record], bool] = keep_all,
    check: Callable[[Earlier], None] = nothing,
) -> Earlier:
    results, earlier = ResultsFile.resume(path, keep, check)
    results.close()
    return earlier


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def test_lines_are_written_when_told_to_and_for_the_owner_alone(path: Path) -> None:
    results = ResultsFile.create(path, overwrite=False)
    results.append("a\n")
    results.append("b\n")
    assert path.read_text() == ""
    results.flush()
    assert path.read_text() == "a\nb\n"
    results.append("c\n")
    results.close()
    assert path.read_text() == "a\nb\nc\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_the_system_takes_in_part_is_written_in_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, full = os.write, [False]

    def write_little(descriptor: int, data: bytes) -> int:
        if full[0]:
            raise OSError(28, "No space left on device")
        full[0] = len(data) > 10
        return write(descriptor, data[:10])

    results = ResultsFile.create(path, overwrite=False)
    monkeypatch.setattr(os, "write", write_little)
    results.append("0123456789abcdef\n")
    with pytest.raises(OSError, match="No space"):
        results.flush()
    assert results.unwritten == 1
    results.append("next\n")
    assert results.unwritten == 2
    full[0] = False
    with pytest.raises(OSError, match="No space"):
        results.flush()
    full[0] = False
    results.close()
    assert results.unwritten == 0
    assert path.read_text() == "0123456789abcdef\nnext\n"


def test_an_older_file_is_not_overwritten_unasked(path: Path) -> None:
    path.write_text("precious")
    path.chmod(0o644)
    with pytest.raises(FileExistsError):
        ResultsFile.create(path, overwrite=False)
    assert path.read_text() == "precious"
    ResultsFile.create(path, overwrite=True).close()
    assert path.read_text() == ""
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    mode = pipe.stat().st_mode
    with pytest.raises(UnfitResults, match="not a regular file"):
        ResultsFile.create(pipe, overwrite=True)
    assert pipe.stat().st_mode == mode


def test_two_runs_do_not_share_a_file(path: Path) -> None:
    results = ResultsFile.create(path, overwrite=False)
    results.append(line(1))
    results.flush()
    for attempt in (
        lambda: ResultsFile.create(path, overwrite=True),
        lambda: ResultsFile.resume(path, keep_all, nothing),
    ):
        with pytest.raises(UnfitResults, match="another apns send-file"):
            attempt()
    assert path.read_text() == line(1)
    results.close()
    resumed, _ = ResultsFile.resume(path, keep_all, nothing)
    with pytest.raises(UnfitResults, match="another apns send-file"):
        ResultsFile.resume(path, keep_all, nothing)
    resumed.close()


def test_resuming_keeps_what_is_final_and_goes_on_after_it(path: Path) -> None:
    kept = [line(3), line(1, "rejected", status=410, reason="Unregistered")]
    path.write_text(
        kept[0] + line(4, "unprocessed", cause="closed") + kept[1] + line(2, "invalid", field="x")
    )
    results, earlier = ResultsFile.resume(
        path, lambda record: record["outcome"] in {"accepted", "rejected"}, nothing
    )
    results.append(line(4))
    results.close()
    assert path.read_text() == "".join([*kept, line(4)])
    assert path.stat().st_mode & 0o777 == 0o600
    assert [number in earlier for number in range(6)] == [False, True, False, True, False, False]
    assert earlier.is_of(3, fingerprint("0003"))
    assert not earlier.is_of(3, fingerprint("0001"))
    assert (earlier.count, earlier.last) == (2, 3)
    assert earlier.tally.members() == {
        "accepted": 1,
        "rejected": {"Unregistered": 1},
        "unprocessed": {},
        "unknown": {},
        "invalid": {},
    }
    assert list(path.parent.iterdir()) == [path]


def test_there_need_not_be_a_file_to_resume(path: Path) -> None:
    assert resume(path).count == 0
    assert path.read_text() == ""


@pytest.mark.parametrize("cut", range(1, len(line(2))))
def test_a_last_line_cut_short_is_no_outcome(cut: int, path: Path) -> None:
    path.write_text(line(1) + line(2)[:-cut])
    earlier = resume(path)
    # Without its line break, it is still all there.
    whole = cut == 1
    assert (2 in earlier) is whole
    assert path.read_text() == line(1) + (line(2) if whole else "")


@pytest.mark.parametrize("tail", [b"\0" * 100, b"\xff", b'{"line":2'])
def test_what_a_loss_of_power_leaves_is_no_outcome(tail: bytes, path: Path) -> None:
    path.write_bytes(line(1).encode() + tail)
    assert resume(path).count == 1
    assert path.read_text() == line(1)


@pytest.mark.parametrize("left", [b"", b"\0" * 100, b'{"li', b'{"line":1,"dev', b'{"line":1\0\0'])
def test_nothing_but_a_line_cut_short_is_no_outcome(left: bytes, path: Path) -> None:
    path.write_bytes(left)
    assert resume(path).count == 0
    assert path.read_bytes() == b""


def test_the_first_outcome_of_a_line_stands(path: Path) -> None:
    path.write_text(line(1) + line(1, "unknown", cause="deadline"))
    assert resume(path).tally.members()["accepted"] == 1
    assert path.read_text() == line(1)


@pytest.mark.parametrize(
    "strange",
    [
        "no JSON\n",
        "[1]\n",
        '{"line": 0, "device": "sha256:00000000", "outcome": "accepted"}\n',
        '{"line": true, "device": "sha256:00000000", "outcome": "accepted"}\n',
        '{"line": 1000000000000, "device": "sha256:00000000", "outcome": "accepted"}\n',
        '{"line": 2, "device": "sha256:xyz", "outcome": "accepted"}\n',
        '{"line": 2, "outcome": "accepted"}\n',
        '{"line": 2, "device": "sha256:00000000", "outcome": "sent"}\n',
        '{"line": 2, "device": "sha256:00000000"}\n',
        '{"line": 2, "device": "sha256:00000000", "outcome": []}\n',
    ],
)
def test_a_file_of_another_kind_is_left_as_it_is(strange: str, path: Path) -> None:
    text = line(1) + strange + line(3)
    path.write_text(text)
    with pytest.raises(UnfitResults, match=r"^line 2 is not one"):
        resume(path)
    assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("strange", [b"a note", b'{"aps":{"alert":"Hello"}}', b"\x89PNG\0\0"])
def test_a_file_of_another_kind_without_a_line_break_is_left_as_it_is(
    strange: bytes, path: Path
) -> None:
    path.write_bytes(strange)
    with pytest.raises(UnfitResults, match=r"^line 1 is not one"):
        resume(path)
    assert path.read_bytes() == strange


def test_a_check_that_fails_leaves_the_file_as_it_is(path: Path) -> None:
    text = line(1) + line(2, "invalid") + "{"
    path.write_text(text)

    def check(earlier: Earlier) -> None:
        assert earlier.count == 1
        raise ValueError

    with pytest.raises(ValueError):
        resume(path, check=check)
    assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]
    assert resume(path).count == 1


def test_a_link_still_leads_to_the_file(path: Path) -> None:
    path.write_text(line(1) + "{")
    link = path.with_name("link")
    link.symlink_to(path)
    resume(link)
    assert link.is_symlink()
    assert path.read_text() == line(1)


def test_many_lines_are_five_octets_each() -> None:
    earlier = Earlier()
    earlier.add(1_000_000, fingerprint("ab"))
    assert 1_000_000 in earlier
    assert 999_999 not in earlier
    assert 1_000_001 not in earlier
    assert len(earlier._has) + earlier._fingerprints.itemsize * len(earlier._fingerprints) < 6e6
