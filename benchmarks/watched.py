"""Run a program to its end, with a limit of time, and tell what it and all its children used.

CPU is what the system charged to the program and every child it waited for, told when the program ends.
Memory is looked at ten times a second: each process's own peak, which the system keeps, and the sum over all
processes at one moment. Pages that processes share count in each of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import process

LOOK_EVERY = 0.1
TAIL = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a program used. Seconds and bytes; `exit_code` is None if its time was up."""

    exit_code: int | None
    wall_seconds: float
    cpu_seconds: float
    peak_rss: int  # of the largest process
    peak_rss_together: int
    said: str  # the end of what it wrote


def run(
    command: Sequence[str | Path], *, log: Path, folder: Path, env: Mapping[str, str], timeout: float
) -> Watched:
    """Run `command` in `folder`; its output goes to `log`. After `timeout` seconds all of it is ended."""
    with log.open("wb") as output:
        began = time.perf_counter()
        # A session of its own: what it has started can be ended with it.
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(env),
            start_new_session=True,
        )
        late = threading.Event()

        def end() -> None:
            late.set()
            _end(child.pid)

        limit = threading.Timer(timeout, end)
        limit.start()
        looking = _Looking(child.pid)
        try:
            _, status, used = os.wait4(child.pid, 0)
        finally:
            limit.cancel()
            looking.stop()
            # Also what it has left running.
            _end(child.pid)
        wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    return Watched(
        exit_code=None if late.is_set() else child.returncode,
        wall_seconds=wall,
        cpu_seconds=used.ru_utime + used.ru_stime,
        peak_rss=looking.largest or process.maxrss_bytes(used),
        # A peak between two looks is in the largest alone.
        peak_rss_together=max(looking.together, looking.largest) or process.maxrss_bytes(used),
        said=_tail(log),
    )


class _Looking:
    """A thread that looks at a program's memory until it is stopped."""

    def __init__(self, pid: int) -> None:
        self.largest = self.together = 0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            living = process.family(self._pid)
            self.largest = max(self.largest, *map(process.peak_rss, living))
            self.together = max(self.together, sum(map(process.rss, living)))
            if self._stop.wait(LOOK_EVERY):
                return


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        return file.read().decode("utf-8", "replace").strip()
