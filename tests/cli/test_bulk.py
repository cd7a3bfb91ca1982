"""What is freed is used again, instead of being asked for anew, also by Arrow."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PIECES = 50
POOL = "ARROW_DEFAULT_MEMORY_POOL"
FAULTS = """
import gc, resource, sys, threading
from nightmail.bulk import LOOK_EVERY, work_in_bulk

if sys.argv[1] == "in bulk":
    work_in_bulk()
    assert gc.get_threshold()[0] == LOOK_EVERY

def work(pieces):
    for _ in range(pieces):
        held = [b"x" * 4_000_000 for _ in range(3)]

def faults(pieces):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    worker = threading.Thread(target=work, args=(pieces,))
    worker.start()
    worker.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(int(sys.argv[2])))
"""


def faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how, str(PIECES)], capture_output=True, check=True, text=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are not told")
def test_pages_that_were_freed_are_not_mapped_anew() -> None:
    pages = 3 * 4_000_000 // 4096

    # Each page once or so, not once for each piece.
    assert faults("in bulk") < 3 * pages
    assert faults("as it comes") > PIECES // 2 * pages


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are not told")
@pytest.mark.parametrize("set_by_user", [None, "mimalloc"])
def test_arrow_has_the_allocator_that_was_told_unless_the_user_chose_one(set_by_user: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != POOL}
    if set_by_user is not None:
        environment[POOL] = set_by_user
    shown = "import pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    done = subprocess.run(
        [sys.executable, "-c", f"from nightmail.bulk import work_in_bulk; work_in_bulk(); {shown}"],
        capture_output=True, check=True, text=True, env=environment,
    )  # fmt: skip

    assert done.stdout.strip() == (set_by_user or "system")
