"""Which requests of a run are the same as an earlier one, and what becomes of these.

The table that finds them is bounded: 20 bytes a slot, whatever the requests are. What a copy gets is
decided from the final state of the first record with its request; the reasons are in decision 0007.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from enum import StrEnum

from nightmail.core.failure import Reason
from nightmail.core.request import RequestState

DIGEST_BYTES = 16
LEAST_SLOTS = 1_024
# Why a record that had a request was given up before it was sent: its key was there before.
UNSENT = (Reason.BAD_ROW,)


class Firsts:
    """The first record with each request, by the request's digest of 128 bits. Open addressing, at most
    three quarters full: a dictionary of the same takes five times the memory."""

    def __init__(self, expected: int = 0) -> None:
        self._make(max(LEAST_SLOTS, expected * 3 // 2))
        self._used = 0

    def _make(self, slots: int) -> None:
        self._slots = slots
        self._marks = array("Q", bytes(8 * slots))  # 0: nobody is here
        self._rests = array("Q", bytes(8 * slots))
        self._seqs = array("I", bytes(4 * slots))

    def add(self, digests: bytes, seqs: Sequence[int]) -> list[tuple[int, int]]:
        """Take in requests, `DIGEST_BYTES` of digest each, in the order of their records; those that are
        the same as an earlier one, with the number of the first record that has it."""
        if len(digests) != DIGEST_BYTES * len(seqs):
            raise ValueError(f"{len(digests)} bytes are not the digests of {len(seqs)} requests")
        while (self._used + len(seqs)) * 4 > self._slots * 3:
            self._grow()
        return list(self._copies(array("Q", digests), seqs))

    def _copies(self, halves: array[int], seqs: Sequence[int]) -> Iterator[tuple[int, int]]:
        marks, rests, firsts, slots = self._marks, self._rests, self._seqs, self._slots
        used = 0
        for mark, rest, seq in zip(halves[::2], halves[1::2], seqs, strict=True):
            mark = mark or 1  # 0 says that a slot is free
            slot = mark % slots
            while (held := marks[slot]) and (held != mark or rests[slot] != rest):
                slot = slot + 1 if slot + 1 < slots else 0
            if held:
                yield seq, firsts[slot]
                continue
            marks[slot], rests[slot], firsts[slot] = mark, rest, seq
            used += 1
        self._used += used

    def _grow(self) -> None:
        old = zip(self._marks, self._rests, self._seqs, strict=True)
        self._make(2 * self._slots)
        marks, slots = self._marks, self._slots
        for mark, rest, seq in old:
            if mark:
                slot = mark % slots
                while marks[slot]:
                    slot = slot + 1 if slot + 1 < slots else 0
                marks[slot], self._rests[slot], self._seqs[slot] = mark, rest, seq


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
