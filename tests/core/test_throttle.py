"""How many synchronous calls may be on their way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.throttle import FIRST, LEAST, LONGEST_PAUSE, MOST, PAUSE, SHRINK, Throttle

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def round_trip(throttle: Throttle, now: datetime = NOW) -> int:
    """Send what is admitted and have it all answered; how many."""
    sent = 0
    while throttle.admits(now):
        throttle.sent()
        sent += 1
    for _ in range(sent):
        throttle.answered()
    return sent


def test_it_begins_with_a_few_and_doubles_per_round_trip() -> None:
    throttle = Throttle()
    assert [round_trip(throttle) for _ in range(4)] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]


def test_it_never_goes_beyond_its_ceiling() -> None:
    throttle = Throttle()
    assert max(round_trip(throttle) for _ in range(12)) == MOST


def test_the_first_objection_halves_it_once_however_many_were_on_their_way() -> None:
    throttle = Throttle()
    windows = [throttle.sent() for _ in range(8)]
    for window in windows:
        throttle.refused(NOW, None, window=window)
    assert throttle.limit == FIRST / 2
    assert throttle.in_flight == 0
    assert throttle.admits(NOW + PAUSE)


def test_further_objections_take_a_fifth_each_down_to_one_call() -> None:
    throttle, now = Throttle(), NOW
    throttle.refused(now, 0.0, window=throttle.sent())
    before = throttle.limit
    throttle.refused(now, 0.0, window=throttle.sent())
    assert throttle.limit == before * SHRINK
    for _ in range(20):
        throttle.refused(now, 0.0, window=throttle.sent())
    assert throttle.limit == LEAST
    assert throttle.admits(now)


def test_after_an_objection_it_grows_by_about_one_per_round_trip() -> None:
    throttle = Throttle()
    throttle.refused(NOW, 0.0, window=throttle.sent())
    before = throttle.limit
    round_trip(throttle, NOW + SECOND)
    assert before < throttle.limit <= before + 1


def test_objections_in_a_row_are_waited_out_longer_and_longer_up_to_a_minute() -> None:
    throttle, now, waits = Throttle(), NOW, []
    for _ in range(14):
        throttle.refused(now, None, window=throttle.sent())
        waits.append((throttle.blocked_until or now) - now)
        now += waits[-1]
    assert waits[:4] == [0 * PAUSE, PAUSE, 2 * PAUSE, 4 * PAUSE]
    assert waits[-1] == LONGEST_PAUSE

    throttle.sent()
    throttle.answered()
    throttle.refused(now, None, window=throttle.sent())
    assert throttle.admits(now)


def test_a_server_that_takes_32_at_once_is_kept_busy_with_few_objections() -> None:
    throttle, now, answered, objections, most = Throttle(), NOW, 0, 0, 32
    trips = 200
    for _ in range(trips):
        windows = []
        while throttle.admits(now):
            windows.append(throttle.sent())
        for place, window in enumerate(windows):
            if place < most:
                throttle.answered()
                answered += 1
            else:
                throttle.refused(now, None, window=window)
                objections += 1
        now += PAUSE
    assert answered > 0.95 * most * trips
    assert objections < 0.025 * answered


def test_nothing_is_sent_before_the_time_that_the_provider_named() -> None:
    throttle = Throttle()
    throttle.refused(NOW, 20.0, window=throttle.sent())
    assert not throttle.admits(NOW + 19 * SECOND)
    assert throttle.admits(NOW + 20 * SECOND)


def test_the_longer_of_two_blocks_holds() -> None:
    throttle = Throttle()
    throttle.block(NOW, 20.0)
    throttle.block(NOW, 5.0)
    assert not throttle.admits(NOW + 19 * SECOND)


def test_a_lost_call_frees_its_place_and_says_nothing_about_the_rate() -> None:
    throttle = Throttle()
    throttle.sent()
    throttle.lost()
    assert (throttle.in_flight, throttle.limit) == (0, FIRST)


@given(st.lists(st.sampled_from(["send", "answered", "refused", "lost"]), max_size=200))
def test_whatever_happens_the_window_stays_within_its_bounds(events: list[str]) -> None:
    throttle, now = Throttle(), NOW
    windows: list[int] = []
    for event in events:
        now += SECOND / 2
        if event == "send":
            if throttle.admits(now):
                windows.append(throttle.sent())
        elif windows:
            window = windows.pop()
            if event == "refused":
                throttle.refused(now, None, window=window)
            else:
                getattr(throttle, event)()
        assert LEAST <= throttle.limit <= MOST
        assert 0 <= throttle.in_flight <= MOST
