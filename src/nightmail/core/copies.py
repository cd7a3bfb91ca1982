"""Which requests of a run may be the same as an earlier one, and what becomes of those that are.

The table that proposes them is bounded: 12 bytes a slot, whatever the requests are. What a copy gets is
decided from the final state of the first record with its request; the reasons are in decision 0007.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from nightmail.core.failure import Reason
from nightmail.core.request import RequestState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Marks = NDArray[np.uint64]  # digests
    Numbers = NDArray[np.uint32]  # of records

DIGEST_BYTES = 8
LEAST_SLOTS = 1_024
# Why a record that had a request was given up before it was sent: its key was there before.
UNSENT = (Reason.BAD_ROW,)


class Firsts:
    """The first record with each digest of 64 bits: whoever comes later with it may ask the same, and whether
    it does the requests tell. Open addressing, at most three quarters full: a dictionary of the same takes
    several times the memory. Looked up many at a time: one by one the process that writes the rows would do
    little else."""

    def __init__(self, expected: int = 0) -> None:
        self._make(max(LEAST_SLOTS, expected * 3 // 2))
        self._used = 0

    def _make(self, slots: int) -> None:
        import numpy as np

        self._slots = slots
        self._marks: Marks = np.zeros(slots, np.uint64)  # 0: nobody is here
        self._seqs: Numbers = np.zeros(slots, np.uint32)

    def add(self, digests: bytes, seqs: Sequence[int]) -> list[tuple[int, int]]:
        """Take in requests, `DIGEST_BYTES` of digest each, in the order of their records; those whose digest
        was there, with the number of the first record that has it."""
        import numpy as np

        if len(digests) != DIGEST_BYTES * len(seqs):
            raise ValueError(f"{len(digests)} bytes are not the digests of {len(seqs)} requests")
        while (self._used + len(seqs)) * 4 > self._slots * 3:
            self._grow()
        # 0 says that a slot is free; that it is taken for 1 is one proposal more.
        marks = np.maximum(np.frombuffer(digests, np.uint64), np.uint64(1))
        return sorted(self._put(marks, np.array(seqs, np.uint32)))

    def _put(self, marks: Marks, seqs: Numbers) -> Iterator[tuple[int, int]]:
        """Each to its slot, or the next ones; those whose digest is there already, with its first."""
        import numpy as np

        slots = (marks % np.uint64(self._slots)).astype(np.intp)
        while len(seqs):
            # Of those that want the same free slot, the first in the order of the source has it.
            wanting = np.flatnonzero(self._marks[slots] == 0)
            taken, firsts = np.unique(slots[wanting], return_index=True)
            new = wanting[firsts]
            self._marks[taken], self._seqs[taken] = marks[new], seqs[new]
            self._used += len(new)
            same = self._marks[slots] == marks
            later = same.copy()
            later[new] = False
            yield from zip(seqs[later].tolist(), self._seqs[slots[later]].tolist(), strict=True)
            on = ~same
            slots = (slots[on] + 1) % self._slots
            marks, seqs = marks[on], seqs[on]

    def _grow(self) -> None:
        there = self._marks != 0
        old = self._marks[there], self._seqs[there]
        self._make(2 * self._slots)
        self._used = 0
        # They differ from each other, so none is proposed.
        for _ in self._put(*old):
            raise AssertionError("two first records have one digest")


class CopyThen(StrEnum):
    """What becomes of a copy once the first record with its request has its final state."""

    JUDGE = "judge"  # the first's answer is judged for it too
    FAIL = "fail"  # it fails as the first did
    RELEASE = "release"  # it is sent by itself
    GIVE_UP = "give_up"  # it is cancelled as the first was


def after_first(state: RequestState, reason: Reason | None, *, amended: bool, sees_record: bool) -> CopyThen:
    """Decide from the first's final state. `amended`: its last request was not the one that was built any
    more; `sees_record`: the task judges or repairs with a look at the record."""
    if state is RequestState.CANCELLED:
        return CopyThen.GIVE_UP
    if state is RequestState.FAILED and reason in UNSENT:
        return CopyThen.RELEASE
    if sees_record and (amended or reason is Reason.CHECK):
        return CopyThen.RELEASE
    return CopyThen.JUDGE if state is RequestState.SUCCEEDED else CopyThen.FAIL
