"""The measurements as a table for people."""

from __future__ import annotations

from typing import Any

from meters import STAGES

MEGABYTE = 1_000_000


def of(told: dict[str, Any]) -> str:
    """The table of what `bench.measure` returned."""
    programs = told["programs"]
    lines = [
        f"{told['records']:,} records, {told['bytes'] / MEGABYTE:.1f} MB; {told['processors']} processors, "
        f"Python {told['python']}, {told['system']}; {_rounds(told['rounds'])}",
        "",
        _row("", *programs, *(["naive / nightmail"] if len(programs) == 2 else [])),
    ]
    for name, value, form in _MEASURES:
        values = [value(each, told) for each in programs.values()]
        ratio = [f"{values[1] / values[0]:.2f}"] if len(values) == 2 and values[0] else []
        lines.append(_row(name, *(form.format(each) for each in values), *ratio))
    if ours := programs.get("nightmail"):
        lines += ["", _row("CPU of nightmail by stage", "s", "us/record", "share")]
        for stage in STAGES:
            seconds = ours["stages"].get(stage, 0.0)
            share = seconds / ours["cpu_seconds"]
            lines.append(
                _row(stage, f"{seconds:.2f}", f"{seconds / told['records'] * 1e6:.1f}", f"{share:.0%}")
            )
    return "\n".join(lines) + "\n"


_MEASURES: tuple[tuple[str, Any, str], ...] = (
    ("wall, s", lambda each, _: each["wall_seconds"], "{:.2f}"),
    ("records/s", lambda each, told: told["records"] / each["wall_seconds"], "{:,.0f}"),
    ("CPU, s", lambda each, _: each["cpu_seconds"], "{:.2f}"),
    ("CPU, us/record", lambda each, told: each["cpu_seconds"] / told["records"] * 1e6, "{:.1f}"),
    ("peak memory, MB", lambda each, _: each["peak_rss"] / MEGABYTE, "{:,.0f}"),
    ("output, MB", lambda each, _: each["output_bytes"] / MEGABYTE, "{:.1f}"),
    ("simulator CPU, s", lambda each, _: each["simulator_cpu_seconds"], "{:.2f}"),
    ("simulator memory, MB", lambda each, _: each["simulator_peak_rss"] / MEGABYTE, "{:,.0f}"),
)


def _row(name: str, *cells: str) -> str:
    return f"{name:<28}" + "".join(f"{cell:>18}" for cell in cells)


def _rounds(rounds: int) -> str:
    return "one round" if rounds == 1 else f"median of {rounds} rounds"
