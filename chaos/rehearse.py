"""`make chaos`: nights one after the other, a few at a time, until the minutes are over.

Each night is a process of its own with a seed of its own: the first seed is printed, the next night has
the next one, and `--seed N --nights 1` plays one again. What a broken night left is kept.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chaos.report import lines
from chaos.verdict import Verdict

ROOT = Path(__file__).resolve().parents[1]
# A night has a calm deadline for each of its commands; this is for a night that hangs all the same.
NIGHT_SECONDS = 1_500.0


@dataclass(slots=True)
class Playing:
    """A night that is going on."""

    seed: int
    folder: Path
    process: subprocess.Popen[bytes]
    began: float

    def end(self) -> None:
        """Kill what is left of it, with everything that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def begin(seed: int, folder: Path, *, short: bool) -> Playing:
    """Start a night in a process group of its own; what it and the simulator say goes to its folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    paths = [str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "chaos.night", "--seed", str(seed), "--folder", str(folder)]
    with (folder / "night.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *(["--short"] if short else [])],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    return Playing(seed, folder, process, time.monotonic())


def verdict_of(playing: Playing) -> Verdict:
    """What a night that is over says; a night without a verdict is a violation itself."""
    path = playing.folder / "verdict.json"
    log = (playing.folder / "night.log").read_text("utf-8", "replace")
    if path.exists():
        verdict = msgspec.json.decode(path.read_bytes(), type=Verdict)
    else:
        verdict = Verdict(
            seed=playing.seed, records=0, told="no verdict", struck={}, deeds={}, extras=[],
            violations=[("the_rehearsal_works", f"exit {playing.process.returncode}: {log[-800:]}")],
        )  # fmt: skip
    if "Traceback (most recent call last)" in log and not verdict.violations:
        verdict.violations.append(("the_simulator_works", log[-800:]))
    return verdict


def rehearse(
    *, first: int, nights: int | None, minutes: float, jobs: int, keep: Path, short: bool
) -> list[Verdict]:
    """Play nights until so many are done, or until the time for new ones is over."""
    end = time.monotonic() + minutes * 60
    seeds = iter(range(first, first + nights) if nights is not None else range(first, 2**31))
    playing: list[Playing] = []
    verdicts: list[Verdict] = []
    more = True
    try:
        while more or playing:
            while more and len(playing) < jobs:
                seed = next(seeds, None) if nights is not None or time.monotonic() < end else None
                if seed is None:
                    more = False
                else:
                    playing.append(begin(seed, keep / f"night-{seed}", short=short))
            threading.Event().wait(0.1)
            for night in [night for night in playing if _is_over(night)]:
                playing.remove(night)
                night.end()
                verdict = verdict_of(night)
                verdicts.append(verdict)
                _say(verdict, time.monotonic() - night.began)
                if not verdict.violations:
                    shutil.rmtree(night.folder, ignore_errors=True)
    finally:
        for night in playing:
            night.end()
    return verdicts


def _is_over(night: Playing) -> bool:
    return night.process.poll() is not None or time.monotonic() - night.began > NIGHT_SECONDS


def _say(verdict: Verdict, seconds: float) -> None:
    count = len(verdict.violations)
    well = (
        "well"
        if not count
        else f"{count} violations: {', '.join(sorted({kind for kind, _ in verdict.violations}))}"
    )
    sys.stdout.write(f"seed {verdict.seed}  {seconds:4.0f} s  {verdict.told}: {well}\n")
    sys.stdout.flush()


def main() -> int:
    """Rehearse and report; exit code 1 if a promise was broken."""
    options = argparse.ArgumentParser(prog="python -m chaos.rehearse", description=__doc__.split("\n")[0])
    add = options.add_argument
    add("--minutes", type=float, default=10.0, help="no new night begins after so long (10)")
    add("--nights", type=int, help="so many nights instead")
    add("--seed", type=int, help="of the first night; the next has the next one (left to chance)")
    add("--jobs", type=int, default=3, help="nights at a time; most of a night is waiting (3)")
    add("--keep", type=Path, default=Path(".chaos"), help="folder for the evidence of broken nights (.chaos)")
    add("--short", action="store_true", help="few records, nothing that takes minutes by itself")
    given = options.parse_args()
    first = given.seed if given.seed is not None else random.SystemRandom().randrange(1, 10**8)
    keep = given.keep.absolute()
    sys.stdout.write(f"first seed {first}; evidence of broken nights is kept in {given.keep}\n")
    sys.stdout.flush()
    verdicts = rehearse(
        first=first, nights=given.nights, minutes=given.minutes, jobs=given.jobs, keep=keep, short=given.short
    )
    repeat = "python -m chaos.rehearse --seed {seed} --nights 1" + (" --short" if given.short else "")
    for line in lines(verdicts, repeat=repeat):
        sys.stdout.write(line + "\n")
    return 1 if any(verdict.violations for verdict in verdicts) else 0


if __name__ == "__main__":
    raise SystemExit(main())
