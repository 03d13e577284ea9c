from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.accounting import TRANSITIONS, ConnectionState, StreamAccounting, Transition

AWAITING = ConnectionState.AWAITING_SETTINGS
PENDING = ConnectionState.AUTH_PENDING
OPEN = ConnectionState.OPEN
DRAINING = ConnectionState.DRAINING
CLOSED = ConnectionState.CLOSED

# The whole table once more, as rows: state, what happens, state after. None: cannot happen.
ROWS: list[tuple[ConnectionState, Transition, ConnectionState | None]] = [
    (AWAITING, Transition.SETTINGS_TOKEN, PENDING),
    (AWAITING, Transition.SETTINGS_CERTIFICATE, OPEN),
    (AWAITING, Transition.ACCEPTED, None),
    (AWAITING, Transition.TOKEN_REFUSED, None),
    (AWAITING, Transition.RETIRED, DRAINING),
    (AWAITING, Transition.ENDED, CLOSED),
    (PENDING, Transition.SETTINGS_TOKEN, None),
    (PENDING, Transition.SETTINGS_CERTIFICATE, None),
    (PENDING, Transition.ACCEPTED, OPEN),
    (PENDING, Transition.TOKEN_REFUSED, PENDING),
    (PENDING, Transition.RETIRED, DRAINING),
    (PENDING, Transition.ENDED, CLOSED),
    (OPEN, Transition.SETTINGS_TOKEN, None),
    (OPEN, Transition.SETTINGS_CERTIFICATE, None),
    (OPEN, Transition.ACCEPTED, OPEN),
    (OPEN, Transition.TOKEN_REFUSED, PENDING),
    (OPEN, Transition.RETIRED, DRAINING),
    (OPEN, Transition.ENDED, CLOSED),
    (DRAINING, Transition.SETTINGS_TOKEN, None),
    (DRAINING, Transition.SETTINGS_CERTIFICATE, None),
    (DRAINING, Transition.ACCEPTED, DRAINING),
    (DRAINING, Transition.TOKEN_REFUSED, DRAINING),
    (DRAINING, Transition.RETIRED, DRAINING),
    (DRAINING, Transition.ENDED, CLOSED),
    (CLOSED, Transition.SETTINGS_TOKEN, None),
    (CLOSED, Transition.SETTINGS_CERTIFICATE, None),
    (CLOSED, Transition.ACCEPTED, None),
    (CLOSED, Transition.TOKEN_REFUSED, None),
    (CLOSED, Transition.RETIRED, None),
    (CLOSED, Transition.ENDED, None),
]

WAYS: dict[ConnectionState, list[Transition]] = {
    AWAITING: [],
    PENDING: [Transition.SETTINGS_TOKEN],
    OPEN: [Transition.SETTINGS_CERTIFICATE],
    DRAINING: [Transition.RETIRED],
    CLOSED: [Transition.ENDED],
}


def accounting(
    state: ConnectionState, own: int = 1_000, peer: int | None = None
) -> StreamAccounting:
    made = StreamAccounting(own)
    made.set_peer_limit(peer)
    for transition in WAYS[state]:
        made.apply(transition)
    assert made.state is state
    return made


def test_the_rows_cover_every_pair() -> None:
    assert [row[:2] for row in ROWS] == list(product(ConnectionState, Transition))
    assert set(TRANSITIONS) == set(ConnectionState)


@pytest.mark.parametrize(("state", "transition", "after"), ROWS)
def test_transitions(
    state: ConnectionState, transition: Transition, after: ConnectionState | None
) -> None:
    made = accounting(state)
    if after is None:
        with pytest.raises(KeyError):
            made.apply(transition)
        assert made.state is state
    else:
        made.apply(transition)
        assert made.state is after


@pytest.mark.parametrize(
    ("state", "own", "peer", "limit"),
    [
        (AWAITING, 1_000, None, 0),
        (AWAITING, 1_000, 500, 0),
        (PENDING, 1_000, None, 1),
        (PENDING, 1_000, 500, 1),
        (PENDING, 1_000, 0, 0),
        (OPEN, 1_000, None, 1_000),
        (OPEN, 1_000, 2**32 - 1, 1_000),
        (OPEN, 1_000, 500, 500),
        (OPEN, 1_000, 1, 1),
        (OPEN, 1_000, 0, 0),
        (OPEN, 3, 500, 3),
        (DRAINING, 1_000, 500, 0),
        (CLOSED, 1_000, 500, 0),
    ],
)
def test_the_limit_follows_from_the_state_and_both_limits(
    state: ConnectionState, own: int, peer: int | None, limit: int
) -> None:
    assert accounting(state, own, peer).limit == limit


@pytest.mark.parametrize(
    ("open_streams", "capacity"), [(0, 500), (1, 499), (500, 0), (501, 0), (10_000, 0)]
)
def test_capacity_is_what_is_left_and_never_negative(open_streams: int, capacity: int) -> None:
    assert accounting(OPEN, peer=500).capacity(open_streams) == capacity


def test_the_peer_may_change_its_mind_at_any_time() -> None:
    made = accounting(OPEN, peer=500)
    limits: list[int] = []
    for peer in (1, 0, 700, None, 500):
        made.set_peer_limit(peer)
        limits.append(made.limit)
    assert limits == [1, 0, 700, 1_000, 500]
    made.apply(Transition.TOKEN_REFUSED)
    assert made.limit == 1
    made.apply(Transition.ACCEPTED)
    assert made.limit == 500


@settings(deadline=None)
@given(
    st.integers(0, 2_000),
    st.lists(
        st.one_of(
            st.sampled_from([Transition.ACCEPTED, Transition.TOKEN_REFUSED]),
            st.none() | st.integers(0, 2**32 - 1),
        )
    ),
)
def test_the_limit_depends_on_nothing_but_the_present(
    own: int, steps: list[Transition | int | None]
) -> None:
    made = accounting(PENDING, own)
    peer: int | None = None
    for step in steps:
        if isinstance(step, Transition):
            made.apply(step)
        else:
            peer = step
            made.set_peer_limit(step)
        assert made.limit == accounting(made.state, own, peer).limit
        assert made.limit <= (own if peer is None else min(own, peer))
