"""What a sender counts: plain numbers to be read at any time.

Nothing here depends on a metrics library. To export, either read `Metrics` when scraped, or hand
the sender an `Observer`; docs/metrics.md shows both for Prometheus.
"""

from bisect import bisect_left
from collections import Counter
from typing import Final, final

from apns_core.outcomes import Accepted, Cause, Outcome, Rejected, Unprocessed

__all__ = ["LATENCY_BOUNDS", "Histogram", "Metrics", "label"]

LATENCY_BOUNDS: Final[tuple[float, ...]] = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Seconds. From a round trip within a data centre to the deadline of a request."""


@final
class Histogram:
    """Counts by upper bound, as Prometheus has them: each observation lies in one bucket."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BOUNDS) -> None:
        self.bounds = bounds
        """Upper bounds, inclusive, in rising order."""
        self.counts = [0] * (len(bounds) + 1)
        """Observations by bound; the last are beyond all of them."""
        self.total = 0.0
        """Sum of all observations."""

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many were observed."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """Return the bound below which ``share`` of the observations lie; infinity beyond all.

        0.0 where nothing was observed.
        """
        wanted = share * self.count
        seen = 0
        if not wanted:
            return 0.0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return float("inf")


@final
class Metrics:
    """The counters of one sender, from its making. Read them as you like; do not write."""

    __slots__ = (
        "accepted",
        "connects",
        "connects_failed",
        "goaways",
        "latency",
        "rejected",
        "retries",
        "submitted",
        "unknown",
        "unprocessed",
        "window_blocked_seconds",
    )

    def __init__(self) -> None:
        self.submitted = 0
        """Notifications taken in; those that are cancelled get no outcome."""
        self.accepted = 0
        self.rejected: Counter[str] = Counter()
        """By reason, or by status where the body names none."""
        self.unprocessed: Counter[Cause] = Counter()
        self.unknown: Counter[Cause] = Counter()
        self.retries: Counter[str] = Counter()
        """Attempts beyond the first, by what ended the one before."""
        self.connects = 0
        """Connections that were begun."""
        self.connects_failed = 0
        """Those of them that came to nothing: nothing was sent on them."""
        self.goaways: Counter[str] = Counter()
        """By reason; the empty text where there was none."""
        self.window_blocked_seconds = 0.0
        """Time for which a connection's flow-control window kept notifications waiting."""
        self.latency = Histogram()
        """Seconds from submission to outcome, of those that APNs answered."""

    def count(self, outcome: Outcome[object], seconds: float) -> None:
        """Count the last word on a notification."""
        if type(outcome) is Accepted:
            self.accepted += 1
            self.latency.observe(seconds)
        elif type(outcome) is Rejected:
            self.rejected[label(outcome)] += 1
            self.latency.observe(seconds)
        elif type(outcome) is Unprocessed:
            self.unprocessed[outcome.cause] += 1
        else:
            self.unknown[outcome.cause] += 1


def label(outcome: Outcome[object]) -> str:
    """Return the name under which an outcome that is not an acceptance is counted.

    Reasons that Apple has not documented count under their status: a server must not be able to
    make us keep as many names as it likes.
    """
    if isinstance(outcome, Accepted):
        return "accepted"
    if isinstance(outcome, Rejected):
        return str(outcome.status) if outcome.reason is None else outcome.reason.value
    return outcome.cause.value
