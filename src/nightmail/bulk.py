"""How a process of nightmail's own uses the machine: it works through a few megabytes at a time, again and
again.

These are settings of the whole process: the command line and the processes of shards make them for
themselves, the library never for the program that uses it.
"""

from __future__ import annotations

import gc
import os
import sys

# Objects that are made and kept before the interpreter looks for garbage. A shard keeps tens of thousands
# and makes no cycles: looking as often as usual took a third of the time of judging.
LOOK_EVERY = 200_000
# From mallopt(3). By itself glibc gives a freed piece back to the system, and has the next one mapped and
# cleared anew, page by page: 4 % of the CPU of a run.
M_TRIM_THRESHOLD, TRIM_BYTES = -1, 96 << 20
M_MMAP_THRESHOLD, MMAP_BYTES = -3, 30 << 20
# Arrow imports numpy, whose threads wait for work from then on: first awake, for a tenth of a second of CPU,
# then asleep. This is 2 to the power of 4 cycles, the least that OpenBLAS takes.
LEAST_WAIT = "4"


def work_in_bulk() -> None:
    """Look for garbage seldom, and keep freed memory for what comes next, where the system's allocator can
    be told so. To be called before anything imports Arrow or numpy."""
    gc.set_threshold(LOOK_EVERY, 10, 10)
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", LEAST_WAIT)
    if sys.platform != "linux":
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        # Arrow's own keeps what each thread has freed for that thread, which comes to a third more memory.
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
        mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
        mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
