"""What this library raises: always at the caller, for the caller's own mistake or for a lost cause.

What a server sends is never raised; it becomes an outcome or an event.
"""

from typing import final

__all__ = [
    "ApiMisuse",
    "ApnsError",
    "ClientClosed",
    "ConnectFailed",
    "InvalidField",
    "QueueFull",
]


class ApnsError(Exception):
    """The root of every exception that leaves this library."""


@final
class ApiMisuse(ApnsError):  # noqa: N818
    """The caller broke a rule of this API; nothing has changed."""


@final
class InvalidField(ApnsError, ValueError):  # noqa: N818 - named for what is wrong, not for being an error
    """A value was refused before anything was sent. Names the field, never the value."""

    field: str
    """The name of the argument, as the caller wrote it: ``"device_token"``."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self._problem = problem

    def __reduce__(self) -> tuple[type["InvalidField"], tuple[str, str]]:
        # By default an exception is made anew from its one text: a process pool needs both.
        return InvalidField, (self.field, self._problem)


@final
class QueueFull(ApnsError):  # noqa: N818
    """The sender holds as many notifications as it may. Wait until it has room again."""


@final
class ClientClosed(ApnsError):  # noqa: N818
    """The client is closing or closed; it takes no more notifications."""


@final
class ConnectFailed(ApnsError):  # noqa: N818
    """No usable connection came of an attempt; nothing was sent on it. The text says why."""
