"""What the harnesses share: decisions, frames, corpora, the dictionary."""

import re
from pathlib import Path
from random import Random

import pytest

from fuzz import corpus
from fuzz.decisions import Decisions
from fuzz.dictionary import write_dictionary
from fuzz.frame_mutator import REPEATS, expand, frame, mutate_frames, repeat, split_frames


def test_who_is_out_of_bytes_reads_zeros() -> None:
    script = Decisions(b"\x05\x02ab")
    assert (script.byte(), script.text(), script.left) == (5, "ab", 0)
    assert (script.byte(), script.number(4), script.octets(3), script.flag()) == (0, 0, b"", False)
    assert script.pick("abc") == "a"


def test_frames_are_cut_apart_and_an_unfinished_one_is_the_last() -> None:
    frames = [frame(1, 5, 1, b"\x88"), frame(4), frame(0, 0, 3, b"abc")[:-1]]
    assert split_frames(b"".join(frames)) == frames


def test_mutations_are_of_frames_and_can_be_repeated() -> None:
    data = b"\x07" + frame(1, 5, 1, b"\x88") + frame(0, 1, 3, b"abc")

    def plain(octets: bytes, _: int) -> bytes:
        return octets

    for seed in range(300):
        changed = mutate_frames(data, 1_000, seed, lead=1, plain=plain)
        assert changed == mutate_frames(data, 1_000, seed, lead=1, plain=plain)
        *before, last = split_frames(changed[1:]) or [b""]
        assert all(len(part) == 9 + int.from_bytes(part[:3]) for part in before)
        # What is beyond the greatest length is cut off.
        assert len(last) in {0, 9 + int.from_bytes(last[:3])} or len(changed) == 1_000


def test_a_flood_is_written_short() -> None:
    ping, data = frame(6, 0, 0, bytes(8)), frame(0, 0, 1, b"abc")
    assert expand(ping + repeat(3, data, ping) + ping) == ping + 3 * (data + ping) + ping
    assert expand(repeat(2, b"") + b"") == b""
    assert expand(ping + frame(0xEE)[:-1]) == ping + frame(0xEE)[:-1]
    # Two an input, and none without end.
    assert expand(repeat(2, data) * 3) == 4 * data + repeat(2, data)
    for times in REPEATS:
        assert len(expand(repeat(times, frame(0, 0, 1, bytes(1_000))))) <= 300_000
        assert len(split_frames(expand(repeat(times, ping, data)))) <= 20_000


def test_a_corpus_is_kept_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_FOLDER", tmp_path)
    inputs = [Random(length).randbytes(length) for length in (5, 0, 300, 5)]
    assert corpus.kept("x") == []
    assert corpus.pack("x", inputs) == 3
    assert corpus.kept("x") == sorted(set(inputs), key=len)
    corpus.unpack(corpus.kept("x"), tmp_path / "files")
    assert {path.read_bytes() for path in (tmp_path / "files").iterdir()} == set(inputs)


def test_the_dictionary_is_of_the_form_that_libfuzzer_reads(tmp_path: Path) -> None:
    write_dictionary(tmp_path / "words")
    lines = (tmp_path / "words").read_text().splitlines()
    assert all(re.fullmatch(r'"(?:[ !#-\[\]-~]|\\x[0-9a-f]{2})+"', line) for line in lines)
    assert r'"{\x22reason\x22:\x22Unregistered\x22}"' in lines
    assert len(lines) > 300
