import copy
import heapq
import pickle
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core.errors import InvalidField
from apns_core.trust.provider_token import (
    CHANGE_MARGIN,
    LIFETIME,
    MINIMUM_INTERVAL,
    REFRESH_AFTER,
    SIGNING_FLOOR,
    SIGNING_RETRY,
    ProviderToken,
    ProviderTokenSchedule,
)

MINUTE: Final = 60.0
HOUR: Final = 3_600.0

# A monotonic clock starts anywhere, and a Unix time has a fraction.
START: Final = 5_000.0
UNIX: Final = 1_700_000_000.0


def schedule() -> ProviderTokenSchedule:
    return ProviderTokenSchedule(now=START, unix_time=UNIX)


def sign(tokens: ProviderTokenSchedule, now: float) -> ProviderToken:
    """Sign at once and return what a new connection then gets."""
    assert tokens.signing_due(now)
    tokens.signed(f"jwt.{tokens.begin_signing(now)}")
    token = tokens.token_for(None, None, now)
    assert token is not None
    return token


# ── one token ──


def test_a_token_is_a_field_value() -> None:
    token = ProviderToken("aaa.bbb.ccc", 7.0, 3)
    assert token.authorization == b"bearer aaa.bbb.ccc"
    assert (token.issued_at, token.number) == (7.0, 3)


@pytest.mark.parametrize("jwt", ["!", "~", "a.b.c", "A-_9" * 100])
def test_visible_ascii_is_taken(jwt: str) -> None:
    assert ProviderToken(jwt, 0.0).authorization == b"bearer " + jwt.encode()


@pytest.mark.parametrize(
    "jwt",
    ["", " ", "a b", " a", "a\n", "a\r\nx: y", "a\0", "a\t", "a\x7f", "a\x80", "ü", "\ud800"],
)
def test_t8_anything_else_is_refused_and_not_repeated(jwt: str) -> None:
    with pytest.raises(InvalidField) as caught:
        ProviderToken("SECRET" + jwt if jwt else jwt, 0.0)
    assert caught.value.field == "provider_token"
    assert "SECRET" not in str(caught.value)


def test_a_token_is_not_shown_and_not_pickled() -> None:
    token = ProviderToken("SECRET", 7.0, 3)
    assert repr(token) == str(token) == "<ProviderToken number=3 issued_at=7.0>"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="credential"):
            leak(token)
    with pytest.raises(AttributeError):
        token.jwt = "SECRET"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


# ── signing ──


def test_the_numbers_are_apples() -> None:
    assert (MINIMUM_INTERVAL, LIFETIME, REFRESH_AFTER) == (20 * MINUTE, 60 * MINUTE, 40 * MINUTE)


def test_the_first_token_is_due_at_once_and_asked_for_once() -> None:
    tokens = schedule()
    assert not tokens.signing_due(START - 1)
    assert tokens.signing_due(START)
    assert tokens.poll_timeout() == START
    assert tokens.token_for(None, None, START) is None
    tokens.begin_signing(START)
    assert not tokens.signing_due(START + 10 * HOUR)
    assert tokens.poll_timeout() is None


@pytest.mark.parametrize(
    ("unix_time", "elapsed", "issued_at"),
    [
        (UNIX, 0.0, 1_700_000_000),
        (UNIX + 0.75, 0.0, 1_700_000_000),
        (UNIX + 0.75, 0.25, 1_700_000_001),
        (UNIX, 86_400.5, 1_700_086_400),
    ],
)
def test_iat_is_whole_seconds_and_never_ahead(
    unix_time: float, elapsed: float, issued_at: int
) -> None:
    tokens = ProviderTokenSchedule(now=START, unix_time=unix_time)
    iat = tokens.begin_signing(START + elapsed)
    assert (type(iat), iat) == (int, issued_at)
    # The token is as old as the second that was signed, which is what APNs goes by.
    tokens.signed("jwt")
    token = tokens.token_for(None, None, START + elapsed)
    assert token is not None
    assert token.issued_at - START == issued_at - unix_time


def test_a_new_token_is_due_when_the_newest_is_40_minutes_old() -> None:
    tokens = schedule()
    sign(tokens, START)
    assert tokens.poll_timeout() == START + 40 * MINUTE
    assert not tokens.signing_due(START + 40 * MINUTE - 0.001)
    assert tokens.signing_due(START + 40 * MINUTE)


def test_age_counts_from_the_request_to_sign_however_long_that_took() -> None:
    tokens = schedule()
    tokens.begin_signing(START)
    tokens.signed("jwt")
    assert tokens.poll_timeout() == START + 40 * MINUTE


def test_a_failed_signing_is_tried_again_after_a_delay() -> None:
    tokens = schedule()
    tokens.begin_signing(START)
    tokens.signing_failed(START + 1)
    assert tokens.poll_timeout() == START + 1 + SIGNING_RETRY
    assert not tokens.signing_due(START + SIGNING_RETRY)
    sign(tokens, START + 1 + SIGNING_RETRY)
    assert tokens.poll_timeout() == START + 1 + SIGNING_RETRY + 40 * MINUTE


def test_a_token_is_of_use_to_its_end_while_signing_fails() -> None:
    tokens = schedule()
    first = sign(tokens, START)
    now = START + 40 * MINUTE
    while now < START + 2 * HOUR:
        tokens.begin_signing(now)
        tokens.signing_failed(now)
        expected = first if now < START + 60 * MINUTE else None
        assert tokens.token_for(None, None, now) is expected
        now += SIGNING_RETRY


def test_an_answer_that_nobody_asked_for_is_refused() -> None:
    tokens = schedule()
    with pytest.raises(InvalidField, match="no signing is under way"):
        tokens.signed("jwt")
    sign(tokens, START)
    with pytest.raises(InvalidField, match="no signing is under way"):
        tokens.signed("jwt")


def test_a_jwt_that_is_none_leaves_the_signing_under_way() -> None:
    tokens = schedule()
    tokens.begin_signing(START)
    with pytest.raises(InvalidField, match="visible ASCII"):
        tokens.signed("a b")
    assert tokens.poll_timeout() is None
    tokens.signing_failed(START)
    assert tokens.poll_timeout() == START + SIGNING_RETRY


# ── sending ──


@pytest.mark.parametrize(
    ("first_used", "kept_until"),
    [
        # Used when new: changes as soon as there is another token, at minute 40.
        (0.0, 40.0),
        (10.0, 40.0),
        # Used later: 20 minutes, and up to one more where the token lives that long.
        (25.0, 46.0),
        (38.0, 59.0),
        (39.0, 59.5),
        (39.9, 59.95),
    ],
)
def test_a_connection_keeps_its_token(first_used: float, kept_until: float) -> None:
    tokens = schedule()
    old = sign(tokens, START)
    first_used_at = START + first_used * MINUTE
    assert tokens.token_for(None, None, first_used_at) is old
    new = sign(tokens, START + 40 * MINUTE)
    assert tokens.token_for(None, None, START + 40 * MINUTE) is new
    until = START + kept_until * MINUTE
    if kept_until > 40:
        assert tokens.token_for(first_used_at, old, until - 0.001) is old
    assert tokens.token_for(first_used_at, old, until) is new


def test_a_token_first_used_late_is_not_changed_at_once() -> None:
    # jchambers/pushy#931: first used at minute 45, changed at minute 50, refused.
    tokens = schedule()
    old = sign(tokens, START)
    first_used_at = START + 39 * MINUTE
    sign(tokens, START + 40 * MINUTE)
    for minute in range(40, 59):
        assert tokens.token_for(first_used_at, old, START + minute * MINUTE) is old


def test_a_connection_that_was_idle_for_hours_takes_the_newest() -> None:
    tokens = schedule()
    old = sign(tokens, START)
    for minute in (40, 80, 120):
        newest = sign(tokens, START + minute * MINUTE)
        now = START + (minute + 25) * MINUTE
        assert tokens.token_for(START + 39 * MINUTE, old, now) is newest


def test_a_connection_between_both_rules_may_send_nothing() -> None:
    # Only when signing failed: the token was first used at minute 50.
    tokens = schedule()
    old = sign(tokens, START)
    first_used_at = START + 50 * MINUTE
    assert tokens.token_for(None, None, first_used_at) is old
    new = sign(tokens, START + 55 * MINUTE)
    for minute, expected in ((56, old), (59.9, old), (60, None), (69.9, None), (70, new)):
        assert tokens.token_for(first_used_at, old, START + minute * MINUTE) is expected


# ── obeying ──


def test_an_expired_token_is_followed_by_another_at_once() -> None:
    tokens = schedule()
    old = sign(tokens, START)
    now = START + SIGNING_FLOOR
    tokens.expire(old, now)
    assert tokens.token_for(None, None, now) is None
    assert tokens.token_for(START, old, now) is None
    assert tokens.poll_timeout() == now
    new = sign(tokens, now)
    assert new is not old
    # Not even when the two rules would let it change: the server gave up on this connection.
    assert tokens.token_for(START, old, now + HOUR) is None


def test_a_token_refused_when_just_signed_stays_in_use() -> None:
    tokens = schedule()
    token = sign(tokens, START)
    for now in (START, START + SIGNING_FLOOR - 0.001):
        tokens.expire(token, now)
        assert not tokens.signing_due(now)
        assert tokens.token_for(None, None, now) is token
    assert tokens.poll_timeout() == START + 40 * MINUTE


def test_an_older_token_that_expired_costs_no_signature() -> None:
    tokens = schedule()
    old = sign(tokens, START)
    new = sign(tokens, START + 40 * MINUTE)
    now = START + 59 * MINUTE
    tokens.expire(old, now)
    assert not tokens.signing_due(now)
    assert tokens.token_for(START + 39 * MINUTE, old, now) is None
    assert tokens.token_for(None, None, now) is new
    # Told twice, by two connections.
    tokens.expire(new, now)
    tokens.expire(old, now)
    assert tokens.token_for(None, None, now) is None


def test_expiry_while_signing_neither_asks_twice_nor_hurries_a_retry() -> None:
    tokens = schedule()
    old = sign(tokens, START)
    now = START + 40 * MINUTE
    tokens.begin_signing(now)
    tokens.expire(old, now)
    assert not tokens.signing_due(now)
    tokens.signing_failed(now)
    tokens.expire(old, now)
    assert tokens.poll_timeout() == now + SIGNING_RETRY
    assert sign(tokens, now + SIGNING_RETRY).number == old.number + 1


def test_a_revoked_key_takes_its_tokens_along() -> None:
    tokens = schedule()
    old = sign(tokens, START)
    tokens.begin_signing(START + 40 * MINUTE)
    tokens.signing_failed(START + 40 * MINUTE)
    # In the same instant, and in the same second of iat as its predecessor.
    tokens.replace(START)
    assert tokens.token_for(None, None, START) is None
    assert tokens.poll_timeout() == START
    new = sign(tokens, START)
    assert new.issued_at == old.issued_at
    assert tokens.token_for(START, old, START + 30 * MINUTE) is None
    assert tokens.token_for(START, new, START + 30 * MINUTE) is new


@pytest.mark.parametrize("success", [True, False])
def test_a_signature_under_way_by_a_revoked_key_is_dropped(*, success: bool) -> None:
    tokens = schedule()
    tokens.begin_signing(START)
    tokens.replace(START)
    assert not tokens.signing_due(START)
    if success:
        tokens.signed("jwt.of.the.old.key")
    else:
        tokens.signing_failed(START)
    assert tokens.token_for(None, None, START) is None
    assert tokens.signing_due(START)
    assert sign(tokens, START).number == 0


# ── as APNs sees it ──


@dataclass
class SeenByApns:
    """One connection as its server sees it: enforces both rules on the tokens that arrive."""

    token: ProviderToken | None = None
    first_used_at: float | None = None
    changes: list[float] = field(default_factory=list[float])

    def sent(self, token: ProviderToken, now: float) -> None:
        assert token.issued_at <= now < token.issued_at + LIFETIME
        if token is self.token:
            return
        if self.first_used_at is not None:
            assert now - self.first_used_at >= MINIMUM_INTERVAL
            self.changes.append(now - self.first_used_at)
        self.token = token
        self.first_used_at = now


@pytest.mark.parametrize("seed", range(3))
def test_t10_two_days_on_fifty_connections(seed: int) -> None:
    random = Random(seed)
    end = START + 48 * HOUR
    tokens = ProviderTokenSchedule(now=START, unix_time=UNIX + random.random())
    # Everything that happens, in order: (moment, tie-break, connection, seconds between sends).
    pauses = [2.0, *(random.choice([50.0, 500.0, HOUR]) for _ in range(49))]
    happenings = [(START + random.uniform(0, 4 * HOUR), n, pause) for n, pause in enumerate(pauses)]
    heapq.heapify(happenings)
    seen = [SeenByApns() for _ in happenings]
    changes: list[float] = []
    signed: list[float] = []
    while happenings[0][0] < end:
        now, n, pause = heapq.heappop(happenings)
        while (due := tokens.poll_timeout()) is not None and due <= now:
            signed.append(due)
            tokens.signed(f"jwt.{tokens.begin_signing(due)}")
        connection = seen[n]
        token = tokens.token_for(connection.first_used_at, connection.token, now)
        # With a signer that works no connection is ever held up.
        assert token is not None
        connection.sent(token, now)
        if random.random() < pause / (5 * HOUR):
            changes += connection.changes
            seen[n] = SeenByApns()
            pause = random.choice([50.0, 500.0, HOUR])
        heapq.heappush(happenings, (now + random.uniform(0, 2 * pause), n, pause))
    # It was put to the test: changes close to the shortest, and a token every 40 minutes.
    assert MINIMUM_INTERVAL <= min(changes) < MINIMUM_INTERVAL + 2 * CHANGE_MARGIN
    assert max(b - a for a, b in pairwise(signed)) <= REFRESH_AFTER
    assert min(b - a for a, b in pairwise(signed)) >= REFRESH_AFTER - 1


moments = st.one_of(st.floats(0, 60), st.floats(0, 30 * MINUTE), st.just(20 * MINUTE))
happenings_of_all_kinds = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), moments),
        st.tuples(st.just("send"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["ask", "signed", "failed", "expire", "replace"]), st.just(0)),
    ),
    max_size=60,
)


@given(happenings_of_all_kinds, st.floats(0, 1))
def test_t10_whatever_happens_both_rules_are_kept(
    happenings: list[tuple[str, float]], fraction: float
) -> None:
    now = START
    tokens = ProviderTokenSchedule(now=now, unix_time=UNIX + fraction)
    seen = [SeenByApns() for _ in range(3)]
    asked_at: float | None = None
    last: tuple[float, ProviderToken] | None = None
    forgotten: set[ProviderToken] = set()
    revoked_meanwhile = False
    for what, argument in happenings:
        match what:
            case "wait":
                now += argument
            case "ask" if tokens.signing_due(now):
                assert asked_at is None
                iat = tokens.begin_signing(now)
                assert UNIX + fraction + now - START - 1.001 < iat
                assert iat <= UNIX + fraction + now - START
                if last is not None:
                    assert now - last[0] >= SIGNING_FLOOR
                asked_at, revoked_meanwhile = now, False
            case "signed" if asked_at is not None:
                tokens.signed("jwt")
                token = tokens.token_for(None, None, now)
                if token is not None and not revoked_meanwhile:
                    last = (asked_at, token)
                asked_at = None
            case "failed" if asked_at is not None:
                tokens.signing_failed(now)
                assert not tokens.signing_due(now) or revoked_meanwhile
                asked_at = None
            case "expire" if last is not None:
                tokens.expire(last[1], now)
                if now - last[1].issued_at >= SIGNING_FLOOR:
                    forgotten.add(last[1])
            case "replace":
                tokens.replace(now)
                forgotten |= {connection.token for connection in seen if connection.token}
                last, revoked_meanwhile = None, True
            case "send":
                connection = seen[int(argument)]
                token = tokens.token_for(connection.first_used_at, connection.token, now)
                if token is not None:
                    assert token not in forgotten
                    connection.sent(token, now)
                elif connection.token is not None:
                    seen[int(argument)] = SeenByApns()  # retired
            case _:
                pass
        # One question at a time, and there is always a next step.
        assert (tokens.poll_timeout() is None) == (asked_at is not None)


@pytest.mark.parametrize("jwt", [b"a.b.c", None, 1, ["a.b.c"], ""])
def test_what_a_signer_returned_was_taken_for_a_text(jwt: Any) -> None:  # noqa: ANN401
    made = ProviderTokenSchedule(now=0.0, unix_time=0.0)
    made.begin_signing(0.0)
    with pytest.raises(InvalidField, match=r"^provider_token: must be a JWT"):
        made.signed(jwt)
    # The signing is still under way.
    made.signed("a.b.c")
    assert made.token_for(None, None, 0.0) is not None
