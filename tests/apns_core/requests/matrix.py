"""Every kind of request against every check: the table as data, and the checks that fill it in.

A cell is a text that its check returns when all of its assertions held: by hand, a request that the
engine would refuse is shown to the simulator, which has tables of its own and must refuse it too.
What is good goes through the engine's connection and back. No sockets, no clocks.

`python -m tests.apns_core.requests.matrix` prints it as Markdown.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeAlias

import pytest

from apns_core import (
    DISPOSITIONS,
    Accepted,
    ApiMisuse,
    Broadcast,
    BroadcastRoute,
    Channel,
    ChannelList,
    ChannelRequest,
    Connection,
    CreateChannel,
    CreatedChannel,
    DeleteChannel,
    DeletedChannel,
    InvalidField,
    ListChannels,
    Notification,
    Outcome,
    ProviderToken,
    ReadChannel,
    Rejected,
    Request,
    Route,
    StoragePolicy,
    Unknown,
    Unprocessed,
)
from apns_core.reasons import parse_reason
from apns_simulator import Simulator, Temper
from apns_simulator.reasons import REASON_STATUS
from tests.apns_simulator.raw_client import TOKEN, UNIX_TIME, Answer, RawClient, make_simulator

__all__ = ["CHECKS", "KINDS", "Kind", "markdown"]

APP: Final = "com.example.app"
DEVICE: Final = "ab" * 32
STORING: Final = "dHN0LXNyY2gtY2hubA=="
NOT_STORING: Final = "bm90aGluZyBpcyBrZXB0"
UUID: Final = "123e4567-e89b-12d3-a456-426614174000"
BODY: Final = b'{"aps":{}}'
NONE: Final = "none"
"""A cell where the kind has no such field; that it has none was asserted."""

Maker: TypeAlias = Callable[..., Request]


# ── the kinds ──


def device_push(
    push_type: str = "alert",
    *,
    topic: str | None = "",
    priority: Any = None,  # noqa: ANN401 - wrong ones are passed on purpose, here as below
    device_token: str = DEVICE,
    payload: bytes = BODY,
    **options: Any,  # noqa: ANN401
) -> Notification:
    """Make one; an empty topic stands for that of the app."""
    if topic == "":
        route = Route.for_app(APP, push_type, priority=priority)
    else:
        route = Route(topic, push_type, priority=priority)
    return Notification(route, device_token, payload, **options)


def broadcast(
    *,
    bundle_id: str = APP,
    channel_id: str = STORING,
    storage_policy: StoragePolicy | None = None,
    priority: Any = 10,  # noqa: ANN401
    payload: bytes = BODY,
    expiration: Any = 0,  # noqa: ANN401
    request_id: str | None = None,
) -> Broadcast:
    route = BroadcastRoute(bundle_id, channel_id, storage_policy=storage_policy, priority=priority)
    return Broadcast(route, payload, expiration=expiration, request_id=request_id)


def create(*, bundle_id: str = APP, request_id: str | None = None) -> CreateChannel:
    return CreateChannel(bundle_id, StoragePolicy.NO_STORAGE, request_id=request_id)


def read(
    *, bundle_id: str = APP, channel_id: str = STORING, request_id: str | None = None
) -> ReadChannel:
    return ReadChannel(bundle_id, channel_id, request_id=request_id)


def delete(
    *, bundle_id: str = APP, channel_id: str = STORING, request_id: str | None = None
) -> DeleteChannel:
    return DeleteChannel(bundle_id, channel_id, request_id=request_id)


def list_all(*, bundle_id: str = APP, request_id: str | None = None) -> ListChannels:
    return ListChannels(bundle_id, request_id=request_id)


# What would end a field and begin another, or is no text of a header field at all.
_IN_A_FIELD: Final = ("x\r\ny: z", "x\ny: z", "x\ry", "x\x00y", "x y", "x\ty", "x\x7fy", "xüy", "")
# What would lead to another path, beside that.
_IN_A_PATH: Final = (*_IN_A_FIELD, "../x", "..", "a/b", "a?b=c", "a#b", "a%2fb", "a\\b", "a;b")

_DEVICE_TEXTS: Final = {
    "topic": tuple(text for text in _IN_A_FIELD if text),  # the empty one stands for the app's
    "device_token": _IN_A_PATH,
    "collapse_id": _IN_A_FIELD,
    "apns_id": _IN_A_FIELD,
}
_APP_TEXTS: Final = {"bundle_id": _IN_A_PATH, "request_id": _IN_A_FIELD}
_CHANNEL_TEXTS: Final = {**_APP_TEXTS, "channel_id": _IN_A_FIELD}


@dataclass(frozen=True)
class Kind:
    """One kind of request, as Apple's pages have it: the row of the table."""

    name: str
    make: Maker
    suffix: str | None = None
    """What follows the bundle id in the topic; None for kinds without a topic."""
    priorities: tuple[int, ...] = ()
    limit: int = 0
    """Octets of payload; 0 for a body that is not the caller's."""
    expiration: str = ""
    """``optional``, ``required``, or no such field."""
    collapses: bool = False
    status: int = 200
    result: type | None = None
    """What an accepted one is read as."""
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _DEVICE_TEXTS)
    """Argument -> values that must be refused."""

    @property
    def is_device_push(self) -> bool:
        return self.suffix is not None


def _push(push_type: str, suffix: str = "", *, limit: int = 4_096) -> Kind:
    return Kind(
        push_type,
        partial(device_push, push_type),
        suffix,
        priorities=(5,) if push_type == "background" else (10, 5, 1),
        limit=limit,
        expiration="optional",
        collapses=True,
    )


KINDS: Final = (
    _push("alert"),
    _push("background"),
    _push("complication", ".complication"),
    _push("controls", ".push-type.controls"),
    _push("fileprovider", ".pushkit.fileprovider"),
    _push("liveactivity", ".push-type.liveactivity"),
    _push("location", ".location-query"),
    _push("mdm"),
    _push("pushtotalk", ".voip-ptt"),
    _push("voip", ".voip", limit=5_120),
    _push("widgets", ".push-type.widgets"),
    Kind(
        "broadcast",
        broadcast,
        priorities=(10, 5, 1),
        limit=5_120,
        expiration="required",
        texts=_CHANNEL_TEXTS,
    ),
    Kind("create channel", create, status=201, result=CreatedChannel, texts=_APP_TEXTS),
    Kind("read channel", read, result=Channel, texts=_CHANNEL_TEXTS),
    Kind("delete channel", delete, status=204, result=DeletedChannel, texts=_CHANNEL_TEXTS),
    Kind("list channels", list_all, result=ChannelList, texts=_APP_TEXTS),
)


# ── there and back ──


def apns(temper: Temper | None = None) -> Simulator:
    return make_simulator(temper, channels={APP: {STORING: 1, NOT_STORING: 0}})


def exchange(request: Request, simulator: Simulator | None = None) -> Outcome[int]:
    """Send a request through the engine, and return what came of it."""
    simulator = simulator or apns()
    server = simulator.accept(0.0)
    connection: Connection[int] = Connection(b"localhost", now=0.0)
    connection.set_provider_token(ProviderToken(TOKEN, 0.0))
    connection.submit(request.submitted_at(UNIX_TIME), 0, 0.0)
    outcomes: list[Outcome[int]] = []
    while octets := (connection.data_to_send(), server.data_to_send()):
        if not any(octets):
            break
        for receive, data in zip(
            (server.receive_data, connection.receive_data), octets, strict=True
        ):
            if data:
                receive(data, 0.0)
        outcomes += [
            event
            for event in connection.events()
            if isinstance(event, Accepted | Rejected | Unprocessed | Unknown)
        ]
    assert simulator.ledger.violations == []
    (outcome,) = outcomes
    return outcome


def assert_accepted(request: Request) -> Accepted[int]:
    outcome = exchange(request)
    assert isinstance(outcome, Accepted), outcome
    return outcome


def by_hand(
    request: Request, body: bytes | None = None, **changes: str | None
) -> tuple[int | None, str | None]:
    """Show the simulator a request, changed in what the engine would refuse; None leaves out."""
    made: dict[str, str | None] = {
        ":method": request.route.method.decode(),
        ":scheme": "https",
        ":authority": "localhost",
        ":path": request.path.decode(),
        "authorization": f"bearer {TOKEN}",
    }
    for name, value in (*request.route.fields, *request.extra_fields):
        made[name.decode()] = value.decode()
    for argument, text in changes.items():
        made[":path" if argument == "path" else argument.replace("_", "-")] = text
    answer: Answer = RawClient(apns()).request(
        [(name, value) for name, value in made.items() if value is not None],
        request.payload if body is None else body,
    )
    return answer.status, answer.reason


def assert_refused(argument: str, make: Callable[[], object]) -> str:
    """Return the text of the error, which names the argument."""
    with pytest.raises(InvalidField) as caught:
        make()
    assert caught.value.field == argument
    return str(caught.value)


def has_field(request: Request, name: bytes) -> bool:
    fields = (*request.route.fields, *request.extra_fields)
    return any(field_name == name for field_name, _ in fields)


# ── the checks ──


def topic(kind: Kind) -> str:
    """The topic with its suffix, or the bundle id alone."""
    good = kind.make()
    assert_accepted(good)
    if kind.suffix is None:
        assert not has_field(good, b"apns-topic")
        named = f"{APP}.push-type.liveactivity"
        assert_refused("bundle_id", lambda: kind.make(bundle_id=named))
        path = good.path.decode().replace(APP, named)
        assert by_hand(good, path=path) == (400, "TopicDisallowed")
        return "bundle id alone"
    assert (b"apns-topic", (APP + kind.suffix).encode()) in good.route.fields
    assert by_hand(good, apns_topic=None) == (400, "MissingTopic")
    without = kind.make(topic=None)
    assert not has_field(without, b"apns-topic")
    assert_refused("topic", lambda: exchange(without))
    if kind.suffix:
        for wrong in (APP, kind.suffix, APP + kind.suffix + "x"):
            assert_refused("topic", partial(kind.make, topic=wrong))
        assert by_hand(good, apns_topic=APP) == (400, "BadTopic")
    return f"`{kind.suffix}`" if kind.suffix else "bundle id"


def priority(kind: Kind) -> str:
    """Which priorities are taken: no others are, here or there."""
    if not kind.priorities:
        assert not has_field(kind.make(), b"apns-priority")
        return NONE
    for value in kind.priorities:
        made = kind.make(priority=value)
        assert (b"apns-priority", b"%d" % value) in made.route.fields
        assert_accepted(made)
    for value in {10, 5, 1, 0, 7, 11} - {*kind.priorities}:
        assert_refused("priority", partial(kind.make, priority=value))
    wrong = "7" if len(kind.priorities) > 1 else "10"
    assert by_hand(kind.make(), apns_priority=wrong) == (400, "BadPriority")
    return ", ".join(map(str, kind.priorities))


def payload(kind: Kind) -> str:
    """The limit to the octet, from both sides, and nothing at all."""
    if not kind.limit:
        assert len(kind.make().payload) < 100
        return "made here" if kind.make().payload else NONE
    for size in (kind.limit - 1, kind.limit):
        assert_accepted(kind.make(payload=_json_of(size)))
    too_long = _json_of(kind.limit + 1)
    error = assert_refused("payload", lambda: kind.make(payload=too_long))
    assert f"{kind.limit + 1} octets, 1 more than the {kind.limit}" in error
    assert by_hand(kind.make(), too_long) == (413, "PayloadTooLarge")
    assert_refused("payload", lambda: kind.make(payload=b""))
    assert by_hand(kind.make(), b"") == (400, "PayloadEmpty")
    return f"{kind.limit:,}"


def expiration(kind: Kind) -> str:
    """The four forms and what they come to, and what is none."""
    if not kind.expiration:
        assert not has_field(kind.make(), b"apns-expiration")
        return NONE
    forms: Mapping[object, bytes] = {
        0: b"0",
        UNIX_TIME + 60: b"1800000060",
        datetime(2030, 1, 1, tzinfo=UTC): b"1893456000",
        timedelta(hours=1): b"1800003600",
    }
    for form, value in forms.items():
        made = kind.make(expiration=form)
        assert (b"apns-expiration", value) in made.submitted_at(UNIX_TIME).extra_fields
        assert_accepted(made)
    for wrong in (-1, 1.5, True, "0", timedelta(0), datetime(2030, 1, 1)):  # noqa: DTZ001
        assert_refused("expiration", partial(kind.make, expiration=wrong))
    assert by_hand(kind.make(expiration=0), apns_expiration="-1") == (400, "BadExpirationDate")
    _a_connection_knows_no_date(kind.make(expiration=timedelta(hours=1)))
    if kind.expiration == "optional":
        assert not has_field(kind.make(expiration=None), b"apns-expiration")
        assert_accepted(kind.make(expiration=None))
        return "4 forms, or none"
    _storage_policy_rules(kind)
    return "4 forms; 0 if nothing is stored"


def _a_connection_knows_no_date(request: Request) -> None:
    connection: Connection[int] = Connection(b"localhost", now=0.0)
    with pytest.raises(ApiMisuse, match=r"^expiration: "):
        connection.submit(request, 0, 0.0)


def _storage_policy_rules(kind: Kind) -> None:
    assert by_hand(kind.make(), apns_expiration=None) == (400, "BadExpirationDate")
    not_storing = partial(kind.make, channel_id=NOT_STORING)
    assert_accepted(not_storing(expiration=0))
    for form in (UNIX_TIME + 60, timedelta(hours=1)):
        # A route that does not know its policy leaves it to the server.
        outcome = exchange(not_storing(expiration=form))
        assert isinstance(outcome, Rejected)
        assert outcome.reason_text == "BadExpirationDate"
        assert_refused(
            "expiration",
            partial(not_storing, expiration=form, storage_policy=StoragePolicy.NO_STORAGE),
        )


def collapse_id(kind: Kind) -> str:
    """The limit to the octet."""
    if not kind.collapses:
        with pytest.raises(TypeError):
            kind.make(collapse_id="score")
        return NONE
    for size in (1, 63, 64):
        assert_accepted(kind.make(collapse_id="c" * size))
    assert_refused("collapse_id", lambda: kind.make(collapse_id="c" * 65))
    assert by_hand(kind.make(), apns_collapse_id="c" * 65) == (400, "BadCollapseId")
    return "1 to 64"


def injection(kind: Kind) -> str:
    """No text may end its field or path: each is refused, by name, and not repeated."""
    count = 0
    for argument, texts in kind.texts.items():
        for text in texts:
            error = assert_refused(argument, partial(kind.make, **{argument: text}))
            assert not text or text not in error
            count += 1
    return f"{count} refused"


def answered(kind: Kind) -> str:
    """What an accepted one brings back: status, ids, result."""
    own_id = "apns_id" if kind.is_device_push else "request_id"
    request = kind.make(**{own_id: UUID})
    accepted = assert_accepted(request)
    assert accepted.notification is request
    assert accepted.status == kind.status
    ids = (accepted.apns_id, accepted.apns_request_id)
    assert ids == ((UUID, None) if kind.is_device_push else (None, UUID))
    if kind.result is None:
        assert accepted.apns_unique_id is not None
        return f"{kind.status}, `{'apns-id' if kind.is_device_push else 'apns-request-id'}`"
    assert isinstance(request, ChannelRequest)
    result = request.result(accepted)
    assert type(result) is kind.result
    return f"{kind.status}, `{kind.result.__name__}`"


def reasons(kind: Kind) -> str:
    """Every reason of both of Apple's tables comes back, and one that is in neither."""
    request = kind.make()
    for text, status in (*REASON_STATUS.items(), ("NewIn2031", 418)):
        rejected = exchange(request, apns(Temper(answer_status=status, answer_reason=text)))
        assert isinstance(rejected, Rejected)
        assert (rejected.status, rejected.reason_text) == (status, text)
        assert rejected.reason is parse_reason(text)
        assert (rejected.reason is None) == (text not in REASON_STATUS)
        if rejected.reason is not None:
            assert rejected.disposition is DISPOSITIONS[rejected.reason]
        assert (rejected.timestamp is not None) == (status == 410)
        assert rejected.notification is request
    return f"{len(REASON_STATUS) + 1} come back"


def _json_of(size: int) -> bytes:
    """Make a JSON document of so many octets."""
    return b'{"k":"%b"}' % (b"x" * (size - len(b'{"k":""}')))


CHECKS: Final[Mapping[str, Callable[[Kind], str]]] = {
    "topic": topic,
    "priority": priority,
    "payload, octets": payload,
    "expiration": expiration,
    "collapse id": collapse_id,
    "injection": injection,
    "accepted by the simulator": answered,
    "reasons": reasons,
}
"""The columns."""


def markdown() -> str:
    """Make every check of every kind, and return the table."""
    rows = [["request", *CHECKS], ["---"] * (len(CHECKS) + 1)]
    rows += [[kind.name, *(check(kind) for check in CHECKS.values())] for kind in KINDS]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    sys.stdout.write(markdown())
