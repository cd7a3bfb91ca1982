"""The same job in sizes: does time grow with the records, and memory not?

Each size is a run of nightmail with default options against a simulator that answers at once, as in
`bench.py`. 10,000,000 records need 40 GB of disk and, on two processors, a good part of an hour; with
`--characters 120` a quarter of that.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

import dataset  # noqa: E402 - found by the line above
import rounds  # noqa: E402
from bench import prepared  # noqa: E402

SIZES = (10_000, 100_000, 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of records")
    parser.add_argument(
        "--characters",
        type=int,
        default=dataset.CHARACTERS,
        help=f"of a record's text ({dataset.CHARACTERS})",
    )
    parser.add_argument("--folder", type=Path, help="where the files are put (a temporary folder)")
    given = parser.parse_args()
    columns = ("wall, s", "us/record", "CPU, us/record", "largest process, MB", "all together, MB")
    print(f"{'records':>12}" + "".join(f"{column:>21}" for column in columns))
    for size in given.sizes:
        folder = Path(tempfile.mkdtemp(prefix="nightmail-scale-", dir=given.folder))
        try:
            dataset.write(folder / "input.jsonl", size, given.characters)
            told = rounds.once(prepared("nightmail"), folder / "input.jsonl", folder / "home", size)
        finally:
            shutil.rmtree(folder)
        figures = (
            f"{told['wall_seconds']:.1f}",
            f"{told['wall_seconds'] / size * 1e6:.1f}",
            f"{told['cpu_seconds'] / size * 1e6:.1f}",
            f"{told['peak_rss'] / 1e6:,.0f}",
            f"{told['peak_rss_together'] / 1e6:,.0f}",
        )
        print(f"{size:>12,}" + "".join(f"{figure:>21}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
