"""Reads outcomes off streams that have ended: what was answered, and what no answer leaves open."""

from typing import Final, TypeVar

from apns_core.outcomes import Accepted, Answered, Cause, Rejected, Unknown, Unprocessed
from apns_core.reasons import parse_error_body
from apns_core.tickets import Ticket

__all__ = ["accepted", "rejected", "unanswered"]

T = TypeVar("T")

_OK: Final = 200
# Optimisation (benchmark: send_many): what other servers add is passed over by one look-up.
_SAID: Final = frozenset((b"apns-id", b"apns-unique-id", b"apns-request-id", b"apns-channel-id"))
_MAX_RETRY_DIGITS: Final = 6


def unanswered(ticket: Ticket[T], cause: Cause) -> Unprocessed[T] | Unknown[T]:
    """Return the honest outcome of a stream that was left without a final status."""
    if ticket.end_stream_sent:
        return Unknown(ticket.notification, ticket.tag, cause)
    return Unprocessed(ticket.notification, ticket.tag, cause)


def accepted(ticket: Ticket[T]) -> Accepted[T]:
    """Return the outcome of a request that was answered with success."""
    apns_id = unique_id = None
    says_more = False
    for name, value in ticket.fields:
        if name in _SAID:
            if name == b"apns-id":
                apns_id = _text(value)
            elif name == b"apns-unique-id":
                unique_id = _text(value)
            else:
                says_more = True
    outcome = Accepted(ticket.notification, ticket.tag, apns_id, unique_id)
    if apns_id is None and (says_more or ticket.body or ticket.status != _OK):
        # No device push: APNs gives their answers another name, and more to say.
        fields = dict(ticket.fields)
        request_id, channel_id = fields.get(b"apns-request-id"), fields.get(b"apns-channel-id")
        outcome.answer = Answered(
            ticket.status,
            None if request_id is None else _text(request_id),
            None if channel_id is None else _text(channel_id),
            ticket.body,
        )
    return outcome


def _text(value: bytes) -> str:
    return value.decode("ascii", "backslashreplace")


def rejected(ticket: Ticket[T]) -> Rejected[T]:
    """Return the outcome of a request that was answered with anything else."""
    apns_id = unique_id = request_id = retry_after = None
    for name, value in ticket.fields:
        if name == b"apns-id":
            apns_id = _text(value)
        elif name == b"apns-unique-id":
            unique_id = _text(value)
        elif name == b"apns-request-id":
            request_id = _text(value)
        elif name == b"retry-after" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            # The other form, a date, needs a wall clock and is not worth one: Apple documents none.
            retry_after = float(value)
    body = parse_error_body(ticket.body)
    return Rejected(
        ticket.notification,
        ticket.tag,
        ticket.status,
        body.reason,
        body.reason_text,
        body.timestamp,
        apns_id,
        retry_after,
        request_id,
        unique_id,
    )
