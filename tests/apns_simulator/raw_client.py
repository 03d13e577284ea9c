"""A client of hyperframe and hpack alone: it reads on where h2's client would stop."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from apns_simulator import (
    ClientCertificate,
    ProviderKey,
    SimulatedConnection,
    Simulator,
    SimulatorConfig,
    Temper,
    make_provider_key,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
UNIX_TIME = 1_800_000_000
DEVICE = "ab" * 32
KEY: ProviderKey = make_provider_key()
TOKEN = KEY.sign(UNIX_TIME)

Fields = list[tuple[str, str]]


def make_simulator(temper: Temper | None = None, **config: Any) -> Simulator:  # noqa: ANN401
    """Make a simulator whose clock shows 0 at UNIX_TIME."""
    config.setdefault("trusted_keys", KEY.trusted())
    return Simulator(
        SimulatorConfig(**config), unix_time=UNIX_TIME, now=0.0, rng=Random(1), temper=temper
    )


def fields(device: str = DEVICE, *, token: str | None = TOKEN, **changes: str | None) -> Fields:
    """Return a good request's fields; ``apns_topic=None`` leaves one out, other values replace."""
    made: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "https",
        ":path": f"/3/device/{device}",
        ":authority": "localhost",
        "authorization": None if token is None else f"bearer {token}",
        "apns-topic": "com.example.app",
        "apns-push-type": "alert",
    }
    for name, value in changes.items():
        wire_name = name.replace("_", "-")
        made[f":{wire_name}" if f":{wire_name}" in made else wire_name] = value
    return [(name, value) for name, value in made.items() if value is not None]


@dataclass
class Answer:
    """What came back on one stream."""

    fields: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    data_frames: int = 0
    ended: bool = False
    resets: list[int] = field(default_factory=list[int])
    informational: int = 0
    trailers: bool = False

    @property
    def status(self) -> int | None:
        return int(self.fields[":status"]) if ":status" in self.fields else None

    @property
    def reason(self) -> str | None:
        return json.loads(self.body)["reason"] if self.body else None


class RawClient:
    """Speaks to one simulated connection; every call reads all that the server has to say."""

    def __init__(
        self,
        simulator: Simulator,
        *,
        acknowledge: bool = True,
        certificate: ClientCertificate | None = None,
    ) -> None:
        self.simulator = simulator
        self.connection: SimulatedConnection = simulator.accept(0.0, certificate)
        self.acknowledge = acknowledge
        self.answers: dict[int, Answer] = {}
        self.settings: list[dict[int, int]] = []
        self.goaways: list[GoAwayFrame] = []
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.credit: dict[int, int] = {}
        self.encoder = Encoder()
        self.received = b""
        self._decoder = Decoder()
        self._next_id = 1
        self.send_bytes(PREFACE + SettingsFrame(0).serialize())

    # Sending.

    def request_frames(
        self, request: Iterable[tuple[str, str]] | None = None, body: bytes = b'{"aps":{}}'
    ) -> tuple[int, bytes, bytes]:
        """Return the next stream's id, its HEADERS and its DATA, without sending them."""
        stream_id, self._next_id = self._next_id, self._next_id + 2
        block = self.encoder.encode(fields() if request is None else request)
        headers = HeadersFrame(stream_id, block, flags=["END_HEADERS"])
        if not body:
            headers.flags.add("END_STREAM")
            return stream_id, headers.serialize(), b""
        data = DataFrame(stream_id, body, flags=["END_STREAM"])
        return stream_id, headers.serialize(), data.serialize()

    def request(
        self,
        request: Iterable[tuple[str, str]] | None = None,
        body: bytes = b'{"aps":{}}',
        now: float = 0.0,
    ) -> Answer:
        """Send a request at once and return what is known of its answer by then."""
        stream_id, headers, data = self.request_frames(request, body)
        self.send_bytes(headers + data, now)
        return self.answer(stream_id)

    def burst(self, count: int, now: float = 0.0) -> list[Answer]:
        """Send so many requests in one piece."""
        made = [self.request_frames() for _ in range(count)]
        self.send_bytes(b"".join(headers + data for _, headers, data in made), now)
        return [self.answer(stream_id) for stream_id, _, _ in made]

    def send(self, frame: Frame, now: float = 0.0) -> None:
        self.send_bytes(frame.serialize(), now)

    def send_bytes(self, data: bytes, now: float = 0.0) -> None:
        self.connection.receive_data(data, now)
        self.read(now)

    def credit_all(self, stream_id: int, increment: int) -> None:
        """Open the windows of the connection and of a stream."""
        for window in (0, stream_id):
            self.send(WindowUpdateFrame(window, window_increment=increment))

    def wait(self, now: float) -> None:
        """Let the time come to `now`."""
        self.connection.handle_timeout(now)
        self.read(now)

    # Receiving.

    def is_closed(self) -> bool:
        return self.connection.closed

    def answer(self, stream_id: int) -> Answer:
        return self.answers.setdefault(stream_id, Answer())

    def read(self, now: float = 0.0) -> None:
        data = self.connection.data_to_send()
        self.received += data
        while len(self.received) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self.received[:9]))
            if len(self.received) < 9 + length:
                return
            frame.parse_body(memoryview(self.received[9 : 9 + length]))
            self.received = self.received[9 + length :]
            self._take(frame, now)

    def _take(self, frame: Frame, now: float) -> None:
        match frame:
            case HeadersFrame():
                self._take_headers(frame)
            case DataFrame():
                answer = self.answer(frame.stream_id)
                answer.body += frame.data
                answer.data_frames += 1
                answer.ended = answer.ended or "END_STREAM" in frame.flags
            case RstStreamFrame():
                self.answer(frame.stream_id).resets.append(frame.error_code)
            case SettingsFrame() if "ACK" not in frame.flags:
                self.settings.append(dict(frame.settings))
                if self.acknowledge:
                    self.send(SettingsFrame(0, flags=["ACK"]), now)
            case GoAwayFrame():
                self.goaways.append(frame)
            case PingFrame():
                (self.pongs if "ACK" in frame.flags else self.pings).append(frame.opaque_data)
            case WindowUpdateFrame():
                total = self.credit.get(frame.stream_id, 0) + frame.window_increment
                self.credit[frame.stream_id] = total
            case _:
                pass

    def _take_headers(self, frame: HeadersFrame) -> None:
        answer = self.answer(frame.stream_id)
        received = {
            name.decode(): value.decode()
            for name, value in self._decoder.decode(frame.data, raw=True)
        }
        if received.get(":status", "").startswith("1"):
            answer.informational += 1
        elif answer.fields:
            answer.trailers = True
        else:
            answer.fields = received
        answer.ended = answer.ended or "END_STREAM" in frame.flags
