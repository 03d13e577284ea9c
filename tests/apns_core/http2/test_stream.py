import inspect

import pytest

from apns_core import __compiled__
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
    # Slots, or what stands for them where the class is compiled.
    names = [name for name, value in vars(Stream).items() if inspect.isdatadescriptor(value)]
    assert {"status", "unsent", "informational"} < set(names)
    for used in (stream, other):
        used.prepare()
        for name in names:
            assert getattr(used, name) == getattr(fresh, name), name


@pytest.mark.skipif(__compiled__, reason="a compiled class is the base of compiled classes alone")
def test_a_subclass_needs_no_dict() -> None:
    class Mine(Stream):
        __slots__ = ("tag",)

    assert not hasattr(Mine(), "__dict__")
