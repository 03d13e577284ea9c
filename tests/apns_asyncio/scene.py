"""A client in a virtual loop, and a simulated APNs that answers after 10 ms, ten at a time."""

import ssl
from collections.abc import Coroutine
from random import Random
from typing import Any

from apns_asyncio import Client
from apns_core import SenderConfig
from apns_simulator import Simulator, SimulatorConfig
from tests.apns_asyncio.harness import run
from tests.apns_asyncio.virtual import Network, SimulatedPeer, VirtualLoop

__all__ = ["Scene"]

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""There is no TLS in memory, and to load the authorities of the system takes its time."""


class Scene:
    """Set up what is needed of it, then `run` a script, which enters the client."""

    def __init__(self, *, resolution: float = 0.0, **config: Any) -> None:  # noqa: ANN401
        self.simulator = Simulator(
            SimulatorConfig(authentication="none", latency=0.01, max_concurrent_streams=10),
            unix_time=1.7e9,
            now=0.0,
            rng=Random(1),
        )
        self.network = Network(peer=self.simulated_peer)
        self.client = Client(ssl_context=CONTEXT, config=SenderConfig(**config))
        self._resolution = resolution

    def simulated_peer(self) -> SimulatedPeer:
        """Make the other end of one more connection."""
        return SimulatedPeer(self.simulator)

    def run(self, main: Coroutine[Any, Any, None], *, debug: bool = False) -> None:
        """Run without asyncio's debug mode, which takes ten times as long."""
        run(
            main,
            loop_factory=lambda: VirtualLoop(self.network, resolution=self._resolution),
            debug=debug,
        )
