"""Fixtures: real servers that stay up for the whole session, since they keep no state."""

from collections.abc import Generator

import pytest

from tests.peers.servers import RECIPES, RealServer, running

__all__ = ["real_server"]


@pytest.fixture(scope="session", params=RECIPES)
def real_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[RealServer]:
    """Run each server in turn, as its recipe says."""
    name = str(request.param)
    with running(name, tmp_path_factory.mktemp(name)) as server:
        yield server
