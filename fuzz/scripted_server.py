"""A server in a fuzzed script: it reads what a client writes, keeps a book, and answers as told.

Its book is the judge of outcomes: what it was sent whole, what it has refused, and where its GOAWAY
drew the line, what it has answered. It holds the client to windows, stream ids, its stream limit
and the order of things while it reads, to field blocks that `hpack` can read with the table it
allows and that say what was submitted, to the octets of bodies, and to giving back the credit for
what it says itself.
"""

from typing import Final, NamedTuple, final

import hpack

from apns_core.outcomes import Accepted, Outcome, Rejected
from fuzz.decisions import Decisions
from fuzz.frame_mutator import HEAD_SIZE, frame, split_frames
from fuzz.letters import Letter

__all__ = ["Answer", "ScriptedServer"]

_REASONS: Final = (
    (b'{"reason":"BadDeviceToken"}', "BadDeviceToken", None),
    (b'{"reason":"ExpiredProviderToken"}', "ExpiredProviderToken", None),
    (b'{"reason":"InvalidProviderToken"}', "InvalidProviderToken", None),
    (b'{"reason":"InternalServerError"}', "InternalServerError", None),
    (b'{"reason":"TooManyProviderTokenUpdates"}', "TooManyProviderTokenUpdates", None),
    (
        b'{"reason":"Unregistered","timestamp":1700000000000}',
        "Unregistered",
        1_700_000_000_000,
    ),
    (b'{"reason":"Shutdown"}', "Shutdown", None),
    (b"", None, None),
    (b"x" * 12_000, None, None),
)
"""Bodies, each with the reason and the timestamp that are read from it."""
_GOAWAY_REASONS: Final = (b"", b'{"reason":"Shutdown"}', b'{"reason":"BadCertificate"}', b"\xff")
_OK: Final = 200
_NO_LINE: Final = 2**31 - 1
_PSEUDO_FIELDS: Final = [b":method", b":scheme", b":authority", b":path"]
_OF_THE_CONNECTION: Final = frozenset((b":authority", b"authorization"))
_HALF_A_WINDOW: Final = 65_535 // 2 + 1
"""Octets that a client may have read and not credited back: it does so in larger coins."""


class Answer(NamedTuple):
    """What a stream was answered."""

    status: int
    reason: str | None
    timestamp_ms: int | None
    apns_id: str


@final
class ScriptedServer:
    """One connection's other side. What it says are the octets that its methods return."""

    def __init__(
        self, script: Decisions, authority: bytes, *, token: bool, number: int = 0
    ) -> None:
        """``number`` tells its `apns-id`s from those of other servers."""
        self._script = script
        self._authority = authority
        self._token = token
        self._number = number
        self._warming_up = token
        """Whether only one stream may be open: no provider token was accepted yet."""
        self.greeted = False
        """Whether it has sent SETTINGS."""
        self.hostile = False
        """Whether it has sent octets of any kind: its book proves nothing from then on."""
        self.opened: list[int] = []
        self.whole: set[int] = set()
        """Streams whose END_STREAM it was sent."""
        self._fields: dict[int, list[tuple[bytes, bytes]]] = {}
        """Of requests that nobody has looked at; empty of those that cannot be read for sure."""
        self._letters: dict[int, Letter] = {}
        self._bodies: dict[int, bytes] = {}
        """As far as they have come, and only of those that nobody has looked at since."""
        self.listened_to = True
        """Whether what it says next is read: else it counts for nothing, and has no place here."""
        self.answers: dict[int, Answer] = {}
        """The first for each stream: it decides."""
        self.refused: set[int] = set()
        self._left_open: set[int] = set()
        """Streams that it has reset without a word on whether it had acted on them."""
        self.line = _NO_LINE
        """The lowest last-stream-id of its GOAWAYs."""
        self._open: set[int] = set()
        self._decoder = hpack.Decoder()
        self._limit: int | None = None
        """Of open streams; None until it is named."""
        self._uncredited = 0
        """Octets of DATA that were said and not credited back on the connection."""
        self.unheard = False
        """Whether the client reads no more: it has said GOAWAY, or has read the end."""
        self._window = 65_535
        self._initial_window = 65_535
        self._windows: dict[int, int] = {}
        self._said_goaway = False
        self.pings: list[bytes] = []
        """Those not answered."""
        self._settings_to_acknowledge = 0
        self._preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    def is_proved_unprocessed(self, stream_id: int) -> bool:
        """Whether by its book it has not acted on a request, or nobody can tell by it."""
        return (
            self.hostile
            or stream_id not in self.whole
            or stream_id in self.refused
            or (stream_id > self.line and stream_id not in self._left_open)
        )

    def says(self, stream_id: int, outcome: Outcome[int]) -> bool:
        """Whether an outcome is what it has answered, or nobody can tell by its book."""
        if self.hostile:
            return True
        answer = self.answers.get(stream_id)
        if isinstance(outcome, Accepted):
            found = Answer(outcome.status, None, None, outcome.apns_id or "")
        elif isinstance(outcome, Rejected):
            text, timestamp_ms = outcome.reason_text, outcome.timestamp_ms
            found = Answer(outcome.status, text, timestamp_ms, outcome.apns_id or "")
            known = None if outcome.reason is None else outcome.reason.value
            assert known == text, "another reason than its text says"
        else:
            return answer is None
        # Of the two, only an acceptance has 200.
        return answer == found and isinstance(outcome, Accepted) == (found.status == _OK)

    # ── reading ──

    def read(self, octets: bytes) -> None:
        """Take what the client has written, whole frames at a time."""
        if self._preface and octets:
            assert octets.startswith(self._preface)
            octets, self._preface = octets.removeprefix(self._preface), b""
        for part in split_frames(octets):
            kind, flags, stream_id = part[3], part[4], int.from_bytes(part[5:9])
            payload = part[HEAD_SIZE:]
            assert len(payload) == int.from_bytes(part[:3])
            if kind == 1:
                self._open_stream(stream_id, payload)
            elif kind == 0:
                self._take_body(stream_id, len(payload))
                self._bodies[stream_id] = self._bodies.get(stream_id, b"") + payload
            elif kind == 3:
                self._open.discard(stream_id)
            elif kind == 4 and not flags & 1:
                self._settings_to_acknowledge += 1
            elif kind == 6 and not flags & 1:
                self.pings.append(payload)
            elif kind == 7:
                self.unheard = True
            elif kind == 8 and not stream_id:
                self._uncredited -= int.from_bytes(payload)
                assert self.hostile or self._uncredited >= 0, "credit for what was never said"
            if kind in {0, 1} and flags & 1:
                self.whole.add(stream_id)
        # What it has said was read in the meantime, and all that is framed has been written.
        assert self.hostile or self.unheard or self._uncredited < _HALF_A_WINDOW, "credit is kept"

    def _open_stream(self, stream_id: int, block: bytes) -> None:
        assert self.greeted or self.hostile, "a request before the server's SETTINGS"
        assert self.hostile or not self._said_goaway, "a request after GOAWAY"
        assert stream_id == (self.opened[-1] + 2 if self.opened else 1)
        self._fields[stream_id] = []
        if not self.hostile:
            fields = [
                (bytes(each[0]), bytes(each[1])) for each in self._decoder.decode(block, raw=True)
            ]
            self._fields[stream_id] = fields
            assert [name for name, _ in fields[:4]] == _PSEUDO_FIELDS
            assert self._limit is None or len(self._open) < self._limit, "above the limit"
            assert not (self._warming_up and self._open), "a second before the token is known"
        self.opened.append(stream_id)
        self._open.add(stream_id)
        self._windows[stream_id] = 0

    def _take_body(self, stream_id: int, octets: int) -> None:
        assert stream_id in self._windows
        assert stream_id not in self.whole
        self._windows[stream_id] -= octets
        self._window -= octets
        if not self.hostile:
            assert self._window >= 0, "DATA beyond the connection's window"
            left = self._initial_window + self._windows[stream_id]
            assert not octets or left >= 0, "DATA beyond the stream's window"

    def look_at(self, stream_id: int, letter: Letter) -> bytes:
        """Hold a request's fields to what was submitted; return its `authorization`."""
        fields = self._fields.pop(stream_id)
        self._letters[stream_id] = letter
        authorization = b""
        if fields:
            said = sorted(each for each in fields if each[0] not in _OF_THE_CONNECTION)
            assert said == letter.fields, "other fields than were submitted"
            own = [each for each in fields if each[0] in _OF_THE_CONNECTION]
            assert own[0] == (b":authority", self._authority)
            assert len(own) == 1 + self._token
            authorization = own[-1][1] if self._token else b""
        return authorization

    def look_at_bodies(self) -> None:
        """Hold what has come of bodies to what was submitted, when all requests were looked at."""
        assert not self._fields, "requests that nobody has submitted"
        for stream_id, body in list(self._bodies.items()):
            payload = self._letters[stream_id].payload
            if stream_id in self.whole:
                assert body == payload, "another body than was submitted"
                del self._bodies[stream_id]
            else:
                assert payload.startswith(body), "another body than was submitted"

    # ── what it says ──

    def settings(self) -> bytes:
        """Announce some settings."""
        script = self._script
        choice = script.byte()
        entries = b""
        if choice & 1:
            self._limit = script.byte() % 40
            entries += b"\x00\x03" + self._limit.to_bytes(4)
        if choice & 2:
            self._initial_window = script.pick((0, 10, 100, 5_000, 65_535, 10**6))
            entries += b"\x00\x04" + self._initial_window.to_bytes(4)
        if choice & 4:
            table_size = script.pick((0, 100, 4_096))
            self._decoder.max_allowed_table_size = table_size
            entries += b"\x00\x01" + table_size.to_bytes(4)
        if choice & 8:
            entries += b"\x00\x06" + script.pick((100, 400, 8_000)).to_bytes(4)
        self.greeted = True
        return frame(4, 0, 0, entries)

    def acknowledge(self) -> bytes:
        """Acknowledge the SETTINGS and PINGs that it has read."""
        if not self.greeted:
            return b""
        octets = frame(4, 1) * self._settings_to_acknowledge
        octets += b"".join(frame(6, 1, 0, payload) for payload in self.pings)
        self._settings_to_acknowledge = 0
        self.pings.clear()
        return octets

    def accept(self) -> bytes:
        """Answer 200."""
        stream_id = self._any_open()
        if not stream_id:
            return b""
        self._open.discard(stream_id)
        if stream_id not in self.answers:  # else it is taken for trailers, and bad ones
            self._warming_up = False
        return frame(1, 5, stream_id, b"\x88" + self._answer(stream_id, 200))

    def reject(self) -> bytes:
        """Answer another status, perhaps without an end."""
        stream_id = self._any_open()
        if not stream_id:
            return b""
        status = self._script.pick((400, 403, 410, 429, 500, 503))
        body, reason, timestamp_ms = self._script.pick(_REASONS)
        self._uncredited += len(body)
        block = b"\x08\x03%d" % status + self._answer(stream_id, status, reason, timestamp_ms)
        octets = frame(1, 4, stream_id, block) + frame(0, 0, stream_id, body)
        if self._script.flag():
            self._open.discard(stream_id)
            octets += frame(0, 1, stream_id)
        return octets

    def reset(self) -> bytes:
        """Reset a stream."""
        stream_id = self._any_open()
        if not stream_id:
            return b""
        code = self._script.pick((7, 5, 0, 2, 8))
        if self.listened_to:
            (self.refused if code == 7 else self._left_open).add(stream_id)
        self._open.discard(stream_id)
        return frame(3, 0, stream_id, code.to_bytes(4))

    def go_away(self) -> bytes:
        """Say GOAWAY, with a line that never rises."""
        if not self.greeted:
            return b""
        choice = self._script.byte()
        line = min(self.line, _NO_LINE if choice == 255 else 2 * choice + 1)
        if self.listened_to:
            self.line = line
        self._said_goaway = True
        self._open -= {each for each in self._open if each > line}
        return frame(7, 0, 0, line.to_bytes(4) + bytes(4) + self._script.pick(_GOAWAY_REASONS))

    def credit(self) -> bytes:
        """Open a window."""
        if not self.greeted:
            return b""
        increment = 1 + self._script.number(2)
        stream_id = self._any_open() if self._script.flag() else 0
        if stream_id:
            self._windows[stream_id] += increment
        else:
            self._window += increment
        return frame(8, 0, stream_id, increment.to_bytes(4))

    def ping(self) -> bytes:
        """Ask for a sign of life."""
        return frame(6, 0, 0, b"areyouon") if self.greeted else b""

    def anything(self) -> bytes:
        """Say what no server should."""
        self.hostile = self.hostile or self.listened_to
        return self._script.some_octets()

    def _answer(
        self,
        stream_id: int,
        status: int,
        reason: str | None = None,
        timestamp_ms: int | None = None,
    ) -> bytes:
        """Note an answer in the book, and return the field that tells it from all others."""
        apns_id = f"{self._number:08d}-0000-4000-8000-{stream_id:012d}"
        if self.listened_to:
            self.answers.setdefault(stream_id, Answer(status, reason, timestamp_ms, apns_id))
        return b"\x40\x07apns-id\x24" + apns_id.encode()

    def _any_open(self) -> int:
        streams = sorted(self._open)
        return streams[self._script.byte() % len(streams)] if streams else 0
