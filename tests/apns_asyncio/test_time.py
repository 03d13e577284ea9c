"""Deadlines, timers and clocks, on a clock of their own."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from apns_asyncio.pump import Pump
from apns_core import Accepted, Cause, Sender, Unknown, Unprocessed
from apns_simulator import Temper
from tests.apns_asyncio.harness import notification
from tests.apns_asyncio.scene import Scene
from tests.apns_asyncio.virtual import never


def count_timeouts(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note each call of `Sender.handle_timeout`."""
    calls: list[float] = []
    original: Callable[[Sender[Any], float], None] = getattr(Sender, "handle_timeout")  # noqa: B009

    def handle_timeout(self: Sender[Any], now: float) -> None:
        calls.append(now)
        original(self, now)

    monkeypatch.setattr(Sender, "handle_timeout", handle_timeout)
    return calls


@pytest.mark.parametrize("step", ["look_up", "connect", "handshake"])
def test_a_connect_that_gets_no_answer_is_given_up_and_tried_again(step: str) -> None:
    scene = Scene(connect_timeout=5.0)
    setattr(scene.network, step, never)

    async def main() -> None:
        async with scene.client as client:
            outcome = await client.send(notification())
            assert isinstance(outcome, Unprocessed)
            assert outcome.cause is Cause.DEADLINE
            assert asyncio.get_running_loop().time() == 30.0
            assert isinstance(client.last_error, TimeoutError)

    scene.run(main())
    if step != "look_up":
        # 5 s each, with delays of 1, 1.6, 2.56 … s between them.
        assert 3 <= len(scene.network.connects) <= 5
        assert scene.network.connects[1] == pytest.approx(6.0, abs=0.3)


def test_a_server_that_falls_silent() -> None:
    scene = Scene()
    scene.simulator.temper = Temper(silent_after=1, silence="everything")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.client as client:
            await client.send(notification(1))
            began = loop.time()
            outcome = await client.send(notification(2))
            assert isinstance(outcome, Unknown)
            assert outcome.cause is Cause.UNRESPONSIVE
            # PING after 10 s, no answer for 15 s.
            assert loop.time() == pytest.approx(began + 25.0)
        # There is nobody to take leave of.
        assert loop.time() == pytest.approx(began + 25.0)

    scene.run(main())


def test_a_peer_that_takes_no_part_in_closing_is_cut() -> None:
    scene = Scene(disconnect_timeout=2.0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.client as client:
            await client.send(notification())
            (transport,) = scene.network.transports
            transport.peer = None
            transport.answers_close = False
            began = loop.time()
        assert loop.time() == began + 2.0
        assert transport.aborted

    scene.run(main())


def test_a_peer_that_takes_part_in_closing_is_not_cut() -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.client as client:
            await client.send(notification())
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() == began
        (transport,) = scene.network.transports
        assert not transport.aborted

    scene.run(main())


@pytest.mark.parametrize("resolution", [0.0, 0.016, 0.5])
def test_timers_that_come_early(resolution: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # A loop calls what is due within the resolution of its clock: on Windows that is 16 ms.
    calls = count_timeouts(monkeypatch)
    scene = Scene(resolution=resolution)
    scene.simulator.temper = Temper(silent_after=0)

    async def main() -> None:
        async with scene.client as client:
            outcome = await client.send(notification())
            assert isinstance(outcome, Unknown)
            assert outcome.cause is Cause.DEADLINE
            assert asyncio.get_running_loop().time() == pytest.approx(30.0, abs=resolution)

    scene.run(main())
    assert len(calls) < 10
    assert calls == sorted(calls)


def test_time_does_not_run_backwards_after_an_early_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(resolution=0.5)
    scene.simulator.temper = Temper(silent_after=0)

    async def main() -> None:
        async with scene.client as client:
            pump = client._open()
            times: list[float] = []
            original = pump.now

            def now(_: Pump) -> float:
                times.append(original())
                return times[-1]

            monkeypatch.setattr(Pump, "now", now)
            await client.send(notification())
            assert asyncio.get_running_loop().time() < 30.0 <= times[-1]
            await client.aclose()
        assert times == sorted(times)

    scene.run(main())


def test_a_failed_signing_is_tried_again() -> None:
    class Signer:
        attempts = 0

        def sign(self, issued_at: int) -> str:
            del issued_at
            self.attempts += 1
            if self.attempts == 1:
                raise ValueError("-----BEGIN PRIVATE KEY-----")
            return "header.claims.signature"

    scene = Scene()
    scene.client._token_signer = signer = Signer()

    async def main() -> None:
        async with scene.client as client:
            assert isinstance(await client.send(notification()), Accepted)
            assert asyncio.get_running_loop().time() == pytest.approx(10.0, abs=0.1)
            assert str(client.last_error) == "signing raised ValueError"

    scene.run(main())
    assert signer.attempts == 2


def test_a_signer_that_returns_no_token() -> None:
    class Signer:
        def sign(self, issued_at: int) -> str:
            del issued_at
            return b"header.claims.signature"  # type: ignore[return-value]  # as PyJWT 1 did

    scene = Scene()
    scene.client._token_signer = Signer()

    async def main() -> None:
        async with scene.client as client:
            assert isinstance(await client.send(notification()), Unprocessed)
            assert "signing raised" in str(client.last_error)

    scene.run(main())
