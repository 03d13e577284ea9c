"""What all tests of the fuzzers need."""

import sys
from collections.abc import Generator

import pytest


@pytest.fixture(autouse=True)
def _untraced() -> Generator[None]:
    """Let no coverage look on: the work is bounded in seconds, of which it takes the better part.

    The mark ``no_cover`` would do, but for the workers of xdist.
    """
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)
