"""Virtual time: what is to happen and when, and a trace of what did."""

import heapq
from collections.abc import Callable
from hashlib import blake2b
from itertools import groupby
from typing import Final, TypeAlias, final

__all__ = ["START", "Action", "Clock", "Trace", "frames_of"]

Action: TypeAlias = Callable[[], object]

START: Final = 1_000.0
"""Where the monotonic clock stands at first; not 0, which would hide a forgotten addition."""


@final
class Clock:
    """A heap of (time, order, action). Equal times keep the order in which they were made."""

    def __init__(self) -> None:
        self.now = START
        """Monotonic seconds."""
        self._agenda: list[tuple[float, int, Action]] = []
        self._made = 0

    def at(self, when: float, action: Action) -> None:
        """Do something at a time; at once, after what is due already, if it has passed."""
        self._made += 1
        heapq.heappush(self._agenda, (max(when, self.now), self._made, action))

    def after(self, seconds: float, action: Action) -> None:
        """Do something so many seconds from now."""
        self.at(self.now + seconds, action)

    def step(self, until: float = float("inf")) -> bool:
        """Go to the next thing that happens by ``until``, and let it; False if there is none."""
        if not self._agenda or self._agenda[0][0] > until:
            return False
        self.now, _, action = heapq.heappop(self._agenda)
        action()
        return True

    def run(self, until: float) -> None:
        """Let everything happen that is due by ``until``, and go there."""
        while self.step(until):
            pass
        self.now = max(self.now, until)


@final
class Trace:
    """Who did what, when. Two runs of one seed have the same, to the last digit of the hash."""

    def __init__(self, clock: Clock, show: Callable[[str], None] | None = None) -> None:
        """``show`` gets each line as it is made: nothing is kept."""
        self._clock = clock
        self._show = show
        self._hash = blake2b(digest_size=8)
        self.lines = 0

    def note(self, who: str, what: str) -> None:
        """Add a line."""
        line = self._line(who, what)
        self._hash.update(line.encode())
        self.lines += 1
        if self._show is not None:
            self._show(line)

    def wire(self, who: str, verb: str, data: bytes) -> None:
        """Add what somebody wrote: every octet counts, and the frames are shown."""
        self._hash.update(data)
        self.lines += 1
        if self._show is not None:
            self._show(self._line(who, f"{verb} {frames_of(data)}"))

    def _line(self, who: str, what: str) -> str:
        return f"{self._clock.now - START:12.6f}  {who:<16} {what}"

    @property
    def hash(self) -> str:
        """Of all lines so far."""
        return self._hash.hexdigest()


_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_NAMES: Final = (
    *("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE"),
    *("PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"),
)


def frames_of(data: bytes) -> str:
    """Name the frames in some octets that begin with one: never their contents."""
    names: list[str] = []
    if data.startswith(_PREFACE):
        names.append("preface")
        data = data[len(_PREFACE) :]
    position = 0
    while position + 9 <= len(data):
        length = int.from_bytes(data[position : position + 3])
        kind, flags = data[position + 3], data[position + 4]
        stream_id = int.from_bytes(data[position + 5 : position + 9]) & 0x7FFF_FFFF
        name = _NAMES[kind] if kind < len(_NAMES) else f"type {kind}"
        if name in {"SETTINGS", "PING"} and flags & 1:
            name += " ACK"
        elif name in {"DATA", "HEADERS"} and flags & 1:
            name += "+END"
        if name == "RST_STREAM":
            name += f"({int.from_bytes(data[position + 9 : position + 13])})"
        elif name == "WINDOW_UPDATE":
            name += f"(+{int.from_bytes(data[position + 9 : position + 13])})"
        names.append(f"{name} {stream_id}" if stream_id else name)
        position += 9 + length
    if position != len(data):
        names.append("…")
    return ", ".join(
        name if count == 1 else f"{count} x {name}"
        for name, count in ((name, len(list(same))) for name, same in groupby(names))
    )
