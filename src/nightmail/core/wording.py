"""How numbers are written for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypeVar

R = TypeVar("R", bound=str)

# As in core/pricing.py, which reads price files and so is not loaded for a command's `--help`.
_PUSD_PER_USD = 10**12

_SCALES = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


def count(number: int) -> str:
    """8412 -> `8,412`."""
    return f"{number:,}"


def plural(number: int, noun: str, many: str | None = None) -> str:
    """`1 batch`, `3 batches`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {many or (noun + ('es' if noun.endswith(('h', 's')) else 's'))}"


def tokens(number: float) -> str:
    """Three digits: `156`, `1.31 M`, `312 k`."""
    for scale, letter in _SCALES:
        # 999,600 would be written "1000 k".
        if number >= scale * 0.9995:
            value = number / scale
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {letter}"
    return f"{number:.0f}"


def money(pusd: int | None) -> str:
    """US dollars: cents from a dollar on, two significant digits below; `unknown` for None."""
    # `nightmail --help` writes numbers too, and must not wait for what prices are read with.

    if pusd is None:
        return "unknown"
    amount = Decimal(pusd) / _PUSD_PER_USD
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    if size == 0 or size >= 1:
        return f"{sign}${size.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,}"
    places = max(2, 1 - size.adjusted())
    return f"{sign}${size.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):f}"


def duration(span: timedelta) -> str:
    """`31 s`, `4 min 10 s`, `2 h 05 min`."""
    seconds = round(span.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def span(low: timedelta, high: timedelta) -> str:
    """A range in the unit of its upper end: `9-23 s`, `2-5 min`, `2.2-4.5 h`; at least 2 s."""
    seconds = high.total_seconds()
    for scale, unit, digits in ((3600, "h", 1), (60, "min", 0)):
        if seconds >= 2 * scale:
            return f"{low.total_seconds() / scale:.{digits}f}-{seconds / scale:.{digits}f} {unit}"
    return f"{low.total_seconds():.0f}-{seconds:.0f} s" if seconds >= 2 else "2 s"


def percent(share: float) -> str:
    """0.614 -> `61 %`."""
    return f"{share * 100:.0f} %"


def reasons(counted: Mapping[R, int]) -> str:
    """`refused 9, check 5`: the most frequent first."""
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {number:,}" for reason, number in ordered)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text under each other, each column as wide as its widest cell."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
