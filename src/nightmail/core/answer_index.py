"""Where the result lines of a batch's accepted answers are, packed: sixteen bytes an answer. Pure.

A row of its own for each answer, or more columns in the request's row, took the store two microseconds an
answer; nobody reads them but who looks at one record.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from itertools import groupby

import msgspec


class AnswerIndex(msgspec.Struct, frozen=True, array_like=True):
    """The numbers of answered requests and the addresses of their answers, in the order of the answers.

    `files` has runs of answers in one file, `(file number, how many)`; the numbers count from `first`. The
    packed columns are little-endian: 4 bytes a number, 8 an offset, 4 a length.
    """

    first: int = 0
    files: list[tuple[int, int]] = []
    numbers: bytes = b""
    offsets: bytes = b""
    lengths: bytes = b""

    def __len__(self) -> int:
        return len(self.numbers) // 4

    def find(self, seq: int) -> tuple[int, int, int] | None:
        """`(file_no, offset, length)` of the answer to a request, or None."""
        try:
            at = _native(self.numbers, "I").index(seq - self.first)
        except (ValueError, OverflowError):
            return None
        beyond = 0
        for file_no, count in self.files:
            beyond += count
            if at < beyond:
                offset = int.from_bytes(self.offsets[8 * at : 8 * at + 8], "little")
                return file_no, offset, int.from_bytes(self.lengths[4 * at : 4 * at + 4], "little")
        raise ValueError(f"{at + 1} answers are named, but only {beyond} have a file")


def index_of(
    seqs: Iterable[int], file_nos: Iterable[int], offsets: Iterable[int], lengths: Iterable[int]
) -> AnswerIndex:
    """The index of answers given by columns of one length."""
    numbers = list(seqs)
    first = min(numbers, default=0)
    return AnswerIndex(
        first=first,
        files=[(file_no, len(list(run))) for file_no, run in groupby(file_nos)],
        numbers=_packed([seq - first for seq in numbers], "I"),
        offsets=_packed(offsets, "Q"),
        lengths=_packed(lengths, "I"),
    )


def _packed(values: Iterable[int], code: str) -> bytes:
    packed = array(code, values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _native(packed: bytes, code: str) -> array[int]:
    values = array(code)
    values.frombytes(packed)
    if sys.byteorder == "big":
        values.byteswap()
    return values
