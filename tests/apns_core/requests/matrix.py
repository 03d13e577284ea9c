"""Every kind of request against every check: `kinds` are its rows, the checks here its columns.

A cell is a text that its check returns when all of its assertions held: by hand, a request that the
engine would refuse is shown to the simulator, which has tables of its own and must refuse it too.
What is good goes through the engine's connection and back. No sockets, no clocks.

`python -m tests.apns_core.requests.matrix` prints it as Markdown.
"""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import pytest

from apns_core import (
    DISPOSITIONS,
    Accepted,
    ApiMisuse,
    ChannelRequest,
    Connection,
    InvalidField,
    Outcome,
    ProviderToken,
    Rejected,
    Request,
    StoragePolicy,
    Unknown,
    Unprocessed,
)
from apns_core.reasons import parse_reason
from apns_simulator import Simulator, Temper
from apns_simulator.reasons import REASON_STATUS
from tests.apns_core.requests.kinds import APP, KINDS, NOT_STORING, STORING, Kind
from tests.apns_simulator.raw_client import TOKEN, UNIX_TIME, Answer, RawClient, make_simulator

__all__ = ["CHECKS", "markdown"]

UUID: Final = "123e4567-e89b-12d3-a456-426614174000"
NONE: Final = "none"
"""A cell where the kind has no such field; that it has none was asserted."""


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


def builder(kind: Kind) -> str:
    """Who makes its payload: compact JSON in UTF-8, measured in octets, and taken as it is."""
    for name, build in kind.builders.items():
        made = build({"k": "ü"})
        document = json.loads(made)
        assert made == json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        assert "ü".encode() in made
        request = kind.make(payload=made)
        assert request.payload is made
        assert_accepted(request)
        # The mapping that it stands for is as welcome, and comes to the same octets.
        assert kind.make(payload=document).payload == made
        fill = kind.limit - len(build({"k": ""}))
        assert len(build({"k": "x" * fill})) == kind.limit, name
        error = assert_refused("payload", partial(build, {"k": "x" * (fill - 1) + "ü"}))
        assert f"{kind.limit + 1} octets, 1 more than the {kind.limit}" in error
    return ", ".join(f"`{name}`" for name in kind.builders) or NONE


def _json_of(size: int) -> bytes:
    """Make a JSON document of so many octets."""
    return b'{"k":"%b"}' % (b"x" * (size - len(b'{"k":""}')))


CHECKS: Final[Mapping[str, Callable[[Kind], str]]] = {
    "topic": topic,
    "priority": priority,
    "payload, octets": payload,
    "built by": builder,
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
