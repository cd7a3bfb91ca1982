"""The measurements as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from meters import STAGES

MEGABYTE = 1_000_000
OURS = "nightmail"


def of(told: Mapping[str, Any]) -> str:
    """The table of what `bench.py` measured: a column for each program, and ratios to nightmail."""
    done = {name: each for name, each in told["programs"].items() if "failed" not in each}
    ours = done.get(OURS)
    others = [name for name in done if name != OURS and ours]
    lines = [heading(told), ""]
    lines.append(_row("", *done, *(ratio_name(name) for name in others)))
    for name, value, form in _MEASURES:
        values = {program: value(each, told["records"]) for program, each in done.items()}
        ratios = [ratio(values[OURS], values[other], other) for other in others]
        lines.append(_row(name, *(form.format(each) for each in values.values()), *ratios))
    if ours and ours["stages"]:
        lines += ["", _row("CPU by stage, one more run", "s", "us/record", "share")]
        for stage in STAGES:
            seconds = ours["stages"].get(stage, 0.0)
            share = seconds / sum(ours["stages"].values())
            each = seconds / told["records"] * 1e6
            lines.append(_row(stage, f"{seconds:.2f}", f"{each:.1f}", f"{share:.0%}"))
    for name, each in told["programs"].items():
        if "failed" in each:
            lines += ["", f"{name} did not do the job: {each['failed']}"]
    return "\n".join(lines) + "\n"


def of_peers(told: Mapping[str, Any]) -> str:
    """The table of what `bench_peers.py` measured: for each size the programs, the fastest first."""
    lines = [f"{machine(told)}; {often(told)}"]
    for size in told["sizes"]:
        programs = {name: each for name, each in size["programs"].items() if "failed" not in each}
        ours = programs.get(OURS)
        names = ("wall, s", f"/ {OURS}", "CPU, s", "peak, MB", "batches")
        lines += ["", _row(f"{size['records']:,} records", *names)]
        for name, each in sorted(programs.items(), key=lambda item: item[1]["wall_seconds"]):
            lines.append(
                _row(
                    name,
                    f"{each['wall_seconds']:.2f}",
                    f"{each['wall_seconds'] / ours['wall_seconds']:.2f}" if ours else "",
                    f"{each['cpu_seconds']:.2f}",
                    f"{each['peak_rss_together'] / MEGABYTE:,.0f}",
                    str(each["batches"]),
                )
            )
        lines += [f"{name}: {each['failed']}" for name, each in size["programs"].items() if "failed" in each]
    return "\n".join(lines) + "\n"


def ratio_name(other: str) -> str:
    """Which way round the ratio to another program is told: above 1, that one of the two needs more."""
    return f"{OURS} / {other}" if other == "ideal" else f"{other} / {OURS}"


def ratio(ours: float, theirs: float, other: str) -> str:
    """The ratio, in the direction of `ratio_name`."""
    over, under = (ours, theirs) if other == "ideal" else (theirs, ours)
    return f"{over / under:.2f}" if under else ""


def machine(told: Mapping[str, Any]) -> str:
    """The machine in a phrase."""
    found = told["machine"]
    return (
        f"{found['processors']} processors, {found['memory_gb']} GB, Python {found['python']}, "
        f"{found['system']}, {told['measured_on']}"
    )


def heading(told: Mapping[str, Any]) -> str:
    """What was measured, on what, how often."""
    return f"{told['records']:,} records, {told['bytes'] / MEGABYTE:.1f} MB; {machine(told)}; {often(told)}"


def often(told: Mapping[str, Any]) -> str:
    """How often it was measured, and what has to be known of that."""
    number = told["rounds"]
    rounds = "one round" if number == 1 else f"median of {number} rounds"
    return f"{rounds}; {told['note']}" if told.get("note") else rounds


_MEASURES: tuple[tuple[str, Callable[[Mapping[str, Any], int], float], str], ...] = (
    ("wall, s", lambda each, _: each["wall_seconds"], "{:.2f}"),
    ("records/s", lambda each, records: records / each["wall_seconds"], "{:,.0f}"),
    ("CPU, s", lambda each, _: each["cpu_seconds"], "{:.2f}"),
    ("CPU, us/record", lambda each, records: each["cpu_seconds"] / records * 1e6, "{:.1f}"),
    ("peak of a process, MB", lambda each, _: each["peak_rss"] / MEGABYTE, "{:,.0f}"),
    ("peak together, MB", lambda each, _: each["peak_rss_together"] / MEGABYTE, "{:,.0f}"),
    ("output, MB", lambda each, _: each["output_bytes"] / MEGABYTE, "{:.1f}"),
    ("simulator CPU, s", lambda each, _: each["simulator_cpu_seconds"], "{:.2f}"),
    ("simulator memory, MB", lambda each, _: each["simulator_peak_rss"] / MEGABYTE, "{:,.0f}"),
)


def _row(name: str, *cells: str) -> str:
    return f"{name:<26}" + "".join(f"{cell:>18}" for cell in cells)
