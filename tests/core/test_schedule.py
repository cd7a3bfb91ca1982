"""When a schedule is due: cron expressions in time zones, and one occurrence for all that were missed."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.schedule import (
    FileMark,
    check_cron,
    check_name,
    check_output,
    complete,
    newest,
    next_after,
    output_of,
    seen_since,
)

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # moves its clocks by half an hour
ZONES = [UTC, BERLIN, LORD_HOWE, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")]
CRONS = ["0 2 * * *", "30 2 * * *", "30 * * * *", "*/15 1-3 * * *", "0 0 1 * *", "15 1 * * 0", "* * * * *"]
MOMENTS = st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2028, 1, 1), timezones=st.just(UTC))


def at(text: str, zone=UTC) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def test_an_occurrence_is_a_wall_time_of_its_zone() -> None:
    assert next_after("0 2 * * *", BERLIN, at("2026-07-01T12:00")) == at("2026-07-02T02:00", BERLIN)
    assert next_after("0 2 * * *", BERLIN, at("2026-12-01T12:00")) == at("2026-12-02T02:00", BERLIN)


def test_a_time_that_the_clock_skips_comes_once_right_after_the_gap() -> None:
    night = at("2026-03-28T22:00", BERLIN)  # at 2:00 it will be 3:00
    first = next_after("30 2 * * *", BERLIN, night)
    assert first == at("2026-03-29T01:00")
    assert next_after("30 2 * * *", BERLIN, first) == at("2026-03-30T02:30", BERLIN)


def test_a_time_that_the_clock_shows_twice_comes_once() -> None:
    night = at("2026-10-24T22:00", BERLIN)  # at 3:00 it will be 2:00 again
    first = next_after("30 2 * * *", BERLIN, night)
    assert first.astimezone(BERLIN).hour == 2
    assert next_after("30 2 * * *", BERLIN, first) == at("2026-10-26T02:30", BERLIN)


def test_each_hour_comes_in_both_hours_that_look_alike() -> None:
    times, now = [], at("2026-10-24T23:45")
    for _ in range(4):
        now = next_after("30 * * * *", BERLIN, now)
        times.append(now)
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(hours=1)}


def test_however_many_were_missed_the_newest_stands_for_all() -> None:
    since = at("2026-11-19T02:00")
    assert newest("0 2 * * *", UTC, since=since, now=at("2026-11-23T09:00")) == at("2026-11-23T02:00")
    assert newest("0 2 * * *", UTC, since=since, now=at("2026-11-20T02:00")) == at("2026-11-20T02:00")
    assert newest("0 2 * * *", UTC, since=since, now=at("2026-11-20T01:59:59")) is None


def test_a_year_of_minutes_is_caught_up_without_counting_them(monkeypatch) -> None:
    from cronsim import CronSim

    looked, step = [0], CronSim.__next__

    def counted(self):
        looked[0] += 1
        return step(self)

    monkeypatch.setattr(CronSim, "__next__", counted)
    now = at("2027-11-21T08:00:30")
    assert newest("* * * * *", BERLIN, since=at("2026-11-21T08:00"), now=now) == at("2027-11-21T08:00")
    assert looked[0] < 300


@given(st.sampled_from(CRONS), st.sampled_from(ZONES), MOMENTS, st.integers(0, 40 * 3600))
def test_the_newest_is_the_last_that_going_on_step_by_step_finds(cron, zone, since, seconds) -> None:
    now = since + timedelta(seconds=seconds)
    last, step = None, since
    while (step := next_after(cron, zone, step)) <= now:
        last = step
    assert newest(cron, zone, since=since, now=now) == last


@given(st.sampled_from(CRONS), st.sampled_from(ZONES), MOMENTS)
def test_the_next_is_always_later(cron, zone, moment) -> None:
    assert next_after(cron, zone, moment) > moment


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 2 * *", "4 fields"),
        ("0 0 2 * * *", "6 fields"),
        ("61 * * * *", "Bad minute"),
        ("0 0 30 2 *", "day"),
    ],
)
def test_what_is_no_cron_expression_is_said(cron, said) -> None:
    with pytest.raises(ValueError, match=said):
        check_cron(cron)


def test_names_can_be_typed_and_be_files() -> None:
    check_name("nightly-2.b")
    for wrong in ("", "a b", "../x", "-x", "x" * 41):
        with pytest.raises(ValueError, match="no name"):
            check_name(wrong)


def test_every_occurrence_writes_a_file_of_its_own() -> None:
    local = at("2026-11-21T02:00").astimezone(BERLIN)
    pattern = "/out/{schedule}-{date}T{time}.jsonl.gz"
    assert output_of(pattern, schedule="n", local=local) == "/out/n-2026-11-21T0300.jsonl.gz"
    assert output_of("/out.d/{date}", schedule="n", local=local, number=2) == "/out.d/2026-11-21-2"
    assert output_of("/out/{date}.csv", schedule="n", local=local, number=3) == "/out/2026-11-21-3.csv"
    assert output_of(pattern, schedule="n", local=local, number=2) == "/out/n-2026-11-21T0300-2.jsonl.gz"
    with pytest.raises(ValueError, match=r"put \{date\}"):
        check_output("/out/answers.jsonl")
    with pytest.raises(ValueError, match=r"no \{day\}"):
        check_output("/out/{date}-{day}.jsonl")


def test_a_file_is_complete_when_it_has_stayed_as_it_is() -> None:
    now, settle = at("2026-11-21T08:00"), timedelta(seconds=10)
    growing, grown = FileMark("/in/a.jsonl", 10, 1), FileMark("/in/a.jsonl", 20, 2)
    still, empty = FileMark("/in/b.jsonl", 5, 1), FileMark("/in/c.jsonl", 0, 1)
    seen = seen_since({}, [growing, still, empty], now)
    assert complete(seen, now, settle=settle) == []
    later = now + settle
    seen = seen_since(seen, [grown, still, empty], later)
    assert complete(seen, later, settle=settle) == [still]
    seen = seen_since(seen, [grown, empty], later + settle)
    assert complete(seen, later + settle, settle=settle) == [grown]


def test_a_clock_that_is_set_back_keeps_no_file_waiting() -> None:
    now, settle = at("2026-11-21T08:00"), timedelta(seconds=10)
    mark = FileMark("/in/a.jsonl", 10, 1)
    seen = seen_since({}, [mark], now)
    back = now - timedelta(days=1)
    seen = seen_since(seen, [mark], back)
    assert complete(seen_since(seen, [mark], back + settle), back + settle, settle=settle) == [mark]
