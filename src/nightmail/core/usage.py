"""What a provider counted for one or many answers."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens. `cached_tokens` are part of `input_tokens`; `reasoning_tokens` of `output_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


NO_USAGE = Usage()


class Usages(NamedTuple):
    """What was counted for each of many answers: a column of one length for each field of `Usage`."""

    input_tokens: list[int]
    output_tokens: list[int]
    cached_tokens: list[int]
    reasoning_tokens: list[int]

    def total(self) -> Usage:
        return Usage(*map(sum, self))
