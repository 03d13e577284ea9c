"""Pushes a second against the round trip, the size of the body and the number of connections.

The server announces windows of 65,535 octets, as APNs does (nghttpd, TLS); a proxy in a process of
its own puts the round trip between. Beside each rate stands what the window allows: so many bodies
as fit into it, once a round trip, on each connection.

    python benchmarks/rtt.py            a table, as Markdown (minutes)
    python benchmarks/rtt.py --json     one JSON object
    python benchmarks/rtt.py --quick    the corners only, a second each
"""

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from apns_asyncio import Client
from apns_core import Accepted, ConnectionConfig, Endpoint, Notification, Route, SenderConfig
from apns_core.trust.tls import client_context
from loopback import ADDRESS, HOST, Authority, free_port, require, running
from machine import ROOT, first_line, provenance, say

WINDOW: Final = 65_535
"""Octets, of each connection and each stream: what HTTP/2 starts with, and APNs leaves so."""
MAX_STREAMS: Final = 1_000
ROUND_TRIPS: Final = (0.0, 0.01, 0.02, 0.04, 0.08)
BODIES: Final = (200, 1_000, 4_096)
CONNECTIONS: Final = (1, 4, 16)
SECONDS: Final = 3.0
OPENING_SECONDS: Final = 4.0
"""How long a client may take to open its connections; it opens those that its load asks for."""
DEVICE: Final = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="the corners only, a second each")
    options = parser.parse_args()
    round_trips = (ROUND_TRIPS[0], ROUND_TRIPS[-1]) if options.quick else ROUND_TRIPS
    seconds = 1.0 if options.quick else SECONDS
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        authority = Authority(folder)
        server = stack.enter_context(nghttpd(folder, authority))
        for rtt in round_trips:
            measured_rtt = measure_rtt(rtt)
            with delayed(server, rtt) as port:
                for body in BODIES[:: 2 if options.quick else 1]:
                    for connections in CONNECTIONS[: 2 if options.quick else 3]:
                        load = push(port, authority, body, connections, seconds)
                        allowed = window_allows(measured_rtt, body, connections)
                        row = {
                            "rtt_ms": round(rtt * 1e3),
                            "measured_rtt_ms": round(measured_rtt * 1e3, 1),
                            "body": body,
                            "connections": connections,
                            **asyncio.run(load),
                            "window_allows": allowed if rtt else None,
                        }
                        rows.append(row)
                        say(str(row))
    result = {
        "provenance": provenance(),
        "settings": {
            "server": f"nghttpd {first_line('nghttpd', '--version').partition('/')[2]}",
            "window": WINDOW,
            "max_streams": MAX_STREAMS,
            "seconds": seconds,
        },
        "rows": rows,
    }
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
    else:
        print("| round trip, ms | body | connections | opened | pushes a second | window allows |")
        print("|---|---|---|---|---|---|")
        for row in rows:
            print(
                f"| {row['rtt_ms']} | {row['body']} | {row['connections']} | {row['opened']} "
                f"| {row['per_second']:,} | {row['window_allows'] or '—'} |"
            )


def window_allows(rtt: float, body: int, connections: int) -> int:
    """Return pushes a second: what fits into the window, or the streams, once a round trip."""
    return round(min(WINDOW / body, MAX_STREAMS) / rtt * connections)


async def push(
    port: int, authority: Authority, body: int, connections: int, seconds: float
) -> dict[str, Any]:
    """Push without end; count for some seconds once the connections are open."""
    config = SenderConfig(
        max_connections=connections,
        max_queued=2 * MAX_STREAMS,
        # The server is our own: the patience that APNs wants would take up most of the time.
        connect_floor=0.01,
        scale_after=0.02,
        connection=ConnectionConfig(max_streams=MAX_STREAMS),
    )
    endpoint = Endpoint(HOST, port)
    context = client_context(cafile=authority.ca)
    done = done_before = per_second = 0
    started_at = 0.0
    stop = False

    def notifications() -> Iterator[Notification]:
        route, payload = Route("com.example.app"), payload_of(body)
        while not stop:
            yield Notification(route, DEVICE, payload)

    async with Client(endpoint, ssl_context=context, config=config) as client:
        begun_at = time.perf_counter()
        async for outcome in client.send_many(notifications()):
            if type(outcome) is not Accepted:
                raise RuntimeError(f"not accepted: {outcome!r}; {client.last_error!r}")
            done += 1
            if stop or done % 16:  # the clock is cheap beside a push, yet not free
                continue
            now = time.perf_counter()
            if started_at:
                if now - started_at > seconds:
                    per_second = round((done - done_before) / (now - started_at))
                    stop = True
                continue
            settled = client.metrics.connects == connections and now - begun_at > 1.0
            if settled or now - begun_at > OPENING_SECONDS:
                started_at, done_before = now, done
        return {"opened": client.metrics.connects, "per_second": per_second}


def payload_of(size: int) -> bytes:
    """Return a payload of exactly ``size`` octets."""
    frame = b'{"aps":{"alert":"%s"}}'
    return frame % (b"x" * (size - len(frame) + 2))


def measure_rtt(rtt: float) -> float:
    """Return the median seconds of a round trip through the proxy, to a server that echoes."""
    with socket.create_server((ADDRESS, 0)) as listener:

        def echo() -> None:
            with listener.accept()[0] as connection:
                while data := connection.recv(1_024):
                    connection.sendall(data)

        threading.Thread(target=echo, daemon=True).start()
        times: list[float] = []
        with (
            delayed(int(listener.getsockname()[1]), rtt) as port,
            socket.create_connection((ADDRESS, port)) as connection,
        ):
            for _ in range(7):
                start = time.perf_counter()
                connection.sendall(b"?")
                connection.recv(1)
                times.append(time.perf_counter() - start)
    return statistics.median(times)


@contextmanager
def delayed(target: int, rtt: float) -> Generator[int]:
    """Run the proxy in a process of its own; yield its port."""
    command = [sys.executable, str(ROOT / "benchmarks" / "delay_proxy.py")]
    command += ["--target", str(target), "--rtt", str(rtt)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def nghttpd(folder: Path, authority: Authority) -> Generator[int]:
    """Run nghttpd, which answers pushes to `DEVICE` with an empty file; yield its port."""
    page = folder / "htdocs" / "3" / "device" / DEVICE
    page.parent.mkdir(parents=True)
    page.touch()
    port = free_port()
    command = [
        require("nghttpd", "nghttp2-server"),
        *("--address", ADDRESS, "--htdocs", str(folder / "htdocs")),
        *("--max-concurrent-streams", str(MAX_STREAMS)),
        *("--window-bits", "16", "--connection-window-bits", "16"),  # 2**16 - 1 octets
        *(str(port), str(authority.key), str(authority.cert)),
    ]
    with running(command, port, folder):
        yield port


if __name__ == "__main__":
    main()
