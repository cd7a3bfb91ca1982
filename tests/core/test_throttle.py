"""How many synchronous calls may be on their way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.throttle import FIRST, LEAST, MOST, PAUSE, Throttle

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


def test_an_objection_halves_it_once_however_many_were_on_their_way() -> None:
    throttle = Throttle()
    for _ in range(8):
        throttle.sent()
    for _ in range(8):
        throttle.refused(NOW, None)
    assert throttle.limit == FIRST / 2
    assert throttle.in_flight == 0


def test_an_objection_after_a_while_halves_again_down_to_one() -> None:
    throttle, now = Throttle(), NOW
    for _ in range(10):
        throttle.sent()
        throttle.refused(now, 0.0)
        now += 2 * PAUSE
    assert throttle.limit == LEAST
    assert throttle.admits(now)


def test_after_an_objection_it_grows_by_about_one_per_round_trip() -> None:
    throttle = Throttle()
    throttle.sent()
    throttle.refused(NOW, 0.0)
    before = throttle.limit
    round_trip(throttle, NOW + SECOND)
    assert before < throttle.limit <= before + 1


def test_nothing_is_sent_before_the_time_that_the_provider_named() -> None:
    throttle = Throttle()
    throttle.sent()
    throttle.refused(NOW, 20.0)
    assert not throttle.admits(NOW + 19 * SECOND)
    assert throttle.admits(NOW + 20 * SECOND)


def test_without_a_named_time_it_pauses_all_the_same() -> None:
    throttle = Throttle()
    throttle.sent()
    throttle.refused(NOW, None)
    assert not throttle.admits(NOW)
    assert throttle.admits(NOW + PAUSE)


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
    for event in events:
        now += SECOND / 2
        if event == "send":
            if throttle.admits(now):
                throttle.sent()
        elif throttle.in_flight:
            if event == "refused":
                throttle.refused(now, None)
            else:
                getattr(throttle, event)()
        assert LEAST <= throttle.limit <= MOST
        assert 0 <= throttle.in_flight <= MOST
