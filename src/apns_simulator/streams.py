"""The streams of one connection: which are let in, what is decided, how they are answered."""

from typing import TYPE_CHECKING, Final, final

from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

from .answers import AnswerWriter, error_body
from .app_requests import describe
from .client_certificates import ClientCertificate
from .examiner import Examiner
from .field_rules import malformation
from .ledger import LedgerEntry
from .request import Request, Verdict
from .wire import Wire

if TYPE_CHECKING:
    from .simulator import Simulator

__all__ = ["HIGHEST_STREAM_ID", "Streams"]

HIGHEST_STREAM_ID: Final = 2**31 - 1


@final
class Streams:
    """Follows each stream from its HEADERS to the end of its answer."""

    def __init__(
        self, simulator: "Simulator", wire: Wire, certificate: ClientCertificate | None = None
    ) -> None:
        self._simulator = simulator
        self._wire = wire
        self._h2 = wire.h2
        self._record = wire.record
        self._ledger = wire.ledger
        self._examiner = Examiner(simulator, certificate)
        self._answers = AnswerWriter(wire.h2)
        self._requests: dict[int, Request] = {}
        self._held: list[Request] | None = None
        self._ignored_above = HIGHEST_STREAM_ID
        self._seen = 0
        # An answer counts from when it has left: until then the client cannot know of it.
        self._over_unsent = 0
        self._acceptance_unsent = False
        self._acceptance_sent = False
        self.open = 0
        """Streams let in and not answered to their end."""

        self.last_read = 0
        """The highest id of a stream that was read to its end."""

    # What the client does.

    def request_received(self, event: RequestReceived, field_block_size: int) -> None:
        """Let a stream in, refuse it, or ignore it."""
        request = Request(event.stream_id, event.headers)
        sizes = self._record.field_block_sizes
        sizes[field_block_size] = sizes.get(field_block_size, 0) + 1
        self._requests[request.stream_id] = request
        if request.stream_id > self._ignored_above:
            self._ignore(request)
            return
        self.open += 1
        self._seen += 1
        open_for_client = self.open + self._over_unsent
        record = self._record
        record.peak_streams = max(record.peak_streams, open_for_client)
        if not self._acceptance_sent:
            record.streams_before_acceptance = max(
                record.streams_before_acceptance, open_for_client
            )
        if fault := malformation(event.headers):
            self._wire.violate(fault)
            self.refuse(request.stream_id, "malformed", ErrorCodes.PROTOCOL_ERROR)
            return
        every = self._simulator.temper_of(record.number).refuse_every
        if self._wire.limit.refuses(open_for_client):
            if violation := self._wire.limit.violation(open_for_client):
                self._wire.violate(violation)
            self.refuse(request.stream_id, "refused", ErrorCodes.REFUSED_STREAM)
        elif every and self._seen % every == 0:
            self.refuse(request.stream_id, "refused", ErrorCodes.REFUSED_STREAM)

    def data_received(self, event: DataReceived) -> None:
        """Take a piece of a body."""
        if request := self._requests.get(event.stream_id):
            request.take(event.data)
        if self._simulator.temper_of(self._record.number).credit_windows:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def stream_ended(self, event: StreamEnded, now: float) -> bool:
        """Process a request that was read to its end; return whether it counts as one."""
        request = self._requests.get(event.stream_id)
        if request is None:
            return False
        if request.ignored:
            del self._requests[event.stream_id]
            self._h2.forget(event.stream_id)
            return False
        self._record.requests += 1
        self.last_read = max(self.last_read, event.stream_id)
        if self._held is None:
            self._process(request, now)
        else:
            self._held.append(request)
        return True

    def stream_reset(self, event: StreamReset) -> None:
        """Forget a stream that the client has reset."""
        self._leave(event.stream_id, "reset by client")
        self._h2.forget(event.stream_id)

    def windows_grew(self) -> None:
        """Go on with the bodies that waited for a window."""
        for stream_id in self._answers.resume():
            self._finish(stream_id)

    # What the simulator does.

    def refuse(self, stream_id: int, cause: str, *error_codes: int) -> None:
        """Reset a stream with each of the error codes in turn.

        On the DATA of a stream that is reset already, h2 writes RST_STREAM with STREAM_CLOSED.
        """
        if self._leave(stream_id, cause):
            self._over_unsent += 1
        for error_code in error_codes:
            self._wire.reset(stream_id, error_code)

    def ignore_above(self, last_stream_id: int) -> None:
        """Ignore the streams above `last_stream_id`, also those read and not processed."""
        self._ignored_above = min(self._ignored_above, last_stream_id)
        for request in list(self._requests.values()):
            if request.stream_id > last_stream_id and not request.ignored and not request.entry:
                self.open -= 1
                self._ignore(request)

    def hold(self) -> None:
        """Read requests from now on without processing them."""
        if self._held is None:
            self._held = []

    def release(self, now: float) -> None:
        """Process the held requests that are still wanted, in the order in which they came."""
        held, self._held = self._held or [], None
        for request in held:
            if request.stream_id in self._requests and not request.ignored:
                self._process(request, now)

    def sent(self) -> None:
        """Note that all answers written so far have left."""
        self._over_unsent = 0
        if self._acceptance_unsent:
            self._acceptance_unsent = False
            self._acceptance_sent = True
            self._wire.limit.open_gate()

    def closed(self) -> None:
        """Enter each stream that was not processed when the connection ended."""
        for request in self._requests.values():
            if not request.entry and not request.ignored:
                self._ledger.leave_unprocessed(self._record.number, request.stream_id, "unfinished")
        self._requests.clear()
        self.open = 0

    # Helpers.

    def _process(self, request: Request, now: float) -> None:
        number, ordinal = self._record.number, self._record.requests
        temper = self._simulator.temper_of(number)
        verdict = self._examiner.examine(request, ordinal, temper, now)
        request.entry = entry = LedgerEntry(
            number,
            request.stream_id,
            request.device_token,
            (request.given_id or self._simulator.make_uuid()).decode(),
            request.topic,
            verdict.status,
            verdict.reason,
        )
        if request.for_app:
            describe(request, verdict, entry)
        self._ledger.process(entry)
        if verdict.violation is not None:
            self._wire.violate(verdict.violation)
        if temper.close_after_requests is not None and ordinal >= temper.close_after_requests:
            self._wire.close(temper.close_by)
        elif temper.silent_after is not None and ordinal > temper.silent_after:
            pass  # Processed and never answered: of this a client can know the least.
        elif latency := self._simulator.config.latency:
            self._wire.at(now + latency, lambda _: self._answer(request, entry, verdict))
        else:
            self._answer(request, entry, verdict)

    def _answer(self, request: Request, entry: LedgerEntry, verdict: Verdict) -> None:
        stream_id = request.stream_id
        if stream_id not in self._requests:
            return
        temper = self._simulator.temper_of(self._record.number)
        for _ in range(temper.informational):
            self._h2.send_headers(stream_id, [(b":status", b"103")])
        fields = [(b":status", b"%d" % entry.status)]
        if not temper.omit_apns_id:
            apns_id = entry.apns_id.upper() if temper.uppercase_apns_id else entry.apns_id
            fields.append((request.id_field, apns_id.encode()))
        if self._simulator.config.environment == "development" and not request.for_app:
            fields.append((b"apns-unique-id", self._simulator.make_uuid()))
        fields += verdict.fields
        body = verdict.body
        if not entry.accepted:
            body = error_body(entry.reason, verdict.timestamp, temper.body_style)
            media_type = b"text/html" if temper.body_style == "html" else b"application/json"
            fields.append((b"content-type", media_type))
            if temper.retry_after is not None:
                fields.append((b"retry-after", b"%d" % temper.retry_after))
        is_over = self._answers.write(stream_id, fields, body, temper.body_style)
        self._ledger.answer(entry)
        limit = self._wire.limit
        if entry.accepted:
            self._acceptance_unsent = not self._acceptance_sent
            change = limit.change_after_acceptance()
        else:
            drops = temper.limit_drop_on_rejection
            change = limit.change_after_rejection() if drops else None
        if change is not None:
            self._wire.send_settings({SettingCodes.MAX_CONCURRENT_STREAMS: change})
        if is_over:
            self._finish(stream_id)

    def _finish(self, stream_id: int) -> None:
        """End a stream whose answer is written to its end."""
        del self._requests[stream_id]
        self._h2.forget(stream_id)
        self.open -= 1
        self._over_unsent += 1

    def _leave(self, stream_id: int, cause: str) -> bool:
        """End a stream that gets no answer, or no more of it; return whether it was open."""
        request = self._requests.pop(stream_id, None)
        if request is None or request.ignored:
            return False
        self.open -= 1
        self._answers.drop(stream_id)
        if not request.entry:
            self._ledger.leave_unprocessed(self._record.number, stream_id, cause)
        return True

    def _ignore(self, request: Request) -> None:
        request.ignored = True
        self._ledger.leave_unprocessed(
            self._record.number, request.stream_id, "above last stream id"
        )
