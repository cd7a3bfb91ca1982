"""`make promises`: what nightmail promises, shown one after the other, with figures.

Each is done with real processes against the simulator, and judged by the simulator's books. Small versions
of all of them are among the tests.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from chaos import filling, killing, turns
from chaos.place import Shown

QUOTA = 2_000_000
SHARED = 200_000


def shows(seed: int) -> Mapping[str, Callable[[Path], Shown]]:
    """What can be shown, by name. Speeds are such that a batch lives much longer than our looks take."""
    filled = {"quota": QUOTA, "tokens": 5_500_000}
    kills = {
        f"kill-{at}": partial(killing.by_batch, records=20_000, kills=30, seed=seed + at) for at in range(3)
    }
    return {
        **kills,
        "kill-calls": partial(killing.by_calls, records=20_000, kills=30, seed=seed),
        "quota": partial(filling.alone, **filled, speed=4.0),
        "quota-shared": partial(filling.beside_another, **filled, speed=8.0, minutes=3.0),
        "urgent": partial(turns.urgent, records=6_000, quota=SHARED, speed=10.0),
        "equal": partial(turns.equal, records=6_000, quota=SHARED, speed=10.0),
    }


def lines(shown: Shown, took: float) -> Iterator[str]:
    """One promise, as it is printed."""
    yield f"{shown.title} ({took:.0f} s)"
    yield from (
        f"    {name:<44}{value:>14,}" if isinstance(value, int) else f"    {name:<44}{value!s:>14}"
        for name, value in shown.figures.items()
    )
    yield from (f"    BROKEN: {each}" for each in shown.broken)
    yield "    kept" if not shown.broken else f"    {len(shown.broken)} broken"


def main() -> int:
    """Show them; exit code 1 if one was not kept."""
    options = argparse.ArgumentParser(prog="python -m chaos.promises", description=__doc__.split("\n")[0])
    options.add_argument("names", nargs="*", help=f"some of: {' '.join(shows(0))}; all, if none is named")
    options.add_argument("--seed", type=int, help="of the kills (left to chance, and printed)")
    options.add_argument("--keep", type=Path, default=Path(".chaos"), help="folder for broken ones (.chaos)")
    given = options.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1, 10**6)
    available = shows(seed)
    if unknown := set(given.names) - set(available):
        options.error(f"there is no {min(unknown)!r}; there are {', '.join(available)}")
    broken = 0
    for name in given.names or available:
        folder = given.keep.absolute() / name
        shutil.rmtree(folder, ignore_errors=True)
        began = time.monotonic()
        shown = available[name](folder)
        sys.stdout.write("\n".join(lines(shown, time.monotonic() - began)) + "\n")
        sys.stdout.flush()
        broken += len(shown.broken)
        if not shown.broken:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
