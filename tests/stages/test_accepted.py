"""Accepted answers gather by count and by size."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from nightmail.core.result import Response
from nightmail.stages.accepted import BYTES_AT_ONCE, Accepted
from nightmail.stages.parts import ROWS_AT_ONCE, PartWriter
from nightmail.stores.base import Member

RESPONSE = Response(model="m", raw=msgspec.Raw(b"{}"))


def accepted() -> Accepted:
    return Accepted(cast(PartWriter, None), list[dict[str, Any]], model="m")


def member(seq: int) -> Member:
    return Member(seq, seq, 0, 0, 1, 1, 0, 1, 0, 0, 0)


def test_small_answers_gather_by_the_thousand() -> None:
    gathered = accepted()

    full = [gathered.add(member(seq), RESPONSE, {}, 0, 1_000) for seq in range(1, ROWS_AT_ONCE + 1)]

    assert full.index(True) == ROWS_AT_ONCE - 1


def test_large_answers_are_written_before_they_fill_the_memory() -> None:
    gathered = accepted()

    assert not gathered.add(member(1), RESPONSE, {}, 0, BYTES_AT_ONCE // 2)
    assert gathered.add(member(2), RESPONSE, {}, 0, BYTES_AT_ONCE // 2)
