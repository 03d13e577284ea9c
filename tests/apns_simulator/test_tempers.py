import json
from typing import Any

import pytest
from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from apns_simulator import (
    GRACEFUL_GOAWAY,
    GoAway,
    Rejection,
    SettingsChange,
    Temper,
)
from apns_simulator.temper import BodyStyle
from apns_simulator.wire import CloseKind
from tests.apns_simulator.raw_client import RawClient, fields, make_simulator

HIGHEST = 2**31 - 1


def warm(temper: Temper, **config: Any) -> RawClient:  # noqa: ANN401
    """Return a client whose first request was accepted before the temper set in."""
    client = RawClient(make_simulator(**config))
    client.request()
    client.simulator.temper = temper
    return client


def goaways(client: RawClient) -> list[tuple[int, int, bytes]]:
    return [(g.last_stream_id, g.error_code, g.additional_data) for g in client.goaways]


# GOAWAY


@pytest.mark.parametrize(
    ("goaway", "expected"),
    [
        (GoAway(), (3, 0, b"")),
        (GoAway.because("Shutdown"), (3, 0, b'{"reason": "Shutdown"}')),
        (
            GoAway(debug_data="Maximum active streams violated"),
            (3, 0, b"Maximum active streams violated"),
        ),
        (GoAway(last_stream_id=0, error_code=7), (0, 7, b"")),
        (GoAway(last_stream_id=HIGHEST, error_code=0xFFFF_FFFF), (HIGHEST, 0xFFFF_FFFF, b"")),
    ],
)
def test_goaway_after_so_many_requests(goaway: GoAway, expected: tuple[int, int, bytes]) -> None:
    client = RawClient(make_simulator(Temper(goaway_after=2, goaway_frames=(goaway,))))
    client.request()
    assert goaways(client) == []
    assert client.request().status == 200
    assert goaways(client) == [expected]
    assert client.is_closed()
    assert client.connection.record.goaways_sent == 1


def test_goaway_at_the_start() -> None:
    twice = (GoAway.because("BadCertificateEnvironment"), GoAway())
    client = RawClient(make_simulator(Temper(goaway_after=0, goaway_frames=twice)))
    assert goaways(client) == [(0, 0, b'{"reason": "BadCertificateEnvironment"}'), (0, 0, b"")]
    assert client.is_closed()
    assert client.settings  # SETTINGS come first, as APNs was seen to do.


def test_later_streams_are_ignored_and_earlier_ones_answered() -> None:
    client = warm(Temper(goaway_after=5), latency=1.0)
    client.wait(1.0)
    answers = client.burst(10, now=1.0)
    assert [g[0] for g in goaways(client)] == [9]
    assert not client.is_closed()
    client.wait(2.0)
    assert [answer.status for answer in answers] == [200] * 4 + [None] * 6
    assert [answer.resets for answer in answers] == [[]] * 10
    assert client.is_closed()
    ledger = client.simulator.ledger
    assert ledger.by_unprocessed_cause == {"above last stream id": 6}
    assert ledger.accepted_count == 5


def test_header_compression_goes_on_over_ignored_streams() -> None:
    client = warm(Temper())
    client.connection.hold()
    kept_id, headers, data = client.request_frames(fields(apns_collapse_id="kept"))
    client.send_bytes(headers)
    client.connection.send_goaway(GoAway(last_stream_id=kept_id))
    client.request(fields(apns_topic="com.example.ignored"))
    client.send_bytes(data)
    client.connection.release(0.0)
    client.read()
    assert client.answer(kept_id).status == 200
    assert client.simulator.ledger.violations == []


def test_graceful_goaway_names_the_real_stream_later() -> None:
    client = RawClient(make_simulator(Temper(goaway_after=1, goaway_frames=GRACEFUL_GOAWAY)))
    client.request()
    assert [g[0] for g in goaways(client)] == [HIGHEST]
    assert client.request(now=0.01).status == 200
    assert client.connection.poll_timeout() == 0.05
    client.wait(0.05)
    assert [g[0] for g in goaways(client)] == [HIGHEST, 3]
    assert client.is_closed()


def test_goaway_at_a_command_leaves_some_unread() -> None:
    # 100 in flight, GOAWAY(2^31-1), GOAWAY(id of the 60th), answers to 60.
    client = warm(Temper())
    client.connection.hold()
    answers = client.burst(100)
    client.connection.send_goaway(GoAway(last_stream_id=HIGHEST))
    client.connection.send_goaway(GoAway(last_stream_id=1 + 2 * 60))
    client.connection.release(0.0)
    client.read()
    assert [g[0] for g in goaways(client)] == [HIGHEST, 121]
    assert [answer.status for answer in answers] == [200] * 60 + [None] * 40
    assert client.simulator.ledger.accepted_count == 61
    assert client.connection.open_streams == 0


def test_a_goaway_may_leave_the_connection_open() -> None:
    client = RawClient(make_simulator(Temper(goaway_after=1, goaway_close=False)))
    client.request()
    assert goaways(client)
    assert not client.is_closed()


def test_only_the_first_connections_have_the_temper() -> None:
    simulator = make_simulator(Temper(goaway_after=0, first_connections=1))
    assert goaways(RawClient(simulator)) == [(0, 0, b"")]
    assert goaways(RawClient(simulator)) == []


# Silence and endings


def test_mute_but_alive() -> None:
    client = RawClient(make_simulator(Temper(silent_after=1)))
    assert client.request().status == 200
    assert client.request().status is None
    client.send(PingFrame(0, b"12345678"))
    assert client.pongs == [b"12345678"]
    entry = client.simulator.ledger.entries[-1]
    assert (entry.status, entry.answered) == (200, False)
    assert client.connection.record.pings_received == 1


def test_dead_silence() -> None:
    client = RawClient(make_simulator(Temper(silent_after=1, silence="everything")))
    assert client.request().status == 200
    assert client.request().status is None
    client.send(PingFrame(0, b"12345678"))
    assert client.pongs == []
    assert not client.is_closed()
    assert client.simulator.ledger.processed_count == 1


@pytest.mark.parametrize("close_by", ["eof", "abort"])
def test_closes_between_processing_and_answering(close_by: CloseKind) -> None:
    client = RawClient(make_simulator(Temper(close_after_requests=2, close_by=close_by)))
    client.request()
    assert not client.is_closed()
    assert client.request().status is None
    assert client.is_closed()
    assert client.connection.aborted == (close_by == "abort")
    assert [entry.answered for entry in client.simulator.ledger.entries] == [True, False]


def test_closes_at_once() -> None:
    assert RawClient(make_simulator(Temper(close_after_requests=0))).is_closed()


def test_closes_within_a_request() -> None:
    client = RawClient(make_simulator(Temper(close_after_bytes=200)))
    assert client.request().status is None
    assert client.is_closed()
    assert client.connection.record.closed
    assert client.simulator.ledger.processed_count == 0


def test_closes_within_an_answer() -> None:
    client = RawClient(make_simulator(Temper(close_after_bytes_sent=60)))
    assert not client.is_closed()
    client.request()
    assert client.is_closed()
    assert 0 < len(client.received) < 100
    assert client.connection.data_to_send() == b""


def test_unfinished_requests_are_unprocessed_when_the_connection_ends() -> None:
    client = warm(Temper())
    _, headers, _ = client.request_frames()
    client.send_bytes(headers)
    client.connection.receive_eof(0.0)
    assert client.simulator.ledger.by_unprocessed_cause == {"unfinished": 1}
    assert client.simulator.live == set()


def test_nothing_is_read_after_the_end() -> None:
    client = RawClient(make_simulator())
    client.connection.abort()
    assert client.connection.aborted
    assert client.request().status is None
    assert client.simulator.ledger.processed_count == 0


# Fixed answers


@pytest.mark.parametrize(
    ("status", "reason"), [(429, "TooManyRequests"), (500, "InternalServerError"), (503, None)]
)
def test_fixed_answer(status: int, reason: str | None) -> None:
    temper = Temper(answer_status=status, answer_reason=reason, answer_from=2, retry_after=30)
    client = RawClient(make_simulator(temper))
    assert client.request().status == 200
    answer = client.request()
    assert (answer.status, answer.reason, answer.ended) == (status, reason, True)
    assert answer.fields["retry-after"] == "30"
    assert client.simulator.ledger.by_reason == {reason or str(status): 1}


def test_fixed_acceptance_looks_at_nothing() -> None:
    client = RawClient(make_simulator(Temper(answer_status=200)))
    assert client.request(fields("zz", token=None)).status == 200


# The shape of answers


BODIES: dict[BodyStyle, tuple[int, bool]] = {
    "json": (1, True),
    "split": (27 + 1, True),
    "empty": (1, True),
    "absent": (0, True),
    "html": (1, True),
    "padded": (1, True),
    "trailers": (1, True),
    "unfinished": (1, False),
}


@pytest.mark.parametrize("style", BODIES)
def test_body_style(style: BodyStyle) -> None:
    client = RawClient(make_simulator(Temper(body_style=style)))
    answer = client.request(fields("zz"))
    assert (answer.data_frames, answer.ended) == BODIES[style]
    assert answer.status == 400
    assert answer.trailers == (style == "trailers")
    if style in ("empty", "absent"):
        assert answer.body == b""
    elif style == "html":
        assert answer.body.startswith(b"<html>")
    else:
        assert json.loads(answer.body) == {"reason": "BadDeviceToken"}
    assert client.connection.open_streams == (style == "unfinished")


def test_a_huge_body_waits_for_the_windows() -> None:
    client = RawClient(make_simulator(Temper(body_style="huge")))
    answer = client.request(fields("zz"))
    assert len(answer.body) == 65_535
    client.send(WindowUpdateFrame(1, 2**20))
    assert len(answer.body) == 65_535
    client.send(WindowUpdateFrame(0, 2**20))
    assert len(answer.body) == 2**20
    assert answer.ended
    assert answer.reason == "BadDeviceToken"


def test_a_body_waits_for_a_larger_initial_window() -> None:
    client = RawClient(make_simulator())
    client.send(SettingsFrame(0, {4: 0}))
    answer = client.request(fields("zz"))
    assert (answer.status, answer.body) == (400, b"")
    client.send(SettingsFrame(0, {4: 100}))
    assert answer.reason == "BadDeviceToken"


def test_a_reset_ends_a_waiting_body() -> None:
    client = RawClient(make_simulator(Temper(body_style="huge")))
    answer = client.request(fields("zz"))
    client.send(RstStreamFrame(1, 8))
    client.send(WindowUpdateFrame(0, 2**20))
    assert len(answer.body) == 65_535
    assert client.connection.open_streams == 0


def test_identifiers_in_capitals_or_missing() -> None:
    client = RawClient(make_simulator(Temper(uppercase_apns_id=True)))
    apns_id = client.request().fields["apns-id"]
    assert apns_id == apns_id.upper()
    client.simulator.temper = Temper(omit_apns_id=True)
    assert "apns-id" not in client.request().fields


def test_informational_responses() -> None:
    answer = RawClient(make_simulator(Temper(informational=3))).request()
    assert (answer.informational, answer.status) == (3, 200)


# SETTINGS, windows, PING


def test_settings_change_after_so_many_requests() -> None:
    change = SettingsChange(max_concurrent_streams=5, initial_window_size=10, header_table_size=0)
    client = RawClient(make_simulator(Temper(settings_after=1, settings=change)))
    client.request()
    assert client.settings[-1] == {1: 0, 3: 5, 4: 10}
    assert len(client.settings) == 2


def test_a_client_that_keeps_a_table_too_large_is_caught() -> None:
    client = RawClient(make_simulator())
    client.request()
    client.connection.change_settings(SettingsChange(header_table_size=128))
    client.read()
    client.request()
    assert client.goaways[-1].error_code == 1
    assert "table size" in client.simulator.ledger.violations[0]


def test_a_client_that_shrinks_its_table_is_not() -> None:
    client = RawClient(make_simulator())
    client.request()
    client.connection.change_settings(SettingsChange(header_table_size=128))
    client.read()
    client.encoder.header_table_size = 128
    assert client.request().status == 200


def test_settings_bind_from_their_own_acknowledgement_on() -> None:
    # Two SETTINGS on the way: the acknowledgement of the first must not apply the second.
    client = RawClient(make_simulator(), acknowledge=False)
    client.connection.change_settings(SettingsChange(header_table_size=0))
    client.read()
    client.send(SettingsFrame(0, flags=["ACK"]))
    assert [client.request().status, client.request().status] == [200, 200]
    client.send(SettingsFrame(0, flags=["ACK"]))
    client.encoder.header_table_size = 0
    assert client.request().status == 200


def test_the_window_is_credited_or_not() -> None:
    client = warm(Temper(), authentication="none")
    for _ in range(12):
        client.request(body=b"x" * 4096)
    assert client.credit[0] >= 65_535 // 2
    client = warm(Temper(credit_windows=False), authentication="none")
    for _ in range(15):
        client.request(body=b"x" * 4096)
    assert client.credit == {}
    client.connection.credit(100)
    client.connection.credit(200, stream_id=0)
    client.read()
    assert client.credit == {0: 300}


def test_a_larger_connection_window_is_announced() -> None:
    assert RawClient(make_simulator(connection_window_size=100_000)).credit == {0: 34_465}


def test_an_overrun_window_ends_the_connection() -> None:
    client = RawClient(make_simulator(initial_window_size=10))
    client.request(body=b"x" * 11)
    assert client.goaways[-1].error_code == 3
    assert "FlowControlError" in client.simulator.ledger.violations[0]


def test_pings() -> None:
    client = RawClient(make_simulator(Temper(ping_every=5.0)))
    for now in (4.0, 5.0, 9.0, 10.0):
        client.wait(now)
    assert len(client.pings) == 2
    assert client.connection.poll_timeout() == 15.0
    client.simulator.temper = Temper()
    client.wait(15.0)
    assert client.connection.poll_timeout() is None


# Commands


def test_resets_at_a_command() -> None:
    client = warm(Temper())
    client.connection.hold()
    answer = client.request()
    client.connection.reset_stream(3, 7, 5)
    client.connection.reset_stream(99, 8)
    client.connection.release(0.0)
    client.read()
    assert (answer.resets, answer.status) == ([7, 5], None)
    assert client.answer(99).resets == [8]
    assert client.simulator.ledger.by_unprocessed_cause == {"reset by server": 1}
    assert client.connection.record.resets_sent == 3


def test_holding_twice_keeps_what_is_held() -> None:
    client = warm(Temper())
    client.connection.hold()
    answer = client.request()
    client.connection.hold()
    client.connection.release(0.0)
    client.read()
    assert answer.status == 200


def test_raw_bytes_keep_their_place() -> None:
    client = RawClient(make_simulator())
    client.connection.send_ping(b"abcdefgh")
    client.connection.send_raw(DataFrame(77, b"odd").serialize())
    client.connection.send_ping(b"ijklmnop")
    client.read()
    assert client.pings == [b"abcdefgh", b"ijklmnop"]
    assert client.answer(77).body == b"odd"


def test_latency() -> None:
    client = RawClient(make_simulator(latency=0.25, rejections={"ab": Rejection.of("BadTopic")}))
    answer = client.request(now=1.0)
    assert client.connection.poll_timeout() == 1.25
    client.wait(1.2)
    assert answer.status is None
    client.wait(1.25)
    assert answer.reason == "BadTopic"


def test_a_client_that_leaves_is_answered_first() -> None:
    client = RawClient(make_simulator(latency=1.0))
    answer = client.request()
    client.send(GoAwayFrame(0))
    assert not client.is_closed()
    client.wait(1.0)
    assert answer.status == 200
    assert client.is_closed()
    assert client.connection.record.goaways_received == 1
