import logging
import subprocess
import sys
from collections.abc import Callable

import pytest

import apns_simulator as package
from apns_simulator import SimulatorThread, Temper
from apns_simulator.pytest_plugin import discreet_logs
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


DEVICE_TOKEN = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"


def send(simulator: SimulatorThread) -> None:
    with connected(simulator) as client:
        assert client.request(simulator.provider_key, DEVICE_TOKEN) == 200


@pytest.fixture
def unset_levels(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All is logged, and nobody has set the levels of hpack and h2, as these tests do."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.NOTSET, "hpack")
    caplog.set_level(logging.NOTSET, "h2")
    return caplog


def test_the_log_of_a_test_has_no_tokens(
    unset_levels: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    send(request.getfixturevalue("apns_simulator"))
    assert "eyJ" not in unset_levels.text
    assert DEVICE_TOKEN not in unset_levels.text


def test_the_log_of_hpack_is_there_for_who_asks(
    unset_levels: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    unset_levels.set_level(logging.DEBUG, "hpack")
    send(request.getfixturevalue("apns_simulator"))
    assert DEVICE_TOKEN in unset_levels.text


@pytest.mark.usefixtures("unset_levels")
def test_levels_of_loggers_are_as_they_were() -> None:
    hpack, h2 = logging.getLogger("hpack"), logging.getLogger("h2")
    h2.setLevel(logging.DEBUG)
    with discreet_logs():
        assert (hpack.level, h2.level) == (logging.INFO, logging.DEBUG)
    assert (hpack.level, h2.level) == (logging.NOTSET, logging.DEBUG)
    with discreet_logs():
        hpack.setLevel(logging.ERROR)
    assert hpack.level == logging.ERROR


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
