"""The lowest layer of a simulated connection: h2, frames beside it, SETTINGS, timers, the end."""

import heapq
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Literal, final

from h2.events import Event
from h2.exceptions import H2Error
from h2.settings import SettingCodes

from . import frames
from .h2_server import H2Server
from .ledger import ConnectionRecord, Ledger
from .stream_limit import StreamLimit

__all__ = ["CloseKind", "Wire"]

CloseKind = Literal["eof", "abort"]

_FIELD_VALUE: Final = re.compile(r"\bb['\"].*", re.DOTALL)


@final
class Wire:
    """What a connection writes, in order, whether h2 would or not."""

    def __init__(self, ledger: Ledger, record: ConnectionRecord, limit: StreamLimit) -> None:
        self.h2 = H2Server()
        self.ledger = ledger
        self.record = record
        self.limit = limit
        self.closed_by: CloseKind | None = None
        self._unacknowledged = deque[Mapping[int, int]]()
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        self._timers_made = 0
        self._raw = bytearray()

    def receive(self, frame: bytes) -> list[Event]:
        """Give h2 one frame at a time: so no event is lost when it objects to the next."""
        try:
            return self.h2.receive_data(frame)
        except H2Error as error:
            # h2 has written its GOAWAY. Its text may quote a field's value, which may be a secret.
            self.violate(f"{type(error).__name__}: {_FIELD_VALUE.sub('…', str(error))}")
            self.record.goaways_sent += 1
            self.close("eof")
            return []

    def violate(self, text: str) -> None:
        """Enter what the client did wrong in the ledger."""
        self.ledger.violate(self.record.number, text)

    def fail(self, text: str, error_code: int) -> None:
        """End the connection for a connection error (RFC 9113 section 5.4.1)."""
        self.violate(text)
        self.send_goaway(self.h2.highest_inbound_stream_id, error_code, b"")
        self.close("eof")

    def send_raw(self, data: bytes) -> None:
        """Write any bytes after all that was written so far."""
        self._raw += self.h2.data_to_send()
        self._raw += data

    def send_goaway(self, last_stream_id: int, error_code: int, debug_data: bytes) -> None:
        """Write a GOAWAY and go on."""
        self.record.goaways_sent += 1
        self.send_raw(frames.goaway_frame(last_stream_id, error_code, debug_data))

    def reset(self, stream_id: int, error_code: int) -> None:
        """Write RST_STREAM, also for a stream that is over or was never open."""
        self.record.resets_sent += 1
        if stream_id in self.h2.streams:
            self.h2.reset_stream(stream_id, error_code)
            self.h2.forget(stream_id)
        else:
            self.send_raw(frames.rst_stream_frame(stream_id, error_code))

    def send_settings(self, values: Mapping[int, int]) -> None:
        """Write SETTINGS. h2 learns of them when they are acknowledged.

        It would apply all of its pending SETTINGS at the first acknowledgement, and then blame the
        client for what it cannot have read yet.
        """
        self._unacknowledged.append(values)
        if (limit := values.get(SettingCodes.MAX_CONCURRENT_STREAMS)) is not None:
            self.limit.announce(limit)
        self.send_raw(frames.settings_frame(values))

    def settings_acknowledged(self) -> bool:
        """Apply the oldest SETTINGS on the way; return ``False`` when none are."""
        if not self._unacknowledged:
            self.violate("SETTINGS acknowledged that were never sent")
            return False
        values = self._unacknowledged.popleft()
        self.h2.local_settings.update({SettingCodes(code): value for code, value in values.items()})
        if SettingCodes.MAX_CONCURRENT_STREAMS in values:
            self.limit.acknowledge()
        return True

    def take(self) -> bytes:
        """Return all that was written, and forget it."""
        if not self._raw:
            return self.h2.data_to_send()
        self.send_raw(b"")
        data = bytes(self._raw)
        self._raw.clear()
        return data

    def at(self, due: float, action: Callable[[float], None]) -> None:
        """Call `action` with the time once `due` has come. Equal times keep their order."""
        self._timers_made += 1
        heapq.heappush(self._timers, (due, self._timers_made, action))

    def run_timers(self, now: float) -> None:
        """Do what is due."""
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2](now)

    def next_timer(self) -> float | None:
        """Return when the next action is due."""
        return self._timers[0][0] if self._timers else None

    def close(self, kind: CloseKind) -> None:
        """End the connection; the first cause decides how."""
        if self.closed_by is None:
            self.closed_by = kind
            self.record.closed = True
            self._timers.clear()
