"""Names, made from their inputs so that the same work has the same name after a restart.

`custom_id` is a request's name at the provider: at most 64 of `[A-Za-z0-9_-]`, which every
batch API accepts, and read back only by the run that wrote it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NewType

RunId = NewType("RunId", str)
BatchId = NewType("BatchId", str)

MAX_RUN_ID = 40


def run_id(task_name: str, identity: str, generation: int = 1) -> RunId:
    """`sections-7f3a`: the task's name and four digits of what makes the run itself."""
    slug = re.sub(r"[^a-z0-9]+", "-", task_name.lower()).strip("-")[:30] or "run"
    digits = hashlib.sha256(identity.encode()).hexdigest()[:4]
    suffix = "" if generation == 1 else f"-{generation}"
    return RunId(f"{slug}-{digits}{suffix}")


def batch_id(run: RunId, number: int) -> BatchId:
    return BatchId(f"{run}.b{number}")


def custom_id(run: RunId, seq: int) -> str:
    return f"{run}_{seq}"


def seq_of(custom_id: str, run: RunId) -> int | None:
    """The request's sequence number, or None if this run never wrote such a name."""
    head, _, tail = custom_id.rpartition("_")
    if head != run or not tail.isascii() or not tail.isdigit() or tail.startswith("0"):
        return None
    return int(tail)


def seqs_of(custom_ids: Sequence[str], run: RunId) -> list[int] | None:
    """`seq_of` of each; None if this run never wrote one of them. Takes half the time of one by one."""
    head = f"{run}_"
    cut = len(head)
    if {name[:cut] for name in custom_ids} != {head}:
        return None
    tails = [name[cut:] for name in custom_ids]
    digits = "".join(tails)
    # The least of them tells whether one is empty or begins with a zero.
    if not digits.isascii() or not digits.isdigit() or min(tails) < "1":
        return None
    return list(map(int, tails))
