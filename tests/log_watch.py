"""Watches what is logged, at DEBUG, and what nobody catches, for what must never be seen there.

Installed for every test by `tests/conftest.py`. What is looked for is known by its form: a signing
key, a provider token, a device token in a path or of 32 octets, credentials in a field or a URL, a
payload. What has no form, such as a password, is known by name: see `canary`.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, final

__all__ = ["HookWatch", "LogWatch", "canary", "secret_in"]

SECRETS: Final = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    # Without its armour: a line of base64, or several in one, as long and as mixed as no word is.
    "octets of a private key": re.compile(
        r"""(?<![\w+/=])(?=[A-Z0-9+/]*[a-z])(?=[a-z0-9+/]*[A-Z])(?=[A-Za-z+/]*[0-9])
            [A-Za-z0-9+/]{64,}""",
        re.VERBOSE,
    ),
    "a provider token": re.compile(
        r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}|\bbearer\s+[\w.~+/=-]+", re.IGNORECASE
    ),
    "a device token": re.compile(
        r"/3/device/[0-9a-f]{8,}|(?<![0-9a-z])[0-9a-f]{64}(?![0-9a-z])", re.IGNORECASE
    ),
    # Prose may go on in lower case: "Basic authentication".
    "basic credentials": re.compile(
        r"(?i:\bbasic)\s+(?=[a-z]*[A-Z0-9+/=])[A-Za-z0-9+/]{4,}=*|\w://[^\s/@:]*:[^\s/@]+@"
    ),
    "a payload": re.compile(r"""['"]aps['"]\s*:"""),
}

CANARIES: Final = {"canary"}
"""What has no form. By custom, a secret that a test makes up has this word in it."""

OF_THE_TEST_SERVER: Final = ("h2", "hpack", "hyper", "hypothesis")
"""Loggers that are not in a sender's process: the simulator decodes with h2, which logs fields."""


def canary(text: str) -> str:
    """Have ``text`` looked for from now on, and return it."""
    CANARIES.add(text)
    return text


def secret_in(text: str) -> str | None:
    """Return the name of what must not be in ``text`` and is, or None."""
    if any(each in text for each in CANARIES):
        return "a canary"
    return next((name for name, pattern in SECRETS.items() if pattern.search(text)), None)


@final
class LogWatch(logging.Handler):
    """Keeps one line for each record that shows a secret: the name of the logger and the kind."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in OF_THE_TEST_SERVER:
            return
        secret = secret_in(self.format(record))
        if secret is not None:
            # The record itself would put into a report what must not be in a log.
            self.found.append(f"{record.name} at line {record.lineno} logs {secret}")


@final
class HookWatch:
    """Keeps one line for each error that nobody caught and whose traceback shows a secret.

    asyncio needs no hook: what a loop has to complain of goes to its logger.
    """

    def __init__(self) -> None:
        self.found: list[str] = []

    @contextmanager
    def installed(self) -> Generator[None]:
        """Look at what comes to the three hooks; whoever had them is told too."""
        of_main, of_threads, of_nobody = (
            sys.excepthook,
            threading.excepthook,
            sys.unraisablehook,
        )

        def main(kind: type[BaseException], error: BaseException, frames: object) -> None:
            self._look("sys.excepthook", "", error)
            of_main(kind, error, frames)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

        def threads(given: threading.ExceptHookArgs, /) -> None:
            name = "" if given.thread is None else given.thread.name
            self._look("threading.excepthook", name, given.exc_value)
            of_threads(given)

        def nobody(given: "sys.UnraisableHookArgs", /) -> None:
            about = f"{given.err_msg} {given.object!r}"
            self._look("sys.unraisablehook", about, given.exc_value)
            of_nobody(given)

        sys.excepthook, threading.excepthook, sys.unraisablehook = main, threads, nobody
        try:
            yield
        finally:
            sys.excepthook, threading.excepthook, sys.unraisablehook = (
                of_main,
                of_threads,
                of_nobody,
            )

    def _look(self, hook: str, about: str, error: BaseException | None) -> None:
        shown = [] if error is None else traceback.format_exception(error)
        secret = secret_in(f"{about}\n{''.join(shown)}")
        if secret is not None:
            self.found.append(f"{hook} is shown {secret}, by {type(error).__name__}")
