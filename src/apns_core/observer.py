"""A hook for those to whom the numbers of `Metrics` are not enough."""

from typing import Protocol

from apns_core.outcomes import Outcome

__all__ = ["Observer"]


class Observer(Protocol):
    """Called by a sender as things happen, within its inputs: be quick, and do not raise."""

    def on_outcome(self, outcome: Outcome[object], seconds: float) -> None:
        """Note the last word on a notification, and the time since it was submitted."""
        ...

    def on_retry(self, cause: str) -> None:
        """Note that a notification is sent again: a `Cause`, or the reason of its rejection."""
        ...

    def on_connect(self) -> None:
        """Note that a connection is being made."""
        ...

    def on_goaway(self, reason: str) -> None:
        """Note that a server is going away: its reason, or the empty text."""
        ...
