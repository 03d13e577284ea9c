"""A parameter was renamed, and whoever passed it by its name found out at run time."""

from pathlib import Path

import pytest

import apns_core
from tests.regressions.public_api import described

WRITTEN = Path(__file__).with_name("public_api.txt")


@pytest.mark.skipif(apns_core.__compiled__, reason="compiled classes tell less of themselves")
def test_what_embedders_call_is_as_written_down() -> None:
    """A change of it is to be meant: run public_api.py, and tell of it in CHANGELOG.md."""
    assert described() == WRITTEN.read_text()
