"""When to look again."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.polling import FIRST, JITTER, LAST, delay

chances = st.floats(0, 1, exclude_max=True)


@given(st.integers(0, 10_000), chances)
def test_a_wait_is_between_the_first_and_the_longest(polls: int, chance: float) -> None:
    wait = delay(polls, chance=chance).total_seconds()
    assert FIRST * (1 - JITTER) <= wait <= LAST * (1 + JITTER)


@given(st.integers(0, 100))
def test_waits_grow(polls: int) -> None:
    assert delay(polls, chance=0.5) <= delay(polls + 1, chance=0.5)


def test_a_batch_is_looked_at_several_times_in_its_first_minute_and_every_five_in_the_night() -> None:
    passed, looks = timedelta(0), 0
    while passed < timedelta(minutes=1):
        passed += delay(looks, chance=0.5)
        looks += 1
    assert looks >= 7
    assert delay(50, chance=0.5) == timedelta(minutes=5)


def test_a_day_of_looking_is_a_few_hundred_calls() -> None:
    passed, looks = timedelta(0), 0
    while passed < timedelta(hours=24):
        passed += delay(looks, chance=0.5)
        looks += 1
    assert looks < 320


def test_chance_spreads_many_batches() -> None:
    waits = {delay(3, chance=n / 10) for n in range(10)}
    assert len(waits) == 10


@given(st.integers(0, 1_000), chances, st.floats(0.01, 3_600))
def test_the_user_s_own_interval_does_not_grow(polls: int, chance: float, interval: float) -> None:
    wait = delay(polls, chance=chance, interval=interval).total_seconds()
    assert interval * (1 - JITTER) - 1e-6 <= wait <= interval * (1 + JITTER) + 1e-6
