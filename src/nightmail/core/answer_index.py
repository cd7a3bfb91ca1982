"""The accepted answers of a batch: where their lines are and what they took, packed. Pure.

A row of its own for each answer, or more columns in the request's row, took the store two microseconds an
answer; nobody reads them but who looks at one record.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Set
from itertools import groupby
from typing import NamedTuple

import msgspec

_UNKNOWN = 2**64 - 1


class Found(NamedTuple):
    """An answer: the address of its line, its tokens, what it cost in pico-USD (None: unknown)."""

    file_no: int
    offset: int
    length: int
    input_tokens: int
    output_tokens: int
    cost_pusd: int | None


class AnswerIndex(msgspec.Struct, frozen=True, array_like=True):
    """The answers in the order in which they were accepted.

    `files` has runs of answers in one file, `(file number, how many)`; the numbers of requests count from
    `first`. The packed columns are little-endian: 4 bytes a number, 8 an offset, 4 a length, 4 and 4 the
    tokens, 8 a cost (all ones: unknown).
    """

    first: int = 0
    files: list[tuple[int, int]] = []
    numbers: bytes = b""
    offsets: bytes = b""
    lengths: bytes = b""
    input_tokens: bytes = b""
    output_tokens: bytes = b""
    costs: bytes = b""

    def __len__(self) -> int:
        return len(self.numbers) // 4

    def find(self, seq: int) -> Found | None:
        """The answer to a request, or None."""
        try:
            at = _native(self.numbers, "I").index(seq - self.first)
        except (ValueError, OverflowError):
            return None
        return self._found(at)

    def find_all(self, seqs: Set[int]) -> dict[int, Found]:
        """The answers to those of these requests that have one; one look for all of them."""
        first = self.first
        numbers = enumerate(_native(self.numbers, "I"))
        return {number + first: self._found(at) for at, number in numbers if number + first in seqs}

    def _found(self, at: int) -> Found:
        beyond = 0
        for file_no, count in self.files:
            beyond += count
            if at < beyond:
                cost = _at(self.costs, at, 8)
                return Found(
                    file_no,
                    _at(self.offsets, at, 8),
                    _at(self.lengths, at, 4),
                    _at(self.input_tokens, at, 4),
                    _at(self.output_tokens, at, 4),
                    None if cost == _UNKNOWN else cost,
                )
        raise ValueError(f"{at + 1} answers are named, but only {beyond} have a file")


def index_of(
    seqs: Iterable[int],
    file_nos: Iterable[int],
    offsets: Iterable[int],
    lengths: Iterable[int],
    input_tokens: Iterable[int],
    output_tokens: Iterable[int],
    costs_pusd: Iterable[int | None],
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
        input_tokens=_packed(input_tokens, "I"),
        output_tokens=_packed(output_tokens, "I"),
        costs=_packed([_UNKNOWN if cost is None else cost for cost in costs_pusd], "Q"),
    )


def _at(packed: bytes, at: int, size: int) -> int:
    return int.from_bytes(packed[size * at : size * (at + 1)], "little")


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
