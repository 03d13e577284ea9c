import socket
from collections.abc import Iterator

import pytest

from apns_core.tcp import set_options


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connection,
    ):
        yield connection


@pytest.mark.parametrize(
    ("level", "name", "value"),
    [
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 60),
        (socket.IPPROTO_TCP, "TCP_KEEPALIVE", 60),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
    ],
)
def test_options_are_set_where_the_platform_has_them(
    connection: socket.socket, level: int, name: str, value: int
) -> None:
    option = getattr(socket, name, None)
    if option is None:
        pytest.skip(f"this platform has no {name}")
    assert connection.getsockopt(level, option) != value
    set_options(connection)
    assert connection.getsockopt(level, option) == value


def test_a_lost_connection_is_no_matter(connection: socket.socket) -> None:
    connection.close()
    set_options(connection)


def test_one_option_that_is_refused_keeps_no_other_from_being_set() -> None:
    class Refusing:
        def __init__(self) -> None:
            self.asked: list[int] = []

        def setsockopt(self, level: int, optname: int, value: int, /) -> None:
            del level, value
            self.asked.append(optname)
            raise OSError

    refusing = Refusing()
    set_options(refusing)
    assert socket.TCP_NODELAY in refusing.asked
    assert socket.SO_KEEPALIVE in refusing.asked
