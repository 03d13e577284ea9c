import gc
import tracemalloc
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from hpack import Decoder
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.field_blocks import FIELD_INDEXING, FieldBlocks
from apns_core.http2.hpack_decoder import Field
from apns_core.http2.hpack_encoder import HpackEncoder, Indexing
from apns_core.requests.notification import Notification
from apns_core.requests.route import MAX_TOPIC_LENGTH, Priority, PushType, Route
from tests.apns_core.peer import AUTHORITY, NOTIFICATION

JWT: Final = b"bearer " + 200 * b"j"
APNS_ID: Final = "123e4567-e89b-12d3-a456-426655440000"
BODY: Final = b"{}"


@dataclass
class Exchange:
    """One connection's blocks, decoded by hpack as they come, and encoded once more in parallel."""

    authorization: bytes | None = JWT
    encoder: HpackEncoder = field(default_factory=lambda: HpackEncoder(FIELD_INDEXING))
    reference: HpackEncoder = field(default_factory=lambda: HpackEncoder(FIELD_INDEXING))
    decoder: Decoder = field(default_factory=Decoder)

    def __post_init__(self) -> None:
        self.blocks = FieldBlocks(self.encoder, AUTHORITY)
        self.blocks.set_authorization(self.authorization)

    def set_authorization(self, value: bytes | None) -> None:
        self.authorization = value
        self.blocks.set_authorization(value)

    def set_peer_limit(self, size: int) -> None:
        self.encoder.set_peer_limit(size)
        self.reference.set_peer_limit(size)
        self.decoder.max_allowed_table_size = size

    def send(self, request: Notification) -> bytes:
        expected = self.fields(request)
        block = self.blocks.encode(request)
        decoded = [(bytes(f[0]), bytes(f[1])) for f in self.decoder.decode(block, raw=True)]
        assert decoded == expected
        # Kept octets are those that the encoder would write, whatever it has learned by then.
        assert block == self.reference.encode(expected)
        assert self.encoder.entries == self.reference.entries
        assert self.blocks.list_size(request) == sum(len(n) + len(v) + 32 for n, v in expected)
        assert self.blocks.list_size(request) <= self.blocks.largest_list
        return block

    def fields(self, request: Notification) -> list[Field]:
        authorization = self.authorization
        return [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", AUTHORITY),
            (b":path", request.path),
            *([] if authorization is None else [(b"authorization", authorization)]),
            *request.route.fields,
            *request.extra_fields,
        ]


def test_the_first_block_teaches_and_the_others_refer() -> None:
    exchange = Exchange()
    sizes = [len(exchange.send(NOTIFICATION)) for _ in range(4)]
    first, *others = sizes
    assert first > 300
    # Method, scheme, authority, authorization, three fields: one octet each; the path is its own.
    assert others == [2 + len(NOTIFICATION.path) + 7] * 3


def test_the_pseudo_header_fields_come_first() -> None:
    fields = Exchange().fields(NOTIFICATION)
    pseudo = [name.startswith(b":") for name, _ in fields]
    assert all(earlier or not later for earlier, later in pairwise(pseudo))


def test_a_device_path_enters_no_table() -> None:
    exchange = Exchange()
    for number in range(50):
        exchange.send(
            Notification(
                NOTIFICATION.route,
                f"{number:064x}",
                BODY,
                expiration=number,
                collapse_id=f"c{number}",
                apns_id=f"{number:08x}{APNS_ID[8:]}",
            )
        )
    names = [name for name, _ in exchange.encoder.entries]
    assert b":path" not in names
    assert len(names) == len(set(names)) == 8, "each name is learned once"


def test_routes_alternate_without_learning_anew() -> None:
    exchange = Exchange()
    routes = [Route("com.example.app", "alert"), Route("com.example.app", "background")]
    requests = [Notification(route, "ab" * 32, BODY) for route in routes]
    sizes = [len(exchange.send(requests[i % 2])) for i in range(12)]
    assert max(sizes[4:]) <= 2 + len(requests[0].path) + 8


def test_an_own_field_that_comes_late_finds_its_template_kept() -> None:
    # The template is there and the name of the field is not: encoded in full, then remembered.
    exchange = Exchange()
    for _ in range(3):
        exchange.send(NOTIFICATION)
    late = Notification(NOTIFICATION.route, "ab" * 32, BODY, apns_id=APNS_ID)
    sizes = [len(exchange.send(late)) for _ in range(4)]
    assert sizes[-1] < sizes[0]
    assert sizes[-2] == sizes[-1]


def test_a_name_that_has_moved_in_the_table_is_looked_up_again() -> None:
    exchange = Exchange()
    with_id = Notification(NOTIFICATION.route, "ab" * 32, BODY, apns_id=APNS_ID)
    for _ in range(3):
        exchange.send(with_id)
    # Another topic enters the table; then the template is made anew, by requests without the name.
    exchange.send(Notification(Route("com.example.other"), "ab" * 32, BODY))
    for _ in range(3):
        exchange.send(NOTIFICATION)
    exchange.send(with_id)


def test_a_new_token_is_in_the_very_next_block() -> None:
    exchange = Exchange()
    for token in (JWT, b"bearer another", JWT, b"bearer too long" + 5_000 * b"!", JWT):
        exchange.set_authorization(token)
        for _ in range(3):
            exchange.send(NOTIFICATION)


def test_certificates_send_no_authorization() -> None:
    exchange = Exchange(authorization=None)
    for authorization in (None, JWT, None):
        exchange.set_authorization(authorization)
        for _ in range(3):
            exchange.send(NOTIFICATION)


def test_without_authorization_the_largest_list_counts_the_authority() -> None:
    blocks = FieldBlocks(HpackEncoder(FIELD_INDEXING), b"x" * 10_000)
    assert blocks.list_size(NOTIFICATION) <= blocks.largest_list


def test_the_largest_request_there_is_stays_within_the_largest_list() -> None:
    route = Route("x" * MAX_TOPIC_LENGTH, PushType.ALERT, priority=10)
    largest = max(PushType, key=len)
    suffix_route = Route.for_app("x" * 200, largest)
    for some_route in (route, suffix_route):
        request = Notification(
            some_route,
            "ab" * 100,
            BODY,
            expiration=2**53,
            collapse_id="x" * 64,
            apns_id=APNS_ID,
        )
        for authorization in (None, JWT, b"bearer " + b"j" * 4_000):
            Exchange(authorization=authorization).send(request)


def test_a_route_for_each_notification_does_not_grow_memory() -> None:
    count = 3_000
    exchange = Exchange()

    def send_one(number: int) -> None:
        route = Route(f"com.example.app{number}")
        exchange.blocks.encode(Notification(route, "ab" * 32, BODY))

    for number in range(count):
        send_one(number)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(count):
            send_one(count + number)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Some 256 templates are exchanged for others; 3,000 routes would take over 2 MB.
    assert grown < 400_000
    # White-box: and their number is bounded.
    assert len(exchange.blocks._templates) <= 256


def test_every_indexed_field_is_one_that_requests_have() -> None:
    assert FIELD_INDEXING[b"authorization"] is Indexing.ROTATING
    assert b":path" not in FIELD_INDEXING
    sent = {name for name, _ in Exchange().fields(NOTIFICATION)}
    incremental = {n for n, indexing in FIELD_INDEXING.items() if indexing is Indexing.INCREMENTAL}
    assert incremental - sent == {b"apns-channel-id"}


TOPICS = st.sampled_from(["com.example.a", "com.example.b", "x" * 200])
ROUTES: Final = [
    Route("com.example.a"),
    Route("com.example.a", "background"),
    Route("com.example.b", priority=Priority.POWER_FIRST),
    Route.for_app("com.example.b", "voip"),
    Route("x" * MAX_TOPIC_LENGTH),
]
NOTIFICATIONS = st.builds(
    Notification,
    st.sampled_from(ROUTES) | st.builds(Route, TOPICS),
    st.binary(min_size=1, max_size=100),
    st.just(BODY),
    expiration=st.none() | st.integers(0, 2**53),
    collapse_id=st.none() | st.sampled_from(["score", "x" * 64]),
    apns_id=st.none() | st.uuids(),
)
SIZES = st.sampled_from([0, 1, 100, 256, 300, 512, 1_024, 2_048, 4_096, 65_536, 2**32 - 1])
TOKENS = st.none() | st.integers(1, 9).map(lambda n: b"bearer " + b"%d" % n * 180)
STEPS = st.lists(NOTIFICATIONS | SIZES | st.tuples(TOKENS), max_size=40)


@settings(deadline=None)
@given(STEPS)
def test_every_block_decodes_to_exactly_the_request(
    steps: list[Notification | int | tuple[bytes | None]],
) -> None:
    exchange = Exchange()
    for step in steps:
        if isinstance(step, Notification):
            exchange.send(step)
        elif isinstance(step, int):
            exchange.set_peer_limit(step)
        else:
            exchange.set_authorization(step[0])
