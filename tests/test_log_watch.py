import asyncio
import gc
import logging
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.log_watch import CANARIES, HookWatch, LogWatch, canary, secret_in

DEVICE_TOKEN = "0123456789abcdef" * 4
PROVIDER_TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJURUFNIn0.c2ln"
BASIC = b64encode(b"user:pass").decode()


@pytest.fixture
def watch(request: pytest.FixtureRequest) -> Iterator[LogWatch]:
    """A watch over one logger, which the one over all of them does not hear."""
    logger, watch = logging.getLogger(getattr(request, "param", "watched")), LogWatch()
    logger.addHandler(watch)
    logger.propagate = False
    yield watch
    logger.removeHandler(watch)
    logger.propagate = True


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"authorization: bearer {PROVIDER_TOKEN}", "a provider token"),
        (f"a JWT {PROVIDER_TOKEN} alone", "a provider token"),
        ("(b'authorization', b'bearer opaque')", "a provider token"),
        ("Authorization: Bearer opaque", "a provider token"),
        ('b"bearer " + jwt', None),
        (f"POST /3/device/{DEVICE_TOKEN}", "a device token"),
        (DEVICE_TOKEN.upper(), "a device token"),
        ("POST /3/device/00fc13ad", "a device token"),
        ("b'/3/DEVICE/00FC13ADFF785122'", "a device token"),
        (f"/3/device/{DEVICE_TOKEN * 2}", "a device token"),
        ("/3/device/", None),
        ("Proxy-Authorization: Basic " + BASIC, "basic credentials"),
        ("(b'proxy-authorization', b'basic " + BASIC + "')", "basic credentials"),
        ("the proxy wants Basic authentication", None),
        ("http://user:pass@proxy.example:3128", "basic credentials"),
        ("Proxy('http://***@proxy.example:3128')", None),
        ("scheme://host:port, with user:password@ before the host", None),
        ('{"aps": {"alert": "x"}}', "a payload"),
        ("b'{\"aps\":{}}'", "a payload"),
        ("-----BEGIN EC PRIVATE KEY-----", "a private key"),
        ("tests/contract/test_tls.py::test_t3_a_server_that_is_not_to_be_trusted/says/more", None),
        ("connection 3 is lost", None),
        (DEVICE_TOKEN[:8], None),
        (f"x{DEVICE_TOKEN}", None),
    ],
)
def test_secrets_are_known_by_their_form(text: str, secret: str | None) -> None:
    assert secret_in(text) == secret


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(65_537, 2_048),
    ],
    ids=["P-256", "P-384", "RSA"],
)
def test_t7_a_key_without_its_armour_is_found_by_any_whole_line(
    form: PrivateFormat, make: Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]
) -> None:
    pem = make().private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    _, *lines, _, _ = pem.splitlines()
    for line in lines:
        assert secret_in(f"key: {line!r}") == "octets of a private key"
    assert secret_in("".join([*lines, pem.splitlines()[-2]])) == "octets of a private key"


def test_t7_what_has_no_form_is_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.log_watch.CANARIES", set(CANARIES))
    assert secret_in("open sesame") is None
    assert secret_in(canary("sesame")) == "a canary"
    assert secret_in("open sesame") == secret_in("canary-user") == "a canary"


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


@pytest.mark.parametrize("watch", ["asyncio"], indirect=True)
def test_t7_what_a_loop_complains_of_is_watched(watch: LogWatch) -> None:
    async def main() -> None:
        def fail() -> None:
            raise KeyError(DEVICE_TOKEN)

        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert [line.partition(" at ")[0] for line in watch.found] == ["asyncio"]


def test_t7_every_logger_is_watched_at_debug() -> None:
    assert logging.getLogger("apns_asyncio").isEnabledFor(logging.DEBUG)
    assert logging.getLogger("anything.else").isEnabledFor(logging.DEBUG)


# ── what nobody catches ──


def fail(secret: str) -> None:
    raise KeyError(secret)


def in_main(secret: str) -> None:
    try:
        fail(secret)
    except KeyError as error:
        sys.excepthook(KeyError, error, error.__traceback__)


def in_a_thread(secret: str) -> None:
    thread = threading.Thread(target=fail, args=(secret,))
    thread.start()
    thread.join()


def in_a_finalizer(secret: str) -> None:
    class Failing:
        def __del__(self) -> None:
            fail(secret)

    Failing()
    gc.collect()


HOOKS = {
    "sys.excepthook": in_main,
    "threading.excepthook": in_a_thread,
    "sys.unraisablehook": in_a_finalizer,
}


@pytest.mark.parametrize("hook", HOOKS)
def test_t7_a_secret_in_what_nobody_catches_is_found(
    hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[object, ...]] = []

    def tell(*given: object) -> None:
        told.append(given)

    # In place of those of the whole run, which would fail this test.
    monkeypatch.setattr(hook, tell)
    watch = HookWatch()
    with watch.installed():
        HOOKS[hook](DEVICE_TOKEN)
        HOOKS[hook]("nothing to see")
    HOOKS[hook](DEVICE_TOKEN)
    assert watch.found == [f"{hook} is shown a device token, by KeyError"]
    assert len(told) == 3


def test_t7_a_secret_behind_the_error_that_nobody_catches_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ignore(*_: object) -> None:
        """In place of those of the whole run."""

    monkeypatch.setattr(sys, "excepthook", ignore)
    watch = HookWatch()
    with watch.installed():
        try:
            try:
                fail(DEVICE_TOKEN)
            except KeyError as cause:
                raise ExceptionGroup("both", [ValueError()]) from cause
        except ExceptionGroup as error:
            sys.excepthook(ExceptionGroup, error, error.__traceback__)
    assert watch.found == ["sys.excepthook is shown a device token, by ExceptionGroup"]


def test_t7_the_hooks_are_watched_through_the_whole_run() -> None:
    for hook in (sys.excepthook, threading.excepthook, sys.unraisablehook):
        assert hook.__qualname__.startswith("HookWatch.")
