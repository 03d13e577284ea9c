"""One connection of a simulated APNs, without I/O: bytes and time in, bytes out."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.settings import SettingCodes

from . import frames
from .client_certificates import ClientCertificate
from .stream_limit import StreamLimit
from .streams import Streams
from .temper import GoAway, SettingsChange, Temper
from .wire import Wire

if TYPE_CHECKING:
    from .simulator import Simulator

__all__ = ["SimulatedConnection"]

DEFAULT_WINDOW: Final = 65_535


@final
class SimulatedConnection:
    """Made by ``Simulator.accept``.

    After each input (``receive_data``, ``receive_eof``, ``handle_timeout``) and each command, send
    what ``data_to_send`` returns, close the transport if ``closed`` says so (reset it if
    ``aborted`` does), and call ``handle_timeout`` when ``poll_timeout`` has come. What a client
    sends never makes it raise.
    """

    def __init__(
        self, simulator: "Simulator", now: float, certificate: ClientCertificate | None = None
    ) -> None:
        config = simulator.config
        self._simulator = simulator
        self.record = simulator.ledger.open_connection()
        """The connection's line in the ledger."""

        self._wire = Wire(simulator.ledger, self.record, StreamLimit(config))
        self._streams = Streams(simulator, self._wire, certificate)
        self._splitter = frames.FrameSplitter(config.max_frame_size)
        self._preface_left = len(frames.PREFACE)
        self._field_block_size = 0
        self._looks: dict[int, Callable[[int, int, bytes], bool]] = {
            frames.HEADERS: self._look_at_headers,
            frames.RST_STREAM: self._look_at_reset,
            frames.SETTINGS: self._look_at_settings,
            frames.PING: self._look_at_ping,
            frames.GOAWAY: self._look_at_goaway,
            frames.CONTINUATION: self._look_at_continuation,
        }
        self._goaways_begun = False
        self._settings_changed = False
        self._draining = False
        self._deaf = False
        self._bytes_sent = 0
        simulator.live.add(self)
        self._wire.send_settings(
            {
                SettingCodes.HEADER_TABLE_SIZE: config.header_table_size,
                SettingCodes.MAX_CONCURRENT_STREAMS: self._wire.limit.announced,
                SettingCodes.INITIAL_WINDOW_SIZE: config.initial_window_size,
                SettingCodes.MAX_FRAME_SIZE: config.max_frame_size,
                SettingCodes.MAX_HEADER_LIST_SIZE: config.max_header_list_size,
            }
        )
        if config.connection_window_size > DEFAULT_WINDOW:
            self.credit(config.connection_window_size - DEFAULT_WINDOW)
        if self._temper.ping_every is not None:
            self._wire.at(now + self._temper.ping_every, self._ping_again)
        if self._temper.close_after_requests == 0:
            self._wire.close(self._temper.close_by)
        if config.authentication == "certificate" and certificate is not None:
            self._look_at_certificate(certificate)
        self._after_request(now)
        self._settle()

    # Inputs.

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes that came from the client, cut anywhere."""
        if self.closed:
            return
        self.record.bytes_received += len(data)
        temper = self._temper
        limit = temper.close_after_bytes
        if limit is None or self.record.bytes_received < limit:
            self._read(data, now)
        else:
            self._read(data[: max(len(data) - (self.record.bytes_received - limit), 0)], now)
            self._wire.close(temper.close_by)
        self._settle()

    def receive_eof(self, now: float) -> None:  # noqa: ARG002 - an input like the others
        """Note that the client, or the network, has ended the connection."""
        self.close()

    def handle_timeout(self, now: float) -> None:
        """Do what was due at or before `now`."""
        self._wire.run_timers(now)
        self._settle()

    # Commands.

    def send_goaway(self, goaway: GoAway | None = None) -> None:
        """Write a GOAWAY at once and go on; by default its last stream is the last that was read.

        Streams above its last-stream-id are ignored from then on, and so are held requests.
        """
        goaway = goaway or GoAway()
        last = self._streams.last_read if goaway.last_stream_id is None else goaway.last_stream_id
        self._wire.send_goaway(last, goaway.error_code, goaway.debug_data.encode())
        self._streams.ignore_above(last)

    def send_ping(self, opaque_data: bytes = b"simulate") -> None:
        """Write a PING with 8 bytes of data."""
        self._wire.h2.ping(opaque_data)

    def change_settings(self, change: SettingsChange) -> None:
        """Write SETTINGS; they bind the client from its acknowledgement on."""
        values = {
            SettingCodes.MAX_CONCURRENT_STREAMS: change.max_concurrent_streams,
            SettingCodes.INITIAL_WINDOW_SIZE: change.initial_window_size,
            SettingCodes.HEADER_TABLE_SIZE: change.header_table_size,
        }
        self._wire.send_settings(
            {code: value for code, value in values.items() if value is not None}
        )

    def reset_stream(self, stream_id: int, *error_codes: int) -> None:
        """Write one RST_STREAM for each error code, in order, and answer it no more."""
        self._streams.refuse(stream_id, "reset by server", *error_codes)

    def credit(self, increment: int, stream_id: int = 0) -> None:
        """Write a WINDOW_UPDATE."""
        self._wire.h2.increment_flow_control_window(increment, stream_id or None)

    def send_raw(self, data: bytes) -> None:
        """Write any bytes after all that was written so far."""
        self._wire.send_raw(data)

    def hold(self) -> None:
        """Read requests from now on without processing them."""
        self._streams.hold()

    def release(self, now: float) -> None:
        """Process the held requests in the order in which they came, and hold no more."""
        self._streams.release(now)
        self._settle()

    def close(self) -> None:
        """End the connection in order, once what was written is sent."""
        self._wire.close("eof")
        self._settle()

    def abort(self) -> None:
        """End the connection by a TCP reset."""
        self._wire.close("abort")
        self._settle()

    # Outputs.

    def data_to_send(self) -> bytes:
        """Return the bytes to send now. They count as sent."""
        data = self._wire.take()
        self._streams.sent()
        temper = self._temper
        limit = temper.close_after_bytes_sent
        if limit is not None and self._bytes_sent + len(data) >= limit:
            data = data[: max(limit - self._bytes_sent, 0)]
            self._wire.close(temper.close_by)
            self._settle()
        self._bytes_sent += len(data)
        return data

    def poll_timeout(self) -> float | None:
        """Return when ``handle_timeout`` wants to be called, or ``None``."""
        return self._wire.next_timer()

    # Getters.

    @property
    def closed(self) -> bool:
        """Whether the transport should be closed, after what is left to send."""
        return self._wire.closed_by is not None

    @property
    def aborted(self) -> bool:
        """Whether the transport should be reset."""
        return self._wire.closed_by == "abort"

    @property
    def open_streams(self) -> int:
        """Streams that were let in and are not answered to their end."""
        return self._streams.open

    @property
    def _temper(self) -> Temper:
        return self._simulator.temper_of(self.record.number)

    def _look_at_certificate(self, certificate: ClientCertificate) -> None:
        """Refuse it as APNs was seen to: GOAWAY with the reason, another without, and the end."""
        reason = certificate.problem(self._simulator.config.environment)
        if reason is not None:
            self.send_goaway(GoAway.because(reason, last_stream_id=0))
            self.send_goaway(GoAway(last_stream_id=0))
            self._wire.close("eof")

    # Frames.

    def _read(self, data: bytes, now: float) -> None:
        if self._deaf:
            return
        if self._preface_left:
            preface, data = data[: self._preface_left], data[self._preface_left :]
            self._preface_left -= len(preface)
            self._wire.receive(preface)
        try:
            for frame_type, flags, stream_id, frame in self._splitter.split(data):
                if self._deaf or self.closed:
                    return
                look = self._looks.get(frame_type)
                if look is None or look(flags, stream_id, frame):
                    self._pass_on(frame, now)
        except frames.OversizedFrameError:
            self._wire.fail("a frame above MAX_FRAME_SIZE", ErrorCodes.FRAME_SIZE_ERROR)

    def _pass_on(self, frame: bytes, now: float) -> None:
        for event in self._wire.receive(frame):
            match event:
                case RequestReceived():
                    self._streams.request_received(event, self._field_block_size)
                case DataReceived():
                    self._streams.data_received(event)
                case StreamEnded():
                    if self._streams.stream_ended(event, now):
                        self._after_request(now)
                case StreamReset():
                    self._streams.stream_reset(event)
                case WindowUpdated() | RemoteSettingsChanged():
                    self._streams.windows_grew()
                case _:
                    pass

    # Looks: at a frame before h2 gets it. They return whether it does.

    def _look_at_headers(self, flags: int, _stream_id: int, frame: bytes) -> bool:
        self._field_block_size = frames.field_block_size(flags, frame)
        return True

    def _look_at_continuation(self, _flags: int, _stream_id: int, frame: bytes) -> bool:
        self._field_block_size += len(frame) - 9
        return True

    def _look_at_reset(self, _flags: int, stream_id: int, _frame: bytes) -> bool:
        self.record.resets_received += 1
        if stream_id <= self._wire.h2.highest_inbound_stream_id:
            return True
        # RFC 9113 section 6.4: "RST_STREAM frames MUST NOT be sent for a stream in the "idle"
        # state."
        self._wire.fail("RST_STREAM for an idle stream", ErrorCodes.PROTOCOL_ERROR)
        return False

    def _look_at_settings(self, flags: int, _stream_id: int, _frame: bytes) -> bool:
        return not flags & frames.FLAG_ACK or self._wire.settings_acknowledged()

    def _look_at_ping(self, flags: int, _stream_id: int, _frame: bytes) -> bool:
        self.record.pings_received += not flags & frames.FLAG_ACK
        return True

    def _look_at_goaway(self, _flags: int, stream_id: int, frame: bytes) -> bool:
        if stream_id or len(frame) < 17:
            return True  # h2 knows what is wrong with it.
        # h2 would end here. RFC 9113 section 6.8 lets the streams in flight come to their end.
        self.record.goaways_received += 1
        self._draining = True
        return False

    # Tempers.

    def _after_request(self, now: float) -> None:
        """Do what the temper has in mind for after as many requests as were read."""
        temper, requests = self._temper, self.record.requests
        if _has_come(temper.goaway_after, requests) and not self._goaways_begun:
            self._goaways_begun = True
            self._send_goaways(temper.goaway_frames, close=temper.goaway_close, now=now)
        if _has_come(temper.settings_after, requests) and not self._settings_changed:
            self._settings_changed = True
            self.change_settings(temper.settings)
        if _has_come(temper.silent_after, requests) and temper.silence == "everything":
            self._deaf = True

    def _send_goaways(self, goaways: tuple[GoAway, ...], *, close: bool, now: float) -> None:
        """Send the first GOAWAY when its delay has passed, then the others in the same way."""
        if not goaways:
            self._draining = self._draining or close
            return
        first, others = goaways[0], goaways[1:]

        def send(now: float) -> None:
            self.send_goaway(first)
            self._send_goaways(others, close=close, now=now)

        if first.delay:
            self._wire.at(now + first.delay, send)
        else:
            send(now)

    def _ping_again(self, now: float) -> None:
        self.send_ping()
        if self._temper.ping_every is not None:
            self._wire.at(now + self._temper.ping_every, self._ping_again)

    def _settle(self) -> None:
        """Close once nothing is left to do, and tell the others of it."""
        if self._draining and not self._streams.open:
            self._wire.close("eof")
        if self.closed and self in self._simulator.live:
            self._simulator.live.discard(self)
            self._streams.closed()


def _has_come(after: int | None, requests: int) -> bool:
    return after is not None and requests >= after
