"""Reads the input of `apns send-file` line by line: a regular file, or a stream as it comes."""

import asyncio
import os
import stat
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias, final

__all__ = ["MAX_LINE", "InputFile", "NumberedLine"]

MAX_LINE: Final = 65_536
"""Octets. A payload has 5,120 at most, and each may be six in JSON; the rest is small."""

CHUNK: Final = 65_536
CHUNKS_AHEAD: Final = 4

NumberedLine: TypeAlias = tuple[int, bytes]
"""Its number, from 1, and the line without its end. What is longer than `MAX_LINE` is cut off
somewhere beyond that."""


@final
class InputFile:
    """An open input. A regular file can be read several times, and a stream once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.is_regular: Final = stat.S_ISREG(os.fstat(descriptor).st_mode)
        # Whoever hands over an open file may have read some of it.
        self._start = os.lseek(descriptor, 0, os.SEEK_CUR) if self.is_regular else 0

    @classmethod
    @contextmanager
    def open(cls, path: Path | None) -> Generator["InputFile"]:
        """Open a file; None is standard input. Raises OSError."""
        if path is None:
            yield cls(0)
            return
        with path.open("rb", buffering=0) as file:
            yield cls(file.fileno())

    def is_same_file(self, path: Path) -> bool:
        """Whether it is what ``path`` leads to."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.stat())
        except FileNotFoundError:
            return False

    def count_lines(self) -> int | None:
        """Count the lines; None if that would be to read a stream to its end. Raises OSError."""
        if not self.is_regular:
            return None
        count, last = 0, b"\n"
        for chunk in self._chunks():
            count += chunk.count(b"\n")
            last = chunk
        return count if last.endswith(b"\n") else count + 1

    def lines(self) -> Iterator[NumberedLine]:
        """Yield the lines, from the first. Raises OSError. A stream may keep it waiting."""
        splitter = _Splitter()
        for chunk in self._chunks():
            yield from splitter.split(chunk)
        yield from splitter.end()

    async def stream(self) -> AsyncGenerator[NumberedLine]:
        """Yield the lines of a stream as they come, while the loop sees to other things."""
        splitter = _Splitter()
        async for chunk in self._chunks_as_they_come():
            for line in splitter.split(chunk):
                yield line
        for line in splitter.end():
            yield line

    def _chunks(self) -> Iterator[bytes]:
        if self.is_regular:
            os.lseek(self._descriptor, self._start, os.SEEK_SET)
        while chunk := os.read(self._descriptor, CHUNK):
            yield chunk

    async def _chunks_as_they_come(self) -> AsyncGenerator[bytes]:
        # A thread, because a terminal or pipe that is made non-blocking is so for all who share it;
        # and one that is not waited for at the end, because nothing interrupts its reading.
        loop = asyncio.get_running_loop()
        read: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        ahead = threading.Semaphore(CHUNKS_AHEAD)

        def run() -> None:
            # RuntimeError: the loop is closed.
            with suppress(RuntimeError):
                try:
                    for chunk in self._chunks():
                        loop.call_soon_threadsafe(read.put_nowait, chunk)
                        ahead.acquire()
                    loop.call_soon_threadsafe(read.put_nowait, b"")
                except OSError as error:
                    loop.call_soon_threadsafe(read.put_nowait, error)

        threading.Thread(target=run, name="input", daemon=True).start()
        while chunk := await read.get():
            if isinstance(chunk, OSError):
                raise chunk
            ahead.release()
            yield chunk


@final
class _Splitter:
    """Cuts chunks into lines; holds no more of an endless one than shows that it is too long."""

    def __init__(self) -> None:
        self._number = 0
        self._rest = b""

    def split(self, chunk: bytes) -> Iterator[NumberedLine]:
        """Yield the lines that end in ``chunk``."""
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[: MAX_LINE + 1]
        for line in lines:
            self._number += 1
            yield self._number, line

    def end(self) -> Iterator[NumberedLine]:
        """Yield the last line, if nothing ends it."""
        if self._rest:
            yield self._number + 1, self._rest
