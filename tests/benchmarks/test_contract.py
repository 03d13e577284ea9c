import json
from itertools import islice

import pytest

from peers.contract import DEVICES, ENCODED, PAYLOAD, Meter, device_tokens, parse


def test_all_send_the_same_payload() -> None:
    assert len(ENCODED) == 109
    assert json.loads(ENCODED) == PAYLOAD


def test_device_tokens_go_round() -> None:
    assert len(set(DEVICES)) == 1_000
    assert list(islice(device_tokens(2_001), 1_999, None)) == [DEVICES[999], DEVICES[0]]
    assert len(list(device_tokens(2_001))) == 2_001


def test_a_driver_reads_its_load_and_prints_what_came_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = ["--host", "h", "--port", "1", "--ca", "ca", "--key", "key"]
    load = parse([*places, "--warm-up", "2", "--count", "3", "--in-flight", "4"])
    assert (load.host, load.port, load.warm_up, load.count, load.in_flight) == ("h", 1, 2, 3, 4)
    meter = Meter()
    meter.stop()
    meter.report(load.count, 3, "hpack")
    printed = json.loads(capsys.readouterr().out)
    assert printed.keys() == {"sent", "ok", "seconds", "cpu_user", "cpu_sys", "versions"}
    assert printed["versions"].keys() == {"hpack"}
