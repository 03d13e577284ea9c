"""Mistakes to plant in the engine, each of which the simulation must find.

A checker that never fails proves nothing. These are put in by replacing one function while some
worlds are lived through.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

from apns_core import Cause, connection
from apns_core.accounting import ConnectionState, StreamAccounting
from apns_core.connection import Connection
from apns_core.http2 import client, flow_control, hpack_encoder
from apns_core.outcomes import Accepted, Unknown, Unprocessed
from apns_core.retries import RetryPolicy
from apns_core.sender import Sender
from apns_core.tickets import Submissions, Ticket

__all__ = ["PLANTS", "planted"]

# What is replaced: the object, the name of its attribute, and what stands there instead.
_Plant = tuple[Any, str, Callable[..., Any]]


def _believe(ticket: Ticket[int], _cause: Cause) -> object:
    return Accepted(ticket.notification, ticket.tag)


def _clear(ticket: Ticket[int], cause: Cause) -> object:
    return Unprocessed(ticket.notification, ticket.tag, cause)


def _doubt(ticket: Ticket[int], cause: Cause) -> object:
    return Unknown(ticket.notification, ticket.tag, cause)


def _retry_at_once(
    _policy: RetryPolicy, ticket: Ticket[int], cause: Cause, now: float
) -> float | None:
    return now if cause is not Cause.DEADLINE and ticket.attempts < 3 else None


def _disown_all(streams: dict[int, object], _last_stream_id: int) -> list[object]:
    return list(streams.values())


def _disown_none(_streams: object, _last_stream_id: int) -> list[object]:
    return []


def _forget_credit(_window: object, _octets: int, _stream_id: int = 0) -> int:
    return 0


def _forget_to_warm_up(this: StreamAccounting) -> None:
    peer_limit = this._own_limit if this._peer_limit is None else this._peer_limit
    open_states = {ConnectionState.AUTH_PENDING, ConnectionState.OPEN}
    this.limit = min(peer_limit, this._own_limit) if this.state in open_states else 0


def _ignore_the_limit(this: StreamAccounting, limit: int | None) -> None:
    this._peer_limit = None if limit is None else max(limit, 10)
    this._compute()


def _ignore_table_size(_encoder: object, _size: int) -> None:
    pass


def _never_expire(_submissions: object, _now: float) -> list[object]:
    return []


def _drop_the_delayed(_sender: object) -> None:
    pass


def _never_give_up(_connection: object, _now: float) -> None:
    pass


def _raise(_accounting: object, _limit: int | None) -> None:
    raise ZeroDivisionError


PLANTS: Final[Mapping[str, _Plant]] = MappingProxyType(
    {
        "unknown is reported as accepted": (connection, "unanswered", _believe),
        "unknown is reported as unprocessed": (connection, "unanswered", _clear),
        "unprocessed is reported as unknown": (connection, "unanswered", _doubt),
        "unknown is sent again": (RetryPolicy, "_after_unknown", _retry_at_once),
        "last-stream-id is taken for 0": (client, "_above", _disown_all),
        "last-stream-id is ignored": (client, "_above", _disown_none),
        "credit is never returned": (flow_control.ReceiveWindow, "receive", _forget_credit),
        "no warming up": (StreamAccounting, "_compute", _forget_to_warm_up),
        "the peer's limit is ignored": (StreamAccounting, "set_peer_limit", _ignore_the_limit),
        "the peer's table size is ignored": (
            hpack_encoder.HpackEncoder,
            "set_peer_limit",
            _ignore_table_size,
        ),
        "deadlines pass": (Submissions, "expired", _never_expire),
        "delayed retries are forgotten": (Sender, "_release_due", _drop_the_delayed),
        "the engine raises": (StreamAccounting, "set_peer_limit", _raise),
        "dead connections are kept": (Connection, "_check_clocks", _never_give_up),
    }
)


@contextmanager
def planted(name: str) -> Generator[None]:
    """Plant one mistake for as long as the context lasts."""
    owner, attribute, mistake = PLANTS[name]
    right = getattr(owner, attribute)
    setattr(owner, attribute, mistake)
    try:
        yield
    finally:
        setattr(owner, attribute, right)
