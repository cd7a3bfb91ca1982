"""What a seed stands for."""

import random
from collections import Counter

import pytest
from chaos.scenario import BATCHES, CALLS, PATIENCE, REQUESTS, draw

from nightmail.simulator.faults import plan_from


def test_a_seed_always_stands_for_the_same_night():
    assert [draw(seed) for seed in range(50)] == [draw(seed) for seed in range(50)]
    assert len({repr(draw(seed)) for seed in range(50)}) == 50


@pytest.mark.parametrize("short", [True, False])
def test_the_simulator_takes_every_plan_and_no_kind_twice(short):
    for seed in range(300):
        faults = draw(seed, short=short).faults
        assert len(plan_from({"faults": list(faults)}).faults) == len({fault["kind"] for fault in faults})


def test_every_variant_of_a_fault_is_one_that_the_simulator_knows():
    chance = random.Random(1)
    for variants in (CALLS, PATIENCE, BATCHES, REQUESTS):
        for name, drawing in variants.items():
            plan_from({"faults": [{"kind": name.partition(" ")[0], **drawing(chance)}]})


def test_some_hundred_nights_hold_more_than_twenty_kinds_and_every_deed():
    nights = [draw(seed) for seed in range(300)]
    kinds = Counter(fault["kind"] for night in nights for fault in night.faults)
    deeds = Counter(deed.what for night in nights for deed in night.deeds)
    assert len(kinds) > 30
    assert {"kill", "stop", "kill_simulator", "jump", "pause", "cancel", "retry", "terminate"} <= set(deeds)
    assert any(deed.seconds > 30 for night in nights for deed in night.deeds if deed.what == "stop")


def test_a_short_night_has_nothing_that_takes_a_minute_by_itself():
    for seed in range(300):
        night = draw(seed, short=True)
        assert night.records <= 300
        assert night.their_quota is None
        assert all(deed.seconds <= 4 for deed in night.deeds if deed.what == "stop")
        assert not any(fault.get("seconds", 0) > 6 for fault in night.faults)
