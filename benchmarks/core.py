"""CPU time of the engine without I/O, beside h2 doing the same requests in the same run.

One round trip is: make a notification, submit it, encode it, read its answer, take its outcome.
For h2 it is the least that does the same: send_headers, send_data, receive_data, its events.

    python benchmarks/core.py            a table
    python benchmarks/core.py --json     one JSON object
    python benchmarks/core.py --quick    the same within 40 seconds
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import hpack

from apns_core import Connection, Notification, ProviderToken, Route
from apns_core.http2 import frames
from apns_core.http2.settings import (
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_WINDOW_SIZE,
    SETTINGS_ACK,
)

AUTHORITY = b"api.push.apple.com"
JWT = "x" * 230
PAYLOAD = b'{"aps":{"alert":"' + b"x" * 180 + b'"}}'
APNS_ID = b"eabeae54-14a8-11e5-b60b-1697f925ec7b"
IN_FLIGHT = (1, 20, 500, 1_000)

# `:status 200` by index, `apns-id` as a literal without indexing: the same octets each time.
ANSWER = b"\x88\x00\x07apns-id" + bytes((len(APNS_ID),)) + APNS_ID
SERVER_PREFACE = (
    frames.settings(((MAX_CONCURRENT_STREAMS, 2_000), (INITIAL_WINDOW_SIZE, MAX_WINDOW_SIZE)))
    + frames.window_update(0, MAX_WINDOW_SIZE - 65_535)
    + SETTINGS_ACK
)


def answers(first_stream_id: int, count: int) -> bytes:
    """Return the server's answers to ``count`` streams."""
    flags = frames.END_HEADERS | frames.END_STREAM
    return b"".join(
        frames.FRAME_HEAD.pack(0, len(ANSWER), frames.HEADERS, flags, stream_id) + ANSWER
        for stream_id in range(first_stream_id, first_stream_id + 2 * count, 2)
    )


def engine(batches: int, in_flight: int) -> float:
    """Return seconds of CPU for ``batches`` of ``in_flight`` round trips through `Connection`."""
    connection: Connection[int] = Connection(AUTHORITY, now=0.0)
    connection.set_provider_token(ProviderToken(JWT, 0.0))
    connection.receive_data(SERVER_PREFACE, 0.0)
    route = Route("com.example.app")
    tokens = [f"{n:064x}" for n in range(in_flight)]
    connection.submit(Notification(route, tokens[0], PAYLOAD), 0, 0.0)
    connection.data_to_send()
    connection.receive_data(answers(1, 1), 0.0)
    connection.events()
    stream_id = 3
    seconds = 0.0
    for batch in range(batches):
        now = batch * 0.001
        incoming = answers(stream_id, in_flight)
        stream_id += 2 * in_flight
        start = time.process_time()
        for token in tokens:
            connection.submit(Notification(route, token, PAYLOAD), 0, now)
        while connection.data_to_send():
            pass
        connection.receive_data(incoming, now)
        outcomes = connection.events()
        connection.poll_timeout()
        seconds += time.process_time() - start
        assert len(outcomes) == in_flight
    return seconds


def h2_client(batches: int, in_flight: int) -> float:
    """Return the same for h2 with its defaults."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    connection.receive_data(SERVER_PREFACE)
    connection.data_to_send()
    tokens = [f"{n:064x}" for n in range(in_flight)]
    stream_id = 1
    seconds = 0.0
    for _ in range(batches):
        incoming = answers(stream_id, in_flight)
        start = time.process_time()
        for token in tokens:
            headers = [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", AUTHORITY.decode()),
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
        events = connection.receive_data(incoming)
        ended = sum(type(event) is h2.events.StreamEnded for event in events)
        seconds += time.process_time() - start
        assert ended == in_flight
    return seconds


def per_notification(
    run: Callable[[int, int], float], in_flight: int, notifications: int, rounds: int
) -> float:
    """Return the median µs of CPU a notification over ``rounds``."""
    batches = max(1, notifications // in_flight)
    return statistics.median(
        run(batches, in_flight) / (batches * in_flight) * 1e6 for _ in range(rounds)
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="end within 40 seconds, as JSON")
    options = parser.parse_args()
    rounds, ours, theirs = (3, 20_000, 2_000) if options.quick else (5, 100_000, 10_000)
    us = {n: per_notification(engine, n, ours, rounds) for n in IN_FLIGHT}
    h2_us = {n: per_notification(h2_client, n, theirs, rounds) for n in IN_FLIGHT}
    result = {
        "us_per_notification": {str(n): round(us[n], 2) for n in IN_FLIGHT},
        "h2_us_per_notification": {str(n): round(h2_us[n], 1) for n in IN_FLIGHT},
        "ratio_to_h2": {str(n): round(us[n] / h2_us[n], 3) for n in IN_FLIGHT},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "h2": h2.__version__,
        "hpack": hpack.__version__,
    }
    if options.json or options.quick:
        json.dump(result, sys.stdout)
        print()
        return
    print(f"CPython {platform.python_version()}, h2 {h2.__version__}; µs of CPU a notification")
    print(f"{'in flight':>10} {'engine':>10} {'h2':>10} {'ratio':>8}")
    for n in IN_FLIGHT:
        print(f"{n:>10} {us[n]:>10.2f} {h2_us[n]:>10.1f} {us[n] / h2_us[n]:>8.3f}")


if __name__ == "__main__":
    main()
