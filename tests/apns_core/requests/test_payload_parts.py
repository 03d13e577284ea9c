import copy
import json
import pickle
from collections import UserList
from collections.abc import Callable
from typing import Any

import pytest

from apns_core.errors import InvalidField
from apns_core.requests.payload_parts import (
    Alert,
    CriticalSound,
    LiveActivityAlert,
    Localized,
    part,
    present,
)

# Apple, "Generating a remote notification": the alert dictionary.
ALERT_KEYS = {
    *("title", "subtitle", "body", "launch-image"),
    *("title-loc-key", "title-loc-args", "subtitle-loc-key", "subtitle-loc-args"),
    *("loc-key", "loc-args"),
}


def test_an_alert_has_all_members_of_apples_table() -> None:
    alert = Alert(
        title="1",
        subtitle="2",
        body="3",
        launch_image="4",
        title_loc_key="5",
        title_loc_args=("6",),
        subtitle_loc_key="7",
        subtitle_loc_args=["8", "9"],
        loc_key="10",
        loc_args=UserList(["11"]),
    )
    members = alert.members()
    assert set(members) == ALERT_KEYS
    assert json.loads(json.dumps(members)) == members
    assert members["loc-args"] == ["11"]
    assert Alert(body="x").members() == {"body": "x"}


@pytest.mark.parametrize("name", ["title", "subtitle", "body"])
def test_one_text_is_enough(name: str) -> None:
    assert Alert(**{name: "x"}).members() == {name: "x"}
    key = "loc_key" if name == "body" else f"{name}_loc_key"
    assert Alert(**{key: "x"}).members() == {key.replace("_", "-"): "x"}


def test_other_parts() -> None:
    assert CriticalSound("horn.caf", 0.5).members() == {
        "critical": 1,
        "name": "horn.caf",
        "volume": 0.5,
    }
    assert CriticalSound(volume=0).members()["name"] == "default"
    assert Localized("HELLO").members() == {"loc-key": "HELLO"}
    alert = LiveActivityAlert(title="Goal", body=Localized("%@ leads", ["Blue"]), sound="goal.caf")
    assert alert.members() == {
        "title": "Goal",
        "body": {"loc-key": "%@ leads", "loc-args": ["Blue"]},
        "sound": "goal.caf",
    }


PARTS = [
    Alert(
        title="secret",
        subtitle="secret",
        body="secret",
        launch_image="secret",
        title_loc_key="secret",
        title_loc_args=["secret"],
        subtitle_loc_key="secret",
        subtitle_loc_args=["secret"],
        loc_key="secret",
        loc_args=["secret"],
    ),
    LiveActivityAlert(title="secret", body=Localized("secret", ["secret"]), sound="secret"),
    Localized("secret", ["secret"]),
    CriticalSound("secret"),
]


@pytest.mark.parametrize("shown", PARTS, ids=lambda shown: type(shown).__name__)
def test_what_is_of_a_payload_is_in_no_repr(shown: object) -> None:
    assert "secret" not in repr(shown)


@pytest.mark.parametrize("made", PARTS, ids=lambda made: type(made).__name__)
def test_what_is_of_a_payload_is_copied_and_not_pickled(made: object) -> None:
    assert copy.copy(made) is copy.deepcopy(made) is made
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(made, protocol)


def test_arguments_that_change_after_the_check_are_not_sent() -> None:
    args: list[Any] = ["Blue"]
    alert = Alert(loc_key="%@ leads", loc_args=args)
    args.append(object())
    assert alert.members() == {"loc-key": "%@ leads", "loc-args": ["Blue"]}


def test_part_and_present() -> None:
    assert part("x") == "x"
    assert part(Localized("x")) == {"loc-key": "x"}
    assert present({"a": None, "b": 0, "c": False}) == {"b": 0, "c": False}


REFUSED: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    (Alert, {}, "alert"),
    (Alert, {"launch_image": "x.png"}, "alert"),
    (Alert, {"title": ""}, "title"),
    (Alert, {"title": 1}, "title"),
    (Alert, {"body": "x", "launch_image": b"x"}, "launch_image"),
    (Alert, {"body": "x", "loc_args": ["y"]}, "loc_args"),
    (Alert, {"body": "x", "title_loc_args": ["y"]}, "title_loc_args"),
    (Alert, {"body": "x", "subtitle_loc_args": ["y"]}, "subtitle_loc_args"),
    (Alert, {"loc_key": "x", "loc_args": "y"}, "loc_args"),
    (Alert, {"loc_key": "x", "loc_args": [1]}, "loc_args"),
    (Alert, {"loc_key": "x", "loc_args": {"y"}}, "loc_args"),
    (CriticalSound, {"name": ""}, "name"),
    (CriticalSound, {"volume": 1.5}, "volume"),
    (CriticalSound, {"volume": -0.1}, "volume"),
    (CriticalSound, {"volume": True}, "volume"),
    (CriticalSound, {"volume": float("nan")}, "volume"),
    (Localized, {"loc_key": ""}, "loc_key"),
    (Localized, {"loc_key": "x", "loc_args": "y"}, "loc_args"),
    (LiveActivityAlert, {"title": "", "body": "x"}, "title"),
    (LiveActivityAlert, {"title": "x", "body": None}, "body"),
    (LiveActivityAlert, {"title": "x", "body": "y", "sound": ""}, "sound"),
]


@pytest.mark.parametrize(("make", "arguments", "field"), REFUSED)
def test_refuses_by_the_name_of_the_field(
    make: Callable[..., object], arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        make(**arguments)
    assert caught.value.field == field
