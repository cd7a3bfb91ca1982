"""Quiet hours end, by the wall clock, also in the nights in which it is put forward and back."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.quiet import loud_at, parse_quiet

ZONES = ["UTC", "Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]
clocks = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda each: f"{each[0]}:{each[1]:02}")
moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


@given(begin=clocks, end=clocks, zone=st.sampled_from(ZONES), now=moments)
def test_a_notice_waits_at_most_a_day_and_then_it_is_not_quiet(begin, end, zone, now):
    if begin == end:
        return
    quiet = parse_quiet(f"{begin}-{end}", ZoneInfo(zone))
    at = loud_at(quiet, now)
    assert now <= at < now + timedelta(hours=25)
    assert loud_at(quiet, at) == at


@pytest.mark.parametrize(
    ("now", "at"),
    [
        ("2026-11-21T20:59", "2026-11-21T20:59"),
        ("2026-11-21T21:00", "2026-11-22T06:00"),
        ("2026-11-22T03:00", "2026-11-22T06:00"),
        ("2026-11-22T06:00", "2026-11-22T06:00"),
        ("2026-07-01T23:00", "2026-07-02T05:00"),
    ],
    ids=["before", "at its begin", "after midnight", "at its end", "in summer"],
)
def test_the_hours_are_those_of_the_zone(now, at):
    quiet = parse_quiet("22:00-07:00", ZoneInfo("Europe/Madrid"))
    assert loud_at(quiet, datetime.fromisoformat(now + "Z")) == datetime.fromisoformat(at + "Z")


def test_by_day_too():
    quiet = parse_quiet("12:00 - 14:00", UTC)
    assert loud_at(quiet, datetime(2026, 11, 21, 13, tzinfo=UTC)) == datetime(2026, 11, 21, 14, tzinfo=UTC)


def test_without_quiet_hours_it_is_never_quiet():
    now = datetime(2026, 11, 21, 3, tzinfo=UTC)
    assert loud_at(None, now) is now


@pytest.mark.parametrize("text", ["", "22-7", "25:00-07:00", "22:00-22:00", "22:00", "22:60-07:00"])
def test_what_are_no_hours_is_said(text):
    with pytest.raises(ValueError, match=r"write (them|hours) like 22:00-07:00"):
        parse_quiet(text, UTC)
