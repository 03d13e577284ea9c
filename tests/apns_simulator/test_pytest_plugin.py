import subprocess
import sys
from collections.abc import Callable

import pytest

import apns_simulator as package
from apns_simulator import SimulatorThread, Temper
from tests.apns_simulator.h2_client import connected


@pytest.mark.parametrize("_again", range(2))
def test_each_test_has_a_fresh_simulator(apns_simulator: SimulatorThread, _again: int) -> None:
    with connected(apns_simulator) as client:
        assert client.request(apns_simulator.provider_key) == 200
    assert apns_simulator.ledger().processed_count == 1


def test_the_maker_takes_a_temper(make_apns_simulator: Callable[..., SimulatorThread]) -> None:
    one = make_apns_simulator(temper=Temper(answer_status=500))
    two = make_apns_simulator()
    for simulator, status in ((one, 500), (two, 200)):
        with connected(simulator) as client:
            assert client.request(simulator.provider_key) == status


def test_the_plugin_loads_where_h2_is_not_installed() -> None:
    # What is None in sys.modules cannot be imported.
    program = (
        "import sys\n"
        "for name in ('h2', 'trustme', 'jwt', 'cryptography'): sys.modules[name] = None\n"
        "import apns_simulator.pytest_plugin\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_every_public_name_is_there() -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = package.nonsense
