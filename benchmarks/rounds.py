"""Programs side by side: each does the job against a simulator of its own, in rounds, and is measured.

A round runs every program once, in an order turned around from one round to the next, so that a machine that
gets slower or faster treats none of them better. Of several rounds each figure's median is told. Nothing is
compared unless every record of a program succeeded.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import process
import warming
import watched

HERE = Path(__file__).resolve().parent
# What the programs import, and what the simulator's process does.
SEARCHED = [str(HERE), str(HERE.parent / "src")]
HOUR = 3_600.0


class Failed(Exception):
    """A program did not do the job; says why, in the program's own words."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What takes the arguments of `job.arguments`: an interpreter, and the script or `-m` module it runs."""

    name: str
    runs: Sequence[str | Path]
    python: str | Path = sys.executable
    searched: Sequence[str] = tuple(SEARCHED)
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    output: str = "output.jsonl"


def once(
    program: Program, source: Path, home: Path, records: int, *, timeout: float = HOUR
) -> dict[str, Any]:
    """Run a program over the input; what it told, and what was measured around it. Raises `Failed`."""
    from nightmail.simulator.process import start

    home = home.resolve()
    home.mkdir()
    told_at, output = home / "told.json", home / program.output
    with start(state=home / "simulator") as server:
        warming.warm(server.url)
        before = sum(map(process.cpu_seconds, process.family(server.pid)))
        given = {
            "--input": source.resolve(),
            "--output": output,
            "--home": home,
            "--base-url": server.url,
            "--told": told_at,
        }
        arguments = [part for pair in given.items() for part in pair]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(program.searched),
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": "none",
            # What a program keeps outside of the folder it is given stays in it all the same.
            "HOME": str(home),
            **program.environment,
        }
        used = watched.run(
            [program.python, *program.runs, *arguments, *program.options],
            log=home / "log.txt", folder=home, env=environment, timeout=timeout,
        )  # fmt: skip
        processes = process.family(server.pid)
        simulator_cpu = sum(map(process.cpu_seconds, processes)) - before
        simulator_rss = sum(map(process.peak_rss, processes))
        batches = len(server.get("/_simulator/books")["batches"]) - 1  # without the one of `warming`
    if used.exit_code is None:
        raise Failed(f"not done after {timeout:.0f} s")
    if used.exit_code:
        raise Failed(used.said or f"exit code {used.exit_code}")
    told: dict[str, Any] = json.loads(told_at.read_text())
    if told["succeeded"] != records:
        raise Failed(f"{told['succeeded']} of {records} records succeeded")
    if "stages" in told:
        told["stages"]["rest"] = used.cpu_seconds - sum(told["stages"].values())
    return told | {
        "wall_seconds": used.wall_seconds,
        "cpu_seconds": used.cpu_seconds,
        "peak_rss": used.peak_rss,
        "peak_rss_together": used.peak_rss_together,
        "batches": batches,
        "output_bytes": output.stat().st_size,
        "simulator_cpu_seconds": simulator_cpu,
        "simulator_peak_rss": simulator_rss,
    }


def compare(
    programs: Sequence[Program],
    source: Path,
    folder: Path,
    records: int,
    rounds: int,
    *,
    timeout: float = HOUR,
    keep: bool = False,
) -> dict[str, dict[str, Any]]:
    """Every program's median round, by name; `{"failed": why}` for one that did not do the job.

    Its files are removed as soon as it is done; with `keep` those of the last round stay.
    """
    told: dict[str, list[dict[str, Any]]] = {program.name: [] for program in programs}
    failed: dict[str, str] = {}
    for number in range(rounds):
        for program in programs if number % 2 == 0 else reversed(programs):
            if program.name in failed:
                continue
            home = folder / f"{program.name}-{records}-{number}"
            print(f"{program.name}, {records:,} records, round {number + 1}", file=sys.stderr)
            try:
                told[program.name].append(once(program, source, home, records, timeout=timeout))
            except Failed as error:
                print(f"{program.name}: {error}", file=sys.stderr)
                # The last line is the error; what stands above it is of this machine.
                failed[program.name] = str(error).splitlines()[-1]
            if not keep or number < rounds - 1:
                shutil.rmtree(home)
    return {
        name: {"failed": failed[name]} if name in failed else median(several)
        for name, several in told.items()
    }


def median(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Each figure's own median, since what slows a round down does not slow all of it down; of an even number
    the lower of the two in the middle. What is no figure is the first round's."""
    return {
        name: statistics.median_low(each[name] for each in rounds)
        if isinstance(value, int | float)
        else value
        for name, value in rounds[0].items()
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processors": os.cpu_count(),
        "memory_gb": round(memory / 1e9),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
