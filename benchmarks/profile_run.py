"""Where nightmail's time goes: the dearest functions of each stage, by cProfile."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

import bench  # noqa: E402 - found by the line above
import dataset  # noqa: E402
import profiles  # noqa: E402
import rounds  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=50_000, help="of about 1 KB each (50000)")
    parser.add_argument("--rows", type=int, default=25, help="functions shown for each stage (25)")
    parser.add_argument("--stage", help="show this stage only")
    parser.add_argument("--keep", type=Path, help="a folder for the .prof files")
    given = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="nightmail-profile-") as temporary:
        folder = Path(temporary)
        source = folder / "input.jsonl"
        dataset.write(source, given.records)
        found = given.keep or folder / "profiles"
        found.mkdir(parents=True, exist_ok=True)
        options = ["--profile", str(found), "--profile-rows", str(given.rows)]
        program = dataclasses.replace(bench.PROGRAMS["nightmail"], options=options)
        told = rounds.once(program, source, folder / "nightmail", given.records)
        for stage, text in profiles.read(found):
            if given.stage in (None, stage):
                print(f"== {stage}: {told['stages'].get(stage, 0):.2f} s of CPU while profiled\n\n{text}")


if __name__ == "__main__":
    main()
