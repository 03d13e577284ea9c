import io
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import click
import pytest

from apns_cli.parameters import When, instant, json_document, json_object, moment, own_keys

CONTEXT = click.Context(click.Command("test"))
PARAMETER = click.Option(["--test"])


@pytest.mark.parametrize(
    ("text", "when"),
    [
        (None, None),
        ("0", 0),
        ("1800000000", 1_800_000_000),
        ("30s", timedelta(seconds=30)),
        ("90m", timedelta(minutes=90)),
        ("1h30m", timedelta(minutes=90)),
        ("2d1s", timedelta(days=2, seconds=1)),
        ("2027-01-15T08:00:00Z", datetime(2027, 1, 15, 8, tzinfo=UTC)),
        (
            "2027-01-15T08:00:00+02:00",
            datetime(2027, 1, 15, 8, tzinfo=timezone(timedelta(hours=2))),
        ),
    ],
)
def test_a_moment_has_three_forms(text: str | None, when: When | None) -> None:
    assert moment(CONTEXT, PARAMETER, text) == when


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "neither"),
        ("soon", "neither"),
        ("-1", "neither"),
        ("1.5h", "neither"),
        ("1h 30m", "neither"),
        ("30m1h", "neither"),
        pytest.param("9" * 5_000, "neither", id="endless"),
        ("9" * 20 + "d", "neither"),
        ("99999999d", "later than the year 5000"),
        ("60", "as 60s"),
        ("1800000000000", "milliseconds"),
        ("2027-01-15T08:00:00", "time zone"),
        ("2027-01-15", "time zone"),
    ],
)
def test_what_is_no_moment(text: str, problem: str) -> None:
    with pytest.raises(click.BadParameter, match=problem):
        moment(CONTEXT, PARAMETER, text)


def test_a_duration_counts_from_now() -> None:
    before = datetime.now(UTC)
    counted = instant(timedelta(hours=1))
    assert isinstance(counted, datetime)
    assert before <= counted - timedelta(hours=1) <= datetime.now(UTC)
    assert instant(5) == 5
    assert instant(None) is None


def test_an_object_in_place_or_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text('{"home": 1}')
    assert json_object(CONTEXT, PARAMETER, ' {"home": 1}') == {"home": 1}
    assert json_object(CONTEXT, PARAMETER, str(file)) == {"home": 1}
    assert json_object(CONTEXT, PARAMETER, None) is None


def test_a_document_is_taken_as_it_stands() -> None:
    text = b'{ "aps" : {} }\n'
    assert json_document(CONTEXT, PARAMETER, io.BytesIO(text)) == text
    assert json_document(CONTEXT, PARAMETER, None) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"secret": }', "line 1, column 12"),
        (b'["secret"]', "no JSON object"),
        (b"\xff", "no JSON in UTF-8"),
        (b"[" * 100_000, "no JSON"),
        (b'{"secret": ' + b"9" * 5_000 + b"}", "no JSON"),
        (b'{"secret": NaN}', "no JSON"),
        (b"", "no JSON"),
    ],
    ids=["unfinished", "list", "latin", "deep", "long", "not a number", "empty"],
)
def test_what_is_no_object_is_not_shown(text: bytes, problem: str) -> None:
    with pytest.raises(click.BadParameter, match=problem) as caught:
        json_document(CONTEXT, PARAMETER, io.BytesIO(text))
    assert "secret" not in caught.value.message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_command_line_that_is_no_utf_8_is_not_shown_either() -> None:
    # As Python has the octet 0xff of a command line.
    with pytest.raises(click.BadParameter, match="no JSON in UTF-8") as caught:
        json_object(CONTEXT, PARAMETER, '{"secret": "\udcff"}')
    assert "secret" not in caught.value.message


def test_a_file_that_is_none() -> None:
    with pytest.raises(click.BadParameter, match="cannot be read"):
        json_object(CONTEXT, PARAMETER, "/no/such/file")


class Endless(io.RawIOBase):
    """Gives octets for as long as it is asked, and counts them."""

    given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self.given += len(buffer)
        return len(buffer)


def test_a_file_without_an_end_is_not_read_without_end() -> None:
    endless = Endless()
    with pytest.raises(click.BadParameter, match="longer than a mebibyte"):
        json_document(CONTEXT, PARAMETER, io.BufferedReader(endless))
    assert endless.given < 2**21
    with pytest.raises(click.BadParameter, match="longer than a mebibyte"):
        json_object(CONTEXT, PARAMETER, "/dev/zero")
    spaced = b"{" + b" " * (2**20 - 2) + b"}"
    assert json_document(CONTEXT, PARAMETER, io.BytesIO(spaced)) == spaced


def test_keys_of_the_apps_own() -> None:
    pairs = ("a=1", "b:=1", "c=x=y", "d=", 'e:={"f": [true]}')
    assert own_keys(CONTEXT, PARAMETER, pairs) == {
        "a": "1",
        "b": 1,
        "c": "x=y",
        "d": "",
        "e": {"f": [True]},
    }
    assert own_keys(CONTEXT, PARAMETER, ()) is None


@pytest.mark.parametrize("pair", ["a", "=1", ":=1", "a:=secret", "a:=", "a:=Infinity"])
def test_what_is_no_key_and_value(pair: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        own_keys(CONTEXT, PARAMETER, (pair,))
    assert "secret" not in caught.value.message
