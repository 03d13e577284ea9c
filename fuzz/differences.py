"""Where our client may do other than that of h2: the written list, each with its rule.

`fuzz.harnesses.differential` gives both the same frames. The first difference has to be one of
these. Each looks at what was said and at what both made of it; what we say of ourselves proves
nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from apns_core.http2.errors import ErrorCode
from fuzz.floods import Said
from fuzz.frame_mutator import frame

__all__ = ["EXPLANATIONS", "NO_STATUS", "Case", "Ended", "Explanation", "Verdict"]


class Ended(NamedTuple):
    """A stream that has ended."""

    stream_id: int
    how: str
    """``complete`` or ``reset``."""
    number: int
    """The status, or the code."""
    body: bytes = b""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """Of the final response."""


class Verdict(NamedTuple):
    """What a client makes of one frame."""

    error: int | None = None
    """The code of a connection error."""
    resets: tuple[tuple[int, int], ...] = ()
    """RST_STREAM that it sends: stream and code."""
    acknowledgements: tuple[bytes, ...] = ()
    """Its answers to SETTINGS and PING."""
    ended: tuple["Ended", ...] = ()
    goaway: tuple[int, int] | None = None
    """The last stream and code that the server said."""


@dataclass
class Case:
    """One frame, what came before it, and what both clients made of it."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes
    stream_state: str
    """``connection``, ``idle``, ``open`` or ``closed``, as our client has it."""
    first: bool
    """Whether the server has sent no frame before."""
    said: Said
    """All that the server has said by then, this frame included."""
    line: int | None = None
    """The last-stream-id of the GOAWAY before it."""
    streams: int = 0
    """How many were opened."""
    acknowledged: bool = False
    """Whether our SETTINGS were, before."""
    block_stream: int = 0
    """Whose field block is not at its end; 0 for none."""
    body_octets: int = 0
    """Of the stream, this frame's included, as h2 counts them."""
    ours: Verdict = field(default_factory=Verdict)
    theirs: Verdict = field(default_factory=Verdict)
    text: str = ""
    """What our error says, for people."""
    some_closed: bool = False
    """Whether any stream had ended by then."""
    overlong: bool = False
    """Whether more DATA has come than content-length says."""
    malformed: bool = False
    """Whether our client has found a fault in the response."""
    their_status: int | None = None
    """What h2 has taken for the status of the stream."""

    @property
    def depends_on_itself(self) -> bool:
        """Whether it is PRIORITY, or HEADERS with a priority, that names its own stream."""
        padded = 1 if self.kind == _HEADERS and self.flags & 8 else 0
        dependency = int.from_bytes(self.payload[padded : padded + 4]) & 0x7FFFFFFF
        return (self.kind == _PRIORITY or bool(self.flags & 0x20)) and dependency == self.stream_id

    @property
    def stream_error(self) -> int | None:
        """The code of our stream error, where h2 has another view."""
        codes = [code for stream_id, code in self.ours.resets if stream_id == self.stream_id]
        return codes[0] if codes and self.ours.error is None else None


NO_STATUS: Final = -1
"""What h2 has taken for a status is no number."""


@dataclass(frozen=True)
class Explanation:
    """A rule by which we may, or must, do other than h2 does."""

    name: str
    rule: str
    holds: Callable[[Case], bool]


_CALM: Final = int(ErrorCode.ENHANCE_YOUR_CALM)
_PROTOCOL: Final = int(ErrorCode.PROTOCOL_ERROR)
_CLOSED: Final = int(ErrorCode.STREAM_CLOSED)
_SETTINGS_ACK: Final = frame(4, 1)
_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS = range(5)
_PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = range(5, 10)


def _we_end(case: Case, code: int) -> bool:
    """Whether all that we do is to end the connection so."""
    return case.ours == Verdict(error=code)


def _settings(payload: bytes) -> list[tuple[int, int]]:
    whole = len(payload) // 6 * 6
    return [
        (int.from_bytes(payload[at : at + 2]), int.from_bytes(payload[at + 2 : at + 6]))
        for at in range(0, whole, 6)
    ]


def _is_illegal(identifier: int, value: int) -> bool:
    """Whether RFC 9113 §6.5.2 forbids it, as we read it: a server says no ENABLE_PUSH but 0."""
    lowest, highest = {2: (0, 0), 4: (0, 2**31 - 1), 5: (2**14, 2**24 - 1)}.get(
        identifier, (0, 2**32)
    )
    return not lowest <= value <= highest


def _last_stream_id(payload: bytes) -> int:
    return int.from_bytes(payload[:4]) & 0x7FFFFFFF


def _is_flood(case: Case) -> bool:
    """Whether there is more of it than `limits` admits."""
    said = case.said
    match case.kind:
        case 0:
            return said.empty.get(case.stream_id, 0) > 10
        case 1:
            return said.blocks[case.stream_id] > 8
        case 4:
            return len(case.payload) > 6 * 32
        case 8:
            return said.window_updates > 5 + 2 * (case.streams + 10 * case.streams)
        case 9:
            too_long = said.continuations > 8 or said.block_octets > 16_384
            return too_long or said.blocks[case.stream_id] > 8
        case _:
            return False


EXPLANATIONS: Final[tuple[Explanation, ...]] = (
    # Where we are stricter, or name the error better.
    Explanation(
        "a server must begin with SETTINGS",
        "RFC 9113 §3.4: 'that MUST be the first frame the server sends'; h2 takes any",
        lambda case: (
            case.first
            and (case.kind != _SETTINGS or bool(case.flags & 1))
            and _we_end(case, _PROTOCOL)
        ),
    ),
    Explanation(
        "a frame is too long by its head",
        "RFC 9113 §4.2: FRAME_SIZE_ERROR; we do not wait for 16 MiB, h2 does",
        lambda case: len(case.payload) > 16_384 and _we_end(case, ErrorCode.FRAME_SIZE_ERROR),
    ),
    Explanation(
        "a frame within a field block of another",
        "RFC 9113 §6.10: 'any other frame ... MUST be treated as a connection error of type "
        "PROTOCOL_ERROR'; h2 looks at its length first",
        lambda case: (
            bool(case.block_stream)
            and (case.kind, case.stream_id) != (_CONTINUATION, case.block_stream)
            and _we_end(case, _PROTOCOL)
            and case.theirs.error == ErrorCode.FRAME_SIZE_ERROR
        ),
    ),
    Explanation(
        "an acknowledgement of nothing",
        "RFC 9113 §6.5.3: an ACK answers SETTINGS, and there was one; h2 counts none",
        lambda case: (
            case.kind == _SETTINGS
            and bool(case.flags & 1)
            and not case.payload
            and case.acknowledged
            and _we_end(case, _PROTOCOL)
        ),
    ),
    Explanation(
        "the code of SETTINGS ACK with a payload",
        "RFC 9113 §6.5: 'MUST be treated as a connection error of type FRAME_SIZE_ERROR'",
        lambda case: (
            case.kind == _SETTINGS
            and bool(case.flags & 1)
            and bool(case.payload)
            and _we_end(case, ErrorCode.FRAME_SIZE_ERROR)
        ),
    ),
    Explanation(
        "the code of a broken field block",
        "RFC 9113 §4.3: 'MUST be treated as a connection error of type COMPRESSION_ERROR'; h2 says "
        "PROTOCOL_ERROR",
        lambda case: (
            case.kind in {_HEADERS, _CONTINUATION}
            and bool(case.flags & 4)
            and _we_end(case, ErrorCode.COMPRESSION_ERROR)
            and case.theirs.error == _PROTOCOL
        ),
    ),
    Explanation(
        "a frame on an idle stream",
        "RFC 9113 §5.1, idle: 'MUST be treated as a connection error of type PROTOCOL_ERROR'; h2 "
        "lets RST_STREAM and some others pass",
        lambda case: (
            case.kind in {_DATA, _HEADERS, _RST_STREAM, _WINDOW_UPDATE, _CONTINUATION}
            and case.stream_state == "idle"
            and _we_end(case, _PROTOCOL)
        ),
    ),
    Explanation(
        "GOAWAY that takes back what it said, or names a stream that no client opens",
        "RFC 9113 §6.8: 'Endpoints MUST NOT increase the value'; §5.1.1: clients have odd ids",
        lambda case: (
            case.kind == _GOAWAY
            and _we_end(case, _PROTOCOL)
            and (
                (case.line is not None and _last_stream_id(case.payload) > case.line)
                or (bool(_last_stream_id(case.payload)) and not _last_stream_id(case.payload) & 1)
            )
        ),
    ),
    Explanation(
        "floods",
        "RFC 9113 §10.5: ENHANCE_YOUR_CALM for what costs much and brings nothing; our "
        "bounds are in `limits`, h2 has few",
        lambda case: _CALM in {case.ours.error, case.stream_error} and _is_flood(case),
    ),
    Explanation(
        "a setting that is said twice, first illegally",
        "RFC 9113 §6.5.3: 'The values in the SETTINGS frame MUST be processed in the order they "
        "appear'; h2 sees the last of each",
        lambda case: (
            case.kind == _SETTINGS
            and case.ours.error in {_PROTOCOL, ErrorCode.FLOW_CONTROL_ERROR}
            and len(dict(_settings(case.payload))) < len(_settings(case.payload))
            and any(_is_illegal(*each) for each in _settings(case.payload))
        ),
    ),
    Explanation(
        "PUSH_PROMISE",
        "RFC 9113 §6.6: PROTOCOL_ERROR where push is disabled; h2 looks at its form first, and "
        "waits for its CONTINUATION",
        lambda case: case.kind == _PUSH_PROMISE and _we_end(case, _PROTOCOL),
    ),
    Explanation(
        "padding that does not leave room for what else is in HEADERS",
        "RFC 9113 §6.2: 'Padding that exceeds the size remaining for the field block fragment MUST "
        "be treated as a PROTOCOL_ERROR'; h2 forgets the priority",
        lambda case: (
            case.kind == _HEADERS
            and case.flags & 0x28 == 0x28
            and case.payload[:1] > bytes((max(0, min(len(case.payload) - 6, 255)),))
            and _we_end(case, _PROTOCOL)
        ),
    ),
    Explanation(
        "a status that is no number",
        "RFC 9110 §15: a three-digit integer, else malformed (RFC 9113 §8.3.2); h2 takes all",
        lambda case: case.stream_error == _PROTOCOL and case.their_status == NO_STATUS,
    ),
    Explanation(
        "101 Switching Protocols",
        "RFC 9113 §8.6: 'HTTP/2 removes support for the 101 informational status code'",
        lambda case: case.stream_error == _PROTOCOL and case.their_status == 101,
    ),
    Explanation(
        "a body beyond what is kept",
        "ours: `limits.MAX_BODY_SIZE`; the status decides, so the rest is declined with CANCEL",
        lambda case: (
            case.kind == _DATA
            and case.stream_error == ErrorCode.CANCEL
            and case.body_octets >= 16_384
            and [len(end.body) for end in case.ours.ended] == [16_384]
        ),
    ),
    # Where we are kinder.
    Explanation(
        "HEADERS of padding alone",
        "RFC 9113 §6.2: an error is padding that exceeds what is left for the fragment; h2 wants "
        "an octet of it",
        lambda case: (
            case.kind == _HEADERS
            and bool(case.flags & 8)
            and case.payload[:1] == bytes((min(max(len(case.payload) - 1, 0), 255),))
            and len(case.payload) <= 256
            and case.ours.error is None
            and case.theirs.error == _PROTOCOL
        ),
    ),
    Explanation(
        "a body that is already longer than announced",
        "RFC 9113 §8.1.1: malformed; we count at its end, and the status decides",
        lambda case: (
            case.kind == _DATA
            and case.overlong
            and case.ours == Verdict()
            and case.theirs.error == _PROTOCOL
        ),
    ),
    Explanation(
        "a stream that depends on itself",
        "RFC 9113 §5.3.2: the priority of RFC 7540 is deprecated, its rules with it; h2 keeps one",
        lambda case: (
            case.kind in {_PRIORITY, _HEADERS}
            and case.ours.error is None
            and case.theirs.error == _PROTOCOL
            and case.depends_on_itself
        ),
    ),
    Explanation(
        "settings of extensions",
        "RFC 9113 §6.5.2: 'An endpoint that receives a SETTINGS frame with any unknown or "
        "unsupported identifier MUST ignore that setting'; h2 knows that of RFC 8441",
        lambda case: (
            case.kind == _SETTINGS
            and case.ours == Verdict(acknowledgements=(_SETTINGS_ACK,))
            and case.theirs.error == _PROTOCOL
            and any(identifier == 8 and value > 1 for identifier, value in _settings(case.payload))
        ),
    ),
    Explanation(
        "a new initial window, and streams that are gone",
        "RFC 9113 §6.9.2: of 'all stream flow-control windows that it maintains'; h2 still has "
        "those of closed streams, and finds one too large",
        lambda case: (
            case.kind == _SETTINGS
            and case.some_closed
            and case.ours == Verdict(acknowledgements=(_SETTINGS_ACK,))
            and case.theirs.error == ErrorCode.FLOW_CONTROL_ERROR
        ),
    ),
    Explanation(
        "WINDOW_UPDATE on a closed stream",
        "RFC 9113 §5.1, closed: it may come late; of what increment is nobody's concern any more",
        lambda case: (
            case.kind == _WINDOW_UPDATE and case.stream_state == "closed" and case.ours == Verdict()
        ),
    ),
    Explanation(
        "a stream's window that is credited wrongly",
        "RFC 9113 §6.9, §6.9.1: a stream error where it is on a stream; h2 ends the connection",
        lambda case: (
            case.kind == _WINDOW_UPDATE
            and case.stream_error in {_PROTOCOL, ErrorCode.FLOW_CONTROL_ERROR}
        ),
    ),
    Explanation(
        "a malformed response is one stream's affair",
        "RFC 9113 §8.1.1: a stream error of type PROTOCOL_ERROR; h2 ends the connection",
        lambda case: case.stream_error == _PROTOCOL and case.theirs.error is not None,
    ),
    Explanation(
        "a malformed response with a status",
        "RFC 9113 §8.1.1 again: the stream has ended, so there is nothing to reset; its status "
        "decides and the fault is noted",
        lambda case: (
            case.malformed
            and case.theirs.error == _PROTOCOL
            and [end[:2] for end in case.ours.ended] == [(case.stream_id, "complete")]
        ),
    ),
    Explanation(
        "extensions",
        "RFC 9113 §5.5: 'Implementations MUST ignore unknown or unsupported values'; h2 knows "
        "ALTSVC and minds its form",
        lambda case: case.kind > _CONTINUATION and case.ours == Verdict(),
    ),
    Explanation(
        "late frames on a closed stream",
        "RFC 9113 §5.1, closed: to be ignored, or an error of type STREAM_CLOSED; we answer once "
        "and with a stream error, h2 every time or with the end of the connection",
        lambda case: (
            case.stream_state == "closed"
            and case.kind in {_DATA, _HEADERS, _CONTINUATION}
            and (case.ours.error, case.ours.ended) == (None, ())
            and case.theirs.error in {None, _CLOSED, _PROTOCOL}
        ),
    ),
)
