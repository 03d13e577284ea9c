import pytest

from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.flow_control import ReceiveWindow
from apns_core.http2.outbox import Outbox
from apns_core.http2.settings import INITIAL_WINDOW_SIZE, PeerSettings
from apns_core.http2.stream import Stream
from tests.apns_core.http2 import wire


def opened(outbox: Outbox, stream_id: int, body: bytes) -> Stream:
    stream = Stream()
    stream.stream_id = stream_id
    outbox.send(stream, b"block", body)
    return stream


def payloads(outbox: Outbox) -> list[tuple[int, bytes]]:
    return [(f.stream_id, f.payload) for f in wire.parse_frames(outbox.take()) if not f.kind]


def test_frames_leave_in_the_order_of_their_queueing() -> None:
    outbox = Outbox(PeerSettings())
    outbox.queue(b"one")
    outbox.reply(b"two")
    outbox.queue(b"three")
    assert outbox.size == 11
    assert outbox.take() == b"onetwothree"
    assert (outbox.size, outbox.take()) == (0, b"")


def test_a_thousand_replies_wait_at_most() -> None:
    outbox = Outbox(PeerSettings())
    for _ in range(2):
        for _ in range(1_000):
            outbox.reply(b"x")
        with pytest.raises(RemoteProtocolError) as caught:
            outbox.reply(b"x")
        assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM
        assert outbox.take() == b"x" * 1_000


def test_c12_credit_counts_from_when_it_is_taken() -> None:
    outbox = Outbox(PeerSettings())
    window = ReceiveWindow(100)
    outbox.return_credit(7, window, window.receive(100))
    with pytest.raises(RemoteProtocolError):
        window.receive(1)
    window.unreturned = 0
    assert outbox.take() == wire.window_update(7, 100)
    assert window.receive(1) == 0


def test_bodies_are_served_in_the_order_in_which_they_can_go_on() -> None:
    peer = PeerSettings(initial_window_size=10)
    outbox = Outbox(peer)
    first, second, third = (opened(outbox, i, b"%d" % i * 20) for i in (1, 3, 5))
    outbox.send_held_back(10**6)
    assert payloads(outbox) == [(1, b"1" * 10), (3, b"3" * 10), (5, b"5" * 10)]
    outbox.credit_stream(third, 20)
    outbox.credit_stream(first, 5)
    outbox.send_held_back(10**6)
    assert payloads(outbox) == [(5, b"5" * 10), (1, b"1" * 5)]
    assert (first.end_stream_sent, second.end_stream_sent, third.end_stream_sent) == (
        False,
        False,
        True,
    )
    outbox.drop(first)
    peer.apply([(INITIAL_WINDOW_SIZE, 20)])
    outbox.adjust_windows([first, second])
    outbox.send_held_back(10**6)
    assert payloads(outbox) == [(3, b"3" * 10)]
    assert second.end_stream_sent
    assert outbox.held_back_frames == 6


def test_an_initial_window_that_falls_stops_a_body_that_could_go_on() -> None:
    peer = PeerSettings()
    outbox = Outbox(peer)
    stream = opened(outbox, 1, b"x" * 20_000)
    peer.apply([(INITIAL_WINDOW_SIZE, 0)])
    outbox.adjust_windows([stream])
    outbox.take()
    outbox.send_held_back(10**6)
    assert outbox.take() == b""
    assert not outbox.window_blocked
