"""`make bench-peers`: nightmail and the packages that also run the Batch API do the same job; a table of all.

Each peer has an environment of its own, made on demand, and a program in `peers/` that uses its public
interface as fast as it goes: batches as large as they may be, polls as often as it takes them. A peer that
cannot be installed, fails or is not done in time is listed with the reason.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "src")]

import bench  # noqa: E402 - found by the line above
import dataset  # noqa: E402
import environments  # noqa: E402
import rounds  # noqa: E402
import table  # noqa: E402
from rounds import Program  # noqa: E402

PEERS: dict[str, dict[str, Any]] = tomllib.loads((HERE / "peers.toml").read_text())
OURS = ("nightmail", "ideal", "naive")
# Ours poll as often as the peers are asked to; the ideal one does so by itself.
POLLS_OFTEN = {"nightmail": ("--poll-interval", "0.1"), "naive": ("--poll-interval", "0.1")}
# Nothing of theirs may wait for the network: reports of use, and tables that would be downloaded.
QUIET = {"TELEMETRY_ENABLED": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "true", "HF_HUB_OFFLINE": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, nargs="+", default=[5_000, 50_000], help="(5000 50000)")
    parser.add_argument("--rounds", type=int, default=1, help="each figure's median is shown (1)")
    parser.add_argument("--only", choices=[*OURS, *PEERS], action="append", help="some of them")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for each program (600)")
    parser.add_argument("--note", help="what a reader of the figures has to know")
    parser.add_argument("--folder", type=Path, help="where the files are put (a temporary folder)")
    parser.add_argument("--results", type=Path, default=bench.RESULTS, help="the folder for the JSON")
    given = parser.parse_args()

    programs, failed = prepare(given.only or [*OURS, *PEERS])
    folder = Path(tempfile.mkdtemp(prefix="nightmail-peers-", dir=given.folder))
    sizes = []
    try:
        for records in given.records:
            source = folder / f"input-{records}.jsonl"
            size = dataset.write(source, records)
            found = rounds.compare(programs, source, folder, records, given.rounds, timeout=given.timeout)
            told = {name: {"failed": why} for name, why in failed.items()} | found
            sizes.append({"records": records, "bytes": size, "programs": told})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "machine": rounds.machine(),
        "rounds": given.rounds,
        "note": given.note,
        "timeout": given.timeout,
        "sizes": sizes,
    }
    print(table.of_peers(result))
    given.results.mkdir(parents=True, exist_ok=True)
    path = given.results / "peers.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {path}")


def prepare(names: list[str]) -> tuple[list[Program], dict[str, str]]:
    """The programs of that name, their environments made; and why some cannot be run, by name."""
    programs, failed = [], {}
    for name in names:
        if name in OURS:
            programs.append(bench.prepared(name, POLLS_OFTEN.get(name, ())))
            continue
        try:
            python = environments.python_of(name, PEERS[name], environments.FOLDER)
        except environments.NotInstalled as error:
            failed[name] = f"not installed: {error}"
            continue
        # -P: a program has the name of the package that it imports.
        runs = ["-P", "-m", f"peers.{PEERS[name]['module']}"]
        programs.append(Program(name=name, runs=runs, python=python, searched=[str(HERE)], environment=QUIET))
    return programs, failed


if __name__ == "__main__":
    main()
