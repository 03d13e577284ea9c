"""Configurations of no use are refused when they are made: a queue of nothing waits for ever."""

from dataclasses import fields, replace
from math import inf, nan
from typing import Any, Final

import pytest

from apns_core.connection_config import DEFAULT_CONFIG, ConnectionConfig
from apns_core.errors import InvalidField
from apns_core.sender_config import DEFAULT_SENDER_CONFIG, SenderConfig

Config = SenderConfig | ConnectionConfig
DEFAULTS: Final[tuple[Config, ...]] = (DEFAULT_SENDER_CONFIG, DEFAULT_CONFIG)

NEVER_GOOD: Final = (nan, inf, -inf, -1, -0.5, 10**400, True, "1", b"1", [1])
BAD: Final[dict[str, tuple[object, ...]]] = {
    "float": (*NEVER_GOOD, None, 1e9 + 1),
    "float | None": (*NEVER_GOOD, 0, 0.0),
    "int": (*NEVER_GOOD, None, 1.0, 1.5),
    "OnUnknown": (None, "report", 0),
    "ConnectionConfig": (None, {}, DEFAULT_SENDER_CONFIG),
}
GOOD: Final[dict[str, tuple[object, ...]]] = {
    "float": (0, 0.0, 1e9, 10**9),
    "float | None": (None, 0.1, 3_600),
    "int": (1, 10**6),
}


def cases(table: dict[str, tuple[object, ...]]) -> list[Any]:
    """Every option of every configuration, with each value for its type."""
    return [
        pytest.param(config, option.name, value, id=f"{option.name}-{number}")
        for config in DEFAULTS
        for option in fields(config)
        for number, value in enumerate(table.get(type_of(option.type), ()))
        if not (table is GOOD and option.name == "ping_after" and value == 0)
    ]


def type_of(annotation: object) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def test_every_option_is_in_the_table() -> None:
    assert {type_of(option.type) for config in DEFAULTS for option in fields(config)} == set(BAD)


@pytest.mark.parametrize(("config", "name", "value"), cases(BAD))
def test_an_option_was_not_looked_at(config: Config, name: str, value: object) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(InvalidField) as caught:
        replace(config, **changes)
    assert caught.value.field == name


@pytest.mark.parametrize(("config", "name", "value"), cases(GOOD))
def test_options_that_are_taken(config: Config, name: str, value: object) -> None:
    changes: dict[str, Any] = {name: value}
    assert getattr(replace(config, **changes), name) == value


@pytest.mark.parametrize("name", ["ping_after", "idle_ping_after"])
def test_pings_without_end_are_not_asked_for(name: str) -> None:
    changes: dict[str, Any] = {name: 0}
    with pytest.raises(InvalidField, match=f"{name}: 0 would send PINGs without end"):
        ConnectionConfig(**changes)


def test_a_table_may_have_no_room_and_no_more_than_a_setting_can_say() -> None:
    for size in (0, 2**32 - 1):
        assert ConnectionConfig(header_table_size=size).header_table_size == size
    with pytest.raises(InvalidField, match="header_table_size"):
        ConnectionConfig(header_table_size=2**32)


@pytest.mark.parametrize("name", ["max_queued", "max_connections"])
def test_a_sender_that_may_hold_nothing_waited_for_ever(name: str) -> None:
    changes: dict[str, Any] = {name: 0}
    with pytest.raises(InvalidField, match=f"{name}: not a whole number from 1"):
        SenderConfig(**changes)
    with pytest.raises(InvalidField, match="max_streams: not a whole number from 1"):
        ConnectionConfig(max_streams=0)
