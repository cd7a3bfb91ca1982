"""A run over time, and what it will come to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nightmail.core.course import Point, Reserved, Slot, points, projected_pusd

BEGIN = datetime(2026, 11, 21, 8, tzinfo=UTC)
WIDTH = timedelta(minutes=1)


def slot(minute: int, sent: int = 0, through: int = 0, succeeded: int = 0) -> Slot:
    return Slot(BEGIN + minute * WIDTH, sent, through, succeeded)


def at(minute: int, succeeded: int, in_flight: int) -> Point:
    return Point(BEGIN + minute * WIDTH, succeeded, in_flight)


def test_a_course_is_level_where_nothing_happens() -> None:
    course = points([slot(0, sent=10), slot(5, through=6, succeeded=5)], WIDTH)
    assert course == [at(0, 0, 0), at(1, 0, 10), at(5, 0, 10), at(6, 5, 4)]


def test_what_is_sent_again_is_at_the_provider_again() -> None:
    course = points([slot(0, 10, 0, 0), slot(1, 4, 10, 6), slot(2, 0, 4, 4)], WIDTH)
    assert course[-2:] == [at(2, 6, 4), at(3, 10, 0)]


def test_nothing_has_no_course() -> None:
    assert points([], WIDTH) == []


def test_what_is_left_costs_what_the_rest_did_each() -> None:
    reserved = Reserved(settled_pusd=70, under_way_pusd=50, under_way=5)
    assert projected_pusd(50, reserved, through=5, records=20) == 200
    assert projected_pusd(50, reserved, through=5, records=10) == 100


def test_an_unknown_price_makes_it_unknown_and_so_does_no_beginning() -> None:
    nothing = Reserved(settled_pusd=0, under_way_pusd=0, under_way=0)
    assert projected_pusd(0, nothing, through=0, records=20) is None
    assert projected_pusd(None, nothing, through=5, records=20) is None
    assert projected_pusd(0, nothing._replace(under_way_pusd=None), through=5, records=20) is None
