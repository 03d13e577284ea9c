"""Random lives of a connection: any order of what callers, the server and the clock may do."""

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apns_core.accounting import ConnectionState
from apns_core.connection_config import ConnectionConfig
from apns_core.connection_events import ConnectionClosed
from apns_core.outcomes import Accepted, Rejected, Unknown, Unprocessed
from apns_core.requests.notification import Notification
from apns_core.requests.route import Route
from apns_core.tickets import DONE, IN_FLIGHT
from apns_core.trust.provider_token import ProviderToken
from tests.apns_core.peer import DEVICE, NEVER, Scene, reason

NOTIFICATIONS: Final = [
    Notification(Route("com.example.app"), DEVICE, b"{}"),
    Notification(Route("com.example.app", "background"), DEVICE, b"x" * 4_096, expiration=0),
    Notification(Route.for_app("com.example.app", "voip"), DEVICE, b"x" * 300, collapse_id="c"),
]
REASONS: Final = [
    "BadDeviceToken",
    "InvalidProviderToken",
    "InternalServerError",
    "ExpiredProviderToken",
    "Shutdown",
    "NewIn2031",
]
CONFIG: Final = ConnectionConfig(max_streams=50)


class Life(RuleBasedStateMachine):
    """The scene checks the counts; here stands what the server's own book says about outcomes."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(CONFIG)
        self.limit: int | None = None
        """The peer's; None before its SETTINGS."""
        self.answered: dict[int, int] = {}
        """Stream -> the final status that was written for it, whole or not."""
        self.last_stream_id = NEVER
        self.refused: set[int] = set()
        """Streams that were reset with REFUSED_STREAM before they had an outcome."""
        self.accepted = False
        self.stream_of: dict[int, int] = {}
        """Tag -> the stream that carried it."""
        self.requests = 0

    # The callers.

    @precondition(lambda self: not self.ending())
    @rule(count=st.integers(1, 12), which=st.sampled_from(NOTIFICATIONS))
    def submit(self, count: int, which: Notification) -> None:
        self.scene.submit(count, which)

    @rule(index=st.integers(0, 200))
    def cancel(self, index: int) -> None:
        if self.scene.tickets:
            self.scene.cancel(index % len(self.scene.tickets))

    @rule()
    def change_token(self) -> None:
        number = str(len(self.scene.events))
        self.scene.connection.set_provider_token(ProviderToken("jwt" + number, self.scene.now))

    @precondition(lambda self: self.chance(8))
    @rule()
    def retire(self) -> None:
        self.scene.connection.retire(self.scene.now)
        self.scene.drain()

    @precondition(lambda self: self.chance(8))
    @rule()
    def close(self) -> None:
        self.scene.connection.close(self.scene.now)
        self.scene.drain()

    # The clock.

    @rule(seconds=st.sampled_from([0.0, 0.01, 1.0, 9.0, 16.0]))
    def advance(self, seconds: float) -> None:
        self.scene.advance(seconds)

    # The server.

    @rule(
        limit=st.none() | st.integers(0, 60),
        window=st.none() | st.sampled_from([0, 100, 65_535]),
        table=st.none() | st.sampled_from([0, 256, 4_096]),
    )
    def settings(self, limit: int | None, window: int | None, table: int | None) -> None:
        if limit is not None:
            self.limit = limit
        elif self.limit is None:
            self.limit = 1_000
        self.feed(self.scene.peer.settings(limit=limit, window=window, table=table))

    @precondition(lambda self: self.limit is not None)
    @rule()
    def acknowledge(self) -> None:
        peer = self.scene.peer
        acks = peer.settings_ack() * peer.settings_seen
        peer.settings_seen = 0
        self.feed(acks + peer.ping_acks())

    @precondition(lambda self: bool(self.scene.peer.open))
    @rule(index=st.integers(0, 200))
    def accept(self, index: int) -> None:
        stream_id = self.pick(index)
        if self.answered.setdefault(stream_id, 200) == 200:
            self.accepted = True
        self.feed(self.scene.peer.accept(stream_id))

    @precondition(lambda self: bool(self.scene.peer.open))
    @rule(
        index=st.integers(0, 200),
        status=st.sampled_from([400, 403, 410, 429, 500, 503]),
        text=st.sampled_from(REASONS),
        unfinished=st.booleans(),
    )
    def reject(self, index: int, status: int, text: str, unfinished: bool) -> None:  # noqa: FBT001
        stream_id = self.pick(index)
        if stream_id in self.answered:
            return
        self.answered[stream_id] = status
        if unfinished:
            self.feed(self.scene.peer.headers(stream_id, status))
        else:
            self.feed(self.scene.peer.answer(stream_id, status, reason(text)))

    @precondition(lambda self: bool(self.scene.peer.open))
    @rule(index=st.integers(0, 200), codes=st.sampled_from([(7,), (7, 5), (5,), (0,), (2, 7)]))
    def reset(self, index: int, codes: tuple[int, ...]) -> None:
        stream_id = self.pick(index)
        in_flight = {t.stream_id for t in self.scene.tickets if t.place == IN_FLIGHT}
        if codes[0] == 7 and stream_id in in_flight:
            self.refused.add(stream_id)
        self.feed(self.scene.peer.reset(stream_id, *codes))

    @precondition(lambda self: self.limit is not None and self.chance(3))
    @rule(line=st.none() | st.integers(0, 60), text=st.sampled_from(["", "Shutdown"]))
    def goaway(self, line: int | None, text: str) -> None:
        last = NEVER if line is None else 2 * line + 1
        self.last_stream_id = min(self.last_stream_id, last)
        self.feed(self.scene.peer.goaway(self.last_stream_id, reason(text) if text else b""))

    @precondition(lambda self: self.limit is not None)
    @rule(increment=st.integers(1, 100_000))
    def credit(self, increment: int) -> None:
        self.feed(self.scene.peer.window_update(increment))

    @precondition(lambda self: self.limit is not None)
    @rule()
    def ping(self) -> None:
        self.feed(self.scene.peer.ping())

    @precondition(lambda self: self.chance(8))
    @rule(octets=st.binary(min_size=1, max_size=30))
    def nonsense(self, octets: bytes) -> None:
        # It may hold anything, a RST_STREAM or an answer too: nothing to be held to afterwards.
        self.scene.feed(b"\x00\x00\x05\x05\x04\x00\x00\x00\x01" + octets)
        self.scene.connection.receive_eof(self.scene.now)
        self.scene.drain()

    @precondition(lambda self: self.chance(8))
    @rule()
    def eof(self) -> None:
        self.scene.connection.receive_eof(self.scene.now)
        self.scene.drain()

    # Help.

    def chance(self, rarity: int) -> bool:
        return len(self.scene.tickets) % rarity == rarity - 1

    def ending(self) -> bool:
        return self.scene.state() in {ConnectionState.DRAINING, ConnectionState.CLOSED}

    def pick(self, index: int) -> int:
        streams = sorted(self.scene.peer.open)
        return streams[index % len(streams)]

    def feed(self, octets: bytes) -> None:
        self.scene.feed(octets)

    # What always holds.

    @invariant()
    def counts_agree(self) -> None:
        self.scene.check()

    @invariant()
    def the_limit_is_kept_when_streams_open(self) -> None:
        peer = self.scene.peer
        opened = len(peer.requests) - self.requests
        self.requests = len(peer.requests)
        if not opened:
            return
        assert self.limit is not None, "a request before SETTINGS"
        # Streams that we reset are not counted by the server any more; ours count until it knows.
        allowed = min(self.limit, CONFIG.max_streams, CONFIG.max_streams if self.accepted else 1)
        assert len(peer.open) <= allowed

    @invariant()
    def the_timer_is_set_while_anything_is_in_flight(self) -> None:
        due = self.scene.connection.poll_timeout()
        assert due is not None or not self.scene.connection.in_flight
        for ticket in self.scene.tickets:
            if ticket.place != DONE:
                assert due is not None
                assert due <= ticket.deadline
            if ticket.place == IN_FLIGHT:
                self.stream_of[ticket.tag] = ticket.stream_id

    @invariant()
    def outcomes_claim_no_more_than_the_server_said(self) -> None:
        for outcome in self.scene.outcomes:
            stream_id = self.scene.tickets[outcome.tag].stream_id
            seen = self.scene.peer.requests.get(stream_id)
            status = self.answered.get(stream_id)
            if isinstance(outcome, Accepted):
                assert status == 200
            elif isinstance(outcome, Rejected):
                assert status == outcome.status != 200
            elif isinstance(outcome, Unknown):
                assert seen is not None
                assert seen.ended, "without END_STREAM it was not processed"
                assert stream_id not in self.refused
            else:
                assert isinstance(outcome, Unprocessed)
                assert (
                    seen is None
                    or not seen.ended
                    or stream_id in self.refused
                    or stream_id > self.last_stream_id
                )

    def teardown(self) -> None:
        scene = self.scene
        scene.connection.close(scene.now)
        scene.drain()
        scene.check()
        assert all(ticket.place == DONE for ticket in scene.tickets)
        assert len(scene.outcomes) + len(scene.cancelled) == len(scene.tickets)
        assert scene.connection.in_flight == 0
        assert scene.connection.poll_timeout() is None
        assert [type(event) for event in scene.events].count(ConnectionClosed) == 1
        # Afterwards nothing happens, whatever comes.
        scene.feed(scene.peer.settings(limit=5))
        scene.advance(1_000.0)
        assert scene.drain() == []
        assert scene.connection.data_to_send() == b""


TestLife = Life.TestCase
TestLife.settings = settings(deadline=None, max_examples=80, stateful_step_count=40)
