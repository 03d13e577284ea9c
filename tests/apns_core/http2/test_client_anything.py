"""Whatever a server sends: nothing is raised, little is kept, every stream ends at most once."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.http2.client import Client, ConnectionEnded
from apns_core.http2.stream import OPEN, Stream
from tests.apns_core.http2 import wire

# ── states to meet it in ──


def fresh() -> Client:
    return Client(wire.POLICY, now=wire.NOW)


def busy() -> Client:
    """One stream of every kind, some with a body held back."""
    client = wire.open_client(0, (4, 10))
    for body in (b"{}", b"{}", b"x" * 100, b"", b"x" * 20, b"{}", b"x" * 30):
        wire.send(client, body)
    client.receive_data(
        wire.headers(3, wire.response_block(200))
        + wire.headers(5, wire.response_block(400))
        + wire.response(11),
        wire.NOW,
    )
    client.cancel(next(iter(client._streams.values())))
    client.send_held_back(10**6)
    return client


def within_a_block() -> Client:
    client = wire.open_client(3)
    client.receive_data(wire.headers(1, b"\x88\x40", complete=False), wire.NOW)
    return client


def within_a_frame() -> Client:
    client = wire.open_client(3)
    client.receive_data(wire.response(1)[:12], wire.NOW)
    return client


def going_away() -> Client:
    client = wire.open_client(5)
    client.receive_data(wire.goaway(5), wire.NOW)
    return client


STATES = (fresh, wire.open_client, busy, within_a_block, within_a_frame, going_away)

# ── what may come ──

stream_ids = st.sampled_from((0, 1, 3, 5, 7, 9, 11, 13, 15, 2, 2**31 - 1, 2**32 - 1))
blocks = st.sampled_from(
    (
        b"\x88",
        b"\x88\xbe",
        wire.response_block(200),
        wire.response_block(103),
        wire.response_block(410, (b"content-length", b"3")),
        b"\x88" + wire.literal(b"n", b"v", indexed=True),
        b"\x20\x3f\xe1\x1f\x88",
    )
) | st.binary(max_size=8)
flags = st.sampled_from((0, 1, 4, 5, 8, 0x0D, 0x20, 0x2D, 0xFF))
window_sizes = (0, 1, 100, 16_384, 65_535, 2**31 - 1, 2**31, 2**32 - 1)
frames = st.one_of(
    st.builds(wire.frame, st.integers(0, 12), flags, stream_ids, st.binary(max_size=12)),
    st.builds(wire.headers, stream_ids, blocks, ends=st.booleans(), extra=flags),
    st.builds(wire.headers, stream_ids, blocks, complete=st.just(False)),
    st.builds(wire.continuation, stream_ids, blocks, complete=st.booleans()),
    st.builds(
        wire.data,
        stream_ids,
        st.sampled_from((b"", b"x", b"abc", b"x" * 16_000)),
        ends=st.booleans(),
        padding=st.sampled_from((None, 0, 3, 255)),
    ),
    st.builds(wire.rst_stream, stream_ids, st.sampled_from((0, 5, 7, 8))),
    st.builds(wire.goaway, stream_ids, st.just(0), st.binary(max_size=4)),
    st.builds(wire.window_update, stream_ids, st.sampled_from(window_sizes)),
    st.builds(wire.settings),
    st.builds(wire.settings, st.tuples(st.integers(0, 7), st.sampled_from(window_sizes))),
    st.just(wire.SETTINGS_ACK),
    st.builds(wire.ping, st.integers(0, 3).map(lambda n: n.to_bytes(8)), ack=st.booleans()),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Valid frames, some octets of which were changed, left out or put in."""
    octets = bytearray(b"".join(draw(st.lists(frames, max_size=12))))
    for _ in range(draw(st.integers(0, 3))):
        position = draw(st.integers(0, max(len(octets) - 1, 0)))
        octets[position : position + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(octets)


anything = mutated() | st.binary(max_size=100) | st.tuples(mutated(), st.binary()).map(b"".join)


def check(client: Client, sent: list[Stream]) -> None:
    """What must hold whatever came."""
    assert len(client._reader._partial) <= 16_384 + 9
    assert sum(map(len, client._reader._block)) <= 2 * 16_384
    sendable = client.outbox._sendable
    assert sendable == {
        stream_id: stream
        for stream_id, stream in client._streams.items()
        if stream.unsent and client.outbox._window_of(stream) > 0
    }
    assert 0 <= client.window <= 2**31 - 1
    for stream in sent:
        assert len(stream.body) <= 16_384
        assert (stream.end == OPEN) == (
            client._streams.get(stream.stream_id) is stream or stream.abandoned
        )
    wire.check_ended_once(client.events)
    ended = wire.ended_streams(client.events)
    assert all(stream.end != OPEN and not stream.abandoned for stream in ended)
    if client.closed:
        assert client.open_streams == 0
        assert isinstance(client.events[-1], ConnectionEnded)


@settings(deadline=None, max_examples=500)
@given(
    make=st.sampled_from(STATES),
    chunks=st.lists(anything, min_size=1, max_size=5),
    drained=st.booleans(),
)
def test_a_peer_never_makes_it_raise(
    make: Callable[[], Client], chunks: list[bytes], *, drained: bool
) -> None:
    client = make()
    sent = list(client._streams.values())
    for chunk in chunks:
        client.receive_data(chunk, wire.NOW)
        check(client, sent)
        if drained:
            client.send_held_back(10**6)
            wire.parse_frames(client.data_to_send())
            if client.settings_received and not client.going_away and not client.closed:
                sent.append(wire.send(client))
                client.cancel(sent[len(sent) // 2])
            client.ping()
            check(client, sent)
    client.receive_eof()
    check(client, sent)
    assert client.closed
    assert all(stream.end != OPEN or stream.abandoned for stream in sent)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(STATES), anything)
def test_cuts_make_no_difference_to_anything(make: Callable[[], Client], octets: bytes) -> None:
    wire.feed(make, octets)
