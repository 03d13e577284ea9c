"""The same round trips without I/O through our engine, h2 and jh2; what they cost in CPU.

One round trip is: make a notification, submit it, encode it, read its answer, take its outcome.
For h2 and jh2 it is the least that does the same: send_headers, send_data, receive_data, events.
The server's octets are made beforehand and are the same for all.
"""

import importlib
import time
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import apns_core
from apns_core import Accepted, Connection, Notification, ProviderToken, Route
from apns_core.http2 import frames
from apns_core.http2.settings import (
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_WINDOW_SIZE,
    SETTINGS_ACK,
)

__all__ = [
    "APNS_ID",
    "AUTHORITY",
    "IN_FLIGHT",
    "JWT",
    "PAYLOAD",
    "WORKLOADS",
    "Part",
    "Workload",
    "answers",
    "form",
    "opened",
    "round_trips",
]

AUTHORITY: Final = b"api.push.apple.com"
JWT: Final = "x" * 230
PAYLOAD: Final = b'{"aps":{"alert":"' + b"x" * 180 + b'"}}'
APNS_ID: Final = b"eabeae54-14a8-11e5-b60b-1697f925ec7b"
IN_FLIGHT: Final = (1, 20, 500, 1_000)

Part: TypeAlias = Literal["round trip", "send", "receive"]
Workload: TypeAlias = Callable[[int, int, Part], float]
"""Given batches, notifications in a batch and what to time: seconds of CPU."""

# `:status 200` by index, `apns-id` as a literal without indexing: the same octets each time.
ANSWER: Final = b"\x88\x00\x07apns-id" + bytes((len(APNS_ID),)) + APNS_ID
SERVER_PREFACE: Final = (
    frames.settings(((MAX_CONCURRENT_STREAMS, 2_000), (INITIAL_WINDOW_SIZE, MAX_WINDOW_SIZE)))
    + frames.window_update(0, MAX_WINDOW_SIZE - 65_535)
    + SETTINGS_ACK
)

clock = time.process_time


def form() -> Literal["pure", "compiled"]:
    """Return what the engine of this interpreter is."""
    return "compiled" if getattr(apns_core, "__compiled__", False) else "pure"


def answers(first_stream_id: int, count: int, block: bytes = ANSWER, body: bytes = b"") -> bytes:
    """Return the server's answers to ``count`` streams; with a ``body``, in a DATA frame."""
    flags = frames.END_HEADERS | (0 if body else frames.END_STREAM)
    pieces: list[bytes] = []
    for stream_id in range(first_stream_id, first_stream_id + 2 * count, 2):
        pieces.append(frames.FRAME_HEAD.pack(0, len(block), frames.HEADERS, flags, stream_id))
        pieces.append(block)
        if body:
            head = frames.FRAME_HEAD.pack(0, len(body), frames.DATA, frames.END_STREAM, stream_id)
            pieces.append(head + body)
    return b"".join(pieces)


def opened() -> "Connection[int]":
    """Return a connection whose provider token has been accepted. Stream 3 is next."""
    connection: Connection[int] = Connection(AUTHORITY, now=0.0)
    connection.set_provider_token(ProviderToken(JWT, 0.0))
    connection.receive_data(SERVER_PREFACE, 0.0)
    connection.submit(Notification(Route("com.example.app"), "0" * 64, PAYLOAD), 0, 0.0)
    connection.data_to_send()
    connection.receive_data(answers(1, 1), 0.0)
    connection.events()
    return connection


def engine(batches: int, in_flight: int, part: Part) -> float:
    """Take `Connection` through ``batches`` of ``in_flight`` round trips."""
    return round_trips(opened(), 3, batches, in_flight, part)


def round_trips(
    connection: "Connection[int]", stream_id: int, batches: int, in_flight: int, part: Part
) -> float:
    """Take a connection through more of them, the first on ``stream_id``."""
    route = Route("com.example.app")
    tokens = [f"{n:064x}" for n in range(in_flight)]
    halves = part != "round trip"
    seconds = 0.0
    for _ in range(batches):
        now = stream_id * 1e-5  # it never goes back, whoever calls this how often
        incoming = answers(stream_id, in_flight)
        stream_id += 2 * in_flight
        start = clock()
        for token in tokens:
            connection.submit(Notification(route, token, PAYLOAD), 0, now)
        while connection.data_to_send():
            pass
        middle = clock() if halves else start
        connection.receive_data(incoming, now)
        outcomes = connection.events()
        connection.poll_timeout()
        end = clock()
        seconds += middle - start if part == "send" else end - middle
        assert len(outcomes) == in_flight
        assert type(outcomes[-1]) is Accepted
    return seconds


def like_h2(package: str) -> Workload:
    """Return the workload for h2, or for jh2, which has its interface; both with their defaults."""

    def workload(batches: int, in_flight: int, part: Part) -> float:
        make: Any = importlib.import_module(f"{package}.connection").H2Connection
        configuration: Any = importlib.import_module(f"{package}.config").H2Configuration
        stream_ended: Any = importlib.import_module(f"{package}.events").StreamEnded
        connection = make(configuration(client_side=True))
        connection.initiate_connection()
        connection.receive_data(SERVER_PREFACE)
        connection.data_to_send()
        tokens = [f"{n:064x}" for n in range(in_flight)]
        halves = part != "round trip"
        stream_id = 1
        seconds = 0.0
        for _ in range(batches):
            incoming = answers(stream_id, in_flight)
            start = clock()
            for token in tokens:
                headers = [
                    (":method", "POST"),
                    (":scheme", "https"),
                    (":authority", "api.push.apple.com"),
                    (":path", "/3/device/" + token),
                    ("authorization", "bearer " + JWT),
                    ("apns-topic", "com.example.app"),
                    ("apns-push-type", "alert"),
                    ("apns-priority", "10"),
                ]
                connection.send_headers(stream_id, headers)
                connection.send_data(stream_id, PAYLOAD, end_stream=True)
                stream_id += 2
            connection.data_to_send()
            middle = clock() if halves else start
            events = connection.receive_data(incoming)
            ended = sum(type(event) is stream_ended for event in events)
            end = clock()
            seconds += middle - start if part == "send" else end - middle
            assert ended == in_flight
        return seconds

    return workload


WORKLOADS: Final[dict[str, Workload]] = {
    "engine": engine,
    "h2": like_h2("h2"),
    "jh2": like_h2("jh2"),
}
