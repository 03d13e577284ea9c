"""Every marked Python block of the documentation runs, against the simulator."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import apns_asyncio.client
import apns_core
import apns_core.trust.tls
from apns_core import Endpoint
from apns_simulator import SimulatorConfig, SimulatorThread, TrustedKey, make_provider_key

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


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(
    block: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A block says PRODUCTION and names a key file; here both lead to a simulator."""
    key = make_provider_key()
    key_file = tmp_path / "AuthKey_ABC123DEFG.p8"
    key_file.touch(0o600)
    key_file.write_text(key.private_key_pem)
    trusted = {"ABC123DEFG": TrustedKey("DEF123GHIJ", key.public_key_pem)}
    config = SimulatorConfig(trusted_keys=trusted)
    with SimulatorThread(config) as simulator:
        monkeypatch.chdir(tmp_path)
        endpoint = Endpoint(simulator.host, simulator.port)
        monkeypatch.setattr(apns_core, "PRODUCTION", endpoint)
        monkeypatch.setattr(apns_core, "CHANNELS_PRODUCTION", endpoint)
        context: Callable[[], object] = simulator.client_context
        monkeypatch.setattr(apns_asyncio.client, "client_context", context)
        monkeypatch.setattr(apns_core.trust.tls, "client_context", context)
        exec(compile(BLOCKS[block], block, "exec"), {"__name__": "__main__"})  # noqa: S102
        accepted, printed = EXPECTED[block]
        assert simulator.ledger().accepted_count == accepted
    assert printed in capsys.readouterr().out
