"""`make bench`: nightmail, a naive script and an ideal pipeline do the same job; a table of all three.

The input, the task and the answers are the same; each program is a process of its own with default options,
timed from its start to its end. The simulator answers at once, so that what is measured is the client. What
the CPU of nightmail is spent on is measured in one more run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "src")]

import dataset  # noqa: E402 - found by the line above
import environments  # noqa: E402
import rounds  # noqa: E402
import table  # noqa: E402
from rounds import Program  # noqa: E402

# The vocabulary is made once on a machine; the simulator, which counts too, has done it.
KEPT = {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")}
PROGRAMS = {
    program.name: program
    for program in (
        Program(name="nightmail", runs=[HERE / "ours.py"], environment=KEPT, output="output.parquet"),
        Program(name="ideal", runs=[HERE / "ideal.py"], environment=KEPT, output="output.parquet"),
        Program(name="naive", runs=[HERE / "naive.py"]),
    )
}
RESULTS = HERE / "results"


def prepared(name: str, options: Sequence[str] | None = None) -> Program:
    """One of the three, in the environment that nightmail's users have; with other options if given."""
    program = PROGRAMS[name]
    options = program.options if options is None else options
    return dataclasses.replace(program, python=environments.python_of_ours(), options=options)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=50_000, help="of about 1 KB each (50000)")
    parser.add_argument("--rounds", type=int, default=1, help="each figure's median is shown (1)")
    parser.add_argument("--only", choices=PROGRAMS, action="append", help="some of the three")
    parser.add_argument("--folder", type=Path, help="where the files are put (a temporary folder)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for the JSON")
    parser.add_argument("--note", help="what a reader of the figures has to know")
    parser.add_argument("--here", action="store_true", help="in this environment, whatever is installed")
    parser.add_argument("--keep", action="store_true", help="leave the files of the last round there")
    given = parser.parse_args()

    names = given.only or PROGRAMS
    chosen = [PROGRAMS[name] if given.here else prepared(name) for name in names]
    folder = Path(tempfile.mkdtemp(prefix="nightmail-bench-", dir=given.folder))
    try:
        source = folder / "input.jsonl"
        size = dataset.write(source, given.records)
        programs = rounds.compare(chosen, source, folder, given.records, given.rounds, keep=given.keep)
        if "nightmail" in programs and "failed" not in programs["nightmail"]:
            # By a run of its own: measuring takes time. If it fails, the rounds count all the same.
            ours = chosen[list(names).index("nightmail")]
            measured = dataclasses.replace(ours, name="stages", options=["--stages"])
            run = rounds.compare([measured], source, folder, given.records, 1, keep=given.keep)["stages"]
            programs["nightmail"]["stages"] = run.get("stages", {})
    finally:
        if given.keep:
            print(f"files: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    told = {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "machine": rounds.machine(),
        "records": given.records,
        "bytes": size,
        "rounds": given.rounds,
        "note": given.note,
        "programs": programs,
    }
    print(table.of(told))
    given.results.mkdir(parents=True, exist_ok=True)
    path = given.results / f"programs-{given.records}.json"
    path.write_text(json.dumps(told, indent=1) + "\n")
    print(f"written to {path}")
    if failed := [name for name, each in programs.items() if "failed" in each]:
        raise SystemExit(f"did not do the job: {', '.join(failed)}")


if __name__ == "__main__":
    main()
