"""Two pytest fixtures: a running simulated APNs, and a maker of more.

pytest loads this file in every project that has this distribution installed, so it imports nothing
but pytest; what a simulator needs (``apns-core[simulator]``) is imported by the fixtures.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .threaded import SimulatorThread

__all__ = ["apns_simulator", "make_apns_simulator"]


@pytest.fixture
def make_apns_simulator() -> "Iterator[Callable[..., SimulatorThread]]":
    """Start simulated APNs: takes what ``SimulatorThread`` takes, stops them when the test ends."""
    from .threaded import SimulatorThread  # noqa: PLC0415 - see the top of the file

    with ExitStack() as running:
        yield lambda *args, **kwargs: running.enter_context(SimulatorThread(*args, **kwargs))


@pytest.fixture
def apns_simulator(make_apns_simulator: "Callable[..., SimulatorThread]") -> "SimulatorThread":
    """Start a simulated APNs of the default configuration, fresh for this test."""
    return make_apns_simulator()
