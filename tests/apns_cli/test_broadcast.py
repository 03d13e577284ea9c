import json

import pytest

import apns_cli.broadcast as broadcast_module
from apns_asyncio import Client
from apns_core import Accepted, Cause, Outcome, Unknown
from apns_core.requests.broadcast import Broadcast
from apns_core.requests.route import Priority
from tests.apns_cli.conftest import Simulated
from tests.apns_cli.facts import read_facts

APP = "com.example.app"
CHANNEL = "dHN0LXNyY2gtY2hubA=="
UPDATE = ("broadcast", "--app", APP, "--content-state", '{"home": 1}')
REQUEST_ID = "00000000-0000-0000-0000-00000000000a"


@pytest.fixture
def channel_id(simulated: Simulated) -> str:
    """A channel that keeps the most recent message."""
    created = simulated.run("channels", "create", "--app", APP, "--storage-policy", "most-recent")
    return created.stdout.strip()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Broadcast]:
    """Nothing is sent: all is accepted, and listed here."""
    requests: list[Broadcast] = []

    def send_one(_command: str, _client: Client, request: Broadcast) -> Outcome[object]:
        requests.append(request)
        return Accepted(request, None)

    monkeypatch.setattr(broadcast_module, "send_one", send_one)
    return requests


def test_an_update(simulated: Simulated, channel_id: str) -> None:
    result = simulated.run(*UPDATE, "--request-id", REQUEST_ID, channel_id)
    assert (result.exit_code, result.stderr) == (0, "")
    facts = read_facts(result.stdout)
    assert facts["Outcome"] == "accepted"
    assert facts["apns-request-id"] == REQUEST_ID
    ledger = simulated.simulator.ledger()
    assert ledger.accepted_by_channel() == {channel_id: 1}
    assert ledger.violations == []


def test_json(simulated: Simulated, channel_id: str) -> None:
    result = simulated.run(*UPDATE, "--json", "--expiration", "1h", channel_id)
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert list(answer) == ["outcome", "status", "apns_unique_id", "apns_request_id"]


def test_a_channel_that_is_not_there(simulated: Simulated) -> None:
    result = simulated.run(*UPDATE, CHANNEL)
    assert result.exit_code == 1
    assert read_facts(result.stdout)["Why"] == "400 ChannelNotRegistered"
    assert "there is no such channel" in result.stderr


@pytest.mark.parametrize(
    ("args", "aps"),
    [
        (("--timestamp", "1800000000"), {"timestamp": 1_800_000_000}),
        (("--stale-date", "2027-01-15T08:00:00Z"), {"stale-date": 1_800_000_000}),
        (("--event", "end", "--dismissal-date", "1800000000"), {"dismissal-date": 1_800_000_000}),
        (("--event", "end"), {"event": "end", "content-state": {"home": 1}}),
        (
            ("--alert-title", "A", "--alert-body", "B", "--sound", "default"),
            {"alert": {"title": "A", "body": "B", "sound": "default"}},
        ),
    ],
)
def test_the_parts_of_a_payload(
    args: tuple[str, ...], aps: dict[str, object], simulated: Simulated, sent: list[Broadcast]
) -> None:
    result = simulated.run(*UPDATE, *args, CHANNEL)
    assert result.exit_code == 0
    payload = json.loads(sent[0].payload)
    assert payload["aps"].keys() >= {"timestamp", "event", "content-state"}
    assert payload["aps"].items() >= aps.items()


def test_an_end_needs_no_state(simulated: Simulated, sent: list[Broadcast]) -> None:
    assert simulated.run("broadcast", "--app", APP, "--event", "end", CHANNEL).exit_code == 0
    assert json.loads(sent[0].payload)["aps"].keys() == {"timestamp", "event"}


def test_a_payload_is_sent_as_it_stands(simulated: Simulated, sent: list[Broadcast]) -> None:
    text = ' {"aps": {"event": "update"}}\n'
    result = simulated.run("broadcast", "--app", APP, "--payload", "-", CHANNEL, stdin=text)
    assert result.exit_code == 0
    assert sent[0].payload == text.encode()


def test_apple_requires_an_expiration_and_0_is_it_unless_told(
    simulated: Simulated, sent: list[Broadcast]
) -> None:
    simulated.run(*UPDATE, CHANNEL)
    simulated.run(*UPDATE, "--expiration", "8h", "--priority", "5", CHANNEL)
    assert (sent[0].expiration, sent[0].route.priority) == (0, Priority.IMMEDIATE)
    assert (sent[1].lifetime, sent[1].route.priority) == (8 * 3600, Priority.CONSERVE_POWER)


def test_apples_other_host(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts: list[str] = []

    def send_one(_command: str, client: Client, request: Broadcast) -> Outcome[object]:
        hosts.append(client._endpoint.host)
        return Unknown(request, None, Cause.CLOSED)

    monkeypatch.setattr(broadcast_module, "send_one", send_one)
    del simulated.env["APNS_SERVER"]
    assert simulated.run(*UPDATE, CHANNEL).exit_code == 1
    assert simulated.run(*UPDATE, "--broadcast-host", CHANNEL).exit_code == 1
    assert hosts == ["api.push.apple.com", "api-broadcast.push.apple.com"]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("broadcast", "--app", APP, CHANNEL), "--content-state says"),
        (("broadcast", "--app", APP, "--payload", "-", "--event", "end", CHANNEL), "--event"),
        ((*UPDATE, "--dismissal-date", "1h", CHANNEL), "--dismissal-date is of --event end"),
        ((*UPDATE, "--event", "end", "--stale-date", "1h", CHANNEL), "--stale-date is of"),
        ((*UPDATE, "--alert-title", "A", CHANNEL), "--alert-body"),
        ((*UPDATE, "--sound", "default", CHANNEL), "--alert-title"),
        ((*UPDATE, "--storage-policy", "none", "--expiration", "1h", CHANNEL), "expiration: not 0"),
        ((*UPDATE, "--request-id", "x", CHANNEL), "request_id"),
        ((*UPDATE, "no channel"), "channel_id"),
        ((*UPDATE, "--app", f"{APP}.push-type.liveactivity", CHANNEL), "bundle_id"),
        ((*UPDATE,), "CHANNEL_ID"),
    ],
)
def test_mistakes_are_named(
    args: tuple[str, ...], complaint: str, simulated: Simulated, sent: list[Broadcast]
) -> None:
    result = simulated.run(*args, stdin="{}")
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert sent == []
