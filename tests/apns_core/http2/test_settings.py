import pytest

from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.settings import SETTINGS_ACK, PeerSettings, parse_settings
from tests.apns_core.http2 import wire

PROTOCOL = ErrorCode.PROTOCOL_ERROR
FLOW = ErrorCode.FLOW_CONTROL_ERROR
SIZE = ErrorCode.FRAME_SIZE_ERROR
CALM = ErrorCode.ENHANCE_YOUR_CALM


def payload(*entries: tuple[int, int]) -> bytes:
    return wire.settings(*entries)[9:]


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        (((1, 0),), None),
        (((1, 2**32 - 1),), None),
        (((2, 0),), None),
        (((2, 1),), PROTOCOL),
        (((2, 2),), PROTOCOL),
        (((3, 0),), None),
        (((3, 2**32 - 1),), None),
        (((4, 0),), None),
        (((4, 2**31 - 1),), None),
        (((4, 2**31),), FLOW),
        (((4, 2**32 - 1),), FLOW),
        (((5, 0),), PROTOCOL),
        (((5, 16_383),), PROTOCOL),
        (((5, 16_384),), None),
        (((5, 2**24 - 1),), None),
        (((5, 2**24),), PROTOCOL),
        (((6, 0),), None),
        (((6, 2**32 - 1),), None),
        # Identifiers that mean nothing to us are legal whatever they say.
        (((0, 2**32 - 1), (7, 1), (8, 1), (0xFFFF, 0)), None),
        # The fault may come last.
        (((1, 4_096), (3, 1), (5, 1)), PROTOCOL),
    ],
)
def test_c3_bounds_of_values(entries: tuple[tuple[int, int], ...], code: ErrorCode | None) -> None:
    if code is None:
        assert parse_settings(payload(*entries)) == list(entries)
    else:
        with pytest.raises(RemoteProtocolError) as caught:
            parse_settings(payload(*entries))
        assert caught.value.code == code


@pytest.mark.parametrize("length", [1, 2, 5, 7, 11, 13])
def test_c3_length_is_a_multiple_of_six(length: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"{length} octets") as caught:
        parse_settings(bytes(length))
    assert caught.value.code == SIZE


@pytest.mark.parametrize(("entries", "legal"), [(0, True), (32, True), (33, False), (2_730, False)])
def test_c2_number_of_entries(entries: int, *, legal: bool) -> None:
    frame = payload(*(((9, 0),) * entries))
    if legal:
        assert len(parse_settings(frame)) == entries
    else:
        with pytest.raises(RemoteProtocolError) as caught:
            parse_settings(frame)
        assert caught.value.code == CALM


def test_c2_the_last_of_a_repeated_identifier_holds() -> None:
    peer = PeerSettings()
    peer.apply([(3, 1), (4, 7), (3, 500), (99, 5), (6, 8_000), (3, 0)])
    assert peer == PeerSettings(
        max_concurrent_streams=0, initial_window_size=7, max_header_list_size=8_000
    )


def test_what_is_not_named_stays() -> None:
    peer = PeerSettings()
    peer.apply([(1, 0), (5, 20_000)])
    peer.apply([(3, 1)])
    peer.apply([])
    assert peer == PeerSettings(
        header_table_size=0, max_frame_size=20_000, max_concurrent_streams=1
    )


def test_before_the_first_settings_the_defaults_of_the_rfc_hold() -> None:
    peer = PeerSettings()
    assert peer.header_table_size == 4_096
    assert peer.max_concurrent_streams is None
    assert peer.initial_window_size == 65_535
    assert peer.max_frame_size == 16_384
    assert peer.max_header_list_size is None


def test_the_ack_is_an_empty_frame() -> None:
    assert wire.SETTINGS_ACK == SETTINGS_ACK
