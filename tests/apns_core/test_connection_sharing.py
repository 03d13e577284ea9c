"""A connection that pulls from a queue which is not its own: what it leaves to the owner."""

from collections.abc import Callable

from apns_core.accounting import ConnectionState
from apns_core.connection import Connection
from apns_core.outcomes import Accepted, Cause, Unknown
from apns_core.tickets import ENDED, IN_FLIGHT, QUEUED, Submissions, Ticket
from tests.apns_core.peer import AUTHORITY, NOTIFICATION, NOW, TOKEN, Scene, normals


def shared(count: int, limit: int = 1_000) -> tuple[Scene, Submissions[int], list[Ticket[int]]]:
    """A connection in use, and ``count`` notifications in the queue that it shares."""
    submissions: Submissions[int] = Submissions()
    scene = Scene()
    scene.connection = Connection(AUTHORITY, now=NOW, submissions=submissions)
    scene.connection.set_provider_token(TOKEN)
    scene.open(limit=limit)
    return scene, submissions, [queue(submissions, tag) for tag in range(count)]


def queue(submissions: Submissions[int], tag: int) -> Ticket[int]:
    return submissions.submit(NOTIFICATION, tag, NOW, NOW + 30.0)


def test_deadlines_are_the_owners() -> None:
    scene, submissions, tickets = shared(3, limit=2)
    scene.drain()
    assert scene.connection.poll_timeout() == NOW + 10.0, "its own PING"
    scene.now = NOW + 9.0
    scene.connection.handle_timeout(NOW + 30.0)
    assert [ticket.place for ticket in tickets] == [IN_FLIGHT, IN_FLIGHT, QUEUED]
    scene.connection.expire(tickets[0], NOW + 30.0)
    assert tickets[0].place == ENDED
    assert isinstance(tickets[0].outcome, Unknown)
    assert submissions.unfinished == 3


def test_what_is_queued_stays_for_other_connections() -> None:
    ends: list[Callable[[Scene], object]] = [
        lambda scene: scene.feed(scene.peer.goaway(1)),
        lambda scene: scene.connection.close(NOW),
        lambda scene: scene.connection.retire(NOW),
        lambda scene: scene.connection.receive_eof(NOW),
    ]
    for end in ends:
        scene, submissions, tickets = shared(0)
        tickets = [queue(submissions, tag) for tag in range(3)]
        end(scene)
        scene.drain()
        assert scene.state() is ConnectionState.CLOSED
        assert [ticket.place for ticket in tickets] == [QUEUED] * 3
        assert submissions.queued == 3
        assert scene.outcomes == []


def test_raw_events_leave_the_last_word_to_the_owner() -> None:
    scene, submissions, tickets = shared(2)
    scene.drain()
    scene.connection.receive_data(scene.peer.accept(3) + scene.peer.reset(5, 7), NOW)
    events = scene.connection.raw_events()
    assert events == tickets
    assert isinstance(tickets[0].outcome, Accepted)
    assert [ticket.place for ticket in tickets] == [ENDED, ENDED]
    submissions.finish(tickets[0])
    submissions.hold(tickets[1])
    submissions.release(tickets[1], NOW)
    scene.drain()
    assert scene.peer.open == {7}
    assert tickets[1].attempts == 2
    assert scene.connection.raw_events() == []


def test_a_ticket_that_its_owner_has_finished_is_no_event() -> None:
    scene, submissions, tickets = shared(1)
    scene.drain()
    scene.connection.receive_data(scene.peer.accept(3), NOW)
    submissions.finish(tickets[0])
    assert scene.connection.events() == []
    assert submissions.unfinished == 0


def test_two_connections_pull_from_one_queue() -> None:
    scene, submissions, tickets = shared(5, limit=2)
    other = Scene()
    other.connection = Connection(AUTHORITY, now=NOW, submissions=submissions)
    other.connection.set_provider_token(TOKEN)
    scene.drain()
    other.greet()
    assert [ticket.connection for ticket in tickets] == [
        scene.connection,
        scene.connection,
        other.connection,
        None,
        None,
    ]
    other.feed(other.peer.accept(1))
    assert other.connection.in_flight == 2
    assert normals(other.outcomes) == [("accepted", 2, "id-1", None)]
    # One connection cannot touch what the other has in flight.
    other.connection.cancel(tickets[0], NOW)
    assert scene.connection.in_flight == 2


def test_active_at_tells_how_long_a_connection_has_been_idle() -> None:
    scene, submissions, _ = shared(0)
    scene.now = NOW + 100.0
    scene.connection.observe(scene.now)
    assert scene.connection.active_at == NOW
    queue(submissions, 7)
    scene.drain()
    assert scene.connection.active_at == NOW + 100.0
    scene.now += 5.0
    scene.feed(scene.peer.accept(3))
    assert scene.connection.active_at == NOW + 105.0


def test_an_expired_queued_ticket_is_the_owners_to_end_or_the_connections() -> None:
    scene, submissions, tickets = shared(1, limit=1)
    scene.connection.expire(tickets[0], NOW + 30.0)
    assert normals(scene.drain()) == [("unprocessed", 0, Cause.DEADLINE)]
    assert submissions.unfinished == 0
