import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.flow_control import ReceiveWindow


def test_credit_is_due_above_half_the_window() -> None:
    window = ReceiveWindow(100)
    assert window.receive(50) == 0
    assert window.unreturned == 50
    assert window.receive(0) == 0
    assert window.receive(1) == 51
    assert window.unreturned == 0


def test_c12_the_window_is_a_limit() -> None:
    assert ReceiveWindow(100).receive(100) == 100
    with pytest.raises(RemoteProtocolError, match="on stream 7") as caught:
        ReceiveWindow(100).receive(101, stream_id=7)
    assert caught.value.code == ErrorCode.FLOW_CONTROL_ERROR
    assert caught.value.stream_id == 7


def test_c12_credit_counts_from_when_it_is_handed_out() -> None:
    window = ReceiveWindow(100)
    assert window.receive(60) == 60
    assert window.receive(40) == 0
    with pytest.raises(RemoteProtocolError):
        window.receive(1)

    window = ReceiveWindow(100)
    assert window.receive(60) == 60
    window.handed_out()
    assert window.receive(40) == 0
    assert window.receive(60) == 100


@given(st.lists(st.integers(0, 16_384)))
def test_c13_all_that_was_received_is_returned_but_less_than_half_a_window(
    sizes: list[int],
) -> None:
    window = ReceiveWindow(65_535)
    returned = 0
    for size in sizes:
        returned += window.receive(size)
        window.handed_out()
        assert window.unreturned <= 65_535 // 2
    assert returned + window.unreturned == sum(sizes)
