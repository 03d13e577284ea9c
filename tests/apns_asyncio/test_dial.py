"""The race of addresses, in a loop without a network."""

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import pytest

from apns_asyncio.dial import dial
from tests.apns_asyncio.harness import run, turns
from tests.apns_asyncio.virtual import Network, VirtualLoop, never

V4 = [(socket.AF_INET, (f"192.0.2.{n}", 443)) for n in range(3)]
V6 = [(socket.AF_INET6, (f"2001:db8::{n}", 443, 0, 0)) for n in range(3)]


class Race:
    """Addresses with what becomes of an attempt: seconds until it stands, or an error."""

    def __init__(self, addresses: list[Any], ends: dict[str, float | Exception]) -> None:
        self.network = Network(addresses=addresses, connect=self._connect)
        self.tried: list[tuple[float, str]] = []
        self._ends = ends

    async def _connect(self, address: tuple[str, int]) -> None:
        self.tried.append((asyncio.get_running_loop().time(), address[0]))
        end = self._ends.get(address[0], float("inf"))
        if isinstance(end, Exception):
            raise end
        if end == float("inf"):
            await never()
        await asyncio.sleep(end)

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        run(main, loop_factory=lambda: VirtualLoop(self.network))


async def dialled(family: int) -> float:
    connected = await dial("api.push.apple.com", 443)
    assert connected.family == family
    assert not connected.getblocking()
    connected.close()
    ended = asyncio.get_running_loop().time()
    await turns(3)  # in which those who lost the race go home
    return ended


def test_the_first_address_does() -> None:
    race = Race(V6 + V4, {V6[0][1][0]: 0.1})

    async def main() -> None:
        assert await dialled(socket.AF_INET6) == 0.1

    race.run(main())
    assert race.tried == [(0.0, "2001:db8::0")]


def test_families_in_turns_a_quarter_of_a_second_apart() -> None:
    race = Race(V6 + V4[:2], {"2001:db8::2": 0.1})

    async def main() -> None:
        assert await dialled(socket.AF_INET6) == pytest.approx(1.1)

    race.run(main())
    assert race.tried == [
        (0.0, "2001:db8::0"),
        (0.25, "192.0.2.0"),
        (0.5, "2001:db8::1"),
        (0.75, "192.0.2.1"),
        (1.0, "2001:db8::2"),
    ]


def test_a_slow_first_may_still_win() -> None:
    race = Race(V4, {"192.0.2.0": 0.4})

    async def main() -> None:
        assert await dialled(socket.AF_INET) == pytest.approx(0.4)

    race.run(main())
    assert len(race.tried) == 2


def test_a_refusal_is_not_waited_for() -> None:
    race = Race(V4, {"192.0.2.0": ConnectionRefusedError("refused"), "192.0.2.1": 0.0})

    async def main() -> None:
        assert await dialled(socket.AF_INET) == 0.0

    race.run(main())


def test_two_that_stand_in_the_same_turn() -> None:
    race = Race(V4[:2], {"192.0.2.0": 0.5, "192.0.2.1": 0.25})

    async def main() -> None:
        await dialled(socket.AF_INET)

    race.run(main())


def test_one_fails_while_another_may_still_stand() -> None:
    race = Race(V4[:2], {"192.0.2.0": 1.0, "192.0.2.1": ConnectionRefusedError("refused")})

    async def main() -> None:
        assert await dialled(socket.AF_INET) == 1.0

    race.run(main())


def test_a_lone_refusal_keeps_its_class() -> None:
    race = Race(V4[:1], {"192.0.2.0": ConnectionRefusedError("refused")})

    async def main() -> None:
        with pytest.raises(ConnectionRefusedError, match="refused"):
            await dial("api.push.apple.com", 443)

    race.run(main())


def test_all_that_went_wrong_is_told() -> None:
    race = Race(V4, {address[0]: OSError(f"no way to {address[0]}") for _, address in V4})

    async def main() -> None:
        with pytest.raises(OSError, match=r"no way to 192.0.2.0; .*192.0.2.1; .*192.0.2.2"):
            await dial("api.push.apple.com", 443)

    race.run(main())


def test_a_bug_is_not_taken_for_an_address_that_does_not_answer() -> None:
    race = Race(V4, {"192.0.2.0": ZeroDivisionError()})

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await dial("api.push.apple.com", 443)

    race.run(main())


@pytest.mark.parametrize("turn", range(12))
@pytest.mark.parametrize("delay", [0.0, float("inf")])
def test_cancelled_in_each_turn(turn: int, delay: float) -> None:
    race = Race(V6 + V4, dict.fromkeys([address[0] for _, address in V6 + V4], delay))

    async def main() -> None:
        task = asyncio.ensure_future(dial("api.push.apple.com", 443))
        await turns(turn)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result().close()
        await turns(3)

    race.run(main())


def test_cancelled_when_it_stands() -> None:
    # The winner has its socket, and nobody to give it to.
    race = Race(V4[:1], {"192.0.2.0": 0.0})

    async def main() -> None:
        task = asyncio.ensure_future(dial("api.push.apple.com", 443))
        while not race.tried:
            await turns(1)
        attempt = next(each for each in asyncio.all_tasks() if "_connect" in repr(each))
        attempt.add_done_callback(lambda _: task.cancel())
        await asyncio.wait([task])
        assert task.cancelled()
        await turns(3)

    race.run(main())
