from apns_core.http2.stream import Stream
from tests.apns_core.http2 import wire


def test_prepare_forgets_all_of_a_former_attempt() -> None:
    client = wire.open_client()
    stream = wire.send(client, b"x" * 70_000)
    client.receive_data(
        wire.headers(1, wire.response_block(103))
        + wire.headers(1, wire.response_block(200, (b"content-length", b"9")))
        + wire.data(1, b"123")
        + wire.data(1)
        + wire.rst_stream(1, 5),
        wire.NOW,
    )
    other = wire.send(client)
    client.cancel(other)
    assert stream.end
    assert stream.status == 200
    assert stream.body == b"123"
    fresh = Stream()
    for used in (stream, other):
        used.prepare()
        for slot in Stream.__slots__:
            assert getattr(used, slot) == getattr(fresh, slot), slot


def test_a_subclass_needs_no_dict() -> None:
    class Mine(Stream):
        __slots__ = ("tag",)

    assert not hasattr(Mine(), "__dict__")
