"""Each harness notices a mistake in what it checks, by the inputs that are kept or begun with."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib import import_module
from typing import NamedTuple, NoReturn

import pytest

from apns_core import __compiled__, proxy
from apns_core.clocks import Clocks
from apns_core.connection import Connection
from apns_core.errors import ConnectFailed, InvalidField
from apns_core.field_blocks import FieldBlocks
from apns_core.http2 import responses
from apns_core.http2.client import Client
from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.hpack_decoder import HpackDecoder
from apns_core.http2.hpack_encoder import HpackEncoder
from apns_core.http2.outbox import Outbox
from apns_core.http2.stream import Stream
from apns_core.outcomes import Accepted, Cause, Outcome, Rejected, Unprocessed
from apns_core.proxy import Proxy, Tunnel
from apns_core.requests.request import Request
from apns_core.tickets import Ticket
from apns_core.trust.der import Element
from apns_core.trust.provider_token import ProviderToken, ProviderTokenSchedule
from fuzz.corpus import kept
from fuzz.harnesses import HARNESSES
from tests.simulation.plants import PLANTS, planted

pytestmark = pytest.mark.skipif(__compiled__, reason="compiled code cannot be replaced in part")


def _nothing(*_: object) -> None:
    """Do not do it."""


def _last_limit_of_the_read(connection: Connection[int], _: int | None) -> None:
    # As it once was: two SETTINGS in one read were told as one.
    connection._accounting.set_peer_limit(connection._http.peer.max_concurrent_streams)
    connection._report_limit(-1)


def _endless_body(stream: Stream, data: bytes, start: int, end: int) -> None:
    stream.buffer = (stream.buffer or bytearray()) + data[start:end]


def _always_unprocessed(ticket: Ticket[int], cause: Cause) -> Unprocessed[int]:
    return Unprocessed(ticket.notification, ticket.tag, cause)


def _octet_by_octet(stream: Stream, data: bytes, start: int, end: int) -> None:
    _TAKE_BODY(stream, data, start, end)
    for _ in range(5):
        sum(stream.buffer or b"")


_TAKE_BODY = responses.take_body
_NO_LIMIT = 10**9


def _no_limit(*_: object) -> int:
    return _NO_LIMIT


_ON_GOAWAY, _ON_SETTINGS, _FINISH = Client._on_goaway, Client._on_settings, Client._finish


def _no_reserved_goaway(
    client: Client, flags: int, stream_id: int, data: bytes, start: int, end: int
) -> None:
    if data[start] < 0x80:
        _ON_GOAWAY(client, flags, stream_id, data, start, end)


def _no_settings_like_8(
    client: Client, flags: int, stream_id: int, data: bytes, start: int, end: int
) -> None:
    if b"\x00\x08" not in data[start:end]:
        _ON_SETTINGS(client, flags, stream_id, data, start, end)


def _not_after_goaway(client: Client, stream: Stream) -> None:
    if not client.going_away:
        _FINISH(client, stream)


def _always_idle(_: Client, name: str, stream_id: int) -> None:
    raise RemoteProtocolError(
        ErrorCode.PROTOCOL_ERROR, f"{name} on an idle stream", "RFC 9113 §5.1", stream_id
    )


def _few(*_: object) -> int:
    return 114


_INSTANTS = Clocks.instants


def _no_clocks(_: Clocks, **__: bool) -> list[float]:
    return []


def _no_end_of_draining(clocks: Clocks, **state: bool) -> list[float]:
    return [instant for instant in _INSTANTS(clocks, **state) if instant != clocks.drain_by]


def _no_end_of_waiting(clocks: Clocks, **state: bool) -> list[float]:
    return [instant for instant in _INSTANTS(clocks, **state) if instant != clocks.settings_by]


def _no_pings(clocks: Clocks, **state: bool) -> list[float]:
    stalled_at = clocks.progress_at + clocks._config.stall_after
    return [instant for instant in _INSTANTS(clocks, **state) if instant == stalled_at]


_ADVANCE, _READ = Tunnel._advance, proxy._read


def _quote_credentials(tunnel: Tunnel, answer: bytes | None) -> None:
    try:
        _ADVANCE(tunnel, answer)
    except ConnectFailed as error:
        secret = b64encode("userserus:p:ss w/rd\xfc".encode()).decode()
        raise ConnectFailed(f"{error} {secret}") from None


def _quote_password(url: str) -> object:
    read = _READ(url)
    return f"{read}: {url.rpartition('@')[0][-3:]}" if isinstance(read, str) else read


def _quote_key(field: str, pem: bytes) -> NoReturn:
    raise InvalidField(field, f"no key: {pem[40:64].decode('latin-1')!a}")


def _forget_custom(_: str, document: Mapping[str, object]) -> bytes:
    return json.dumps({"aps": document.get("aps")}).encode()


def _as_it_is(value: object) -> str:
    return str(value)


_CONCLUDE = Connection[int]._conclude


def _never_rejected(
    connection: Connection[int], ticket: Ticket[int], outcome: Outcome[int]
) -> None:
    if isinstance(outcome, Rejected):
        outcome = Accepted(ticket.notification, ticket.tag, outcome.apns_id)
    _CONCLUDE(connection, ticket, outcome)


def _always_gone(ticket: Ticket[int]) -> Rejected[int]:
    return Rejected(ticket.notification, ticket.tag, 410, None)


def _same_id(_: bytes) -> str:
    return "00000000-0000-4000-8000-000000000001"


def _split_request(blocks: FieldBlocks, request: Request) -> bytes:
    path = b"/3/device/00\r\napns-priority: 1"
    fields = blocks._fields(request)
    return blocks._encoder.encode((n, path if n == b":path" else v) for n, v in fields)


_SEND = Outbox.send


def _send_zeros(outbox: Outbox, stream: Stream, block: bytes, body: bytes) -> None:
    _SEND(outbox, stream, block, bytes(len(body)))


def _first_token(connection: Connection[int], token: ProviderToken) -> None:
    if connection.provider_token is None:
        connection.provider_token = token
        connection._blocks.set_authorization(token.authorization)


def _token_of_before(
    schedule: ProviderTokenSchedule, _: float | None, current: ProviderToken | None, __: float
) -> ProviderToken | None:
    return current or schedule._newest


def _any_size(decoder: HpackDecoder, size: int) -> None:
    decoder._table_size = size


def _no_update(encoder: HpackEncoder, size: int) -> None:
    encoder._table_size = min(size, 4_096)
    encoder._evict(encoder._table_size)
    encoder._start_era()
    encoder.generation += 1


def _at_once(links: object, head: object) -> float:
    del links, head
    return 0.0


def _with_credentials(proxy: Proxy) -> str:
    return f"Proxy('{proxy._credentials}@{proxy.host}')"


def _as_ascii(element: Element) -> str:
    return element.contents.decode("ascii")


class Mistake(NamedTuple):
    harness: str
    what: str
    """Module, and in it the name of what is replaced, perhaps within a class."""
    by: object


MISTAKES = (
    Mistake(
        "server_bytes", "apns_core.connection Connection._on_settings", _last_limit_of_the_read
    ),
    Mistake("server_bytes", "apns_core.http2.client Client._remember_reset", _nothing),
    Mistake("server_bytes", "apns_core.http2.client take_body", _endless_body),
    Mistake("server_bytes", "apns_core.http2.response_shapes _Shape._read", _nothing),
    Mistake("server_bytes", "apns_core.http2.client take_body", _octet_by_octet),
    Mistake("server_bytes", "apns_core.http2.client window_updates_allowed", _no_limit),
    *[
        Mistake("server_bytes", f"apns_core.{limit}", _NO_LIMIT)
        for limit in (
            "http2.outbox MAX_UNSENT_REPLIES",
            "http2.client MAX_EMPTY_DATA",
            "http2.responses MAX_INFORMATIONAL",
            "http2.frame_reader MAX_CONTINUATIONS",
            "http2.frame_reader MAX_BLOCK_SIZE",
            "http2.frame_reader MAX_RECENT_FRAMES",
            "http2.limits _GLITCH_BURST",
            "requests.notification Notification.answer_limit",
        )
    ],
    Mistake("differential", "apns_core.http2.client take_body", _nothing),
    *[
        Mistake("differential", f"apns_core.http2.{name}", by)
        for name, by in (
            ("client _HIGHEST_STREAM_ID", 2**32 - 1),
            ("client Client._on_goaway", _no_reserved_goaway),
            ("client Client._on_settings", _no_settings_like_8),
            ("client Client._finish", _not_after_goaway),
            ("client Client._refuse_idle", _always_idle),
            ("client MAX_EMPTY_DATA", 9),
            ("client window_updates_allowed", _few),
            ("responses MAX_INFORMATIONAL", 7),
            ("frame_reader MAX_CONTINUATIONS", 7),
            ("stream Stream.max_body", 1_000),
        )
    ],
    Mistake("hpack_decoding", "apns_core.http2.hpack_decoder HpackDecoder._resize", _any_size),
    Mistake(
        "hpack_encoding", "apns_core.http2.hpack_encoder HpackEncoder.set_peer_limit", _no_update
    ),
    Mistake("connection_life", "apns_core.connection unanswered", _always_unprocessed),
    *[
        Mistake(life, f"apns_core.{name}", by)
        for life in ("connection_life", "sender_life")
        for name, by in (
            ("connection Connection._conclude", _never_rejected),
            ("connection accepted", _always_gone),
            ("answers _text", _same_id),
        )
    ],
    *[
        Mistake(life, f"apns_core.{name}", by)
        for life in ("connection_life", "sender_life")
        for name, by in (
            ("field_blocks FieldBlocks.encode", _split_request),
            ("http2.outbox Outbox.send", _send_zeros),
            ("clocks Clocks.instants", _no_clocks),
            ("clocks Clocks.instants", _no_end_of_draining),
            ("clocks Clocks.instants", _no_end_of_waiting),
            ("clocks Clocks.instants", _no_pings),
            ("connection Connection.set_provider_token", _first_token),
        )
    ],
    Mistake(
        "sender_life",
        "apns_core.trust.provider_token ProviderTokenSchedule.token_for",
        _token_of_before,
    ),
    Mistake("sender_life", "apns_core.sender Sender.replace_token_key", _nothing),
    Mistake("sender_life", "apns_core.links Links.connect_due", _at_once),
    Mistake("answers", "apns_core.goaway _printable", str),
    Mistake("payloads", "apns_core.requests.values _ENCODE", json.JSONEncoder().encode),
    Mistake("payloads", "apns_core.requests.payload encode_json", _forget_custom),
    Mistake("payloads", "apns_core.requests.channels bundle_id_text", _as_it_is),
    Mistake("proxies", "apns_core.proxy Proxy.__repr__", _with_credentials),
    Mistake("proxies", "apns_core.proxy Tunnel._advance", _quote_credentials),
    Mistake("proxies", "apns_core.proxy _read", _quote_password),
    Mistake("certificates", "apns_core.trust.signing _load", _quote_key),
    Mistake(
        "certificates",
        "apns_core.trust.certificate _string",
        _as_ascii,
    ),
    Mistake("command_line", "apns_cli.parameters _LONGEST", timedelta.max),
)


IDS = [f"{mistake.harness}: {mistake.what.split(' ')[1]}" for mistake in MISTAKES]


def test_every_harness_has_a_mistake_to_notice() -> None:
    assert {mistake.harness for mistake in MISTAKES} == set(HARNESSES)


@pytest.mark.parametrize("mistake", MISTAKES, ids=IDS)
def test_a_mistake_is_noticed(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = import_module(f"fuzz.harnesses.{mistake.harness}")
    module, name = mistake.what.split(" ")
    inputs = [*harness.seeds(), *kept(mistake.harness)]
    monkeypatch.setattr(f"{module}.{name}", mistake.by)
    assert any(_fails(harness.check, data) for data in inputs)


RETRIES = {"unknown is sent again", "delayed retries are forgotten"}
"""What no connection does by itself."""

LIVES = [
    *(("sender_life", plant) for plant in PLANTS),
    *(("connection_life", plant) for plant in PLANTS if plant not in RETRIES),
]


@pytest.mark.parametrize(("harness", "plant"), LIVES)
def test_a_life_notices_what_the_simulation_does(harness: str, plant: str) -> None:
    module = import_module(f"fuzz.harnesses.{harness}")
    with planted(plant):
        assert any(_fails(module.check, data) for data in [*module.seeds(), *kept(harness)])


def _fails(check: Callable[[bytes], None], data: bytes) -> bool:
    try:
        check(data)
    except Exception:  # noqa: BLE001 - a check, or the mistake itself
        return True
    return False
