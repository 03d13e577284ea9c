import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.servers import require


@pytest.mark.peers
@pytest.mark.timeout(300)
def test_the_proof_of_send_file_on_some_thousand_lines() -> None:
    require("nginx")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.send_file", "--quick"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["failures"] == []
    for server in ("nginx", "simulator"):
        found = report[server]
        # Half-way: there was something left to do, and something that was in flight.
        assert 0 < found["killed"]["on_record_at_the_kill"] < found["lines"]
        assert found["killed"]["received_twice"] > 0
        assert 0 < found["interrupted"]["on_record_at_the_end"] < found["lines"]
