"""The drivers of our own adapters still run, and what they report is kept."""

import sys
from pathlib import Path

import pytest

from counting_server import counting_server
from environments import ThisPython
from loopback import Authority
from nginx import nginx
from runner import Bench
from senders import SENDERS, Sender
from tests.peers.servers import require

pytestmark = pytest.mark.peers

OURS = [one for one in SENDERS if one.kind == "ours"]
SHARE = 0.002
"""Six pushes to warm up, a hundred to measure."""


@pytest.mark.parametrize("sender", OURS, ids=lambda one: str(one.name))
def test_ours_push_over_one_connection(tmp_path: Path, sender: Sender) -> None:
    require("nginx")
    authority = Authority(tmp_path)
    bench = Bench(tmp_path, authority, time_limit=30.0, share=SHARE)
    bench.prepare([sender], tmp_path)
    with nginx(tmp_path, authority) as server, counting_server(authority) as counter:
        bench.measure(sender, server, 1)
        bench.count_octets(sender, counter)
    result = bench.results[sender.name]
    assert result["error"] is None
    assert result["connections"] == 1
    assert result["rounds"][0]["us_cpu"] > 0
    assert result["header_octets"]["steady"] <= 90
    assert "authorization" in result["header_octets"]["fields"]


@pytest.mark.parametrize(
    ("code", "time_limit", "error"),
    [
        ("raise SystemExit('out of luck')", 30.0, "round 1: out of luck"),
        ("import time; time.sleep(60)", 1.0, "round 1: not done after 1 s"),
    ],
    ids=["it fails", "it hangs"],
)
def test_what_cannot_finish_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, time_limit: float, error: str
) -> None:
    require("nginx")
    authority = Authority(tmp_path)
    bench = Bench(tmp_path, authority, time_limit=time_limit, share=SHARE)
    sender = Sender("bad", "bad", "peer", ThisPython(), "bad")

    def prepared(*_: object) -> list[str]:
        return [sys.executable, "-c", code]

    monkeypatch.setattr("runner.prepare", prepared)
    bench.prepare([sender], tmp_path)
    with nginx(tmp_path, authority) as server:
        bench.measure(sender, server, 1)
        bench.measure(sender, server, 2)
    assert bench.results["bad"]["error"] == error
    assert bench.results["bad"]["rounds"] == []
