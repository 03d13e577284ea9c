from collections.abc import Iterable, Mapping
from typing import Final, cast

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from hpack import Decoder
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.http2.hpack_decoder import STATIC_TABLE, Field, HpackDecoder
from apns_core.http2.hpack_encoder import HpackEncoder, Indexing, literal_string
from tests.apns_core.http2 import wire

SEEDS: Final = (b"apns-id", b"apns-expiration", b"apns-collapse-id")


def authorization(token: int) -> Field:
    """A bearer token of 230 characters, as ES256 makes them."""
    return b"authorization", b"bearer " + (b"%05d" % token) * 46


def request(
    number: int, *, topics: int = 1, token: int = 0, seeds: tuple[bytes, ...] = ()
) -> list[Field]:
    own = {
        b"apns-id": b"%08x-0000-4000-8000-000000000000" % number,
        b"apns-expiration": b"%d" % (1_700_000_000 + number),
        b"apns-collapse-id": b"score-%04d" % (number % 10_000),
    }
    return [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"api.push.apple.com"),
        (b":path", b"/3/device/%064x" % number),
        authorization(token),
        (b"apns-topic", b"com.example.application" + (b".%03d" % (number % topics)) * (topics > 1)),
        (b"apns-push-type", b"alert"),
        (b"apns-priority", b"10"),
        *((name, own[name]) for name in seeds),
    ]


def decoder_for(limit: int = 4_096) -> Decoder:
    decoder = Decoder(max_header_list_size=2**24)
    decoder.max_allowed_table_size = limit
    return decoder


def decode(decoder: Decoder, block: bytes) -> list[Field]:
    pairs = cast("Iterable[tuple[bytes, bytes]]", decoder.decode(block, raw=True))
    return [(bytes(name), bytes(value)) for name, value in pairs]


def table(decoder: Decoder) -> tuple[Field, ...]:
    entries = cast("Iterable[tuple[bytes, bytes]]", decoder.header_table.dynamic_entries)
    return tuple((bytes(name), bytes(value)) for name, value in entries)


class Pair:
    """An encoder and two decoders that must stay in step with it."""

    def __init__(self, policy: Mapping[bytes, Indexing] = wire.POLICY) -> None:
        self.encoder = HpackEncoder(policy)
        self.theirs = decoder_for()
        self.ours = HpackDecoder(max_table_size=4_096, max_list_size=2**24)

    def set_limits(self, *sizes: int) -> None:
        for size in sizes:
            self.encoder.set_peer_limit(size)
            self.theirs.max_allowed_table_size = size
            self.ours.set_limit(size)

    def send(self, fields: list[Field]) -> bytes:
        block = self.encoder.encode(fields)
        assert decode(self.theirs, block) == fields
        assert self.ours.decode(block) == fields
        assert self.encoder.entries == table(self.theirs) == self.ours.entries
        assert size_of(self.encoder.entries) <= self.encoder.table_size
        return block


def size_of(entries: Iterable[Field]) -> int:
    return sum(len(name) + len(value) + 32 for name, value in entries)


# ── in step with independent decoders ──

NAMES: Final = (
    b":path",
    b":authority",
    b"authorization",
    b"apns-topic",
    b"x",
    b"cookie",
    b"y" * 70,
)
fields_of_any_kind = st.lists(
    st.tuples(
        st.sampled_from(NAMES) | st.binary(max_size=8),
        # Few values, so that they repeat; some that no small table holds.
        st.sampled_from((b"", b"/", b"1", b"v" * 60, b"w" * 230, b"z" * 5_000)),
    ),
    max_size=6,
) | st.lists(st.sampled_from(STATIC_TABLE), max_size=3)
table_sizes = st.sampled_from((0, 31, 32, 64, 128, 512, 4_095, 4_096, 4_097, 2**32 - 1)) | (
    st.integers(0, 2**32 - 1)
)
steps = st.lists(
    fields_of_any_kind
    | st.integers(1, 99).map(lambda token: request(token, token=token))
    | st.lists(table_sizes).map(tuple),
    max_size=20,
)
policies = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(Indexing))


@settings(deadline=None, max_examples=300)
@given(policies, steps)
def test_h15_any_order_of_fields_policies_and_table_sizes(
    policy: dict[bytes, Indexing], steps: list[list[Field] | tuple[int, ...]]
) -> None:
    pair = Pair(policy)
    for step in steps:
        if isinstance(step, list):
            pair.send(step)
        else:
            pair.set_limits(*step)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9),
            st.integers(0, 2),
            st.lists(st.sampled_from(SEEDS), unique=True).map(tuple),
            st.none() | table_sizes,
        ),
        max_size=30,
    )
)
def test_h15_requests_of_the_real_kind(
    rounds: list[tuple[int, int, tuple[bytes, ...], int | None]],
) -> None:
    pair = Pair()
    for number, token, seeds, limit in rounds:
        if limit is not None:
            pair.set_limits(limit)
        pair.send(request(number, topics=10, token=token, seeds=seeds))


def test_h15_a_server_on_h2_reads_the_same() -> None:
    server = H2Connection(H2Configuration(client_side=False, header_encoding=False))
    server.receive_data(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + wire.settings())
    encoder = HpackEncoder(wire.POLICY)
    for number in range(300):
        fields = request(number, topics=7, token=number // 100, seeds=SEEDS[: number % 4])
        block = encoder.encode(fields)
        (event,) = server.receive_data(wire.headers(2 * number + 1, block))
        assert isinstance(event, RequestReceived)
        assert [(bytes(name), bytes(value)) for name, value in event.headers] == fields
        server.reset_stream(2 * number + 1)
        assert encoder.entries == table(server.decoder)


# ── table sizes (RFC 7541 §4.2, §6.3) ──


def updates(block: bytes) -> list[int]:
    """The size updates at the start of a block."""
    sizes: list[int] = []
    while block and block[0] & 0xE0 == 0x20:
        size = block[0] & 0x1F
        block = block[1:]
        if size == 0x1F:
            shift = 0
            while True:
                size += (block[0] & 0x7F) << shift
                shift += 7
                more, block = block[0] & 0x80, block[1:]
                if not more:
                    break
        sizes.append(size)
    return sizes


@pytest.mark.parametrize(
    ("limits", "announced"),
    [
        ((), []),
        ((4_096,), []),
        ((4_097,), []),
        ((65_536,), []),
        ((2**32 - 1,), []),
        ((4_095,), [4_095]),
        ((1_024,), [1_024]),
        ((31,), [31]),
        ((30,), [30]),
        ((0,), [0]),
        ((0, 4_096), [0, 4_096]),
        ((0, 2**32 - 1), [0, 4_096]),
        ((512, 0, 1_024, 256), [0, 256]),
        ((512, 256, 128), [128]),
        ((2**32 - 1, 0, 2**32 - 1), [0, 4_096]),
        ((65_536, 8_192), []),
    ],
)
def test_h6_the_smallest_and_the_last_size_are_announced(
    limits: tuple[int, ...], announced: list[int]
) -> None:
    pair = Pair()
    pair.send(request(0))
    pair.set_limits(*limits)
    assert updates(pair.send(request(1))) == announced
    assert updates(pair.send(request(2))) == []


def test_h6_an_offer_of_4_gib_costs_no_memory() -> None:
    pair = Pair({b"x": Indexing.INCREMENTAL})
    pair.set_limits(2**32 - 1)
    for number in range(500):
        pair.send([(b"x", b"%d" % number)])
    assert pair.encoder.table_size == 4_096
    assert 4_000 < size_of(pair.encoder.entries) <= 4_096


def test_h6_without_a_table_all_is_literal() -> None:
    pair = Pair()
    pair.send(request(0))
    pair.set_limits(0)
    for number in range(3):
        pair.send(request(number, seeds=SEEDS))
        assert pair.encoder.entries == ()


def test_a_shrunk_table_is_filled_anew_and_one_that_grows_goes_on() -> None:
    pair = Pair()
    pair.send(request(0, seeds=SEEDS))
    large = len(pair.send(request(1, seeds=SEEDS)))
    pair.set_limits(512)
    pair.send(request(2, seeds=SEEDS))
    assert size_of(pair.encoder.entries) <= 512
    assert authorization(0) in pair.encoder.entries
    pair.set_limits(4_096)
    pair.send(request(3, seeds=SEEDS))
    pair.send(request(4, seeds=SEEDS))
    assert len(pair.send(request(5, seeds=SEEDS))) == large


# ── the policy ──

STEADY: Final = {
    # Table size: octets of a block, and of one with all three seeds.
    4_096: (83, 148),
    1_024: (83, 148),
    512: (83, 186),
    256: (323, 426),
    0: (415, 518),
}


@pytest.mark.parametrize("size", STEADY)
@pytest.mark.parametrize("seeds", [(), SEEDS], ids=["no seeds", "seeds"])
def test_size_aware_octets_of_a_request_in_steady_state(
    size: int, seeds: tuple[bytes, ...]
) -> None:
    pair = Pair()
    pair.set_limits(size)
    for token in range(6):
        for number in range(2):
            pair.send(request(number, token=token, seeds=seeds))
        generation = pair.encoder.generation
        for number in range(10, 20):
            assert (
                len(pair.send(request(number, token=token, seeds=seeds)))
                == (STEADY[size][bool(seeds)])
            )
        # Every era settles within two requests, and settles as well as the first.
        assert pair.encoder.generation == generation


@pytest.mark.parametrize("size", [4_096, 2_048, 1_024, 512, 400, 282, 281, 256, 0])
@pytest.mark.parametrize("topics", [1, 5, 200])
@pytest.mark.parametrize("seeds", [(), SEEDS], ids=["no seeds", "seeds"])
def test_size_aware_nothing_thrashes(size: int, topics: int, seeds: tuple[bytes, ...]) -> None:
    pair = Pair()
    pair.set_limits(size)
    number = 0
    for token in range(4):
        settled_after = 0
        octets = 0
        for count in range(400):
            generation = pair.encoder.generation
            number += 1
            fields = request(number, topics=topics, token=token, seeds=seeds)
            octets = len(pair.send(fields))
            if pair.encoder.generation != generation:
                settled_after = count + 1
        # Each value is inserted once, when it first comes: after one round of the topics that fit.
        assert settled_after <= min(topics + 1, 1 + size // 65)
        # The longest value is indexed whenever the table can hold it at all.
        assert (authorization(token) in pair.encoder.entries) == (size >= 282)
        assert octets < 530


def test_rotation_pushes_out_what_no_longer_comes() -> None:
    pair = Pair({b"authorization": Indexing.ROTATING, b"x": Indexing.INCREMENTAL})
    pair.set_limits(512)
    old: list[Field] = [(b"x", b"old-%d" % number) for number in range(20)]
    new: list[Field] = [(b"x", b"new-%d" % number) for number in range(5)]
    pair.send([authorization(1), *old])
    assert len(pair.send(new)) > 5
    pair.send([authorization(2), *new])
    assert len(pair.send([authorization(2), *new])) == 6


def test_rotating_value_makes_room_for_itself() -> None:
    pair = Pair()
    pair.set_limits(300)
    pair.send([(b"apns-topic", b"t" * 100)])
    pair.send([authorization(1), (b"apns-topic", b"t" * 100)])
    assert pair.encoder.entries == (authorization(1),)
    generation = pair.encoder.generation
    pair.send([authorization(1), (b"apns-topic", b"t" * 100)])
    assert pair.encoder.generation == generation


def test_seed_is_inserted_once_and_leaves_a_quarter() -> None:
    pair = Pair({b"apns-id": Indexing.SEED, b"x": Indexing.INCREMENTAL})
    pair.set_limits(100)
    size = 75 - 32 - 7
    pair.send([(b"apns-id", b"1" * (size + 1))])
    assert not pair.encoder.entries
    pair.send([(b"apns-id", b"1" * size)])
    assert list(pair.encoder.entries) == [(b"apns-id", b"1" * size)]
    # The same value again is sent as a literal: it repeats by chance, and its room is another's.
    block = pair.send([(b"apns-id", b"1" * size)])
    assert block == b"\x0f\x2f" + literal_string(b"1" * size)


def test_static_fields_take_one_octet_whatever_the_policy() -> None:
    for policy in Indexing:
        encoder = HpackEncoder({b":method": policy, b":path": policy, b":authority": policy})
        assert encoder.encode([(b":method", b"POST"), (b":path", b"/")]) == b"\x83\x84"
        assert encoder.entries == ()
    # An empty value in the static table is no entry to refer to, only a name.
    assert HpackEncoder({}).encode([(b"cookie", b"")]) == b"\x0f\x11\x00"


def test_without_indexing_is_not_never_indexed() -> None:
    # 0000 xxxx, RFC 7541 §6.2.2; 0001 xxxx would forbid a proxy to index it.
    assert HpackEncoder({}).encode([(b":path", b"/x")]) == b"\x04\x02/x"
    assert HpackEncoder({}).encode([(b"x", b"y")]) == b"\x00\x01x\x01y"


def test_blocks_may_be_put_together_while_the_generation_stands_still() -> None:
    pair = Pair()
    pair.send(request(0))
    pair.send(request(1))
    generation = pair.encoder.generation
    fields = request(2)
    whole = pair.encoder.encode(fields)
    parts = (
        pair.encoder.encode(fields[:3])
        + pair.encoder.literal_head(b":path")
        + literal_string(fields[3][1])
        + pair.encoder.encode(fields[4:])
    )
    assert whole == parts
    assert pair.encoder.generation == generation
    assert pair.encoder.literal_head(b"unknown") == b"\x00\x07unknown"


def test_generation_changes_with_every_insertion_and_size() -> None:
    encoder = HpackEncoder({b"x": Indexing.INCREMENTAL, b"y": Indexing.WITHOUT})
    seen = {encoder.generation}
    encoder.encode([(b"x", b"1")])
    seen.add(encoder.generation)
    encoder.set_peer_limit(100)
    seen.add(encoder.generation)
    assert len(seen) == 3
    encoder.encode([(b"x", b"2"), (b"y", b"3")])
    seen.add(encoder.generation)
    assert len(seen) == 4
    generation = encoder.generation
    encoder.encode([(b"x", b"2"), (b"y", b"4")])
    encoder.set_peer_limit(100)
    assert encoder.generation == generation


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 254, 255, 16_510, 16_511, 70_000])
def test_string_literals_of_any_length(length: int) -> None:
    octets = b"x" * length
    assert literal_string(octets) == wire.integer(length, 7) + octets
    pair = Pair({})
    pair.send([(b"n", octets), (octets, b"v")])
