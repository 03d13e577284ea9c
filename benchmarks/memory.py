"""Memory of the engine: a notification in flight, and a connection after millions of them.

No socket: a canned server answers, so that what is measured is the engine and what it keeps.

    python benchmarks/memory.py            a table
    python benchmarks/memory.py --json     one JSON object
    python benchmarks/memory.py --quick    a tenth of the notifications
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any, Final

from apns_core import Connection, ConnectionConfig, Notification, ProviderToken, Rejected, Route
from apns_core.http2 import frames
from apns_core.http2.settings import INITIAL_WINDOW_SIZE as WINDOW
from apns_core.http2.settings import MAX_CONCURRENT_STREAMS, MAX_WINDOW_SIZE, SETTINGS_ACK
from machine import provenance, say
from workloads import APNS_ID, AUTHORITY, JWT, PAYLOAD, answers, form, opened

SOAK: Final = 1_000_000
SOAK_BATCH: Final = 500
SAMPLES: Final = 20

# `:status 410` and `apns-id` as literals without indexing; the body that Apple documents.
REJECTION: Final = b"\x08\x03410" + b"\x00\x07apns-id" + bytes((len(APNS_ID),)) + APNS_ID
REASON: Final = b'{"reason":"Unregistered","timestamp":1700000000000}'


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="a tenth of the notifications")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        json.dump(PARTS[options.part](options.quick), sys.stdout)
        return
    result: dict[str, Any] = {
        "form": form(),
        "payload": len(PAYLOAD),
        **{part: in_own_process(part, quick=options.quick) for part in PARTS},
        "provenance": provenance(),
    }
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
        return
    for part in PARTS:
        for row in result[part]:
            print(part, ", ".join(f"{name} {value}" for name, value in row.items()))


def in_own_process(part: str, *, quick: bool) -> list[dict[str, Any]]:
    """Measure a part in a new process: memory that another has freed would hide growth."""
    say(f"measuring {part}")
    command = [sys.executable, __file__, "--part", part, *(["--quick"] if quick else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def measure_in_flight(count: int, *, traced: bool) -> dict[str, Any]:
    """Have ``count`` in flight; the payload is one object, the device tokens are counted."""
    route = Route("com.example.app")
    connection = with_room(count)
    gc.collect()
    if traced:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0] if traced else rss()
    made = [Notification(route, f"{n:064x}", PAYLOAD) for n in range(count)]
    between = tracemalloc.get_traced_memory()[0] if traced else rss()
    for number, notification in enumerate(made):
        connection.submit(notification, number, 0.0)
    while connection.data_to_send():
        pass
    gc.collect()
    after = tracemalloc.get_traced_memory()[0] if traced else rss()
    if traced:
        tracemalloc.stop()
    assert connection.in_flight == count
    return {
        "by": "tracemalloc" if traced else "RSS",
        "in_flight": count,
        "octets": round((after - before) / count),
        "of_these_the_callers_notification": round((between - before) / count),
    }


def with_room(count: int) -> "Connection[int]":
    """Return an open connection that admits ``count`` streams."""
    connection: Connection[int] = Connection(
        AUTHORITY, now=0.0, config=ConnectionConfig(max_streams=count + 1)
    )
    connection.set_provider_token(ProviderToken(JWT, 0.0))
    connection.receive_data(
        frames.settings(((MAX_CONCURRENT_STREAMS, count + 1), (WINDOW, MAX_WINDOW_SIZE)))
        + frames.window_update(0, MAX_WINDOW_SIZE - 65_535)
        + SETTINGS_ACK,
        0.0,
    )
    connection.submit(Notification(Route("com.example.app"), "0" * 64, PAYLOAD), 0, 0.0)
    connection.data_to_send()
    connection.receive_data(answers(1, 1), 0.0)
    connection.events()
    return connection


def soak(quick: bool) -> list[dict[str, Any]]:  # noqa: FBT001 - one of `PARTS`
    """Follow the RSS over a million accepted, then a million rejected, on one connection."""
    total = SOAK // 10 if quick else SOAK
    connection, stream_id = opened(), 3
    route = Route("com.example.app")
    rows: list[dict[str, Any]] = []
    for what, block, body in (("accepted", None, b""), ("rejected", REJECTION, REASON)):
        sizes: list[int] = []
        for sample in range(SAMPLES + 1):
            sizes.append(rss())
            for _ in range(total // SAMPLES // SOAK_BATCH if sample < SAMPLES else 0):
                for n in range(SOAK_BATCH):
                    connection.submit(Notification(route, f"{n:064x}", PAYLOAD), n, 0.0)
                while connection.data_to_send():
                    pass
                canned = answers(stream_id, SOAK_BATCH, *((block, body) if block else ()))
                connection.receive_data(canned, 0.0)
                stream_id += 2 * SOAK_BATCH
                outcomes = connection.events()
                assert len(outcomes) == SOAK_BATCH
                assert (type(outcomes[-1]) is Rejected) == (what == "rejected")
        settled = sizes[SAMPLES // 4]
        rows.append(
            {
                "outcome": what,
                "notifications": total,
                "rss_kib_after_a_quarter": settled // 1024,
                "rss_kib_at_the_end": sizes[-1] // 1024,
                "octets_a_notification": round((sizes[-1] - settled) / (total * 0.75), 3),
            }
        )
    return rows


def rss() -> int:
    """Return the resident octets of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


PARTS: Final = {
    "in_flight": lambda _quick: [measure_in_flight(1_000, traced=True)],
    "in_flight_tenfold": lambda _quick: [measure_in_flight(10_000, traced=True)],
    "in_flight_rss": lambda _quick: [measure_in_flight(10_000, traced=False)],
    "soak": soak,
}
"""What is measured, each in a process of its own. APNs admits 1,000 on a connection; ten times that
lets the RSS rise above its grain."""

if __name__ == "__main__":
    main()
