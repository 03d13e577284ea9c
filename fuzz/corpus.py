"""The kept inputs of each harness: ``inputs/HARNESS.txt``, one a line in Base64, shortest first.

A fuzzer wants a folder with a file for each; people want one file that shows in a diff which inputs
came and went. `unpack` makes the one of the other, `pack` the other of the one.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha1
from pathlib import Path
from typing import Final

__all__ = ["kept", "pack", "unpack"]

_FOLDER: Final = Path(__file__).parent / "inputs"


def kept(harness: str) -> list[bytes]:
    """Return the inputs that are kept for a harness; none if it has no file yet."""
    path = _FOLDER / f"{harness}.txt"
    return [b64decode(line) for line in path.read_text().splitlines()] if path.exists() else []


def pack(harness: str, inputs: Iterable[bytes]) -> int:
    """Keep these inputs and no others. Return how many."""
    ordered = sorted(set(inputs), key=lambda each: (len(each), each))
    text = "".join(b64encode(each).decode() + "\n" for each in ordered)
    (_FOLDER / f"{harness}.txt").write_text(text)
    return len(ordered)


def unpack(inputs: Iterable[bytes], folder: Path) -> None:
    """Write a file for each input, named by its hash as libFuzzer does."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in inputs:
        (folder / sha1(each, usedforsecurity=False).hexdigest()).write_bytes(each)
