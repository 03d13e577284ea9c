import json
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from apns_cli.command import apns
from apns_cli.probe import parse_url
from apns_core.errors import InvalidField
from apns_core.http2.errors import ErrorCode
from apns_simulator import SimulatorThread
from tests.apns_cli.conftest import PATIENCE
from tests.apns_cli.facts import read_facts
from tests.apns_cli.raw_server import CA, Connection, RawServer, Script, say, server_context
from tests.apns_core.http2 import wire
from tests.peers.servers import running
from tests.ports import held_port


def probe(*arguments: str) -> Result:
    return CliRunner().invoke(apns, ["probe", *arguments])


def timed_out(expected: str, *arguments: str) -> Result:
    """Probe with a timeout; with a longer one where that was over before it came to be expected."""
    *tries, last = PATIENCE
    for seconds in tries:
        result = probe("--timeout", seconds, *arguments)
        late = "timed out" in result.stderr or "no answer in time" in result.stderr
        if not late or expected in result.stdout + result.stderr:
            return result
    return probe("--timeout", last, *arguments)


def seen(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
    """Probe, and return the members of its JSON."""
    result = probe("--json", "--linger", "0", *arguments)
    assert result.exit_code == exit_code, result.output
    assert (result.stderr == "") == (exit_code == 0)
    members: dict[str, Any] = json.loads(result.stdout)
    return members


@pytest.fixture
def ca(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(path)
    return str(path)


# ── responses ──


@pytest.mark.parametrize("tls", [False, True])
def test_a_response(ca: str, *, tls: bool) -> None:
    answer = wire.headers(1, wire.response_block(200, (b"apns-id", b"an-id")), ends=True)
    with RawServer(say(answer), server_context() if tls else None) as server:
        members = seen("--ca", ca, server.url)
    assert members["outcome"] == "response"
    assert members["response"] == {
        "status": 200,
        "reason": None,
        "timestamp": None,
        "apns_id": "an-id",
        "fields": [[":status", "200"], ["apns-id", "an-id"]],
        "body": "",
        "body_size": 0,
        "body_complete": True,
    }
    assert members["alpn"] == ("h2" if tls else None)
    assert members["settings"] == [[]]
    assert members["protocol_error"] is None
    assert server.accepted == 1
    assert server.goaway_codes == [ErrorCode.NO_ERROR]
    assert server.ended_by_client


def test_a_rejection_is_a_response_too() -> None:
    body = b'{"reason":"Unregistered","timestamp":1500000000000}'
    with RawServer(say(wire.response(1, 410, body))) as server:
        members = seen(server.url)
    response = members["response"]
    assert (response["status"], response["reason"]) == (410, "Unregistered")
    assert (response["timestamp"], response["body"]) == (1_500_000_000_000, body.decode())


def test_the_table_has_no_control_characters() -> None:
    block = wire.response_block(200, (b"server", b"\x1b[2J"))
    answer = wire.headers(1, block) + wire.data(1, b"\x1b]0;title\x07", ends=True)
    with RawServer(say(answer)) as server:
        result = probe(server.url)
    facts = read_facts(result.stdout)
    assert (facts["Status"], facts["GOAWAY sent"]) == ("200", "NO_ERROR")
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout


def test_all_settings_in_their_order() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        connection.sendall(wire.settings((3, 100), (0xFACE, 1)) + wire.settings((3, 1)))
        server.read_until(connection, wire.HEADERS)
        connection.sendall(wire.SETTINGS_ACK + wire.response(1))

    with RawServer(script) as server:
        members = seen(server.url)
    assert members["settings"] == [
        [
            {"id": 3, "name": "MAX_CONCURRENT_STREAMS", "value": 100},
            {"id": 0xFACE, "name": None, "value": 1},
        ],
        [{"id": 3, "name": "MAX_CONCURRENT_STREAMS", "value": 1}],
    ]
    assert members["settings_count"] == 2
    assert members["settings_acknowledged"]


def test_octets_that_come_one_by_one() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        for octet in wire.settings((3, 1)):
            connection.sendall(bytes((octet,)))
        server.read_until(connection, wire.HEADERS)
        for octet in wire.response(1, 400, b'{"reason":"BadTopic"}'):
            connection.sendall(bytes((octet,)))

    with RawServer(script) as server:
        assert seen(server.url)["response"]["reason"] == "BadTopic"


def test_a_body_goes_out_in_the_coins_that_the_peer_gives(tmp_path: Path) -> None:
    body = bytes(range(256)) * 4
    (tmp_path / "body").write_bytes(body)

    def script(server: RawServer, connection: Connection) -> None:
        connection.sendall(wire.settings((4, 100)))
        server.read_until(connection, wire.DATA)
        connection.sendall(wire.window_update(1, 500))
        connection.sendall(wire.window_update(1, 10_000))
        while sum(len(f.payload) for f in server._whole_frames() if f.kind == wire.DATA) < 1_024:
            server.received += connection.recv(65_536)
        connection.sendall(wire.response(1))

    with RawServer(script) as server:
        members = seen("--body", str(tmp_path / "body"), "--header", "X-Test=1", server.url)
    assert members["outcome"] == "response"
    data = [f.payload for f in server.frames if f.kind == wire.DATA]
    assert b"".join(data) == body
    assert len(data[0]) == 100
    [request] = [f.payload for f in server.frames if f.kind == wire.HEADERS]
    assert b"x-test\x011" in request
    assert b"1024" in request  # content-length, whose name is in the static table


def test_a_response_whose_body_is_cut_short() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        say(wire.headers(1, wire.response_block(200)), wire.data(1, b"half"))(server, connection)
        connection.shutdown(socket.SHUT_WR)

    with RawServer(script) as server:
        members = seen(server.url)
    assert (members["response"]["body"], members["response"]["body_complete"]) == ("half", False)
    assert members["closed_by_peer"]


def test_of_an_endless_body_the_beginning_is_kept() -> None:
    answer = wire.headers(1, wire.response_block(200)) + wire.data(1, b"x" * 16_384) * 3
    with RawServer(say(answer)) as server:
        members = seen(server.url)
    assert (members["response"]["body_size"], len(members["response"]["body"])) == (16_384, 2_000)
    assert not members["response"]["body_complete"]


def test_to_the_simulator(tmp_path: Path) -> None:
    with SimulatorThread() as simulator:
        (tmp_path / "ca.pem").write_text(simulator.ca_pem)
        url = f"{simulator.host}:{simulator.port}/3/device/00"
        members = seen("--ca", str(tmp_path / "ca.pem"), "--method", "POST", url)
        assert members["response"]["reason"] == "MissingProviderToken"
        assert simulator.ledger().violations == []


@pytest.mark.peers
@pytest.mark.parametrize("name", ["nginx", "nghttpd"])
def test_to_a_real_server(name: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / "body").write_bytes(b"{}")
    with running(name, tmp_path) as server:
        (tmp_path / "ca.pem").write_text(server.ca_pem)
        url = f"https://{server.host}:{server.port}/3/device/00"
        options = ("--ca", str(tmp_path / "ca.pem"), "--body", str(tmp_path / "body"))
        members = seen(*options, url)
    assert members["response"]["status"] == 200


# ── after the response ──


def test_pings_are_answered_while_it_lingers() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        say(wire.response(1))(server, connection)
        connection.sendall(wire.ping(b"12345678") + wire.settings((3, 7)))
        server.read_until(connection, wire.PING)
        connection.shutdown(socket.SHUT_WR)

    with RawServer(script) as server:
        members = seen("--linger", "20", server.url)
    assert [(f.flags, f.payload) for f in server.frames if f.kind == wire.PING] == [
        (wire.ACK, b"12345678")
    ]
    assert members["pings_answered"] == 1
    assert members["settings_count"] == 2
    assert members["closed_by_peer"]


def test_a_rule_broken_after_the_response() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        say(wire.response(1))(server, connection)
        connection.sendall(wire.ping(b"12345678"))
        server.read_until(connection, wire.PING)
        connection.sendall(wire.frame(wire.PING, 0, 0, b"short"))

    with RawServer(script) as server:
        members = seen("--linger", "20", server.url, exit_code=1)
    assert members["outcome"] == "protocol_error"
    assert members["response"]["status"] == 200
    assert members["protocol_error"]["error_name"] == "FRAME_SIZE_ERROR"
    assert server.goaway_codes == [ErrorCode.FRAME_SIZE_ERROR]


def test_a_flood_after_the_response_is_held_up() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        say(wire.response(1))(server, connection)
        for _ in range(200):
            connection.sendall(wire.ping() * 1_000)

    with RawServer(script) as server:
        members = seen("--linger", "20", server.url, exit_code=1)
    assert members["protocol_error"]["error_name"] == "ENHANCE_YOUR_CALM"
    assert server.goaway_codes == [ErrorCode.ENHANCE_YOUR_CALM]


def test_a_goaway_and_the_end() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        say(wire.response(1), wire.goaway(1, 0, b'{"reason":"Shutdown"}'), wire.goaway(1, 11))(
            server, connection
        )
        connection.shutdown(socket.SHUT_WR)

    with RawServer(script) as server:
        members = seen("--linger", "20", server.url)
    assert members["goaways"] == [
        {
            "last_stream_id": 1,
            "error_code": 0,
            "error_name": "NO_ERROR",
            "reason": "Shutdown",
            "text": "Shutdown",
        },
        {
            "last_stream_id": 1,
            "error_code": 11,
            "error_name": "ENHANCE_YOUR_CALM",
            "reason": None,
            "text": None,
        },
    ]


# ── no response ──


def before_settings(octets: bytes) -> Script:
    def script(_: RawServer, connection: Connection) -> None:
        connection.sendall(octets)

    return script


SETTINGS_OF_5_OCTETS = wire.frame(wire.SETTINGS, 0, 0, b"12345")

MALFORMED = {
    "http/1": (before_settings(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "PROTOCOL_ERROR", "§3.4"),
    "no settings first": (before_settings(wire.ping()), "PROTOCOL_ERROR", "§3.4"),
    "settings of 5 octets": (before_settings(SETTINGS_OF_5_OCTETS), "FRAME_SIZE_ERROR", "§6.5"),
    "push enabled": (before_settings(wire.settings((2, 1))), "PROTOCOL_ERROR", "§6.5.2"),
    "window too large": (
        before_settings(wire.settings((4, 2**31))),
        "FLOW_CONTROL_ERROR",
        "§6.5.2",
    ),
    "frame too long": (say(b"\x00\x40\x01\x00\x00\x00\x00\x00\x01"), "FRAME_SIZE_ERROR", "§4.2"),
    "settings on a stream": (
        say(wire.frame(wire.SETTINGS, 0, 1)),
        "PROTOCOL_ERROR",
        "§6.5",
    ),
    "ping of 7 octets": (say(wire.frame(wire.PING, 0, 0, b"7 bytes")), "FRAME_SIZE_ERROR", "§6.7"),
    "data on an idle stream": (say(wire.data(3, b"x")), "PROTOCOL_ERROR", "§5.1"),
    "headers on stream 2": (say(wire.headers(2, b"\x88")), "PROTOCOL_ERROR", "§5.1"),
    "reset of an idle stream": (say(wire.rst_stream(5, 8)), "PROTOCOL_ERROR", "§5.1"),
    "continuation alone": (say(wire.continuation(1, b"\x88")), "PROTOCOL_ERROR", "§6.10"),
    "a block interrupted": (
        say(wire.headers(1, b"\x88", complete=False), wire.ping()),
        "PROTOCOL_ERROR",
        "§4.3",
    ),
    "hpack index 0": (say(wire.headers(1, b"\x80")), "COMPRESSION_ERROR", "RFC 7541"),
    "window update by 0": (say(wire.window_update(0, 0)), "PROTOCOL_ERROR", "§6.9"),
    "window overflow": (say(wire.window_update(0, 2**31 - 1)), "FLOW_CONTROL_ERROR", "§6.9.1"),
    "too much padding": (
        say(wire.headers(1, b"\x88"), wire.frame(0, wire.PADDED, 1, b"\x09x")),
        "PROTOCOL_ERROR",
        "§6.1",
    ),
    "push promise": (
        say(wire.frame(wire.PUSH_PROMISE, wire.END_HEADERS, 1, b"\0\0\0\2\x88")),
        "PROTOCOL_ERROR",
        "§6.6",
    ),
    "short goaway": (say(wire.frame(wire.GOAWAY, 0, 0, b"1234")), "FRAME_SIZE_ERROR", "§6.8"),
}


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("fault", MALFORMED)
def test_the_peer_is_told_which_rule_of_the_connection_it_broke(
    fault: str, ca: str, *, tls: bool
) -> None:
    script, code, section = MALFORMED[fault]
    with RawServer(script, server_context() if tls else None) as server:
        members = seen("--ca", ca, server.url, exit_code=1)
    assert members["outcome"] == "protocol_error"
    error = members["protocol_error"]
    assert (error["scope"], error["error_name"]) == ("connection", code)
    assert section in error["section"]
    assert error["frames"]
    assert members["goaway_sent"] == {"error_code": ErrorCode[code], "error_name": code}
    assert server.goaway_codes == [ErrorCode[code]]
    assert server.ended_by_client


@pytest.mark.parametrize("tls", [False, True])
def test_the_reason_reaches_a_peer_that_is_still_writing(ca: str, *, tls: bool) -> None:
    # To close with all this unread would make TCP send RST, ahead of the GOAWAY.
    script = say(wire.frame(wire.PING, 0, 0, b"short"), bytes(2**22))
    with RawServer(script, server_context() if tls else None) as server:
        seen("--ca", ca, server.url, exit_code=1)
    assert server.goaway_codes == [ErrorCode.FRAME_SIZE_ERROR]
    assert server.ended_by_client


STREAM_FAULTS = {
    "data before headers": (say(wire.data(1, b"x", ends=True)), "PROTOCOL_ERROR"),
    "no status": (say(wire.headers(1, wire.block((b"a", b"b")), ends=True)), "PROTOCOL_ERROR"),
    "status 101": (say(wire.headers(1, wire.response_block(101))), "PROTOCOL_ERROR"),
    "upper case": (
        say(wire.headers(1, wire.response_block(200, (b"A", b"b")), ends=True)),
        "PROTOCOL_ERROR",
    ),
    "a stream's window overflows": (say(wire.window_update(1, 2**31 - 1)), "FLOW_CONTROL_ERROR"),
}


@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_the_peer_is_told_which_rule_of_the_stream_it_broke(fault: str) -> None:
    script, code = STREAM_FAULTS[fault]
    with RawServer(script) as server:
        members = seen(server.url, exit_code=1)
    assert members["outcome"] == "protocol_error"
    error = members["protocol_error"]
    assert (error["scope"], error["stream_id"], error["error_name"]) == ("stream", 1, code)
    assert wire.resets(server.frames) == [(1, ErrorCode[code])]
    assert server.goaway_codes == [ErrorCode.NO_ERROR]


def test_a_body_of_another_length_than_was_announced() -> None:
    block = wire.response_block(200, (b"content-length", b"5"))
    with RawServer(say(wire.headers(1, block), wire.data(1, b"x", ends=True))) as server:
        members = seen(server.url, exit_code=1)
    assert members["protocol_error"]["section"] == "RFC 9113 §8.1.1"
    assert members["response"]["status"] == 200


def test_a_reset_in_place_of_a_response() -> None:
    with RawServer(say(wire.rst_stream(1, 7))) as server:
        members = seen(server.url, exit_code=1)
    assert members["outcome"] == "reset"
    assert members["reset"] == {"error_code": 7, "error_name": "REFUSED_STREAM"}


def test_a_goaway_in_place_of_a_response() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        del server
        connection.sendall(wire.settings() + wire.goaway(0, 0x1234, b"no"))

    with RawServer(script) as server:
        members = seen(server.url, exit_code=1)
    assert members["outcome"] == "goaway"
    assert (members["goaways"][0]["error_name"], members["goaways"][0]["text"]) == (None, "no")
    assert all(f.kind != wire.HEADERS for f in server.frames)


def test_a_goaway_that_leaves_the_request_out() -> None:
    with RawServer(say(wire.goaway(0))) as server:
        assert seen(server.url, exit_code=1)["outcome"] == "goaway"


@pytest.mark.parametrize("tls", [False, True])
def test_the_end_of_file_before_settings(ca: str, *, tls: bool) -> None:
    def script(_: RawServer, connection: Connection) -> None:
        connection.shutdown(socket.SHUT_WR)  # of TLS too: without a close_notify

    with RawServer(script, server_context() if tls else None) as server:
        result = probe("--ca", ca, server.url)
    assert result.exit_code == 1
    assert "closed while waiting for SETTINGS" in result.stderr


def test_a_close_notify_in_place_of_a_response(ca: str) -> None:
    def script(server: RawServer, connection: Connection) -> None:
        say(wire.ping())(server, connection)
        # To close with octets unread would reset the connection, before or after close_notify.
        server.read_until(connection, wire.PING)
        assert isinstance(connection, ssl.SSLSocket)
        connection.unwrap()

    with RawServer(script, server_context()) as server:
        members = seen("--ca", ca, "--timeout", "20", server.url, exit_code=1)
    assert (members["outcome"], members["problem"]) == ("closed", None)
    assert members["pings_answered"] == 1


def test_the_end_of_file_in_the_middle_of_a_frame() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        say(wire.response(1)[:-1])(server, connection)
        connection.shutdown(socket.SHUT_WR)

    with RawServer(script) as server:
        assert seen(server.url, exit_code=1)["outcome"] == "closed"


def test_a_connection_that_is_reset() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        say()(server, connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    with RawServer(script) as server:
        members = seen(server.url, exit_code=1)
    assert (members["outcome"], members["problem"]) == ("closed", "the server reset the connection")


@pytest.mark.parametrize(
    ("octets", "waited_for"),
    [
        (b"", "SETTINGS"),
        (wire.settings((3, 0)), "a stream limit above 0"),
        (wire.settings((4, 0)), "a flow-control window"),
        (wire.settings(), "a response"),
    ],
)
def test_says_what_it_waited_for(octets: bytes, waited_for: str, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"{}")
    with RawServer(before_settings(octets)) as server:
        options = ("--json", "--linger", "0", "--body", str(tmp_path / "body"))
        result = timed_out(f"waiting for {waited_for}", *options, server.url)
    assert result.exit_code == 1
    assert result.stderr
    members = json.loads(result.stdout)
    assert (members["outcome"], members["waited_for"]) == ("timeout", waited_for)
    assert server.goaway_codes == [ErrorCode.NO_ERROR]
    sent = any(f.kind == wire.HEADERS for f in server.frames)
    assert wire.resets(server.frames) == ([(1, ErrorCode.CANCEL)] if sent else [])


def test_a_peer_that_reads_nothing_holds_up_nothing() -> None:
    def script(server: RawServer, connection: Connection) -> None:
        say()(server, connection)
        # Provokes more than the buffers of both sides hold, until it can write no more itself.
        while True:
            connection.sendall(wire.ping() * 1_000)

    with RawServer(script) as server:
        members = seen("--timeout", "20", server.url, exit_code=1)
    assert members["protocol_error"]["error_name"] == "ENHANCE_YOUR_CALM"


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (wire.settings() + wire.goaway(0), "has not acted on the request"),
        (wire.settings() + wire.rst_stream(1, 0), "broke a rule"),
        (wire.settings(), "timed out while waiting for a response"),
    ],
)
def test_complains_in_one_line(octets: bytes, complaint: str) -> None:
    with RawServer(before_settings(octets)) as server:
        result = timed_out(complaint, server.url)
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_table_tells_of_goaway_and_of_what_was_cut_short() -> None:
    answer = wire.headers(1, wire.response_block(200)) + wire.data(1, b"half")
    goaway = wire.goaway(1, 0x77, b"going")
    with RawServer(
        say(answer, wire.settings((0xFACE, 5)), goaway, wire.rst_stream(1, 8))
    ) as server:
        result = probe(server.url)
    facts = read_facts(result.stdout)
    assert (facts["cut short"], facts["Body"]) == ("yes", "half")
    assert (facts["GOAWAY"], facts["last stream"], facts["says"]) == ("0x77", "1", "going")
    assert facts["0xface"] == "5"


def test_the_table_of_a_reset() -> None:
    with RawServer(say(wire.rst_stream(1, 0x99))) as server:
        result = probe(server.url)
    assert "reset the stream instead of a response: 0x99" in result.stderr


# ── no connection ──


def test_nobody_listens() -> None:
    with held_port() as port:
        result = probe("--json", f"http://127.0.0.1:{port}/secret-path")
    members = json.loads(result.stdout)
    assert result.exit_code == 2
    assert (members["outcome"], members["stage"]) == ("connect_failed", "connect")
    assert "refused" in result.stderr
    assert "secret-path" not in result.output


def test_an_address_that_does_not_resolve() -> None:
    members = seen("https://host.invalid", exit_code=2)
    assert members["stage"] == "resolve"


def test_a_certificate_of_nobody_we_trust() -> None:
    with SimulatorThread() as simulator:
        url = f"https://{simulator.host}:{simulator.port}"
        members = seen(url, exit_code=2)
    assert members["stage"] == "tls"
    assert "not trusted" in members["problem"]


def test_a_certificate_for_another_host(ca: str) -> None:
    with RawServer(say(), server_context("example.com")) as server:
        assert seen("--ca", ca, server.url, exit_code=2)["stage"] == "tls"


def test_a_server_without_alpn(ca: str) -> None:
    with RawServer(say(wire.response(1)), server_context(alpn=())) as server:
        members = seen("--ca", ca, server.url, exit_code=2)
    assert (members["stage"], members["tls_version"]) == ("alpn", "TLSv1.3")
    assert "ALPN" in members["problem"]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 no\r\n\r\n", b""])
def test_a_server_without_tls(answer: bytes, ca: str) -> None:
    def script(_: RawServer, connection: Connection) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    with RawServer(script) as server:
        url = server.url.replace("http:", "https:")
        assert seen("--ca", ca, url, exit_code=2)["stage"] == "tls"


def test_a_handshake_that_does_not_end(ca: str) -> None:
    with RawServer(before_settings(b"")) as server:
        url = server.url.replace("http:", "https:")
        result = timed_out('"stage": "tls"', "--json", "--ca", ca, url)
    assert result.exit_code == 2
    assert result.stderr
    members = json.loads(result.stdout)
    assert (members["stage"], members["problem"]) == ("tls", "no answer in time")


def test_tls_that_breaks_after_the_handshake(ca: str) -> None:
    def script(server: RawServer, connection: Connection) -> None:
        say()(server, connection)
        assert isinstance(connection, ssl.SSLSocket)
        with socket.socket(fileno=connection.detach()) as plain:
            plain.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            plain.settimeout(10.0)
            while plain.recv(65_536):
                pass

    with RawServer(script, server_context()) as server:
        members = seen("--ca", ca, server.url, exit_code=1)
    assert members["outcome"] == "closed"
    assert "TLS failed" in members["problem"]


# ── usage ──


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ftp://host"], "url: "),
        (["https://"], "url: "),
        (["https://me:secret@host"], "url: "),
        (["https://host:99999"], "url: "),
        (["https://host:0"], "port: "),
        (["https://ho st"], "url: "),
        (["https://host/a b"], "url: "),
        (["https://host/\N{SNOWMAN}"], "url: "),
        (["https://[::1"], "url: "),
        (["--ca", "/no/such/file", "https://host"], "cafile: "),
        (["--header", "authorization=bearer secret", "host"], "command line"),
        (["--header", ":path=/", "host"], "NAME=VALUE"),
        (["--header", "a", "host"], "NAME=VALUE"),
        (["--header", "a=\r\n", "host"], "NAME=VALUE"),
        (["--header", "connection=close", "host"], "cannot be set"),
        (["--timeout", "0", "host"], "--timeout"),
        (["--method", "DELETE", "host"], "--method"),
    ],
)
def test_mistakes_are_named(arguments: list[str], complaint: str) -> None:
    result = probe(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert "secret" not in result.stderr
    assert result.stdout == ""


def test_a_body_that_is_too_large(tmp_path: Path) -> None:
    with (tmp_path / "body").open("wb") as file:
        file.truncate(2**24 + 1)
    result = probe("--body", str(tmp_path / "body"), "http://127.0.0.1:1")
    assert (result.exit_code, "16,777,216" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("url", "scheme", "authority", "path"),
    [
        ("https://host", "https", "host", "/"),
        ("host/a?b=c#d", "https", "host", "/a?b=c"),
        ("https://host:443/a", "https", "host", "/a"),
        ("http://host:443/a", "http", "host:443", "/a"),
        ("http://host/", "http", "host", "/"),
        ("127.0.0.1:2197/", "https", "127.0.0.1:2197", "/"),
        ("https://[::1]:2197/", "https", "[::1]:2197", "/"),
        ("https://[::1]", "https", "[::1]", "/"),
    ],
)
def test_what_a_url_says(url: str, scheme: str, authority: str, path: str) -> None:
    target = parse_url(url)
    assert (target.scheme, target.authority, target.path) == (scheme, authority, path)
    assert path == "/" or path not in repr(target)


def test_a_url_that_is_none_is_not_quoted() -> None:
    with pytest.raises(InvalidField, match="is no URL") as caught:
        parse_url("https://[secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("stray", ["\n", "\r", "\t", " ", "\x00", "\x7f", "\x85", "\u2028"])
@pytest.mark.parametrize("url", ["https://ho{}st", "https://host/a{}b", "{}host", "host{}"])
def test_stray_characters_of_a_url_are_not_left_out(url: str, stray: str) -> None:
    with pytest.raises(InvalidField, match="url: is no URL"):
        parse_url(url.format(stray))


def test_an_https_url_may_be_probed_in_cleartext() -> None:
    with RawServer(say(wire.response(1))) as server:
        members = seen("--cleartext", server.url.replace("http:", "https:"))
    assert (members["outcome"], members["tls_version"]) == ("response", None)
    [request] = [f.payload for f in server.frames if f.kind == wire.HEADERS]
    assert b"\x87" in request  # :scheme https, of the static table
