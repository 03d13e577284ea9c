"""Writes the answers of one connection: fields, body, and what flow control holds back of it."""

import json
from collections import deque
from typing import Final, final

from .h2_server import H2Server
from .temper import BodyStyle

__all__ = ["AnswerWriter", "error_body"]

HTML_PAGE: Final = b"<html><head><title>502 Bad Gateway</title></head><body></body></html>"
HUGE_BODY_SIZE: Final = 2**20
PADDING: Final = 100


def error_body(reason: str | None, timestamp: int | None, style: BodyStyle) -> bytes:
    """Return the body of a refusal: Apple's JSON, unless `style` says otherwise."""
    if style in ("absent", "empty"):
        return b""
    if style == "html":
        return HTML_PAGE
    if reason is None:
        return b""
    members: dict[str, object] = {"reason": reason}
    if timestamp is not None:
        members["timestamp"] = timestamp
    body = json.dumps(members, separators=(",", ":")).encode()
    return body.ljust(HUGE_BODY_SIZE) if style == "huge" else body


@final
class AnswerWriter:
    """Sends answers, and keeps of their bodies what the client's windows have no room for yet."""

    def __init__(self, h2: H2Server) -> None:
        self._h2 = h2
        self._waiting: dict[int, _Body] = {}

    def write(
        self,
        stream_id: int,
        fields: list[tuple[bytes, bytes]],
        body: bytes,
        style: BodyStyle,
    ) -> bool:
        """Send an answer; return whether its stream is over with that."""
        if not body and style != "empty":
            self._h2.answer_without_body(stream_id, fields)
            return True
        self._h2.send_headers(stream_id, fields)
        self._waiting[stream_id] = _Body(body, style)
        return self._write_body(stream_id)

    def resume(self) -> list[int]:
        """Send what the windows allow by now; return the streams that are over with that."""
        return [stream_id for stream_id in list(self._waiting) if self._write_body(stream_id)]

    def drop(self, stream_id: int) -> None:
        """Forget the rest of the body of a stream that the client has reset."""
        self._waiting.pop(stream_id, None)

    def _write_body(self, stream_id: int) -> bool:
        h2, body = self._h2, self._waiting[stream_id]
        while body.pieces:
            piece = body.pieces[0]
            room = min(h2.local_flow_control_window(stream_id), h2.max_outbound_frame_size)
            overhead = 0 if body.padding is None else body.padding + 1
            if piece and room <= overhead:
                return False
            sent = piece[: room - overhead] if piece else piece
            if len(sent) < len(piece):
                body.pieces[0] = piece[len(sent) :]
            else:
                body.pieces.popleft()
            is_last = not body.pieces and body.style not in ("trailers", "unfinished")
            h2.send_data(stream_id, sent, end_stream=is_last, pad_length=body.padding)
        if body.style == "unfinished":
            return False
        if body.style == "trailers":
            h2.send_headers(stream_id, [(b"x-trailer", b"1")], end_stream=True)
        del self._waiting[stream_id]
        return True


@final
class _Body:
    """What is left of a body, in pieces of at least one DATA frame each."""

    __slots__ = ("padding", "pieces", "style")

    def __init__(self, body: bytes, style: BodyStyle) -> None:
        self.style = style
        self.padding = PADDING if style == "padded" else None
        self.pieces = deque([body])
        if style == "split":
            self.pieces = deque(body[i : i + 1] for i in range(len(body)))
            self.pieces.append(b"")
