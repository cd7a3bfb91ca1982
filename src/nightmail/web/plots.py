"""Plots as SVG, drawn on the server: areas, columns and dots over time.

Each is drawn twice, for wide and for narrow screens, of which the style sheet shows one, so that its words
have the size of the page's. It has a title and a description; the numbers themselves are in a table that is
read out instead. Colours come by class, since the pages' policy forbids style attributes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from markupsafe import Markup, escape

from nightmail.core import wording

WIDE, NARROW = (600, 190), (340, 170)
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 22
# A tick for so many pixels, at most.
PER_TICK = 80
HALF_LETTER = 3.5  # half of what a letter of a tick takes
SECOND, MINUTE, HOUR, DAY = 1, 60, 3600, 86_400
STEPS = (
    *(n * SECOND for n in (1, 5, 10, 30)),
    *(n * MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * HOUR for n in (1, 2, 3, 6, 12)),
    *(n * DAY for n in (1, 2, 7, 14, 30, 91, 365)),
)  # fmt: skip
DURATIONS = (1, 10, MINUTE, 10 * MINUTE, HOUR, 4 * HOUR, DAY, 4 * DAY)
ROWS_READ_OUT = 60


class Series(NamedTuple):
    """Something that is drawn in one colour: `style` is a class of the style sheet."""

    name: str
    style: str


class Dot(NamedTuple):
    at: datetime
    value: float
    style: str
    words: str


class _Scale(NamedTuple):
    """Where values are: `place` gives 0 at the bottom, 1 at the top; `ticks` are values with their words."""

    place: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


def areas(
    title: str, series: Sequence[Series], points: Sequence[tuple[datetime, Sequence[int]]], *, line: int = 0
) -> Markup:
    """Counts that lie on top of each other, each as it was until the next point; a dashed `line` at a
    height of its own, such as the number of all records."""
    begin, end = _ends([at for at, _ in points], timedelta(seconds=1))
    scale = _linear(max([line, *(sum(values) for _, values in points)], default=1))

    def draw(paper: _Paper) -> Iterable[str]:
        for above in reversed(range(len(series))):
            heights = [(at, sum(values[: above + 1])) for at, values in points]
            yield f'<path class="area {series[above].style}" d="{paper.steps(heights)}"/>'
        if line:
            yield paper.level(line)

    rows = [(_written(at), *values) for at, values in points]
    last = ", ".join(f"{each.name} {value:,}" for each, value in zip(series, points[-1][1], strict=True))
    return _figure(title, f"At the end: {last}.", series, rows, (begin, end, scale), draw)


def columns(
    title: str,
    series: Sequence[Series],
    slots: Sequence[tuple[datetime, Sequence[int]]],
    *,
    begin: datetime,
    end: datetime,
    width: timedelta,
) -> Markup:
    """Counts by slots of time, on top of each other."""
    scale = _linear(max((sum(values) for _, values in slots), default=1))

    def draw(paper: _Paper) -> Iterable[str]:
        for at, values in slots:
            below = 0
            for each, value in zip(series, values, strict=True):
                if value:
                    yield paper.column(at, at + width, below, below + value, each.style)
                below += value

    rows = [(_written(at), *values) for at, values in slots]
    said = f"{sum(sum(values) for _, values in slots):,} in all."
    return _figure(title, said, series, rows, (begin, end, scale), draw)


def dots(title: str, found: Sequence[Dot], *, begin: datetime, end: datetime) -> Markup:
    """Lengths of time, in seconds, on a logarithmic scale."""
    scale = _logarithmic([max(dot.value, SECOND) for dot in found])

    def draw(paper: _Paper) -> Iterable[str]:
        for dot in found:
            yield paper.dot(dot)

    rows = [(_written(dot.at), dot.words) for dot in found]
    values = sorted(dot.value for dot in found)
    middle = wording.duration(timedelta(seconds=values[len(values) // 2])) if values else "none"
    said = f"Half of them took at most {middle}."
    return _figure(title, said, [Series("Batch", "")], rows, (begin, end, scale), draw)


class _Paper:
    """Places on one drawing."""

    def __init__(self, size: tuple[int, int], begin: datetime, end: datetime, scale: _Scale) -> None:
        self.width, self.height = size
        self._begin, self._span = begin, (end - begin) / timedelta(seconds=1)
        self._scale = scale

    def x(self, at: datetime) -> float:
        share = (at - self._begin) / timedelta(seconds=1) / self._span
        return round(LEFT + (self.width - LEFT - RIGHT) * min(1.0, max(0.0, share)), 1)

    def y(self, value: float) -> float:
        return round(self.height - BOTTOM - (self.height - BOTTOM - TOP) * self._scale.place(value), 1)

    def steps(self, heights: Sequence[tuple[datetime, float]]) -> str:
        """The outline of an area: level up to the next point, down to the ground at its end."""
        path = [f"M{self.x(heights[0][0])},{self.y(0)}"]
        for at, value in heights:
            path.append(f"H{self.x(at)}V{self.y(value)}")
        return "".join([*path, f"V{self.y(0)}Z"])

    def level(self, value: float) -> str:
        return f'<path class="level" d="M{LEFT},{self.y(value)}H{self.width - RIGHT}"/>'

    def column(self, begin: datetime, end: datetime, low: float, high: float, style: str) -> str:
        left, top = self.x(begin), self.y(high)
        wide = max(1.0, self.x(end) - left - 1)
        return (
            f'<rect class="area {style}" x="{left}" y="{top}" width="{wide:.1f}" '
            f'height="{max(0.5, self.y(low) - top):.1f}"/>'
        )

    def dot(self, dot: Dot) -> str:
        place = f'cx="{self.x(dot.at)}" cy="{self.y(max(dot.value, SECOND))}"'
        return f'<circle class="dot {dot.style}" {place} r="3.2"><title>{escape(dot.words)}</title></circle>'

    def axes(self, begin: datetime, end: datetime) -> Iterable[str]:
        right, ground = self.width - RIGHT, self.height - BOTTOM
        for value, words in self._scale.ticks:
            yield f'<path class="rule" d="M{LEFT},{self.y(value)}H{right}"/>'
            yield self._tick(LEFT - 6, self.y(value) + 4, words, "end")
        for at, words in _times(begin, end, (self.width - LEFT - RIGHT) // PER_TICK):
            x = self.x(at)
            yield f'<path class="mark" d="M{x},{ground}v4"/>'
            # What would be cut off at the edge ends there.
            is_cut = x + len(words) * HALF_LETTER > self.width
            yield self._tick(self.width if is_cut else x, ground + 16, words, "end" if is_cut else "middle")
        yield f'<path class="ground" d="M{LEFT},{ground}H{right}"/>'

    def _tick(self, x: float, y: float, words: str, anchor: str) -> str:
        return f'<text class="tick" x="{x}" y="{y}" text-anchor="{anchor}">{words}</text>'


def _figure(
    title: str,
    said: str,
    series: Sequence[Series],
    rows: Sequence[Sequence[object]],
    axes: tuple[datetime, datetime, _Scale],
    draw: Callable[[_Paper], Iterable[str]],
) -> Markup:
    begin, end, scale = axes
    drawings = []
    for name, size in (("wide", WIDE), ("narrow", NARROW)):
        paper = _Paper(size, begin, end, scale)
        drawings.append(
            f'<svg class="plot for-{name}" viewBox="0 0 {size[0]} {size[1]}" role="img">'
            f"<title>{escape(title)}</title><desc>{escape(said)}</desc>"
            f"{''.join(paper.axes(begin, end))}{''.join(draw(paper))}</svg>"
        )
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in ("Time", *(s.name for s in series)))
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in _thinned(rows)
    )
    table = (
        f'<div class="unseen"><table><caption>{escape(title)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )
    return Markup("".join([*drawings, table]))  # noqa: S704 - every text in it is escaped above


def _thinned(rows: Sequence[Sequence[object]]) -> Sequence[Sequence[object]]:
    """As many as somebody may want to hear, the last one among them."""
    every = math.ceil(len(rows) / ROWS_READ_OUT) or 1
    return rows[(len(rows) - 1) % every :: every]


def _linear(most: float) -> _Scale:
    """From 0 to a little more than the most, with ticks at round numbers."""
    raw = max(most, 1) / 3
    size = 10 ** math.floor(math.log10(raw))
    step = max(1, next(n * size for n in (1, 2, 5, 10) if n * size >= raw))
    top = step * math.ceil(max(most, 1) / step)
    ticks = [step * n for n in range(round(top / step) + 1)]
    return _Scale(lambda value: value / top, [(tick, _short(tick)) for tick in ticks])


def _logarithmic(values: Sequence[float]) -> _Scale:
    """Between two of the lengths of time that people think in."""
    least, most = min(values, default=MINUTE), max(values, default=HOUR)
    low = max((each for each in DURATIONS if each <= least), default=DURATIONS[0])
    high = min((each for each in DURATIONS if each > most), default=max(most * 1.1, DURATIONS[-1]))
    span = math.log(high / low)
    ticks = [each for each in DURATIONS if low <= each <= high]
    return _Scale(
        lambda value: math.log(max(value, low) / low) / span, [(tick, _length(tick)) for tick in ticks]
    )


def _short(number: int) -> str:
    """`500`, `5 k`, `2.5 M`: a round number."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:g} {letter}"
    return str(number)


def _length(seconds: int) -> str:
    """`10 s`, `4 h`, `1 d`: the whole number of the largest unit."""
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _times(begin: datetime, end: datetime, most: int) -> Iterable[tuple[datetime, str]]:
    """Round times of the day, or days."""
    span = (end - begin).total_seconds()
    step = next((each for each in STEPS if span / each <= most), STEPS[-1])
    first = math.ceil(begin.timestamp() / step) * step
    for seconds in range(first, math.floor(end.timestamp()) + 1, step):
        at = datetime.fromtimestamp(seconds, UTC)
        is_day = seconds % DAY == 0
        yield at, f"{at:%b} {at.day}" if is_day else f"{at:%H:%M:%S}" if step < MINUTE else f"{at:%H:%M}"


def _ends(times: Sequence[datetime], least: timedelta) -> tuple[datetime, datetime]:
    return times[0], max(times[-1], times[0] + least)


def _written(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
