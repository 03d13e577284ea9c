"""What the server side knows to be true: each request it processed, and how each connection went.

A sender's outcomes are checked against it: accepted must be in it with status 200, unprocessed must
not.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from statistics import median
from typing import Any, Final, Self, final

__all__ = ["ConnectionRecord", "Ledger", "LedgerEntry", "Unprocessed"]

DEVICE_PUSH: Final = "device push"
BROADCAST_PUSH: Final = "broadcast push"

MAX_VIOLATIONS: Final = 1000
"""Texts kept; one broken client would otherwise fill the memory. All are counted."""


@final
@dataclass(slots=True)
class LedgerEntry:
    """One request that was read to its end and judged."""

    connection: int
    """Connections are numbered from 1."""

    stream_id: int
    device_token: str = field(repr=False)
    """Empty where the request names none, as all but device pushes."""

    apns_id: str
    """As answered: the ``apns-id``, or of a request for an app the ``apns-request-id``."""

    topic: str
    """The ``apns-topic``, or the bundle id in the path of a request for an app."""

    status: int
    reason: str | None
    """Apple's reason, ``None`` for an acceptance."""

    answered: bool = False
    """Whether the final status line was written. A processed request without an answer leaves the
    client in doubt, and rightly so."""

    kind: str = DEVICE_PUSH
    """``device push``, ``broadcast push``, ``create channel``, ``read channel``,
    ``delete channel``, ``list channels``; ``unknown`` for a path or method of none."""

    channel_id: str | None = None
    """The channel that the request names, or that it made."""

    @property
    def accepted(self) -> bool:
        """Whether the status says so: 200, or for channels also 201 and 204."""
        return self.status == 200 or (self.status < 300 and self.kind != DEVICE_PUSH)


@final
@dataclass(slots=True)
class Unprocessed:
    """A stream that was seen and not acted upon: the client may send its request again."""

    connection: int
    stream_id: int
    cause: str
    """``refused``, ``above last stream id``, ``reset by client``, or ``unfinished``."""


@final
@dataclass(slots=True)
class ConnectionRecord:
    """How one connection went."""

    number: int
    requests: int = 0
    """Requests read to their end."""

    streams_before_acceptance: int = 0
    """The most streams that were open at once before the first 200 had left the server."""

    peak_streams: int = 0
    """The most streams that were open at once. One is open until its answer has left the server."""

    bytes_received: int = 0
    pings_received: int = 0
    resets_received: int = 0
    resets_sent: int = 0
    goaways_received: int = 0
    goaways_sent: int = 0
    closed: bool = False
    field_block_sizes: dict[int, int] = field(default_factory=dict[int, int])
    """Bytes of HPACK that a request took -> how many requests took as many."""

    @property
    def field_block_bytes(self) -> int:
        """All bytes of HPACK that were received for requests."""
        return sum(size * count for size, count in self.field_block_sizes.items())


@final
class Ledger:
    """The book of one simulator, over all its connections.

    With ``keep_entries=False`` it only counts, and stays small over millions of requests;
    ``entries``, ``unprocessed`` and what is computed from them are then empty.
    """

    def __init__(self, *, keep_entries: bool = True) -> None:
        self.keep_entries = keep_entries
        self.entries: list[LedgerEntry] = []
        self.unprocessed: list[Unprocessed] = []
        self.connections: list[ConnectionRecord] = []
        self.violations: list[str] = []
        """What clients did against HTTP/2 or Apple's rules, in words, without field values."""

        self.violation_count = 0
        self.processed_count = 0
        self.answered_count = 0
        self.by_reason: Counter[str] = Counter()
        """Apple's reason -> processed requests refused for it; acceptances are not in it."""

        self.by_unprocessed_cause: Counter[str] = Counter()

    # Written by the connections.

    def open_connection(self) -> ConnectionRecord:
        """Begin the record of the next connection."""
        record = ConnectionRecord(len(self.connections) + 1)
        self.connections.append(record)
        return record

    def process(self, entry: LedgerEntry) -> None:
        """Enter a request that was judged."""
        self.processed_count += 1
        if not entry.accepted:
            self.by_reason[entry.reason or str(entry.status)] += 1
        if self.keep_entries:
            self.entries.append(entry)

    def answer(self, entry: LedgerEntry) -> None:
        """Note that the status line of a processed request was written."""
        entry.answered = True
        self.answered_count += 1

    def leave_unprocessed(self, connection: int, stream_id: int, cause: str) -> None:
        """Note a stream that was not acted upon."""
        self.by_unprocessed_cause[cause] += 1
        if self.keep_entries:
            self.unprocessed.append(Unprocessed(connection, stream_id, cause))

    def violate(self, connection: int, text: str) -> None:
        """Note what a client did wrong."""
        self.violation_count += 1
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(f"connection {connection}: {text}")

    # Asked by tests.

    @property
    def accepted_count(self) -> int:
        """Requests that were processed and accepted."""
        return self.processed_count - self.by_reason.total()

    def processed_by_device(self) -> Counter[str]:
        """Device token -> how many of its requests were processed, whatever came of them."""
        return Counter(entry.device_token for entry in self.entries if entry.kind == DEVICE_PUSH)

    def accepted_by_device(self) -> Counter[str]:
        """Device token -> how many of its requests were accepted."""
        return Counter(
            entry.device_token
            for entry in self.entries
            if entry.accepted and entry.kind == DEVICE_PUSH
        )

    def accepted_by_channel(self) -> Counter[str]:
        """Channel id -> how many broadcasts to it were accepted."""
        return Counter(
            entry.channel_id
            for entry in self.entries
            if entry.accepted and entry.kind == BROADCAST_PUSH and entry.channel_id is not None
        )

    def duplicates(self) -> Counter[str]:
        """Id -> count, for each notification or request that was accepted more than once."""
        counts = Counter(entry.apns_id.lower() for entry in self.entries if entry.accepted)
        return Counter({apns_id: count for apns_id, count in counts.items() if count > 1})

    @property
    def peak_streams(self) -> int:
        """The most streams open at once on any connection."""
        return max((record.peak_streams for record in self.connections), default=0)

    @property
    def streams_before_acceptance(self) -> int:
        """The most streams open at once on any connection before its first acceptance."""
        return max((record.streams_before_acceptance for record in self.connections), default=0)

    @property
    def field_block_bytes(self) -> float:
        """HPACK bytes of the median request: the steady state, whatever the first requests cost."""
        sizes: Counter[int] = Counter()
        for record in self.connections:
            sizes.update(record.field_block_sizes)
        return float(median(sizes.elements())) if sizes else 0.0

    # Travels between processes.

    def to_json(self) -> str:
        """Return the whole ledger as JSON text in one line. It holds device tokens."""
        return json.dumps(
            {
                "keep_entries": self.keep_entries,
                "entries": [list(_row(entry)) for entry in self.entries],
                "unprocessed": [list(_row(stream)) for stream in self.unprocessed],
                "connections": [asdict(record) for record in self.connections],
                "violations": self.violations,
                "violation_count": self.violation_count,
                "processed_count": self.processed_count,
                "answered_count": self.answered_count,
                "by_reason": self.by_reason,
                "by_unprocessed_cause": self.by_unprocessed_cause,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote."""
        plain: dict[str, Any] = json.loads(text)
        ledger = cls(keep_entries=plain["keep_entries"])
        ledger.entries = [LedgerEntry(*row) for row in plain["entries"]]
        ledger.unprocessed = [Unprocessed(*row) for row in plain["unprocessed"]]
        ledger.connections = [_connection_record(record) for record in plain["connections"]]
        ledger.violations = plain["violations"]
        ledger.violation_count = plain["violation_count"]
        ledger.processed_count = plain["processed_count"]
        ledger.answered_count = plain["answered_count"]
        ledger.by_reason = Counter(plain["by_reason"])
        ledger.by_unprocessed_cause = Counter(plain["by_unprocessed_cause"])
        return ledger

    def copy(self) -> Self:
        """Return a copy that no later request changes."""
        return self.from_json(self.to_json())


def _row(record: LedgerEntry | Unprocessed) -> tuple[Any, ...]:
    return tuple(getattr(record, column.name) for column in fields(record))


def _connection_record(plain: dict[str, Any]) -> ConnectionRecord:
    sizes = {int(size): count for size, count in plain.pop("field_block_sizes").items()}
    return ConnectionRecord(**plain, field_block_sizes=sizes)
