"""What all tests share: hypothesis, whose assertions are explained, and a watch over all logs.

And over what nobody catches.
"""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.log_watch import OF_THE_TEST_SERVER, HookWatch, LogWatch

# Before anything imports them: the comparison of both loops is explained like any assertion.
pytest.register_assert_rewrite("tests.contract.kit", "tests.contract.server")

# A busy machine is no reason to fail; in CI the examples are the same each time. The other form of
# the engine, made from the same source, is shown a quarter of them.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=25 if os.environ.get("APNS_FORM") == "compiled" else 100,
)
settings.load_profile("suite")

for name in OF_THE_TEST_SERVER:
    logging.getLogger(name).setLevel(logging.WARNING)


@pytest.fixture(scope="session", autouse=True)
def hook_watch() -> Iterator[HookWatch]:
    """Look at what nobody catches, from the first test to the last; fail if any shows a secret."""
    watch = HookWatch()
    with watch.installed():
        yield watch
    assert watch.found == []


@pytest.fixture(autouse=True)
def log_watch(hook_watch: HookWatch) -> Iterator[None]:
    """Run with every logger at DEBUG, and fail where a secret was logged or left uncaught."""
    root, watch = logging.getLogger(), LogWatch()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(watch)
    try:
        yield
    finally:
        root.removeHandler(watch)
        root.setLevel(level)
    uncaught = hook_watch.found[:]
    hook_watch.found.clear()
    assert watch.found + uncaught == []
