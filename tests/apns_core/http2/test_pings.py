from apns_core.http2.pings import Pings


def asked(pings: Pings) -> bytes:
    payload = pings.ask()
    assert payload is not None
    assert len(payload) == 8
    return payload


def test_one_at_a_time_each_with_its_own_payload() -> None:
    pings = Pings()
    first = asked(pings)
    assert pings.ask() is None
    assert not pings.answered(bytes(8))
    assert pings.answered(first)
    assert not pings.answered(first)
    second = asked(pings)
    assert second != first
    assert not pings.answered(first)
    assert pings.answered(second)


def test_an_answer_speaks_for_what_was_cancelled_before_its_ping() -> None:
    pings = Pings()
    pings.cancelled(1)
    first = asked(pings)
    pings.cancelled(3)
    assert (len(pings), pings.due) == (2, True)
    assert pings.answered(first)
    assert (len(pings), pings.due) == (1, True)
    second = asked(pings)
    assert (len(pings), pings.due) == (1, False)
    assert pings.answered(second)
    assert len(pings) == 0


def test_streams_that_the_peer_closes_need_no_proof() -> None:
    pings = Pings()
    for stream_id in (1, 3, 5):
        pings.cancelled(stream_id)
    payload = asked(pings)
    for stream_id in (7, 9):
        pings.cancelled(stream_id)
    pings.closed(3)
    pings.closed(3)
    pings.closed(11)
    assert len(pings) == 4
    pings.closed_above(5)
    assert len(pings) == 2
    pings.closed_above(1)
    assert (len(pings), pings.due) == (1, False)
    assert pings.answered(payload)
    assert len(pings) == 0
    pings.cancelled(13)
    pings.forget()
    assert len(pings) == 0
