"""Watches what is logged while tests run, at DEBUG, for what must never be in a log.

Installed for every test by `tests/conftest.py`. What is looked for is known by its form: a signing
key, a provider token, a device token of 32 octets, a payload.
"""

import logging
import re
from typing import Final, final

__all__ = ["LogWatch", "secret_in"]

SECRETS: Final = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a provider token": re.compile(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}"),
    "a device token": re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{64}(?![0-9A-Za-z])"),
    "a payload": re.compile(r"""['"]aps['"]\s*:"""),
}

OF_THE_TEST_SERVER: Final = ("h2", "hpack", "hyper", "hypothesis")
"""Loggers that are not in a sender's process: the simulator decodes with h2, which logs fields."""


def secret_in(text: str) -> str | None:
    """Return the name of what must not be in ``text`` and is, or None."""
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
