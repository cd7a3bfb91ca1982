"""What a process and its children used: memory and CPU, as the system tells it."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def peak_rss(pid: int) -> int:
    """The most memory that a living process has held, in bytes; 0 without /proc.

    Not `ru_maxrss`: that of a child begins with what its parent held when it was made.
    """
    return _status(pid, "VmHWM:")


def rss(pid: int) -> int:
    """The memory that a living process holds now, in bytes; 0 without /proc."""
    return _status(pid, "VmRSS:")


def cpu_of_self_and_children(*, without: int) -> float:
    """CPU seconds of this process and its children, ended and living, but for one and what is below it.

    Living children need /proc; elsewhere they are not counted.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = set(family(os.getpid())[1:]) - set(family(without))
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(map(cpu_seconds, living))


def cpu_seconds(pid: int) -> float:
    """CPU time of a living process and its children that have ended; 0.0 without /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # The second field is the program's name in parentheses and may hold blanks.
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and its living descendants; itself alone without /proc."""
    found = [pid]
    for each in found:
        try:
            for thread in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return found


def maxrss_bytes(used: resource.struct_rusage) -> int:
    """`ru_maxrss` in bytes: the largest process among those that a `wait` has told of."""
    return used.ru_maxrss * _MAXRSS_UNIT


def _status(pid: int, field: str) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
