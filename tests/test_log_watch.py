import logging
from collections.abc import Iterator

import pytest

from tests.log_watch import LogWatch, secret_in

DEVICE_TOKEN = "0123456789abcdef" * 4
PROVIDER_TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJURUFNIn0.c2ln"


@pytest.fixture
def watch() -> Iterator[LogWatch]:
    """A watch over one logger, which the one over all of them does not hear."""
    logger, watch = logging.getLogger("watched"), LogWatch()
    logger.addHandler(watch)
    logger.propagate = False
    yield watch
    logger.removeHandler(watch)
    logger.propagate = True


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"authorization: bearer {PROVIDER_TOKEN}", "a provider token"),
        (f"POST /3/device/{DEVICE_TOKEN}", "a device token"),
        (DEVICE_TOKEN.upper(), "a device token"),
        ('{"aps": {"alert": "x"}}', "a payload"),
        ("b'{\"aps\":{}}'", "a payload"),
        ("-----BEGIN EC PRIVATE KEY-----", "a private key"),
        ("connection 3 is lost", None),
        (DEVICE_TOKEN[:8], None),
        (f"x{DEVICE_TOKEN}", None),
    ],
)
def test_secrets_are_known_by_their_form(text: str, secret: str | None) -> None:
    assert secret_in(text) == secret


def test_t7_a_secret_in_a_log_is_found_in_any_part_of_a_record(watch: LogWatch) -> None:
    logger = logging.getLogger("watched")
    logger.setLevel(logging.DEBUG)
    logger.debug("sending to %s", DEVICE_TOKEN)
    try:
        dict[str, int]()[DEVICE_TOKEN]
    except KeyError:
        logger.exception("it failed")
    logger.debug("nothing to see")
    assert len(watch.found) == 2
    assert all("a device token" in line and DEVICE_TOKEN not in line for line in watch.found)


def test_t7_every_logger_is_watched_at_debug() -> None:
    assert logging.getLogger("apns_asyncio").isEnabledFor(logging.DEBUG)
    assert logging.getLogger("anything.else").isEnabledFor(logging.DEBUG)
