"""What the other tests here take for granted about the real servers, held against h2."""

import socket
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RemoteSettingsChanged, ResponseReceived
from h2.settings import SettingCodes

from tests.peers.servers import RECIPES, RealServer, Recipe, require, running

pytestmark = pytest.mark.peers

REQUEST = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "localhost"),
    (":path", "/3/device/" + "ab" * 32),
]
UNFINISHED, WHOLE = 1, 3


def streams_answered(server: RealServer, awaited: Collection[int]) -> list[tuple[int, bytes]]:
    """Send a request without its end, then a whole one; return the answers that are awaited."""
    h2 = H2Connection(H2Configuration())
    h2.initiate_connection()
    h2.send_headers(UNFINISHED, REQUEST)
    h2.send_headers(WHOLE, REQUEST)
    h2.send_data(WHOLE, b"{}", end_stream=True)
    answered: list[tuple[int, bytes]] = []
    plain = socket.create_connection((server.host, server.port), timeout=5)
    with closing(server.client_context().wrap_socket(plain, server_hostname=server.host)) as tls:
        tls.sendall(h2.data_to_send())
        while not dict(answered).keys() >= set(awaited) and (data := tls.recv(65_536)):
            answered += [
                (event.stream_id, dict(event.headers)[b":status"])
                for event in h2.receive_data(data)
                if isinstance(event, ResponseReceived)
            ]
    return answered


@pytest.mark.timeout(240)  # with the server's start; where nothing is in its cache, Go compiles all
def test_answers_once_the_body_is_read_or_says_that_it_is_early(real_server: RealServer) -> None:
    recipe = RECIPES[real_server.name]
    streams = [UNFINISHED, WHOLE] if recipe.answers_early else [WHOLE]
    answered = streams_answered(real_server, streams)
    assert sorted(answered) == [(n, b"%d" % recipe.status) for n in streams]


def test_haproxy_can_answer_before_the_body_is_read(tmp_path: Path) -> None:
    with running("haproxy", tmp_path, wait_for_body="") as server:
        answered = streams_answered(server, [UNFINISHED, WHOLE])
    assert sorted(answered) == [(UNFINISHED, b"200"), (WHOLE, b"200")]


@pytest.mark.parametrize("name", ["nghttpd", "node"])
@pytest.mark.parametrize("size", [0, 256])
def test_the_table_of_header_fields_is_as_large_as_asked_for(
    name: str, size: int, tmp_path: Path
) -> None:
    h2 = H2Connection(H2Configuration())
    h2.initiate_connection()
    announced: dict[int, int] = {}
    with running(name, tmp_path, header_table_size=size) as server:
        plain = socket.create_connection((server.host, server.port), timeout=5)
        with closing(
            server.client_context().wrap_socket(plain, server_hostname=server.host)
        ) as tls:
            tls.sendall(h2.data_to_send())
            while not announced:
                for event in h2.receive_data(tls.recv(65_536)):
                    if isinstance(event, RemoteSettingsChanged):
                        changes = event.changed_settings.values()
                        announced = {each.setting: each.new_value for each in changes}
    assert announced[SettingCodes.HEADER_TABLE_SIZE] == size


def test_a_server_that_does_not_start_shows_why(tmp_path: Path) -> None:
    with (
        pytest.raises(
            pytest.fail.Exception, match=r"nginx ended with status 1(.|\n)*no-such-format"
        ),
        running("nginx", tmp_path, access_log="paths.log no-such-format"),
    ):
        pytest.fail("it started")


@pytest.mark.parametrize(
    ("promised", "ends_with"),
    [("1", pytest.fail.Exception), ("0", pytest.skip.Exception), (None, pytest.skip.Exception)],
)
def test_a_missing_server_fails_only_where_it_is_promised(
    promised: str | None, ends_with: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Recipe(binary="no-such-server", package="some-package", arguments=())
    monkeypatch.setattr("tests.peers.servers.RECIPES", {"missing": missing})
    monkeypatch.delenv("APNS_REQUIRE_PEERS", raising=False)
    if promised is not None:
        monkeypatch.setenv("APNS_REQUIRE_PEERS", promised)
    with pytest.raises(
        ends_with, match=r"no-such-server is not installed.*apt install some-package"
    ):
        require("missing")


def test_an_option_that_no_recipe_knows_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(pytest.fail.Exception, match=r"h2o has no option colour"),
        running("h2o", tmp_path, colour="blue"),
    ):
        pytest.fail("it started")
