from collections.abc import Callable
from typing import Any

import pytest

from apns_simulator import (
    GRACEFUL_GOAWAY,
    GoAway,
    Rejection,
    SettingsChange,
    SimulatorConfig,
    Temper,
    make_provider_key,
)
from apns_simulator.reasons import REASON_STATUS


@pytest.mark.parametrize(
    "config",
    [
        SimulatorConfig(),
        SimulatorConfig(
            environment="production",
            authentication="none",
            trusted_keys=make_provider_key().trusted(),
            topics=frozenset({"com.example.a", "com.example.b"}),
            broadcast_apps=frozenset({"com.example.a"}),
            channels={"com.example.a": {"Y2hhbm5lbA==": 1}},
            max_channels=5,
            rejections={
                "dead": Rejection.of("Unregistered", timestamp=1),
                "0": Rejection(503, None),
            },
            latency=0.5,
            first_max_concurrent_streams=1,
        ),
    ],
)
def test_configurations_travel_as_json(config: SimulatorConfig) -> None:
    assert SimulatorConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "temper",
    [
        Temper(),
        Temper(
            goaway_after=3,
            goaway_frames=(*GRACEFUL_GOAWAY, GoAway.because("Shutdown")),
            settings_after=1,
            settings=SettingsChange(header_table_size=0),
            body_style="split",
        ),
    ],
)
def test_tempers_travel_as_json(temper: Temper) -> None:
    assert Temper.from_json(temper.to_json()) == temper


def test_absent_members_take_their_defaults() -> None:
    assert SimulatorConfig.from_json("{}") == SimulatorConfig()
    assert Temper.from_json('{"ping_every": 1}') == Temper(ping_every=1)


@pytest.mark.parametrize("read", [SimulatorConfig.from_json, Temper.from_json])
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[]", ValueError),
        ("{", ValueError),
        ('{"x": 1}', TypeError),
        pytest.param("[" * 100_000, ValueError, id="deep"),
    ],
)
def test_wrong_json_is_refused(
    read: Callable[[str], object], text: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        read(text)


@pytest.mark.parametrize("member", ["trusted_keys", "rejections"])
def test_a_member_that_is_no_object_is_refused(member: str) -> None:
    with pytest.raises(TypeError, match=member):
        SimulatorConfig.from_json(f'{{"{member}": []}}')


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_concurrent_streams": -1},
        {"initial_window_size": 2**31},
        {"connection_window_size": 65_534},
        {"header_table_size": 2**32},
        {"max_frame_size": 16_383},
        {"latency": -0.1},
        {"max_channels": -1},
    ],
)
def test_numbers_that_http2_does_not_allow_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SimulatorConfig(**wrong)


def member_of(text: str) -> str:
    return text.split('"')[1]


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (SimulatorConfig.from_json, '{"environment": "sandbox"}'),
        (SimulatorConfig.from_json, '{"authentication": "tokens"}'),
        (SimulatorConfig.from_json, '{"authentication": null}'),
        (Temper.from_json, '{"body_style": "xml"}'),
        (Temper.from_json, '{"silence": []}'),
        (Temper.from_json, '{"close_by": "fin"}'),
    ],
)
def test_words_that_stand_for_nothing_are_refused(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{member_of(text)}: must be one of"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"trusted_keys": {"ABC123DEFG": {"team_id": "DEF123GHIJ", "public_key_pem": 1}}}',
        '{"trusted_keys": {"ABC123DEFG": {"team_id": 1, "public_key_pem": ""}}}',
        '{"rejections": {"dead": {"status": "410", "reason": null}}}',
        '{"rejections": {"dead": {"status": 410, "reason": 1}}}',
        '{"channels": []}',
        '{"channels": {"com.example.app": ["Y2hhbm5lbA=="]}}',
        '{"channels": {"com.example.app": {"Y2hhbm5lbA==": "none"}}}',
    ],
)
def test_members_of_another_kind_inside_are_refused(text: str) -> None:
    with pytest.raises(TypeError, match=f"^{member_of(text)}: "):
        SimulatorConfig.from_json(text)


def test_a_rejection_has_the_documented_status() -> None:
    for reason, status in REASON_STATUS.items():
        assert Rejection.of(reason) == Rejection(status, reason)
    with pytest.raises(ValueError, match="Unregisterd"):
        Rejection.of("Unregisterd")


def test_public_keys_stay_out_of_the_repr() -> None:
    assert "BEGIN" not in repr(SimulatorConfig(trusted_keys=make_provider_key().trusted()))
