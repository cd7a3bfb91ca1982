"""A cProfile of each stage, in whatever threads it runs: the same seams as the meters, more detail.

Profiling makes calls of Python functions several times dearer, so its seconds show what to look at, never
how fast it is.
"""

from __future__ import annotations

import cProfile
import io
import pstats
from collections import defaultdict
from pathlib import Path

from meters import STAGES, Meters


class Profiles(Meters):
    """Meters that also keep a profile for every stage and thread."""

    def __init__(self) -> None:
        super().__init__()
        self._profiles: dict[str, list[cProfile.Profile]] = defaultdict(list)

    def enter(self, stage: str) -> float:
        open_profiles = self._local.__dict__.setdefault("open", [])
        if open_profiles:
            open_profiles[-1].disable()
        profile = self._profile(stage)
        open_profiles.append(profile)
        began = super().enter(stage)
        profile.enable()
        return began

    def leave(self, stage: str, began: float) -> None:
        open_profiles = self._local.open
        open_profiles.pop().disable()
        super().leave(stage, began)
        if open_profiles:
            open_profiles[-1].enable()

    def _profile(self, stage: str) -> cProfile.Profile:
        # A profile belongs to one thread, and a stage within the same stage goes on in its profile.
        mine = self._local.__dict__.setdefault("profiles", {})
        if stage not in mine:
            mine[stage] = cProfile.Profile()
            with self._lock:
                self._profiles[stage].append(mine[stage])
        found: cProfile.Profile = mine[stage]
        return found

    def write(self, folder: Path, *, rows: int) -> None:
        """One `.prof` for each stage, and its dearest functions in a `.txt` beside it."""
        for stage, profiles in self._profiles.items():
            text = io.StringIO()
            stats = pstats.Stats(*profiles, stream=text)
            stats.dump_stats(folder / f"{stage}.prof")
            stats.strip_dirs().sort_stats("tottime").print_stats(rows)
            body = text.getvalue().partition("   ncalls")
            (folder / f"{stage}.txt").write_text("".join(body[1:]).rstrip() + "\n")


def read(folder: Path) -> list[tuple[str, str]]:
    """`(stage, dearest functions)` of what `write` left, in the order of the pipeline."""
    paths = [(stage, folder / f"{stage}.txt") for stage in STAGES]
    return [(stage, path.read_text()) for stage, path in paths if path.exists()]
