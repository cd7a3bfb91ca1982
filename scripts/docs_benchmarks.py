"""Put the stored measurements into docs/reference/benchmarks.md, and draw them as docs/benchmarks.svg."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generated import ROOT, publish, table

BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import plot  # noqa: E402 - found by the line above
import table as measures  # noqa: E402

MILLION = BENCHMARKS / "results" / "programs-1000000.json"
PEERS = BENCHMARKS / "results" / "peers.json"
PICTURE = "docs/benchmarks.svg"
FACTS = ("durable", "tokens", "validation", "retry", "recovery", "output")
OURS = [
    [
        "**nightmail**",
        "yes: each request and its state, the lines sent and the files that came, synced to disk",
        "exactly, each request before it is planned",
        "the output's type, and the task's own check",
        "line errors, cut off, malformed and rejected answers, each in its way",
        "goes on; the provider's list decides about a create call whose answer was lost",
        "Parquet, and a file of failures",
    ],
    ["ideal", "no", "exactly", "the output's type", "no", "nothing", "Parquet"],
    ["naive", "no", "characters / 4", "that it is JSON", "no", "nothing", "JSONL"],
]


def body(million: Mapping[str, Any], peers: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The figures, then what each peer does in that time."""
    sizes = peers["sizes"]
    parts = [
        "## A million records",
        f"{measures.heading(million)}.",
        _programs(million["records"], million["programs"], nightmail_over=True),
        "## Beside the peers",
        f"{measures.machine(peers)}; {measures.often(peers)}.",
        "![wall time of each program](../benchmarks.svg)",
        *(
            f"**{size['records']:,} records**\n\n{_programs(size['records'], size['programs'])}"
            for size in sizes
        ),
        "## What each does in that time",
        "Of the peers as read in the code of these versions.",
        table(
            [
                "",
                "kept durably",
                "tokens counted",
                "answers validated",
                "asked again",
                "after a crash",
                "output",
            ],
            [
                *OURS,
                *(
                    [f"{name} {each['version']}", *(each[fact] for fact in FACTS)]
                    for name, each in facts.items()
                ),
            ],
        ),
        table(
            ["", "looks at a batch", "here", "licence", "note"],
            [
                [name, each["looks"], each["asked"], each["licence"], each.get("note", "")]
                for name, each in facts.items()
            ],
        ),
    ]
    return "\n\n".join(parts)


def _programs(records: int, programs: Mapping[str, Any], *, nightmail_over: bool = False) -> str:
    ours = programs.get(measures.OURS, {})
    rows = []
    done = {name: each for name, each in programs.items() if "failed" not in each}
    for name, each in sorted(done.items(), key=lambda item: item[1]["wall_seconds"]):
        rows.append(
            [
                f"**{name}**" if name == measures.OURS else name,
                f"{each['wall_seconds']:.1f}",
                _ratio(each, ours, "wall_seconds", nightmail_over),
                f"{each['cpu_seconds']:.1f}",
                _ratio(each, ours, "cpu_seconds", nightmail_over),
                f"{each['peak_rss'] / measures.MEGABYTE:,.0f}",
                f"{each['peak_rss_together'] / measures.MEGABYTE:,.0f}",
                str(each["batches"]),
            ]
        )
    compared = f"{measures.OURS} / it" if nightmail_over else f"it / {measures.OURS}"
    head = [
        "", "wall, s", compared, "CPU, s", compared, "largest process, MB", "all processes, MB", "batches",
    ]  # fmt: skip
    failed = [f"* {name}: {each['failed']}" for name, each in programs.items() if "failed" in each]
    return "\n\n".join([table(head, rows), *(["\n".join(failed)] if failed else [])])


def _ratio(each: Mapping[str, Any], ours: Mapping[str, Any], measure: str, nightmail_over: bool) -> str:
    if measure not in ours:
        return ""
    return (
        f"{ours[measure] / each[measure]:.2f}" if nightmail_over else f"{each[measure] / ours[measure]:.2f}"
    )


def picture(million: Mapping[str, Any], peers: Mapping[str, Any]) -> str:
    """The drawing: both sizes of the peers, then the million."""
    panels = [(f"{size['records']:,} records", size["programs"]) for size in peers["sizes"]]
    panels.append((f"{million['records']:,} records", million["programs"]))
    measured = dict.fromkeys(f"{measures.machine(each)}; {measures.often(each)}" for each in (peers, million))
    return plot.svg("Wall time of the same job against the same simulator", panels, list(measured))


def main() -> None:
    million, peers = (json.loads(path.read_text()) for path in (MILLION, PEERS))
    facts = tomllib.loads((BENCHMARKS / "peers.toml").read_text())
    publish("docs/reference/benchmarks.md", body(million, peers, facts), script=__file__)
    _draw(ROOT / PICTURE, picture(million, peers))


def _draw(path: Path, drawn: str) -> None:
    if path.exists() and path.read_text() == drawn:
        return
    if "--check" in sys.argv[1:]:
        raise SystemExit(f"{PICTURE} is out of date: run `make docs`")
    path.write_text(drawn)
    print(f"{PICTURE} written")


if __name__ == "__main__":
    main()
