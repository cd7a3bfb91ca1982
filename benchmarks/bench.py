"""`make bench`: nightmail and a naive script do the same work against the same simulator; a table of both.

The input, the task and the answers are the same; each program is a process of its own with default options,
timed from its start to its end. The simulator answers at once, so that what is measured is the client.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "src")]

import dataset  # noqa: E402 - found by the line above
import table  # noqa: E402
from process import cpu_seconds, family, peak_rss  # noqa: E402

PROGRAMS = ("nightmail", "naive")
SCRIPTS = {"nightmail": HERE / "ours.py", "naive": HERE / "naive.py"}
RESULTS = HERE / "results"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=50_000, help="of about 1 KB each (50000)")
    parser.add_argument("--rounds", type=int, default=1, help="the median by wall time is shown (1)")
    parser.add_argument("--only", choices=PROGRAMS, help="one of the two")
    parser.add_argument("--folder", type=Path, help="where the files are put (a temporary folder)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the JSON goes")
    parser.add_argument("--keep", action="store_true", help="leave the files of the last round there")
    given = parser.parse_args()

    folder = Path(tempfile.mkdtemp(prefix="nightmail-bench-", dir=given.folder))
    try:
        told = measure(folder, given.records, given.rounds, (given.only,) if given.only else PROGRAMS)
    finally:
        if given.keep:
            print(f"files: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(table.of(told))
    given.results.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = given.results / f"{stamp}-{given.records}.json"
    path.write_text(json.dumps(told, indent=1) + "\n")
    print(f"written to {path}")


def measure(folder: Path, records: int, rounds: int, programs: tuple[str, ...]) -> dict[str, Any]:
    """Every program's measurements over so many records, the median round of each."""
    source = folder / "input.jsonl"
    size = dataset.write(source, records)
    rounds_of: dict[str, list[dict[str, Any]]] = {program: [] for program in programs}
    for number in range(rounds):
        for program in programs:
            # A simulator of its own, so that neither finds files of the other.
            rounds_of[program].append(once(program, source, folder / f"{program}-{number}", records))
            if number < rounds - 1:
                shutil.rmtree(folder / f"{program}-{number}")
    return {
        "records": records,
        "bytes": size,
        "rounds": rounds,
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "programs": {
            program: sorted(several, key=lambda each: each["wall_seconds"])[(len(several) - 1) // 2]
            for program, several in rounds_of.items()
        },
    }


def once(program: str, source: Path, home: Path, records: int, options: Sequence[str] = ()) -> dict[str, Any]:
    """Run a program over the input; what it said of itself, and what was measured around it."""
    from nightmail.simulator.process import start

    home.mkdir()
    with start(state=home / "simulator") as server:
        # `instant` prepares processes when the first large batch comes, for whoever sends it: both alike.
        before = sum(map(cpu_seconds, family(server.pid)))
        output = home / ("output.parquet" if program == "nightmail" else "output.jsonl")
        given = {"--input": source, "--output": output, "--home": home, "--base-url": server.url}
        arguments = [str(part) for pair in given.items() for part in pair]
        command = [sys.executable, str(SCRIPTS[program]), *arguments, *options]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[:2])}
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
        wall = time.perf_counter() - began
        told: dict[str, Any] = json.loads(done.stdout)
        processes = family(server.pid)
        told |= {
            "wall_seconds": wall,
            "simulator_cpu_seconds": sum(map(cpu_seconds, processes)) - before,
            "simulator_peak_rss": sum(map(peak_rss, processes)),
            "output_bytes": output.stat().st_size,
        }
    if told["succeeded"] != records:
        raise SystemExit(
            f"{program}: {told['succeeded']} of {records} records succeeded; nothing is compared"
        )
    return told


if __name__ == "__main__":
    main()
