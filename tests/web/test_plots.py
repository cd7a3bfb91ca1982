"""Plots say the same to who sees them and to who has them read out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.web.plots import (
    HALF_LETTER,
    LEFT,
    NARROW,
    ROWS_READ_OUT,
    WIDE,
    Dot,
    Series,
    areas,
    columns,
    dots,
)

BEGIN = datetime(2026, 11, 21, 8, tzinfo=UTC)
TWO = (Series("succeeded", "of-succeeded"), Series("failed <b>", "of-failed"))
SVG = "{http://www.w3.org/2000/svg}"


def minutes(n: float) -> datetime:
    return BEGIN + timedelta(minutes=n)


def drawings(plot: str) -> list[ElementTree.Element]:
    """Both drawings, which must be well-formed."""
    return [ElementTree.fromstring(each) for each in re.findall(r"<svg.*?</svg>", plot, flags=re.S)]


def test_it_is_drawn_for_wide_and_for_narrow_screens_with_a_title_and_a_description() -> None:
    plot = areas("Records", TWO, [(minutes(0), (0, 0)), (minutes(5), (10, 2))], line=20)
    wide, narrow = drawings(plot)
    assert (wide.get("viewBox"), narrow.get("viewBox")) == (
        f"0 0 {WIDE[0]} {WIDE[1]}",
        f"0 0 {NARROW[0]} {NARROW[1]}",
    )
    for drawing in (wide, narrow):
        assert drawing.get("role") == "img"
        assert drawing.findtext("title") == "Records"
        assert drawing.findtext("desc") == "At the end: succeeded 10, failed <b> 2."
        assert len(drawing.findall("path[@class='level']")) == 1


def test_the_numbers_are_in_a_table_and_everything_is_escaped() -> None:
    plot = columns(
        "Answered <i>", TWO, [(minutes(1), (3, 1))], begin=BEGIN, end=minutes(10), width=timedelta(minutes=1)
    )
    assert "<td>2026-11-21 08:01:00</td><td>3</td><td>1</td>" in plot
    assert "<i>" not in plot
    assert "failed &lt;b&gt;" in plot


def test_long_tables_are_thinned_and_keep_their_end() -> None:
    points = [(minutes(n), (n, 0)) for n in range(1000)]
    rows = re.findall(r"<tr><td>([^<]+)</td>", areas("Records", TWO, points))
    assert len(rows) <= ROWS_READ_OUT
    assert rows[-1] == "2026-11-22 00:39:00"


def test_nothing_has_a_style_of_its_own() -> None:
    plot = areas("Records", TWO, [(minutes(0), (1, 1))])
    assert "style=" not in plot
    assert 'class="area of-succeeded"' in plot


def test_lengths_of_time_are_on_a_scale_of_times() -> None:
    found = [Dot(minutes(n), 30.0 * 10**n, "of-in_batch", f"batch {n}") for n in range(4)]
    (wide, _) = drawings(dots("Turnaround", found, begin=BEGIN, end=minutes(10)))
    assert {"10 s", "10 min", "1 h"} <= {tick.text for tick in wide.findall("text")}
    heights = [float(dot.get("cy", "")) for dot in wide.findall("circle")]
    assert heights == sorted(heights, reverse=True)
    assert [dot.findtext("title") for dot in wide.findall("circle")] == [f"batch {n}" for n in range(4)]


@pytest.mark.parametrize(
    ("length", "first"),
    [(timedelta(seconds=20), "08:00:00"), (timedelta(hours=1), "08:00"), (timedelta(days=3), "Nov 22")],
)
def test_times_are_round_ones(length: timedelta, first: str) -> None:
    plot = columns("Answered", TWO, [], begin=BEGIN, end=BEGIN + length, width=length / 10)
    (wide, _) = drawings(plot)
    ticks = [tick.text for tick in wide.findall("text[@text-anchor='middle']")]
    assert first in ticks[:2]
    assert len(ticks) <= 1 + WIDE[0] // 80


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1))
def test_every_point_is_on_the_paper(found: list[tuple[int, int, int]]) -> None:
    points = [(BEGIN + timedelta(seconds=at), (one, two)) for at, one, two in sorted(found)]
    for (width, height), drawing in zip((WIDE, NARROW), drawings(areas("x", TWO, points)), strict=True):
        for path in drawing.findall("path[@class]"):
            for letter, number in re.findall(r"([HV])([-\d.]+)", path.get("d", "")):
                low, high = (LEFT, width) if letter == "H" else (0, height)
                assert low <= float(number) <= high


@given(seconds=st.integers(1, 40 * 86_400))
def test_no_word_of_an_axis_is_cut_off(seconds: int) -> None:
    end = BEGIN + timedelta(seconds=seconds)
    for drawing in drawings(areas("Records", TWO, [(BEGIN, (0, 0)), (end, (10, 2))], line=20)):
        most = float(drawing.attrib["viewBox"].split()[2])
        for tick in drawing.findall("text[@class='tick']"):
            half = {"end": 0.0, "middle": 0.5}[tick.attrib["text-anchor"]]
            wide = 2 * HALF_LETTER * len(tick.text or "")
            assert float(tick.attrib["x"]) + half * wide <= most
