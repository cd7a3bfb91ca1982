"""A run's records in pages, by their number in the source, while the run goes on.

A page is a few rows of the store and, for those that have succeeded, their rows in the parts of the spool.
Neither the task nor the source is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.ids import RunId
from nightmail.core.request import RequestState
from nightmail.core.run import Run
from nightmail.spool import Spool
from nightmail.stages.parts import LOOSE, META, SEQ, part_names, read_part
from nightmail.stores.base import Key, PageRow, Store


class RecordResult(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it is now. `output` is there when it has succeeded, `reason` and `message` when it
    has failed."""

    record: int
    key: Key
    state: RequestState
    attempts: int
    output: dict[str, Any] | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    reason: Reason | None = None
    message: str | None = None


async def page_of_results(
    store: Store, spool: Spool, run: Run, *, after: int, limit: int, state: RequestState | None
) -> list[RecordResult]:
    """Up to `limit` records numbered above `after`, in order; of one state if given."""
    rows = await store.pages.page(run.run_no, after=after, limit=limit, state=state)
    return await results_of(spool, run.run_id, rows)


async def results_of(spool: Spool, run_id: RunId, rows: Sequence[PageRow]) -> list[RecordResult]:
    """The rows with their outputs."""
    wanted: dict[int | str, list[int]] = {}
    for row in rows:
        place = row.part or row.batch_no
        if row.state is RequestState.SUCCEEDED and place is not None:
            wanted.setdefault(place, []).append(row.seq)
    found = await asyncio.to_thread(_outputs, spool, run_id, wanted) if wanted else {}
    return [_result(row, found.get(row.seq)) for row in rows]


def _result(row: PageRow, part: dict[str, Any] | None) -> RecordResult:
    plain = RecordResult(
        record=row.seq,
        key=row.key,
        state=row.state,
        attempts=row.attempts,
        reason=row.reason if row.state is RequestState.FAILED else None,
        message=row.message if row.state is RequestState.FAILED else None,
    )
    if part is None:
        return plain
    return msgspec.structs.replace(
        plain,
        output=part["output"],
        model=part["_model"],
        attempts=part["_attempts"],
        input_tokens=part["_input_tokens"],
        output_tokens=part["_output_tokens"],
        cost_usd=part["_cost_usd"],
    )


def _outputs(spool: Spool, run_id: RunId, wanted: dict[int | str, list[int]]) -> dict[int, dict[str, Any]]:
    """Rows of the parts, by number. A row counts only in the part, or in those of the batch, that the store
    names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[int, dict[str, Any]] = {}
    for place, seqs in wanted.items():
        among = pa.array(seqs, type=pa.int64())
        for name in [place] if isinstance(place, str) else part_names(spool, run_id, place):
            for piece in read_part(spool, name):
                for row in piece.filter(pc.is_in(piece.column(SEQ), value_set=among)).to_pylist():
                    found[row[SEQ]] = {**{each: row[each] for each in META}, "output": _fields(row)}
    return found


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    """The output alone: what stands between the number and the key, and what it took."""
    if LOOSE in row:
        loose: dict[str, Any] = msgspec.json.decode(row[LOOSE])
        return loose
    return {name: row[name] for name in list(row)[2 : -len(META)]}
