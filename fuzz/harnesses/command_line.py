"""What people type and the files that they give: options, lines of ``send-file``, configurations.

An input is an octet that chooses a reader, and the text. Each reader either refuses in the way that
its command turns into one line, or gives something of the type that it promises.
"""

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO, StringIO
from typing import Any, Final

import click

from apns_cli.access import parse_server
from apns_cli.input_file import MAX_LINE, _Splitter
from apns_cli.input_lines import FORMATS, MEMBERS, UnfitInput
from apns_cli.input_notifications import Defaults, NotificationMaker
from apns_cli.parameters import instant, json_document, json_object, moment, own_keys
from apns_cli.probe import parse_url
from apns_cli.provider_token import _inspect
from apns_cli.results_file import _record, reason_of
from apns_core.errors import InvalidField
from apns_core.requests import payload
from apns_core.requests.notification import Notification
from apns_core.requests.route import Route
from apns_simulator.config import SimulatorConfig
from apns_simulator.temper import Temper

__all__ = ["MAX_LENGTH", "check", "seeds"]

MAX_LENGTH: Final = 2_048

_CANARY: Final = "cafe01cafe02"
"""A device token that no error may show."""
_CONTEXT: Final = click.Context(click.Command("fuzz"))
_PARAMETER: Final = click.Option(["--option"])
_PAYLOAD: Final = b'{"aps":{"alert":"hi"}}'


# ── files of notifications ──


@dataclass(frozen=True)
class _Lines:
    """The lines of one format, with some defaults."""

    format: str
    defaults: Defaults

    def __call__(self, octets: bytes) -> None:
        lines = list(_split([octets]))
        middle = len(octets) // 2
        again = list(_split([octets[:middle], octets[middle:]]))
        assert [(n, line[: MAX_LINE + 1]) for n, line in again] == lines
        reader = FORMATS[self.format]()
        maker = NotificationMaker(self.defaults)
        for number, (counted, line) in enumerate(lines, 1):
            assert counted == number
            try:
                members = reader.read(line)
                if members is None:
                    continue
                assert set(members) <= set(MEMBERS)
                made = maker.make(members)
            except InvalidField as error:
                _check_error(error)
            except UnfitInput as error:
                _check_error(error)
                return
            else:
                _check_notification(made)


def _split(chunks: list[bytes]) -> Iterator[tuple[int, bytes]]:
    splitter = _Splitter()
    for chunk in chunks:
        yield from splitter.split(chunk)
    yield from splitter.end()


def _check_error(error: Exception) -> None:
    assert str(error).isprintable()
    assert _CANARY not in str(error)


def _check_notification(made: Notification) -> None:
    assert made.device_token.isascii()
    assert made.path == b"/3/device/" + made.device_token.encode()
    assert 0 < len(made.payload) <= made.route.payload_limit
    _check_json(made.payload)
    assert made.device_token not in repr(made) or len(made.device_token) < _TOO_SHORT_TO_TELL


_TOO_SHORT_TO_TELL: Final = 10


def _check_json(octets: bytes) -> None:
    assert isinstance(json.loads(octets.decode(), parse_constant=_no_json), dict)


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


# ── options ──


def _moment(octets: bytes) -> None:
    when = moment(_CONTEXT, _PARAMETER, _argument(octets))
    assert isinstance(when, int | datetime | timedelta)
    at = instant(when)
    assert isinstance(at, int | datetime)
    assert not isinstance(at, datetime) or at.utcoffset() is not None
    # What becomes of it: the field of a payload, or of a notification.
    payload.end_live_activity(timestamp=at)
    Notification(_ROUTE, _CANARY, _PAYLOAD, expiration=when)


def _json_object(octets: bytes) -> None:
    # Not a file's name: what is on this machine is not the input's business.
    document = json_object(_CONTEXT, _PARAMETER, "{" + _argument(octets))
    assert isinstance(document, dict)
    payload.update_live_activity(timestamp=1_800_000_000, content_state=document)


def _json_document(octets: bytes) -> None:
    assert json_document(_CONTEXT, _PARAMETER, BytesIO(octets)) == octets
    _check_json(octets)


def _own_keys(octets: bytes) -> None:
    members = own_keys(_CONTEXT, _PARAMETER, tuple(_argument(octets).split("\n")))
    payload.background(members)


def _argument(octets: bytes) -> str:
    """Return octets as Python has those of a command line, which has no NUL."""
    return octets.replace(b"\x00", b"").decode("utf-8", "surrogateescape")


# ── servers, tokens, earlier results ──


def _server(octets: bytes) -> None:
    endpoint = parse_server(_argument(octets))
    assert _AUTHORITY(endpoint.authority)


def _url(octets: bytes) -> None:
    target = parse_url(_argument(octets))
    assert target.scheme in {"http", "https"}
    assert _AUTHORITY(target.endpoint.authority)
    assert _PATH(target.path)


_AUTHORITY: Final = re.compile(rb"[!-~]+").fullmatch
_PATH: Final = re.compile(r"/[!-~]*").fullmatch


def _token(octets: bytes) -> None:
    """Look into a JWT whose header and claims are these two lines."""
    parts = [urlsafe_b64encode(part).rstrip(b"=") for part in octets.split(b"\n", 1)]
    token = b".".join((*parts, _SIGNATURE))
    said, complaints = StringIO(), StringIO()
    with redirect_stdout(said), redirect_stderr(complaints):
        acceptable = _inspect(token, as_json=True)
    assert acceptable == (not complaints.getvalue())
    if said.getvalue():
        document = json.loads(said.getvalue(), parse_constant=_no_json)
        assert document["acceptable"] == acceptable
    assert _SIGNATURE.decode() not in said.getvalue() + complaints.getvalue()


_SIGNATURE: Final = b"c2lnbmF0dXJlLWFzLWEtY2FuYXJ5"


def _result(octets: bytes) -> None:
    record = _record(octets, 100)
    if record is not None:
        line = record["line"]
        assert isinstance(line, int)
        assert 0 < line <= 100
        if record["outcome"] != "invalid":
            reason_of(record)


# ── configurations of the simulator ──


def _configuration(kind: Any) -> Callable[[bytes], None]:  # noqa: ANN401 - two types with one method
    def read(octets: bytes) -> None:
        try:
            made = kind.from_json(_argument(octets))
        except (TypeError, ValueError):
            return
        assert isinstance(made, kind)

    return read


_ROUTE: Final = Route("com.example.app")
_BARE: Final = Defaults()
_FULL: Final = Defaults(
    app="com.example.app", payload=_PAYLOAD, expiration=timedelta(hours=1), collapse_id="c"
)
_SHORT: Final = Defaults(topic="com.example.app", payload=_PAYLOAD)
_READERS: Final[tuple[Callable[[bytes], None], ...]] = (
    *(_Lines(name, defaults) for name in FORMATS for defaults in (_BARE, _FULL, _SHORT)),
    _moment,
    _json_object,
    _json_document,
    _own_keys,
    _configuration(SimulatorConfig),
    _configuration(Temper),
    _server,
    _url,
    _token,
    _result,
)

_FIRST_READERS: Final = 15
"""So many are chosen by most octets, the others by the highest: what is kept means the same."""


def _reader(octet: int) -> Callable[[bytes], None]:
    if octet < 16 * _FIRST_READERS:
        return _READERS[octet % _FIRST_READERS]
    return _READERS[_FIRST_READERS + octet % (len(_READERS) - _FIRST_READERS)]


def _octet(reader: int) -> int:
    """Return an octet that chooses a reader."""
    if reader < _FIRST_READERS:
        return reader
    return next(octet for octet in range(255, 0, -1) if _reader(octet) is _READERS[reader])


def check(data: bytes) -> None:
    """Read one text with one reader."""
    if not data:
        return
    reader, octets = _reader(data[0]), data[1:]
    try:
        reader(octets)
    except InvalidField as error:
        _check_error(error)
    except click.UsageError as error:
        # Of the app's own keys it names the one that is wrong, whatever it is called.
        assert _CANARY not in error.message or reader is _own_keys


def seeds() -> Iterator[bytes]:
    """Yield every text to every reader."""
    for reader in range(len(_READERS)):
        for text in _TEXTS:
            yield bytes((_octet(reader),)) + text.encode("utf-8", "surrogateescape")


_OBJECT: Final = {
    "device_token": _CANARY,
    "payload": {"aps": {"alert": "hi"}},
    "topic": "com.example.app",
    "push_type": "alert",
    "priority": 5,
    "expiration": "2027-01-15T08:00:00Z",
    "collapse_id": "c",
    "apns_id": "8a3f6f3e-6d0c-4a55-9d0c-1b9a9f0c8f11",
}
_TEXTS: Final = (
    _CANARY,
    f"{_CANARY}\n# a comment\n\n{_CANARY}\r\n",
    f'\ufeffdevice_token,payload\r\n{_CANARY},"{{""aps"":{{}}}}"\r\n',
    ",".join(MEMBERS) + f"\n{_CANARY},{{}},a.b,alert,10,1800000000,c,\n",
    f"device_token,x\n{_CANARY}\n",
    f'device_token\n"{_CANARY}\n',
    json.dumps(_OBJECT),
    json.dumps(_OBJECT | {"priority": "10", "expiration": 0, "payload": "{}"}),
    json.dumps(_CANARY) + "\nnull\n1\n[]\n{}\n",
    '{"device_token":"\\ud800"}',
    '{"a":NaN}',
    '"a":1}',
    "[" * 2_000,
    "9" * 1_900,
    "1800000000",
    "1h30m",
    "999999999d",
    "2027-01-15T08:00:00+23:59",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2027-W01-1T00Z",
    "key=text\nkey:=1\nk:={}\n=\n",
    '"a":"\udcff"}',
    json.dumps({"topics": ["a"], "rejections": {"a": {"status": 400, "reason": "x"}}}),
    json.dumps({"goaway_frames": [{}], "settings": {}, "goaway_after": 1}),
    "api.push.apple.com:2197",
    "https://[::1]:8443/",
    "http://h/3/device/00?x=%2e#f",
    '{"alg":"ES256","kid":"ABC123DEFG"}\n{"iss":"DEF123GHIJ","iat":1800000000}',
    '{"alg":"ES256","kid":"ABC123DEFG"}\n{"iss":1e400,"iat":NaN}',
    json.dumps({"line": 1, "device": "sha256:8a3f6f3e", "outcome": "rejected", "reason": "x"}),
    json.dumps({"line": 2, "device": "sha256:8a3f6f3e", "outcome": "accepted", "status": 200}),
    json.dumps({"line": 3, "outcome": "invalid"}),
)
