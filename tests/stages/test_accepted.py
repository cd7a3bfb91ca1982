"""Accepted answers gather by count and by size."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from nightmail.core.result import Response
from nightmail.stages.accepted import BYTES_AT_ONCE, Accepted
from nightmail.stages.parts import ROWS_AT_ONCE, PartWriter
from nightmail.stores.base import Asked

RESPONSE = Response(model="m", whole=msgspec.Raw(b"{}"))


def accepted() -> Accepted:
    asked = Asked(seqs=[], keys=[], tokens=[])
    return Accepted(cast(PartWriter, None), list[dict[str, Any]], asked=asked, model="m")


def test_small_answers_gather_by_the_thousand() -> None:
    gathered = accepted()

    full = [gathered.add(seq, RESPONSE, {}, 0, 1_000) for seq in range(1, ROWS_AT_ONCE + 1)]

    assert full.index(True) == ROWS_AT_ONCE - 1


def test_large_answers_are_written_before_they_fill_the_memory() -> None:
    gathered = accepted()

    assert not gathered.add(1, RESPONSE, {}, 0, BYTES_AT_ONCE // 2)
    assert gathered.add(2, RESPONSE, {}, 0, BYTES_AT_ONCE // 2)
