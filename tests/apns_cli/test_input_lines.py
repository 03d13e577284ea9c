from pathlib import Path

import pytest

from apns_cli.input_file import MAX_LINE
from apns_cli.input_lines import (
    MEMBERS,
    CsvLines,
    JsonLines,
    LineFormat,
    Members,
    UnfitInput,
    format_of,
)
from apns_core import InvalidField


def read(line_format: LineFormat, *lines: str | bytes) -> list[Members | str | None]:
    """Return what each line says, or why it says nothing."""
    said: list[Members | str | None] = []
    for line in lines:
        try:
            said.append(line_format.read(line if isinstance(line, bytes) else line.encode()))
        except InvalidField as error:
            said.append(str(error))
    return said


def test_device_tokens_alone() -> None:
    line_format = CsvLines()
    assert read(line_format, "# of May", "", "ab", " cd\r", "", "# more", '"ef"', "xyz") == [
        *(None, None, {"device_token": "ab"}, {"device_token": "cd"}, None, None),
        *({"device_token": "ef"}, {"device_token": "xyz"}),
    ]
    assert tuple(line_format.names) == ("device_token",)


def test_a_first_device_token_that_is_none_is_a_line_like_others() -> None:
    assert read(CsvLines(), "xyz", "ab") == [{"device_token": "xyz"}, {"device_token": "ab"}]


def test_a_header_names_the_columns() -> None:
    line_format = CsvLines()
    assert read(
        line_format,
        "\ufeffpriority, device_token,payload",
        '5,ab,"{""aps"":{}}"',
        ",cd,",
        "#,ef,",
        "",
    ) == [
        None,
        {"priority": "5", "device_token": "ab", "payload": '{"aps":{}}'},
        {"device_token": "cd"},
        {"priority": "#", "device_token": "ef"},
        None,
    ]
    assert tuple(line_format.names) == ("priority", "device_token", "payload")


def test_a_bad_row_spoils_no_other() -> None:
    quotes = "line: is no row of CSV: see its quotes"
    assert read(
        CsvLines(),
        "device_token,collapse_id",
        'ab,"open',
        "cd,x",
        'ef,"a"b',
        "ef",
        b"ab,\xff",
        b"x" * (MAX_LINE + 1),
        "cd,y",
    ) == [
        None,
        quotes,
        {"device_token": "cd", "collapse_id": "x"},
        quotes,
        "line: has 1 columns where the header has 2",
        "line: is no text in UTF-8",
        "line: longer than 65,536 octets",
        {"device_token": "cd", "collapse_id": "y"},
    ]


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        ("device_token,colapse_id", "column 2 of the header is not"),
        ("device_token,device_token", "column 2 of the header is not"),
        ("abab,cd", "names no column device_token"),
    ],
)
def test_a_header_that_is_unfit_is_not_quoted(first: str, complaint: str) -> None:
    with pytest.raises(UnfitInput, match=complaint) as caught:
        CsvLines().read(first.encode())
    assert "abab" not in str(caught.value)
    assert "colapse" not in str(caught.value)


def test_objects_and_strings_of_json() -> None:
    assert read(
        JsonLines(),
        '{"device_token": "ab", "payload": {"aps": {}}, "priority": 5, "topic": null}',
        '"cd"',
        "",
    ) == [
        {"device_token": "ab", "payload": {"aps": {}}, "priority": 5},
        {"device_token": "cd"},
        None,
    ]
    assert JsonLines().names == MEMBERS


@pytest.mark.parametrize("line", ['"cd"', '{"device_token": "cd"}'])
def test_json_may_begin_with_a_byte_order_mark(line: str) -> None:
    device = {"device_token": "cd"}
    assert read(JsonLines(), f"\ufeff{line}\r", line, "\ufeff") == [device, device, None]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"secret"', "is no JSON: Expecting ':' delimiter, column 10"),
        ("[1]", "is neither a JSON object nor a string"),
        ("12", "is neither a JSON object nor a string"),
        ("1" * 5_000, "is no JSON that can be read"),
        ("[" * 60_000, "is no JSON that can be read"),
        ('{"secret": 1}', f"has a key that is none of {', '.join(MEMBERS)}"),
        (b'"\xff"', "is no text in UTF-8"),
    ],
)
def test_a_bad_line_of_json_is_not_quoted(line: str | bytes, problem: str) -> None:
    assert read(JsonLines(), line) == [f"line: {problem}"]
    assert "secret" not in problem


def test_the_suffix_tells_the_format() -> None:
    names = ["a.csv", "a.TXT", "a.jsonl", "a.ndjson", "a.json", "a", "a.gz"]
    assert [format_of(Path(name)) for name in names] == [
        *("csv", "csv", "jsonl", "jsonl", "jsonl", None, None)
    ]
