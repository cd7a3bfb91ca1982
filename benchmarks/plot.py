"""The stored measurements as a picture: plain SVG, bars of wall time, the fastest first.

One panel for each number of records. A program that did not do the job has its reason in place of a bar. The
scale of a panel ends at its slowest program; the reader is told ratios to nightmail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import table

WIDTH = 860
LABEL = 170
RIGHT = 190
ROW = 24
BAR = 16
GAP = 46
MARGIN = 20
LINE = 16
OURS, OTHER, INK, FAINT = "#1f6fb4", "#b9bec6", "#1d2126", "#646b75"


def svg(title: str, panels: Sequence[tuple[str, Mapping[str, Any]]], footer: Sequence[str]) -> str:
    """Panels, each `(heading, programs)` as in the stored results, above lines of small print."""
    parts = []
    top = MARGIN + 18
    for heading, programs in panels:
        drawn, height = _panel(heading, programs, top)
        parts += drawn
        top += height + GAP - ROW
    height = top + MARGIN + LINE * len(footer)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-label="{escape(title)}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(MARGIN, MARGIN + 6, title, size=16, weight="bold"),
        *parts,
        *(
            _text(MARGIN, top + 6 + LINE * number, line, size=11, colour=FAINT)
            for number, line in enumerate(footer, 1)
        ),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _panel(heading: str, programs: Mapping[str, Any], top: int) -> tuple[list[str], int]:
    done = sorted(
        ((name, each) for name, each in programs.items() if "failed" not in each),
        key=lambda item: item[1]["wall_seconds"],
    )
    longest = max((each["wall_seconds"] for _, each in done), default=1.0)
    ours = programs.get(table.OURS, {}).get("wall_seconds")
    lines = [_text(MARGIN, top + ROW, heading, size=13, weight="bold")]
    y = top + ROW + 12
    for name, each in done:
        mine = name == table.OURS
        width = max(2.0, each["wall_seconds"] / longest * (WIDTH - LABEL - RIGHT))
        told = f"{each['wall_seconds']:.1f} s"
        if ours and not mine:
            told += f", {each['wall_seconds'] / ours:.2f} x nightmail"
        lines += [
            _text(LABEL - 8, y + 13, name, end=True, weight="bold" if mine else "normal"),
            f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" '
            f'fill="{OURS if mine else OTHER}"/>',
            _text(LABEL + width + 8, y + 13, told, colour=INK if mine else FAINT),
        ]
        y += ROW
    for name, each in programs.items():
        if "failed" in each:
            reason = each["failed"].strip().splitlines()[-1][:90]
            lines += [
                _text(LABEL - 8, y + 13, name, end=True),
                _text(LABEL, y + 13, reason, colour=FAINT),
            ]
            y += ROW
    return lines, y - top


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    weight: str = "normal",
    colour: str = INK,
    end: bool = False,
) -> str:
    anchor = ' text-anchor="end"' if end else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}"{anchor}>'
        f"{escape(text)}</text>"
    )
