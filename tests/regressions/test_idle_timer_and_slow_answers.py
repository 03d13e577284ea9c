"""An idle timer looked at when something was last sent, and ended connections that were awaited."""

from dataclasses import replace

from apns_core import Cause, Disconnect
from apns_core.accounting import ConnectionState
from apns_simulator import SimulatorConfig
from tests.apns_core.world import ONE, START, World


def test_a_connection_with_requests_in_flight_is_not_idle() -> None:
    world = World(
        config=replace(ONE, max_connections=2, surplus_after=1.0),
        apns=SimulatorConfig(authentication="none", max_concurrent_streams=5, latency=8.0),
        token_authentication=False,
    )

    def states() -> list[ConnectionState | None]:
        return [link.connection and link.connection.state for link in world.sender._links]

    world.submit(10)
    world.run(3.0)
    assert (world.sender.in_flight, len(world.live_links)) == (10, 2)
    # For much longer than a surplus connection may be idle.
    while world.now < START + 8.0:
        assert states() == [ConnectionState.OPEN] * 2
        world.run(0.25)
    world.run()
    assert world.tally() == {"accepted": 10}
    answered_at = min(one.done_at for one in world.submitted)
    world.run(10.0)
    ended = [(at, each) for at, each in world.commands if isinstance(each, Disconnect)]
    # The timer is alive: once they are answered, one of the two goes.
    assert [each.cause for _, each in ended] == [Cause.RETIRED]
    assert ended[0][0] >= answered_at + 1.0
    world.finish()
