"""Sends the lines of a file by one client, and records what came of each as it comes."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, contextmanager, suppress
from json.encoder import encode_basestring_ascii
from time import perf_counter
from typing import Final, final

from apns_asyncio import Client
from apns_cli.input_file import InputFile
from apns_cli.input_lines import LineFormat, UnfitInput
from apns_cli.input_notifications import NotificationMaker
from apns_cli.results import fingerprint, kind_of, outcome_members, reason_text
from apns_cli.results_file import Earlier, ResultsFile
from apns_cli.server_text import is_uuid
from apns_cli.terminal import ProgressBar
from apns_core import (
    Accepted,
    Cause,
    ClientClosed,
    InvalidField,
    Notification,
    Outcome,
    Rejected,
    Unknown,
    Unprocessed,
)

__all__ = ["FileRun", "record_of", "verify"]

DRAIN_SECONDS: Final = 10.0
"""After the first Ctrl-C, for what is in flight: APNs answers within a second or not at all."""

GIVE_UP_AFTER: Final = 1_000
"""Unprocessed in a row. A client queues 256: for minutes nothing has reached the server, or it
refuses these credentials."""

FLUSH_AT: Final = 256
"""Records that may wait for the end of a turn of the loop."""


def verify(input_file: InputFile, line_format: LineFormat, earlier: Earlier) -> None:
    """Check that the lines with an outcome are what they were. Raises `UnfitInput`, OSError.

    Reads the input as far as there are such lines.
    """
    if not earlier.count:
        return
    number = 0
    for number, line in input_file.lines():
        _verify(number, line, line_format, earlier)
        if number == earlier.last:
            return
    raise UnfitInput(f"it has {number:,} lines, and the results are of {earlier.last:,}")


def _verify(number: int, line: bytes, line_format: LineFormat, earlier: Earlier) -> None:
    try:
        token = (line_format.read(line) or {}).get("device_token")
    except InvalidField:
        token = None
    if number in earlier and not (
        isinstance(token, str) and earlier.is_of(number, fingerprint(token))
    ):
        raise UnfitInput(f"line {number:,} is for another device than the results say")


def record_of(
    line: int, notification: Notification, outcome: Outcome[object], *, show_tokens: bool = False
) -> str:
    """Return the record of one line of the input: a line of JSON."""
    device = fingerprint(notification.device_token)
    if (
        type(outcome) is Accepted
        and outcome.apns_id is not None
        and is_uuid(outcome.apns_id)
        and outcome.apns_unique_id is None
        and not show_tokens
    ):
        # Optimisation (benchmarks/send_file.py): most are like this, and it takes a quarter of the
        # time.
        return (
            f'{{"line":{line},"device":"{device}","outcome":"accepted","status":200,'
            f'"apns_id":{encode_basestring_ascii(outcome.apns_id)}}}\n'
        )
    record: dict[str, object] = {"line": line, "device": device}
    if show_tokens:
        record["device_token"] = notification.device_token
    return _json_line(record | outcome_members(outcome))


def _json_line(record: dict[str, object]) -> str:
    return json.dumps(record, separators=(",", ":")) + "\n"


@final
class FileRun:
    """One run over the input. Make one, await `run`, then see what it has counted."""

    def __init__(
        self,
        client: Client,
        input_file: InputFile,
        line_format: LineFormat,
        maker: NotificationMaker,
        *,
        results: ResultsFile,
        earlier: Earlier,
        show_tokens: bool = False,
        sync: bool = False,
    ) -> None:
        self.tally: Final = earlier.tally
        """Of all lines that have an outcome, those from before included."""
        self.seconds = 0.0
        self.stopped: str | None = None
        """Why it ended before the input did; None if it did not."""
        self.gave_up = False
        """Whether that is because nothing got through."""
        self._client = client
        self._input = input_file
        self._format = line_format
        self._maker = maker
        self._results = results
        self._earlier = earlier
        self._show_tokens = show_tokens
        self._sync = sync
        self._closing: list[asyncio.Task[None]] = []
        self._under_way: dict[Notification, int] = {}
        """Notification -> its line, of those without an outcome."""
        self._without_notification = 0
        """Lines: the header, comments, empty ones."""
        self._unprocessed_in_a_row = 0
        self._unflushed = 0
        self._turn_is_to_end = False

    async def run(self, bar: ProgressBar, lines: int | None) -> None:
        """Send, and return when each line has its record, or when no more of them are taken.

        ``lines``: how many there are, if that is known. What a regular file has was checked by
        `verify`; of a stream that is done here. Raises `UnfitInput` and OSError, after the outcomes
        of what was sent.
        """
        client, loop = self._client, asyncio.get_running_loop()

        def end_turn() -> None:
            self._turn_is_to_end = False
            self._flush()
            skipped = self._without_notification + self._earlier.count
            total = None if lines is None else lines - skipped
            bar.show(self.tally.total - self._earlier.count, total=total, describe=self._note)

        started = perf_counter()
        try:
            async with client:
                source = self._from_file() if self._input.is_regular else self._from_stream()
                with self._signals(), self._closed_by_us():
                    async with aclosing(client.send_many(source)) as outcomes:
                        async for outcome in outcomes:
                            self._record(outcome)
                            if not self._turn_is_to_end:
                                # What one turn of the loop brings is on record in the next.
                                self._turn_is_to_end = True
                                loop.call_soon(end_turn)
        finally:
            self.seconds = perf_counter() - started
            self._results.flush()

    # ── from lines to notifications ──

    def _from_file(self) -> Iterator[Notification]:
        for number, line in self._input.lines():
            if self.stopped is not None:
                return
            if number in self._earlier:
                if not self._format.names:
                    # `verify` has read it, and yet it says how to read the others.
                    self._format.read(line)
                continue
            notification = self._take(number, line)
            if notification is not None:
                yield notification

    async def _from_stream(self) -> AsyncGenerator[Notification]:
        async with aclosing(self._input.stream()) as lines:
            async for number, line in lines:
                if number in self._earlier:
                    _verify(number, line, self._format, self._earlier)
                    continue
                notification = self._take(number, line)
                if notification is not None:
                    yield notification

    def _take(self, number: int, line: bytes) -> Notification | None:
        try:
            members = self._format.read(line)
            if members is None:
                self._without_notification += 1
                return None
            notification = self._maker.make(members)
        except InvalidField as error:
            self._record_invalid(number, error)
            return None
        self._under_way[notification] = number
        return notification

    # ── from outcomes to records ──

    def _record(self, outcome: Outcome[object]) -> None:
        notification = outcome.notification
        assert isinstance(notification, Notification)  # noqa: S101 - nothing else is sent
        line = self._under_way.pop(notification)
        self._append(record_of(line, notification, outcome, show_tokens=self._show_tokens))
        if type(outcome) is Accepted:
            self._unprocessed_in_a_row = 0
            self.tally.accepted += 1
        elif isinstance(outcome, Rejected):
            self._unprocessed_in_a_row = 0
            self.tally.add("rejected", reason_text(outcome) or str(outcome.status))
        else:
            self.tally.add(kind_of(outcome), outcome.cause.name.lower())
            if isinstance(outcome, Unprocessed):
                self._unprocessed_in_a_row += 1
                if self._unprocessed_in_a_row == GIVE_UP_AFTER:
                    self.gave_up = True
                    self._stop(f"{GIVE_UP_AFTER:,} in a row were unprocessed", DRAIN_SECONDS)

    def _record_invalid(self, number: int, error: InvalidField) -> None:
        _, _, problem = str(error).partition(": ")
        self._append(
            _json_line(
                {"line": number, "outcome": "invalid", "field": error.field, "problem": problem}
            )
        )
        self.tally.add("invalid", error.field)

    def _append(self, record: str) -> None:
        self._results.append(record)
        self._unflushed += 1
        if self._unflushed >= FLUSH_AT:
            self._flush()

    def _flush(self) -> None:
        self._unflushed = 0
        try:
            self._results.flush()
            if self._sync:
                self._results.sync()
        except OSError as error:
            # What is in flight has outcomes to come: perhaps there will be room for them.
            self._stop(f"the results cannot be written: {error.strerror}", DRAIN_SECONDS)

    def _note(self) -> str:
        return f"{self.tally.summary()}{' (stopping)' if self.stopped else ''}"

    # ── the end ──

    @contextmanager
    def _signals(self) -> Generator[None]:
        """Stop in order at the first SIGINT or SIGTERM, at once at the second."""
        loop = asyncio.get_running_loop()

        def remove() -> None:
            with suppress(NotImplementedError):
                for number in _SIGNALS:
                    loop.remove_signal_handler(number)

        def stop(number: signal.Signals) -> None:
            first = self.stopped is None
            if not first:
                remove()  # as it was: the third ends the process
            self._stop(number.name, DRAIN_SECONDS if first else 0)

        # Where there are no such handlers (Windows), Ctrl-C ends the command as SIGKILL would.
        with suppress(NotImplementedError):
            for number in _SIGNALS:
                loop.add_signal_handler(number, stop, number)
        try:
            yield
        finally:
            remove()

    @contextmanager
    def _closed_by_us(self) -> Generator[None]:
        """Take the end of the client for the end of the run."""
        try:
            yield
        except ClientClosed as error:
            if self.stopped is None:
                # Nobody else closes it, but for a bug; then nobody knows what became of these.
                self.stopped = str(error)
                for notification in list(self._under_way):
                    self._record(Unknown(notification, None, Cause.CLOSED))

    def _stop(self, why: str, timeout: float) -> None:
        """Take no more lines, and wait so many seconds for what was taken."""
        if self.stopped is None or timeout == 0:
            self.stopped = self.stopped or why
            closing = self._client.aclose(timeout)
            self._closing.append(asyncio.get_running_loop().create_task(closing))


_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
