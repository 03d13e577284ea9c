"""How many frames of a flood are handled a second, here and by h2, and after how many it ends here.

python benchmarks/floods.py            a table, as Markdown
python benchmarks/floods.py --json     one JSON object
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from time import process_time
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection

from apns_core.field_blocks import FIELD_INDEXING
from apns_core.http2.client import Client
from apns_core.http2.errors import RemoteProtocolError
from apns_core.http2.stream import Stream
from machine import provenance

FRAMES: Final = 20_000
"""Sent at most; each flood must end before them."""

ROUNDS: Final = 5
CHUNK: Final = 100
"""Frames a read."""

REQUEST: Final = (
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"api.push.apple.com"),
    (b":path", b"/3/device/" + 32 * b"0f"),
)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


STATUS_103: Final = b"\x08\x03103"
FLOODS: Final[Mapping[str, bytes]] = {
    "SETTINGS": frame(4, 0, 0, b"\x00\x03\x00\x00\x00\x64"),
    "PING": frame(6, 0, 0, bytes(8)),
    "PING ACK": frame(6, 1, 0, bytes(8)),
    "WINDOW_UPDATE": frame(8, 0, 0, b"\x00\x00\x00\x01"),
    "PRIORITY": frame(2, 0, 1, bytes(4) + b"\x10"),
    "unknown type": frame(0xBE, 0, 0, bytes(8)),
    "RST_STREAM on a closed stream": frame(3, 0, 1, bytes(4)),
    "empty DATA": frame(0, 0, 3),
    "103 responses": frame(1, 4, 3, STATUS_103),
    "CONTINUATION": frame(9, 0, 3, bytes(100)),
    "empty CONTINUATION": frame(9, 0, 3),
}
"""Streams 1 and 3 are open; 1 is answered first, and 3 has its status where DATA needs it, or the
beginning of its field block. Not of GOAWAY: h2 closes at the first."""

BEFORE: Final[Mapping[str, bytes]] = {
    "CONTINUATION": frame(1, 0, 3, b"\x88"),
    "empty CONTINUATION": frame(1, 0, 3, b"\x88"),
    "RST_STREAM on a closed stream": frame(1, 5, 1, b"\x88"),
    "empty DATA": frame(1, 4, 3, b"\x88"),
}


@dataclass(frozen=True)
class Result:
    """One kind of flood."""

    flood: str
    ends_after: int
    """Frames, here. h2 has no bound on most."""
    per_second: float
    """Frames, here, up to that end."""
    h2_per_second: float
    """The same frames."""
    ratio: float


def our_client(flood: str) -> Client:
    """Return a client of ours that has two requests open, and is ready for the flood."""
    client = Client(FIELD_INDEXING, now=0.0)
    client.receive_data(frame(4, 0, 0) + frame(4, 1, 0), 0.0)
    for _ in range(2):
        client.send_request(Stream(), client.encoder.encode(REQUEST), b"{}")
    client.receive_data(BEFORE.get(flood, b""), 0.0)
    client.data_to_send()
    client.events.clear()
    return client


def their_client(flood: str) -> H2Connection:
    """Return one of h2 that is as far."""
    h2 = H2Connection(H2Configuration())
    h2.initiate_connection()
    h2.receive_data(frame(4, 0, 0) + frame(4, 1, 0))
    for stream_id in (1, 3):
        h2.send_headers(stream_id, REQUEST, end_stream=True)
    if flood in BEFORE:
        h2.receive_data(BEFORE[flood])
    h2.data_to_send()
    return h2


def exactly(flood: str) -> int:
    """Return the number of frames after which the connection, or the flooded stream, ends."""
    client = our_client(flood)
    for number in range(1, FRAMES + 1):
        client.receive_data(FLOODS[flood], 0.0)
        client.data_to_send()
        ended = client.closed or any(
            isinstance(event, Stream) and isinstance(event.error, RemoteProtocolError)
            for event in client.events
        )
        client.events.clear()
        if ended:
            return number
    raise SystemExit(f"{flood} does not end within {FRAMES} frames")


def ours(flood: str, count: int, repeats: int) -> float:
    """Return the CPU seconds for so many frames, so many times; each time the flood ends.

    The writer drains after each read, so that no bound on output ends it before.
    """
    clients = [our_client(flood) for _ in range(repeats)]
    reads = cut(flood, count)
    started = process_time()
    for client in clients:
        for chunk in reads:
            client.receive_data(chunk, 0.0)
            client.data_to_send()
            client.events.clear()
    return process_time() - started


def theirs(flood: str, count: int, repeats: int) -> float:
    """Return the CPU seconds that h2 takes for the same."""
    clients = [their_client(flood) for _ in range(repeats)]
    reads = cut(flood, count)
    started = process_time()
    for client in clients:
        for chunk in reads:
            client.receive_data(chunk)
            client.data_to_send()
    return process_time() - started


def cut(flood: str, count: int) -> list[bytes]:
    """Return so many frames as they are read."""
    whole, rest = divmod(count, CHUNK)
    return [FLOODS[flood] * CHUNK] * whole + [FLOODS[flood] * rest] * bool(rest)


def measure(flood: str) -> Result:
    """Feed the same frames to both, in turns; medians of several rounds."""
    frames = exactly(flood)
    # A flood that ends at once says nothing of the rate: then a whole number of short ones.
    repeats = max(1, 2_000 // frames)
    rates = [
        tuple(frames * repeats / side(flood, frames, repeats) for side in (ours, theirs))
        for _ in range(ROUNDS)
    ]
    per_second, h2_per_second = (median(rate) for rate in zip(*rates, strict=True))
    return Result(flood, frames, per_second, h2_per_second, per_second / h2_per_second)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = [measure(flood) for flood in FLOODS]
    if options.json:
        rows = [asdict(result) for result in results]
        json.dump({"rows": rows, "provenance": provenance("h2")}, sys.stdout, indent=1)
        print()
        return
    print("| flood | ends after | frames a second | h2 | ratio |\n|---|---|---|---|---|")
    for result in results:
        print(
            f"| {result.flood} | {result.ends_after:,} | {result.per_second:,.0f} "
            f"| {result.h2_per_second:,.0f} | {result.ratio:.1f} |"
        )


if __name__ == "__main__":
    main()
