"""Database row <-> noun."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from nightmail.core.answer_index import Found
from nightmail.core.batch import Batch, BatchState, Phase
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.request import Endpoint, Mode, RequestState
from nightmail.core.result import Finish
from nightmail.core.run import KeyKind, PauseReason, Run, RunSpec, RunState, Wish
from nightmail.stores.base import Address, Attempt, Failure, RequestRow
from nightmail.stores.database import moment

RUN_TIMES = ("created_at", "hurried_at", "finished_at", "delivered_at")
BATCH_TIMES = (
    "created_at", "due_at", "seek_at", "submitted_at", "progressed_at", "ended_at", "ingested_at",
    "settled_at", "finalised_at",
)  # fmt: skip


def _fields(row: sqlite3.Row, *, beside: Sequence[str]) -> dict[str, Any]:
    # `dict(row)` looks for each name among all of them: a batch took 35 us so.
    fields = dict(zip(row.keys(), row, strict=True))
    for name in beside:
        del fields[name]
    return fields


def run_of(row: sqlite3.Row) -> Run:
    fields = _fields(row, beside=("lease_token", "leased_until", "tenant"))
    for name in RUN_TIMES:
        fields[name] = moment(fields[name])
    fields["run_id"] = RunId(fields["run_id"])
    fields["state"] = RunState(fields["state"])
    fields["sealed"] = bool(fields["sealed"])
    fields["spec"] = msgspec.json.decode(fields["spec"], type=RunSpec)
    fields["fingerprint"] = msgspec.json.decode(fields["fingerprint"])
    fields["pause_reason"] = PauseReason(fields["pause_reason"]) if fields["pause_reason"] else None
    fields["wish"] = Wish(fields["wish"]) if fields["wish"] else None
    fields["key_kind"] = KeyKind(fields["key_kind"]) if fields["key_kind"] else None
    return Run(**fields)


def batch_of(row: sqlite3.Row, *, beside: Sequence[str] = ()) -> Batch:
    """`beside` names columns that are no batch's."""
    fields = _fields(row, beside=beside)
    for name in BATCH_TIMES:
        fields[name] = moment(fields[name])
    fields["batch_id"] = BatchId(fields["batch_id"])
    fields["state"] = BatchState(fields["state"])
    fields["mode"] = Mode(fields["mode"])
    fields["endpoint"] = Endpoint(fields["endpoint"])
    fields["phase"] = Phase(fields["phase"]) if fields["phase"] else None
    return Batch(**fields)


def failure_of(row: sqlite3.Row, history: list[Attempt]) -> Failure:
    return Failure(
        row["seq"],
        row["key"],
        Reason(row["reason"]),
        history,
        row["attempts"],
        address_of(row["answer_file_no"], row["answer_offset"], row["answer_length"]),
        row["batch_no"],
        row["spent_input"],
        row["spent_output"],
        row["spent_pusd"],
    )


def request_of(row: sqlite3.Row, accepted: Found | None = None) -> RequestRow:
    """With what its `accepted` answer took beside what the row says of those before it."""
    answer = address_of(row["answer_file_no"], row["answer_offset"], row["answer_length"])
    spent_input, spent_output, pusd = row["spent_input"], row["spent_output"], row["spent_pusd"]
    if accepted is not None:
        answer = Address(accepted.file_no, accepted.offset, accepted.length)
        spent_input, spent_output = spent_input + accepted.input_tokens, spent_output + accepted.output_tokens
        pusd = None if pusd is None or accepted.cost_pusd is None else pusd + accepted.cost_pusd
    return RequestRow(
        row["seq"],
        row["key"],
        RequestState(row["state"]),
        row["attempts"],
        row["expiries"],
        row["model"] or "",
        row["tokens"],
        address_of(row["file_no"], row["offset"], row["length"]),
        answer,
        Reason(row["reason"]) if row["reason"] else None,
        BatchId(row["batch_id"]) if row["batch_id"] else None,
        row["batch_no"],
        spent_input,
        spent_output,
        pusd,
    )


def attempt_of(row: sqlite3.Row) -> Attempt:
    ended_at = moment(row["ended_at"])
    assert ended_at is not None
    return Attempt(
        seq=row["seq"],
        number=row["number"],
        batch_id=BatchId(row["batch_id"]) if row["batch_id"] else None,
        model=row["model"],
        outcome=row["outcome"],
        reason=Reason(row["reason"]),
        message=row["message"],
        finish=Finish(row["finish"]) if row["finish"] else None,
        request=address_of(row["file_no"], row["offset"], row["length"]),
        answer=address_of(row["answer_file_no"], row["answer_offset"], row["answer_length"]),
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost_pusd=row["cost_pusd"],
        ended_at=ended_at,
    )


def address_of(file_no: int | None, offset: int | None, length: int | None) -> Address | None:
    return None if file_no is None or offset is None or length is None else Address(file_no, offset, length)


def span_of(batch: Batch) -> dict[str, int]:
    """The parameters of queries about a batch's requests: its number makes them right, the range fast."""
    first, last = batch.first_seq, batch.last_seq
    return {"run_no": batch.run_no, "batch_no": batch.batch_no, "first": first, "last": last}
