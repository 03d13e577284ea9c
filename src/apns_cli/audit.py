"""Compares what a sender reports with what the server knows, notification by notification."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import final

from apns_core import Accepted, Notification, Outcome, Rejected, Unknown, Unprocessed
from apns_simulator import Ledger, LedgerEntry

__all__ = ["Discrepancy", "audit"]


@final
class Discrepancy(StrEnum):
    """In what one notification, request or answer is not as it must be."""

    NO_OUTCOME = "without an outcome"
    SEVERAL_OUTCOMES = "with more than one outcome"
    NEVER_SUBMITTED = "with an outcome, and never submitted"
    NOT_PROCESSED = "answered here, not processed by the server"
    PROCESSED_AGAIN = "processed by the server more than once"
    NOT_SENT = "processed by the server, not sent from here"
    UNANSWERED = "answered here, not answered by the server"
    OTHER_ANSWER = "answered with another status or reason by the server"
    OTHER_APNS_ID = "with the apns-id of another notification"
    UNPROCESSED = "unprocessed here, processed by the server"
    UNKNOWN = "unknown here, processed by the server"
    VIOLATION = "a violation of HTTP/2 or of Apple's rules, says the server"


def audit(
    submitted: Iterable[Notification], outcomes: Iterable[Outcome[object]], ledger: Ledger
) -> Counter[Discrepancy]:
    """Return how often each kind of discrepancy occurs; an empty counter says that all agree.

    The notifications must go to distinct devices, because the server knows them by their device
    tokens, and the server must answer with an ``apns-id``. A notification counts once, however much
    is wrong with it. No attempt may be repeated: a retry after a rejection is told as
    `Discrepancy.PROCESSED_AGAIN`.
    """
    reported: dict[object, list[Outcome[object]]] = {}
    for outcome in outcomes:
        reported.setdefault(outcome.notification, []).append(outcome)
    processed: dict[str, list[LedgerEntry]] = {}
    for entry in ledger.entries:
        processed.setdefault(entry.device_token, []).append(entry)

    found: Counter[Discrepancy] = Counter()
    for notification in submitted:
        here = reported.pop(notification, [])
        there = processed.pop(notification.device_token.lower(), [])
        discrepancy = _judge(here, there)
        if discrepancy is not None:
            found[discrepancy] += 1
    for discrepancy, count in (
        (Discrepancy.NEVER_SUBMITTED, sum(map(len, reported.values()))),
        (Discrepancy.NOT_SENT, sum(map(len, processed.values()))),
        (Discrepancy.VIOLATION, ledger.violation_count),
    ):
        if count:
            found[discrepancy] = count
    return found


def _judge(here: list[Outcome[object]], there: list[LedgerEntry]) -> Discrepancy | None:
    if not here:
        return Discrepancy.NO_OUTCOME
    if len(here) > 1:
        return Discrepancy.SEVERAL_OUTCOMES
    if len(there) > 1:
        return Discrepancy.PROCESSED_AGAIN
    return _compare(here[0], there[0] if there else None)


def _compare(outcome: Outcome[object], entry: LedgerEntry | None) -> Discrepancy | None:
    match outcome:
        case Unprocessed():
            return Discrepancy.UNPROCESSED if entry else None
        case Unknown():
            # Not a lie, and yet not what a server deserves that answered everything.
            return Discrepancy.UNKNOWN if entry else None
        case Accepted():
            answer: tuple[int, str | None] = (200, None)
        case Rejected():
            answer = (outcome.status, outcome.reason_text)
    if entry is None:
        return Discrepancy.NOT_PROCESSED
    if not entry.answered:
        return Discrepancy.UNANSWERED
    if answer != (entry.status, entry.reason):
        return Discrepancy.OTHER_ANSWER
    # The one sign by which an answer that went to the wrong notification can be told.
    if outcome.apns_id is None or outcome.apns_id.lower() != entry.apns_id.lower():
        return Discrepancy.OTHER_APNS_ID
    return None
