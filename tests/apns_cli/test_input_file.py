import asyncio
import os
from pathlib import Path

import pytest

from apns_cli import input_file
from apns_cli.input_file import MAX_LINE, InputFile, NumberedLine


def read(path: Path) -> list[NumberedLine]:
    with InputFile.open(path) as file:
        return list(file.lines())


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\r\nb\n", [b"a\r", b"b"]),
        (b"\n\na\n\nb", [b"", b"", b"a", b"", b"b"]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 3, 65_536])
def test_lines_are_numbered_from_one(
    data: bytes, lines: list[bytes], chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_file, "CHUNK", chunk)
    path = tmp_path / "input"
    path.write_bytes(data)
    assert read(path) == list(enumerate(lines, 1))
    with InputFile.open(path) as file:
        assert file.count_lines() == len(lines)


def test_a_regular_file_is_read_as_often_as_asked_from_where_it_was_handed_over(
    tmp_path: Path,
) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"before\na\nb\n")
    with path.open("rb", buffering=0) as opened:
        opened.seek(7)
        file = InputFile(opened.fileno())
        assert file.is_regular
        assert list(file.lines()) == list(file.lines()) == [(1, b"a"), (2, b"b")]
        assert file.count_lines() == 2


def test_of_a_line_without_end_no_more_is_held_than_shows_that_it_is_too_long(
    tmp_path: Path,
) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"x" * (10 * MAX_LINE) + b"\nnext\n")
    (_, long), following = read(path)
    assert MAX_LINE < len(long) <= 3 * MAX_LINE
    assert following == (2, b"next")


@pytest.mark.parametrize("chunk", [1, 65_536])
def test_a_stream_is_read_as_it_comes(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_file, "CHUNK", chunk)

    async def follow() -> list[NumberedLine]:
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb", buffering=0) as end:
            file = InputFile(reading)
            assert not file.is_regular
            assert file.count_lines() is None
            lines: list[NumberedLine] = []
            end.write(b"a\nb")
            async for line in file.stream():
                lines.append(line)
                if line == (1, b"a"):
                    # The first came while the second was still cut short.
                    end.write(b"c\nd")
                elif line == (2, b"bc"):
                    end.close()
            return lines

    assert asyncio.run(follow()) == [(1, b"a"), (2, b"bc"), (3, b"d")]


def test_a_stream_that_cannot_be_read(tmp_path: Path) -> None:
    async def follow() -> None:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        try:
            async for _ in InputFile(descriptor).stream():
                pass
        finally:
            os.close(descriptor)

    with pytest.raises(IsADirectoryError):
        asyncio.run(follow())


def test_knows_itself_by_any_name(tmp_path: Path) -> None:
    path, link = tmp_path / "input", tmp_path / "link"
    path.touch()
    link.symlink_to(path)
    with InputFile.open(path) as file:
        assert file.is_same_file(link)
        assert not file.is_same_file(tmp_path)
        assert not file.is_same_file(tmp_path / "missing")
