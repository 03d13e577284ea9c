"""Who told the truth: each outcome beside the acts of all servers, in the order of time."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from apns_core import Accepted, Rejected, Unknown, Unprocessed
from apns_core.reasons import Disposition
from tests.simulation.checks import Violation
from tests.simulation.host import Push
from tests.simulation.servers import Act

__all__ = ["audit", "check_act"]

_MOST_ACTS: Final = 3
"""Attempts at one notification that servers act on: a third is the last, whatever is said to it."""
_RETRIES_FOR_FREE: Final = 500 // 5
_ACCEPTANCES_A_RETRY: Final = 5


def check_act(push: Push, act: Act) -> None:
    """Enter that a server acts on a notification; once more only where policy lets it be asked."""
    push.acts.append(act)
    if push.may_be_resent:
        return
    for before in push.acts[:-1]:
        if before.accepted:
            raise Violation(f"{push.name} is delivered twice")
        if not before.may_be_retried:
            raise Violation(f"{push.name} is sent again after {before.entry.reason}")
        if not before.told:
            raise Violation(f"{push.name} is sent again although its outcome is unknown")


def audit(pushes: Iterable[Push]) -> Counter[str]:
    """Check every outcome of one sender's life; count them."""
    tally: Counter[str] = Counter()
    retries = accepted = 0
    for push in pushes:
        _audit_one(push)
        tally[push.summary.split(" ", 1)[0]] += 1
        accepted += isinstance(push.outcome, Accepted)
        for before, _ in pairwise(push.acts):
            retries += before.disposition is Disposition.RETRY_LATER and before.told
    if retries > _RETRIES_FOR_FREE + accepted / _ACCEPTANCES_A_RETRY + 1:
        raise Violation(f"{retries} retries of rejections exceed the budget")
    return tally


def _audit_one(push: Push) -> None:
    acts, outcome = push.acts, push.outcome
    if len(acts) > _MOST_ACTS:
        raise Violation(f"{push.name} was acted on {len(acts)} times")
    told = [act for act in acts if act.told]
    match outcome:
        case None:
            if not push.cancelled:
                raise Violation(f"{push.name} has no outcome")
        case Accepted():
            if not any(act.accepted for act in told):
                raise Violation(f"{push.name} is called accepted, and no server said so")
        case Rejected(status=status, reason_text=reason):
            # Not every body says why, is complete, or can be read.
            if not any(
                act.entry.status == status and reason in {None, act.entry.reason} for act in told
            ):
                raise Violation(f"{push.name} is called rejected, and no server said so")
        case Unprocessed():
            if acts:
                raise Violation(f"{push.name} is called unprocessed, and a server acted on it")
        case Unknown():
            if push.ticket is not None and not push.ticket.attempts:
                raise Violation(f"{push.name} is called unknown, and was never sent")
