import json

import pytest

from apns_simulator import Temper
from tests.apns_cli.conftest import Simulated
from tests.apns_cli.facts import read_facts

APP = ("--app", "com.example.app")
CHANNEL = "dHN0LXNyY2gtY2hubA=="
REQUEST_ID = "00000000-0000-0000-0000-00000000000a"


@pytest.mark.parametrize("policy", ["none", "most-recent"])
def test_the_life_of_a_channel(policy: str, simulated: Simulated) -> None:
    created = simulated.run("channels", "create", *APP, "--storage-policy", policy)
    assert (created.exit_code, created.stderr) == (0, "")
    channel_id = created.stdout.removesuffix("\n")
    facts = read_facts(simulated.run("channels", "read", *APP, channel_id).stdout)
    assert facts == {
        "Channel id": channel_id,
        "Storage policy": policy,
        "Push type": "liveactivity",
    }
    assert simulated.run("channels", "list", *APP).stdout == f"{channel_id}\n"
    deleted = simulated.run("channels", "delete", *APP, channel_id, stdin="y\n")
    assert (deleted.exit_code, deleted.stdout) == (0, "Deleted.\n")
    listed = simulated.run("channels", "list", *APP)
    assert (listed.exit_code, listed.stdout) == (0, "")
    ledger = simulated.simulator.ledger()
    assert ledger.violations == []
    assert ledger.accepted_count == 5


def test_json(simulated: Simulated) -> None:
    def run(command: str, *args: str) -> dict[str, object]:
        options = (*APP, "--json", "--request-id", REQUEST_ID)
        result = simulated.run("channels", command, *options, *args)
        assert (result.exit_code, result.stderr) == (0, "")
        answer: dict[str, object] = json.loads(result.stdout)
        assert answer["outcome"] == "accepted"
        assert answer["apns_request_id"] == REQUEST_ID
        return answer

    created = run("create", "--storage-policy", "none")
    channel_id = str(created["channel_id"])
    read = run("read", channel_id)
    listed = run("list")
    deleted = run("delete", "--yes", channel_id)
    assert [answer["status"] for answer in (created, read, listed, deleted)] == [201, 200, 200, 204]
    assert created["storage_policy"] == read["storage_policy"] == "none"
    assert read["push_type"] == "liveactivity"
    assert read["channel_id"] == deleted["channel_id"] == channel_id
    assert listed["channel_ids"] == [channel_id]


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_deletes_nothing_that_it_is_not_told_to(answer: str, simulated: Simulated) -> None:
    result = simulated.run("channels", "delete", *APP, CHANNEL, stdin=answer)
    assert result.exit_code == 1
    assert "for good?" in result.stderr
    assert simulated.simulator.ledger().connections == []


def test_says_what_to_do_about_a_channel_that_is_not_there(simulated: Simulated) -> None:
    result = simulated.run("channels", "read", *APP, CHANNEL)
    assert result.exit_code == 1
    assert read_facts(result.stdout)["Why"] == "400 ChannelNotRegistered"
    assert "apns channels read: 1 rejected" in result.stderr
    assert "there is no such channel" in result.stderr
    result = simulated.run("channels", "delete", "--yes", "--json", *APP, CHANNEL)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["reason"] == "ChannelNotRegistered"


def test_an_answer_that_cannot_be_read(simulated: Simulated) -> None:
    simulated.simulator.set_temper(Temper(answer_status=200))
    result = simulated.run("channels", "list", *APP)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "APNs has done it, and answered oddly: the body is no JSON object" in result.stderr
    result = simulated.run("channels", "create", *APP, "--storage-policy", "none", "--json")
    assert result.exit_code == 1
    assert "its id is unknown" in json.loads(result.stdout)["problem"]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("create", *APP), "--storage-policy"),
        (("create", *APP, "--storage-policy", "all"), "--storage-policy"),
        (("create", "--app", "a b", "--storage-policy", "none"), "bundle_id"),
        (("read", *APP, "no channel"), "channel_id"),
        (("delete", *APP, "--yes", "no channel"), "channel_id"),
        (("delete", *APP, "--json", CHANNEL), "--yes"),
        (("list", *APP, "--request-id", "x"), "request_id"),
        (("list",), "--app"),
    ],
)
def test_mistakes_are_named(args: tuple[str, ...], complaint: str, simulated: Simulated) -> None:
    result = simulated.run("channels", *args)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert simulated.simulator.ledger().connections == []
