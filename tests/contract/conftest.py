"""Has the comparison of both loops explained like any other assertion."""

import pytest

pytest.register_assert_rewrite("tests.contract.kit", "tests.contract.server")
