"""When to look again, and when to try again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.polling import (
    AFTER_FAILURE,
    FIRST,
    JITTER,
    LAST,
    LONGEST,
    PAUSE,
    TOGETHER,
    Lasting,
    delay,
    first_look,
    may_join,
    next_look,
)

chances = st.floats(0, 1, exclude_max=True)
ages = st.timedeltas(timedelta(hours=-1), timedelta(days=3))


def looks_in(time: timedelta) -> list[timedelta]:
    """The ages at which a batch is looked at."""
    age, looks = timedelta(0), []
    while (age := age + next_look(age, chance=0.5)) <= time:
        looks.append(age)
    return looks


@given(ages, chances)
def test_a_wait_is_between_the_first_and_the_longest(age: timedelta, chance: float) -> None:
    wait = next_look(age, chance=chance).total_seconds()
    assert FIRST * (1 - JITTER) <= wait <= LAST * (1 + JITTER)


@given(ages, ages)
def test_waits_grow_with_age(age: timedelta, other: timedelta) -> None:
    younger, older = sorted([age, other])
    assert next_look(younger, chance=0.5) <= next_look(older, chance=0.5)


@given(st.timedeltas(timedelta(seconds=10), timedelta(minutes=90)), chances)
def test_the_end_of_a_batch_is_seen_within_a_small_part_of_its_time(age: timedelta, chance: float) -> None:
    assert next_look(age, chance=chance) <= age * 0.056


def test_a_batch_is_looked_at_often_in_its_first_minute_and_every_five_in_the_night() -> None:
    assert len(looks_in(timedelta(minutes=1))) >= 30
    assert next_look(timedelta(hours=5), chance=0.5) == timedelta(minutes=5)


def test_a_day_of_looking_is_a_few_hundred_calls() -> None:
    assert len(looks_in(timedelta(hours=24))) < 450


def test_chance_spreads_many_batches() -> None:
    waits = {next_look(timedelta(minutes=5), chance=n / 10) for n in range(10)}
    assert len(waits) == 10


@given(ages, chances, st.floats(0.01, 3_600))
def test_the_user_s_own_interval_does_not_grow(age: timedelta, chance: float, interval: float) -> None:
    wait = next_look(age, chance=chance, interval=interval).total_seconds()
    assert interval * (1 - JITTER) - 1e-6 <= wait <= interval * (1 + JITTER) + 1e-6


@given(chances, st.none() | st.floats(0.01, 3_600))
def test_the_first_look_comes_after_the_user_s_interval_but_half_a_second_at_the_latest(
    chance: float, interval: float | None
) -> None:
    wait, most = first_look(chance=chance, interval=interval).total_seconds(), min(FIRST, interval or FIRST)
    assert most * (1 - JITTER) - 1e-6 <= wait <= most * (1 + JITTER) + 1e-6


@given(st.integers(0, 10_000), chances)
def test_patience_with_failures_grows_to_five_minutes(times: int, chance: float) -> None:
    wait = delay(times, chance=chance).total_seconds()
    assert AFTER_FAILURE * (1 - JITTER) <= wait <= LAST * (1 + JITTER)
    assert delay(times, chance=0.5) <= delay(times + 1, chance=0.5)


def test_what_is_so_again_and_again_lasts_since_it_was_first() -> None:
    lasting, began = Lasting(), datetime(2026, 11, 22, tzinfo=UTC)
    assert lasting.since is None
    for times in range(200):
        assert lasting.seen(began + times * LONGEST) == began
    assert lasting.since == began


@given(jump=st.one_of(st.timedeltas(PAUSE + timedelta(seconds=1), timedelta(days=9)),
                      st.timedeltas(timedelta(days=-9), timedelta(seconds=-1))))  # fmt: skip
def test_after_a_sleep_and_after_a_clock_that_was_set_back_it_begins_anew(jump: timedelta) -> None:
    lasting, began = Lasting(), datetime(2026, 11, 22, tzinfo=UTC)
    lasting.seen(began)
    lasting.seen(began + LONGEST)
    again = began + LONGEST + jump
    assert lasting.seen(again) == again
    assert lasting.seen(again + LONGEST) == again


def test_a_look_that_is_nearly_due_joins_another_but_not_by_the_user_s_own_time() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert may_join(now + TOGETHER, now)
    assert not may_join(now + TOGETHER * 1.01, now)
    assert not may_join(now + TOGETHER, now, interval=1.0)
