"""Drive h2load, the load generator of nghttp2 in C: what a client costs that does nothing else.

It cannot report its own CPU time for a part of its run. So it runs twice, once for the warm-up
alone and once for all, and the difference is what is reported.
"""

import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import jwt

from peers.contract import DEVICES, ENCODED, KEY_ID, TEAM_ID, TOPIC, Load, parse


def run(load: Load, count: int, folder: Path) -> tuple[int, float, float, float]:
    """Push ``count``; return how many were answered with 2xx, and seconds: wall, user, system."""
    start = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - h2load, with the files made here
        [  # noqa: S607 - found on PATH on purpose
            "h2load",
            *(f"--requests={count}", "--clients=1", "--threads=1"),
            f"--max-concurrent-streams={load.in_flight}",
            f"--data={folder / 'body'}",
            f"--input-file={folder / 'addresses'}",
            *(f"--header={header}" for header in headers(load)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    found = re.search(r"status codes: (\d+) 2xx", output)
    if process.returncode or found is None:
        raise SystemExit(f"h2load ended with {process.returncode}: {output[-500:]}")
    if stated := re.search(r"finished in ([\d.]+)(us|ms|s)", output):
        seconds = float(stated[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[stated[2]]
    return int(found[1]), seconds, usage.ru_utime, usage.ru_stime


def headers(load: Load) -> tuple[str, ...]:
    """Return the fields that a push needs; the key is a throw-away, so is its token."""
    claims = {"iss": TEAM_ID, "iat": int(time.time())}
    key = Path(load.key).read_text()
    provider_token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": KEY_ID})
    return (
        f"authorization: bearer {provider_token}",
        f"apns-topic: {TOPIC}",
        "apns-push-type: alert",
        "apns-priority: 10",
    )


def main() -> None:
    """Measure and print."""
    load = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body").write_bytes(ENCODED)
        base = f"https://{load.host}:{load.port}/3/device/"
        (folder / "addresses").write_text("".join(f"{base}{token}\n" for token in DEVICES))
        before = run(load, load.warm_up, folder)
        after = run(load, load.warm_up + load.count, folder)
    ok, seconds, user, system = (late - early for early, late in zip(before, after, strict=True))
    version = subprocess.run(
        ["h2load", "--version"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    result = {"sent": load.count, "ok": ok, "seconds": seconds, "cpu_user": user}
    print(
        json.dumps(
            {**result, "cpu_sys": system, "versions": {"h2load": version.split("/")[-1].strip()}}
        )
    )


if __name__ == "__main__":
    main()
