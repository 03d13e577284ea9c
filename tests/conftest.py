"""What all tests share: how hypothesis behaves, and whose assertions are explained."""

import os

import pytest
from hypothesis import settings

# Before anything imports them: the comparison of both loops is explained like any assertion.
pytest.register_assert_rewrite("tests.contract.kit", "tests.contract.server")

# A busy machine is no reason to fail; in CI the examples are the same each time.
settings.register_profile("suite", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("suite")
