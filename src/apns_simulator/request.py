"""A request on its way in, and the verdict on it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from .config import SimulatorConfig
from .ledger import LedgerEntry
from .reasons import REASON_STATUS

__all__ = ["ACCEPTED", "Check", "Request", "Verdict", "is_unix_seconds", "is_uuid", "refused"]

DEVICE_PATH: Final = b"/3/device/"
APP_PATHS: Final = (b"/1/", b"/4/")

MAX_KEPT_BODY: Final = 5_121
"""One byte more than any body may have."""

is_uuid: Final = re.compile(
    rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
).fullmatch
# UNIX seconds have ten digits until the year 2286; thirteen are the milliseconds of a mistaken
# client.
is_unix_seconds: Final = re.compile(rb"[0-9]{1,10}").fullmatch


@final
class Request:
    """A request on its way in. Holds personal data; it has no repr of its own."""

    __slots__ = (
        "body",
        "body_size",
        "entry",
        "fields",
        "for_app",
        "has_duplicates",
        "ignored",
        "stream_id",
    )

    def __init__(self, stream_id: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.stream_id = stream_id
        self.fields = dict(headers)
        self.has_duplicates = len(self.fields) != len(headers)
        self.for_app = self.fields.get(b":path", b"").startswith(APP_PATHS)
        """Whether it is a broadcast or manages channels: its path names an app, no device."""

        self.body = b""
        """What was received of it, of a request for an app; a device push's is only counted."""

        self.body_size = 0
        self.ignored = False
        self.entry: LedgerEntry | None = None
        """Its line in the ledger, once it is processed."""

    def take(self, data: bytes) -> None:
        """Take a piece of the body."""
        self.body_size += len(data)
        if self.for_app:
            self.body += data[: MAX_KEPT_BODY - len(self.body)]

    @property
    def device_token(self) -> str:
        """What follows ``/3/device/`` in the path, in lower case; empty for any other path."""
        path = self.fields.get(b":path", b"")
        return (
            path[len(DEVICE_PATH) :].decode("latin-1").lower()
            if path.startswith(DEVICE_PATH)
            else ""
        )

    @property
    def id_field(self) -> bytes:
        """The name of the field that tells its answer from others."""
        return b"apns-request-id" if self.for_app else b"apns-id"

    @property
    def given_id(self) -> bytes | None:
        """The id of the request, if it has a valid one."""
        given = self.fields.get(self.id_field)
        return given if given is not None and is_uuid(given) else None

    @property
    def topic(self) -> str:
        """The ``apns-topic``, or nothing."""
        return self.fields.get(b"apns-topic", b"").decode("latin-1")


Check: TypeAlias = Callable[[Request, SimulatorConfig], str | None]
"""Returns a reason to refuse the request for, or ``None``."""


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """How a request is answered."""

    status: int
    reason: str | None = None
    timestamp: int | None = None
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """Beside those that all answers have."""

    body: bytes = b""
    """Of an acceptance; the body of a refusal is made of its reason."""

    violation: str | None = None
    """What the client did wrong and is not told of."""


ACCEPTED: Final = Verdict(200)

_REFUSALS: Final = {reason: Verdict(status, reason) for reason, status in REASON_STATUS.items()}


def refused(reason: str) -> Verdict:
    """Return the refusal for one of Apple's reasons, with the status that belongs to it."""
    return _REFUSALS[reason]
