import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Self, cast

import pytest

from apns_asyncio import Client
from apns_cli.file_run import FileRun, record_of, verify
from apns_cli.input_file import InputFile
from apns_cli.input_lines import CsvLines, UnfitInput
from apns_cli.input_notifications import Defaults, NotificationMaker
from apns_cli.results import fingerprint, outcome_members
from apns_cli.results_file import Earlier, ResultsFile
from apns_cli.terminal import ProgressBar
from apns_core import (
    Accepted,
    Cause,
    ClientClosed,
    Notification,
    Outcome,
    Reason,
    Rejected,
    Route,
    Unknown,
    Unprocessed,
)

TOKEN = "ab" * 32
NOTIFICATION = Notification(Route("com.example.app"), TOKEN, b"{}")


@pytest.mark.parametrize(
    "outcome",
    [
        Accepted(NOTIFICATION, None, "00000000-0000-0000-0000-00000000000A"),
        Accepted(NOTIFICATION, None, 'of a server "\\\x1b\u2028'),
        Accepted(NOTIFICATION, None, "id", "unique"),
        Accepted(NOTIFICATION, None, None),
        Rejected(NOTIFICATION, None, 410, Reason.UNREGISTERED, "Unregistered", 1_700_000_000_000),
        Unknown(NOTIFICATION, None, Cause.DEADLINE),
        Unprocessed(NOTIFICATION, None, Cause.CLOSED),
    ],
)
@pytest.mark.parametrize("show_tokens", [False, True])
def test_a_record_is_the_members_of_the_outcome_however_it_is_made(
    outcome: Outcome[object], *, show_tokens: bool
) -> None:
    record = record_of(7, NOTIFICATION, outcome, show_tokens=show_tokens)
    token = {"device_token": TOKEN} if show_tokens else {}
    expected = {"line": 7, "device": fingerprint(TOKEN), **token, **outcome_members(outcome)}
    assert record == json.dumps(expected, separators=(",", ":")) + "\n"
    assert (TOKEN in record) is show_tokens


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("aa\nbb\ncc\n", None),
        ("aa\nxx\ncc\nmore\n", None),
        ("aa\nbb\nCC\n", "line 3 is for another device"),
        ("bb\ncc\n", "line 1 is for another device"),
        ("# new\naa\nbb\ncc\n", "line 1 is for another device"),
        ('aa\nbb\n"cc\n', "line 3 is for another device"),
        ("aa\nbb", "it has 2 lines, and the results are of 3"),
        ("", "it has 0 lines"),
    ],
)
def test_an_input_that_has_changed_is_noticed(
    lines: str, complaint: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text(lines)
    earlier = Earlier()
    earlier.add(1, fingerprint("aa"))
    earlier.add(3, fingerprint("cc"))
    with InputFile.open(path) as file:
        if complaint is None:
            verify(file, CsvLines(), earlier)
            return
        with pytest.raises(UnfitInput, match=complaint):
            verify(file, CsvLines(), earlier)


class Broken:
    """A client that takes three, answers one, and closes by a bug."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send_many(
        self, notifications: Iterator[Notification]
    ) -> AsyncGenerator[Outcome[object]]:
        one, _, _ = (next(notifications) for _ in range(3))
        yield Accepted(one, None, "id")
        raise ClientClosed("the client met a bug and closed")


def test_nothing_is_claimed_of_what_a_client_had_taken_that_closed_by_a_bug(
    tmp_path: Path,
) -> None:
    tokens, path = tmp_path / "tokens.csv", tmp_path / "results.jsonl"
    tokens.write_text("aa\nbb\ncc\ndd\n")
    maker = NotificationMaker(Defaults(app="com.example.app", payload=b"{}"))
    results = ResultsFile.create(path, overwrite=False)
    with InputFile.open(tokens) as file, ProgressBar("Sending", 4) as bar:
        client = cast("Client", Broken())
        run = FileRun(client, file, CsvLines(), maker, results=results, earlier=Earlier())
        asyncio.run(run.run(bar, 4))
    results.close()
    assert run.stopped == "the client met a bug and closed"
    records = list(map(json.loads, path.read_text().splitlines()))
    assert [(record["line"], record["outcome"]) for record in records] == [
        (1, "accepted"),
        (2, "unknown"),
        (3, "unknown"),
    ]
    assert run.tally.summary() == "1 accepted, 2 unknown"
