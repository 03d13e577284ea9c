import socket
import threading
from collections.abc import Iterator
from time import monotonic

import pytest

from apns_cli.wire import Address, Wire, connect, resolve
from tests.ports import held_port


@pytest.fixture
def pair() -> Iterator[tuple[Wire, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(10.0)
    wire = Wire(ours)
    with theirs:
        yield wire, theirs
    wire.close()


def soon() -> float:
    return monotonic() + 10


def test_all_addresses_of_a_host() -> None:
    assert [str(address) for address in resolve("127.0.0.1", 443, 10)] == ["127.0.0.1:443"]
    six = Address(socket.AF_INET6, ("2620::1", 443, 0, 0), 443)
    assert str(six) == "[2620::1]:443"


@pytest.mark.parametrize("host", ["host.invalid", "a" * 70, "a..b"])
def test_a_host_that_is_none(host: str) -> None:
    with pytest.raises(socket.gaierror):
        resolve(host, 443, 10)


def test_nobody_waits_for_a_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def never(*_: object, **__: object) -> list[object]:
        answered.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)
    with pytest.raises(TimeoutError, match="resolver"):
        resolve("host", 443, 0.01)
    answered.set()


def test_a_connection_that_is_refused_leaves_nothing_open() -> None:
    with held_port() as port, pytest.raises(ConnectionRefusedError):
        connect(Address(socket.AF_INET, ("127.0.0.1", port), port), 10)


def test_reads_while_it_writes(pair: tuple[Wire, socket.socket]) -> None:
    wire, theirs = pair
    # More than the buffers of the socket hold: it cannot be written in one turn.
    sent = b"x" * 2**22
    wire.write(sent)
    theirs.sendall(b"from the other side")
    assert wire.turn(soon()) == b"from the other side"
    assert wire.unsent
    reader = threading.Thread(
        target=lambda: received.extend(iter(lambda: theirs.recv(65_536), b""))
    )
    received: list[bytes] = []
    reader.start()
    while wire.unsent:
        wire.turn(soon())
    wire.finish(monotonic() + 0.01)
    reader.join()
    assert b"".join(received) == sent


def test_waits_no_longer_than_until_the_deadline(pair: tuple[Wire, socket.socket]) -> None:
    wire, _ = pair
    for deadline in (monotonic() - 1, monotonic() + 0.01):
        with pytest.raises(TimeoutError):
            wire.turn(deadline)


def test_what_came_before_is_read_when_the_peer_reads_no_more(
    pair: tuple[Wire, socket.socket],
) -> None:
    wire, theirs = pair
    theirs.sendall(b"last words")
    theirs.close()
    wire.write(b"too late")
    read = b""
    while not wire.ended:
        read += wire.turn(soon())
    assert read == b"last words"
    assert wire.turn(soon()) == b""
    wire.write(b"later still")
    wire.finish(soon())


def test_the_farewell_has_an_end_where_the_peer_has_none(pair: tuple[Wire, socket.socket]) -> None:
    wire, theirs = pair
    wire.write(b"goodbye")
    wire.finish(monotonic() + 0.01)
    assert theirs.recv(100) == b"goodbye"
    assert theirs.recv(100) == b""
