"""Small worlds with everything in them: faults, cancels, closes, at random, from a seed."""

from dataclasses import replace
from random import Random

import pytest

from apns_core import ConnectionConfig, OnUnknown, Unprocessed
from apns_simulator import (
    GRACEFUL_GOAWAY,
    GoAway,
    Rejection,
    SettingsChange,
    SimulatorConfig,
    Temper,
)
from tests.apns_core.world import ONE, Network, World, describe, device_token, token_authority

KEY, APNS = token_authority()

REASONS = (
    "BadDeviceToken",
    "ExpiredProviderToken",
    "IdleTimeout",
    "InternalServerError",
    "InvalidProviderToken",
    "ServiceUnavailable",
    "Shutdown",
    "TooManyProviderTokenUpdates",
    "TooManyRequests",
    "Unregistered",
)


def random_temper(rng: Random) -> Temper:
    """Switch on a few of the faults that a server may have."""
    few = rng.randrange(30)
    faults: list[dict[str, object]] = [
        {"refuse_every": rng.choice((1, 2, 5))},
        {"goaway_after": few, "goaway_frames": (GoAway(debug_data="bye"),)},
        {"goaway_after": few, "goaway_frames": GRACEFUL_GOAWAY},
        {"goaway_after": few, "goaway_close": False},
        {"silent_after": few},
        {"silent_after": few, "silence": "everything"},
        {"close_after_requests": few},
        {"close_after_bytes": rng.randrange(4_000), "close_by": rng.choice(("eof", "abort"))},
        {"close_after_bytes_sent": rng.randrange(1_000)},
        {"settings_after": few, "settings": SettingsChange(max_concurrent_streams=few % 3)},
        {"settings_after": few, "settings": SettingsChange(initial_window_size=few % 3)},
        {"answer_status": 503, "answer_from": few, "retry_after": rng.choice((None, 1, 40))},
        {"limit_drop_on_rejection": True},
        {"body_style": rng.choice(("split", "html", "absent", "trailers", "unfinished"))},
        {"credit_windows": False},
    ]
    temper = Temper(first_connections=rng.choice((None, 1, 2, 4)))
    for fault in rng.sample(faults, rng.randrange(4)):
        temper = replace(temper, **fault)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return temper


def random_world(seed: int) -> World:
    """Make a world whose limits are small, so that rare branches are met."""
    rng = Random(seed)
    tokens = rng.random() < 0.3
    world = World(
        seed=seed,
        key=KEY if tokens else None,
        token_authentication=tokens or rng.random() < 0.7,
        config=replace(
            ONE,
            max_queued=rng.choice((3, 20, 100)),
            max_connections=rng.choice((1, 1, 2, 4)),
            scale_after=rng.choice((0.0, 0.1, 0.5)),
            surplus_after=rng.choice((1.0, 5.0, 600.0)),
            connect_floor=rng.choice((0.0, 1.0)),
            on_unknown=rng.choice(list(OnUnknown)),
            connection=ConnectionConfig(
                max_streams=rng.choice((1, 10, 1_000)),
                request_timeout=rng.choice((3.0, 30.0)),
                stall_after=rng.choice((1.0, 15.0)),
            ),
        ),
        apns=SimulatorConfig(
            authentication="token" if tokens else "none",
            trusted_keys=APNS.trusted_keys,
            max_concurrent_streams=rng.choice((1, 5, 1_000)),
            initial_window_size=rng.choice((10, 65_535)),
            latency=rng.choice((0.0, 0.05, 0.5)),
        ),
        temper=random_temper(rng),
        network=Network(latency=rng.choice((0.001, 0.05, 0.3)), segments=rng.random() < 0.5),
    )
    world.connects = lambda _: world.rng.choice(("ok",) * 6 + ("refused", "hangs"))
    world.sign_latency = rng.choice((0.0, 0.5))
    signs = world.sign
    world.sign = lambda issued_at: signs(issued_at) if world.rng.random() < 0.8 else None
    for number in range(0, 60, rng.choice((3, 7, 100))):
        world.simulator.reject(device_token(number), Rejection.of(rng.choice(REASONS)))
    return world


def live(world: World) -> None:
    """Submit, cancel, cut, swallow and change the weather, at random times."""
    rng = world.rng

    def submit() -> None:
        collapse_id = rng.choice((None, "score"))
        world.submit(min(rng.randrange(8), world.sender.room), collapse_id=collapse_id)

    def cancel() -> None:
        if world.submitted:
            world.cancel(rng.choice(world.submitted).ticket)

    def cut() -> None:
        for link in world.live_links[:1]:
            link.cut()

    def swallow() -> None:
        for link in world.live_links[-1:]:
            link.black_hole = True

    def change() -> None:
        world.simulator.temper = random_temper(rng)

    actions = (submit,) * 12 + (cancel,) * 3 + (cut, swallow, change)
    for _ in range(30):
        world.after(rng.uniform(0.0, 20.0), rng.choice(actions))


def run(seed: int) -> World:
    world = random_world(seed)
    live(world)
    world.run(20.0)
    end = seed % 4
    if end == 0:
        world.sender.abort(world.now)
    elif end == 1:
        world.sender.close(world.now, deadline=world.now + 2.0)
    elif end == 2:
        world.sender.close(world.now)
    else:
        # Liveness: the faults stop, and what is submitted from now on is accepted.
        world.simulator.temper = Temper()
        world.connects = lambda _: "ok"
        world.sign = KEY.sign if world.simulator.config.authentication == "token" else world.sign
        world.run()
        world.sender.close(world.now)
    world.settle()
    world.check()
    return world


@pytest.mark.parametrize("first", range(0, 300, 30))
def test_every_notification_ends_once_and_truly(first: int) -> None:
    for seed in range(first, first + 30):
        try:
            run(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


def test_one_seed_is_one_world() -> None:
    # Signatures are random; a world without them is the same to the last byte.
    seeds = [
        seed for seed in range(40) if random_world(seed).simulator.config.authentication != "token"
    ]
    for seed in seeds[:10]:
        assert run(seed).trace == run(seed).trace


def test_when_the_faults_stop_all_is_accepted_again() -> None:
    for seed in range(1_000, 1_060):
        world = random_world(seed)
        if world.network.latency > 0.1:
            continue  # too far for the shortest of deadlines, even when nothing is wrong
        live(world)
        world.run(20.0)
        world.simulator.temper = Temper()
        world.simulator.config = replace(world.simulator.config, latency=0.0)
        for number in range(60):
            world.simulator.reject(device_token(number), None)
        world.connects = lambda _: "ok"
        world.sign = KEY.sign if world.simulator.config.authentication == "token" else "a.{}".format
        # What is left of a black hole, a mute server or a limit of 0 is found by work alone.
        for _ in range(16):
            world.submit(min(1, world.sender.room))
            world.run(10.0)
        before = len(world.submitted)
        world.submit(3)
        world.finish()
        latest = [describe(one.outcome) for one in world.submitted[before:]]
        assert latest == ["accepted"] * 3, f"seed {seed}"


def test_these_worlds_see_everything() -> None:
    seen: set[str] = set()
    for seed in range(60):
        world = run(seed)
        seen |= set(world.tally())
        assert all(
            not isinstance(one.outcome, Unprocessed) or one.done_at <= one.deadline
            for one in world.submitted
        )
    kinds = {text.split()[0] for text in seen}
    assert kinds == {"accepted", "rejected", "unprocessed", "unknown", "none"}
    assert len(seen) >= 12
