"""The scripts of benchmarks/, which are no package: found by their folder."""

import importlib
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name):
    """A module of benchmarks/ by its name."""
    before = sys.path[:]
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        # Scripts put their own folders there as well.
        sys.path[:] = before
