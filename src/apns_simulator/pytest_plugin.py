"""Two pytest fixtures: a running simulated APNs, and a maker of more.

pytest loads this file in every project that has this distribution installed, so it imports nothing
but pytest; what a simulator needs (``apns-core[simulator]``) is imported by the fixtures.
"""

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .threaded import SimulatorThread

__all__ = ["apns_simulator", "discreet_logs", "make_apns_simulator"]


@pytest.fixture
def make_apns_simulator() -> "Iterator[Callable[..., SimulatorThread]]":
    """Start simulated APNs: takes what ``SimulatorThread`` takes, stops them when the test ends."""
    from .threaded import SimulatorThread  # noqa: PLC0415 - see the top of the file

    with discreet_logs(), ExitStack() as running:
        yield lambda *args, **kwargs: running.enter_context(SimulatorThread(*args, **kwargs))


@pytest.fixture
def apns_simulator(make_apns_simulator: "Callable[..., SimulatorThread]") -> "SimulatorThread":
    """Start a simulated APNs of the default configuration, fresh for this test."""
    return make_apns_simulator()


@contextmanager
def discreet_logs() -> Generator[None, None, None]:
    """Keep field lists, which have provider tokens and device tokens, out of the log of a test.

    hpack logs them at DEBUG, and pytest shows the log of a test that fails. A level that the
    logger has of its own was asked for, and stays.
    """
    quiet = [log for log in map(logging.getLogger, ("hpack", "h2")) if log.level == logging.NOTSET]
    for log in quiet:
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        for log in quiet:
            # Unless the test has set another.
            if log.level == logging.INFO:
                log.setLevel(logging.NOTSET)
