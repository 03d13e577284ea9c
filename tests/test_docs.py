"""Every marked Python block of the documentation runs, against the simulator."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import apns_asyncio.client
import apns_core
import apns_core.trust.tls
from apns_core import PRODUCTION, Endpoint
from apns_simulator import (
    SimulatorConfig,
    SimulatorThread,
    Temper,
    TrustedKey,
    make_provider_key,
)

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"<!-- test: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
PAGES = (
    "README.md",
    "docs/driving.md",
    "docs/metrics.md",
    "docs/payloads.md",
    "docs/requests.md",
    "docs/simulator.md",
)


BLOCKS = {
    f"{page}:{name}": code
    for page in PAGES
    for name, code in BLOCK.findall((ROOT / page).read_text())
}


def test_every_python_block_is_marked() -> None:
    for page in PAGES:
        text = (ROOT / page).read_text()
        assert text.count("```python") == len(BLOCK.findall(text)) > 0, page


def test_the_lists_of_calls_are_whole() -> None:
    """docs/driving.md: what it lists is there, and all that a sender has is listed."""
    text = (ROOT / "docs/driving.md").read_text()
    of_connection, of_sender = (
        set(re.findall(r"[a-z_]{4,}", re.sub(r"\(.*?\)|inputs|outputs|getters", "", listed)))
        for listed in re.findall(r"(?m)^    inputs (?:.|\n)*?\n\n", text)
    )
    connection = apns_core.Connection[int](b"localhost", now=0.0)
    sender = apns_core.Sender[int](PRODUCTION, rng=random.Random(1), now=0.0, unix_time=1e9)
    assert {each for each in of_connection if not hasattr(connection, each)} == set()
    assert of_sender == {each for each in dir(sender) if not each.startswith("_")}


# What the simulator has accepted afterwards, and what is printed.
EXPECTED = {
    "README.md:send": (1, "accepted\n"),
    "README.md:send-many": (1_000, ""),
    "README.md:by-hand": (1, "Accepted("),
    "docs/driving.md:sender": (0, "greeting Accepted("),
    "docs/simulator.md:in-a-test": (0, ""),
    "docs/simulator.md:with-a-fixture": (0, ""),
    "docs/simulator.md:what-it-is-like-simulatorconfig": (0, ""),
    "docs/simulator.md:client-certificates": (0, "FATAL"),
    "docs/simulator.md:channels-and-broadcasts": (0, ""),
    "docs/simulator.md:what-it-does-wrong-temper": (0, ""),
    "docs/simulator.md:without-i-o": (0, ""),
    "docs/requests.md:channels": (2, "Accepted\n"),
    "docs/requests.md:dead-tokens": (0, "2023-11-14 22:13:20+00:00\nTrue\nFalse\n"),
    "docs/payloads.md:alert": (0, '"order":7'),
    "docs/payloads.md:live-activity": (0, "<Notification to"),
    "docs/payloads.md:others": (0, "content-available"),
    "docs/metrics.md:prometheus": (0, 'apns_outcomes_total{kind="accepted",reason=""} 0.0'),
    "docs/metrics.md:observer": (0, "goaway: Shutdown"),
}


Run = Callable[[str, int, str, Temper | None], None]
"""Runs a block against a simulator, and looks at what was accepted and printed."""


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(block: str, run: Run) -> None:
    accepted, printed = EXPECTED[block]
    run(block, accepted, printed, None)


@pytest.mark.parametrize(
    ("temper", "printed"),
    [
        # The request is on its way by then, or not.
        (Temper(close_after_requests=0), "ConnectionClosed("),
        (Temper(close_after_requests=0, close_by="abort"), "ConnectionClosed("),
        (Temper(close_after_bytes=200), "Unknown("),
        (Temper(goaway_after=0), "Unprocessed("),
    ],
    ids=["closes", "resets", "closes in a request", "goes away"],
)
def test_the_client_by_hand_ends_whatever_the_server_does(
    temper: Temper, printed: str, run: Run
) -> None:
    """When the server closed, it went on reading for ever."""
    run("README.md:by-hand", 0, printed, temper)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A block says PRODUCTION and names a key file; here both lead to a simulator."""

    def run_block(block: str, accepted: int, printed: str, temper: Temper | None) -> None:
        key = make_provider_key()
        key_file = tmp_path / "AuthKey_ABC123DEFG.p8"
        key_file.touch(0o600)
        key_file.write_text(key.private_key_pem)
        trusted = {"ABC123DEFG": TrustedKey("DEF123GHIJ", key.public_key_pem)}
        config = SimulatorConfig(trusted_keys=trusted)
        with SimulatorThread(config, temper=temper) as simulator:
            monkeypatch.chdir(tmp_path)
            endpoint = Endpoint(simulator.host, simulator.port)
            monkeypatch.setattr(apns_core, "PRODUCTION", endpoint)
            monkeypatch.setattr(apns_core, "CHANNELS_PRODUCTION", endpoint)
            context: Callable[[], object] = simulator.client_context
            monkeypatch.setattr(apns_asyncio.client, "client_context", context)
            monkeypatch.setattr(apns_core.trust.tls, "client_context", context)
            exec(compile(BLOCKS[block], block, "exec"), {"__name__": "__main__"})  # noqa: S102
            assert simulator.ledger().accepted_count == accepted
        assert printed in capsys.readouterr().out

    return run_block
