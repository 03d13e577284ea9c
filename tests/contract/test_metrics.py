"""A client counts what it does, on both loops alike."""

import pytest

from apns_core import ClientClosed
from tests.contract.kit import Kit, both_loops, send


@both_loops
async def test_a_client_shows_the_numbers_of_its_sender(kit: Kit) -> None:
    server = kit.serve()
    async with kit.client(server) as client:
        assert [await send(client, number) for number in range(3)] == ["accepted"] * 3
        assert (client.metrics.submitted, client.metrics.accepted) == (3, 3)
        assert (client.metrics.connects, client.metrics.latency.count) == (1, 3)
    assert client.metrics.accepted == 3, "still there when it is closed"


@both_loops
async def test_there_are_none_before_it_is_open(kit: Kit) -> None:
    client = kit.client(kit.serve())
    with pytest.raises(ClientClosed):
        _ = client.metrics
