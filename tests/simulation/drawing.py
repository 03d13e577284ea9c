"""Draws the configurations of a world: production's, and such as make rare branches common."""

from random import Random

from apns_core import ConnectionConfig, OnUnknown, SenderConfig
from apns_simulator import Rejection, SimulatorConfig
from tests.simulation.faults import Fault
from tests.simulation.host import Machine
from tests.simulation.keys import KEY
from tests.simulation.link import Path

__all__ = ["draw_machine", "draw_server_config"]


def draw_server_config(rng: Random, *, token_authentication: bool) -> SimulatorConfig:
    """Return what a server is like on good days. An eighth of all devices is rejected then too."""
    return SimulatorConfig(
        environment="production",
        authentication="token" if token_authentication else "none",
        trusted_keys=KEY.trusted(),
        rejections={"0": Rejection.of("BadDeviceToken"), "1": Rejection.of("Unregistered")},
        latency=rng.choice((0.0, 0.005, 0.05)),
        max_concurrent_streams=rng.choice((1, 5, 100, 1_000)),
        first_max_concurrent_streams=rng.choice((None, None, 1)),
        initial_window_size=rng.choice((20, 1_000, 65_535, 2**31 - 1)),
        header_table_size=rng.choice((0, 64, 300, 1_024, 4_096, 4_096)),
    )


def draw_machine(rng: Random, faults: tuple[Fault, ...], *, token_authentication: bool) -> Machine:
    """Return a host's sender, and its way to the servers."""
    narrow = Fault.NARROW in faults and rng.random() < 0.5
    return Machine(
        config=_draw_sender_config(rng),
        path=Path(
            latency=rng.choice((0.001, 0.02, 0.1)),
            jitter=rng.choice((0.2, 2.0)) if Fault.JITTER in faults else 0.0,
            segments=Fault.SEGMENTS in faults,
            bandwidth=20_000.0 if narrow else 10e6,
            idle_limit=350.0 if Fault.IDLE_CUT in faults else None,
            send_buffer=rng.choice((500, 5_000)) if narrow else 1 << 20,
        ),
        token_authentication=token_authentication,
        lateness=rng.choice((0.01, 0.5)) if Fault.LATE_TIMER in faults else 0.0,
    )


def _draw_sender_config(rng: Random) -> SenderConfig:
    max_connections = rng.choice((1, 1, 2, 4))
    on_unknown = rng.choice((OnUnknown.REPORT, OnUnknown.REPORT, *OnUnknown))
    if rng.random() < 0.3:
        return SenderConfig(max_connections=max_connections, on_unknown=on_unknown)
    return SenderConfig(
        max_queued=rng.choice((3, 20, 1_000)),
        max_connections=max_connections,
        scale_after=rng.choice((0.05, 0.5)),
        surplus_after=rng.choice((2.0, 600.0)),
        on_unknown=on_unknown,
        connection=ConnectionConfig(
            max_streams=rng.choice((1, 3, 1_000)),
            request_timeout=rng.choice((5.0, 30.0, 30.0)),
            header_table_size=rng.choice((0, 100, 4_096)),
        ),
    )
