"""How a batch's requests get their outcomes: in bulk, with the tallies and the batch's sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from nightmail.core.answer_index import AnswerIndex
from nightmail.core.batch import Batch
from nightmail.core.lifecycle import BatchEvent, RequestEvent, move_request
from nightmail.core.request import RequestState
from nightmail.errors import IllegalMove
from nightmail.stores.base import BatchSums, FailedRow, Setback
from nightmail.stores.batches import record_batch
from nightmail.stores.database import Transaction, at
from nightmail.stores.rows import span_of
from nightmail.stores.stretches import of_batch, settle_members
from nightmail.stores.tallies import add_tally, move_tally


def settle(
    tx: Transaction,
    batch: Batch,
    successes: AnswerIndex,
    setbacks: Sequence[Setback],
    sums: BatchSums,
    event: BatchEvent,
    now: datetime,
) -> Batch:
    """Give each request of a batch its outcome and move the batch, inside a transaction. Raises
    `IllegalMove` if the outcomes are not exactly those of the requests that wait for one."""
    run_no, batch_no = batch.run_no, batch.batch_no
    succeeded = move_request(RequestState.IN_BATCH, RequestEvent.SUCCEEDED)
    answered = len(successes)
    moved = settle_members(tx, batch, (each.seq for each in setbacks))
    if setbacks:
        moved += tx.many("set_back_one", (_set_back(each, run_no, batch_no) for each in setbacks))
        # Before its line is replaced: an attempt names the line that was sent.
        tx.many("insert_attempt", (_attempt(each, run_no, batch_no, now) for each in setbacks))
        tx.many(
            "replace_line",
            (
                (*each.line.address, each.line.group_no, each.line.tokens, run_no, each.seq)
                for each in setbacks
                if each.line
            ),
        )
    if answered:
        moved += tx.run("succeed_rest", **span_of(batch))
        packed = msgspec.msgpack.encode(successes)
        tx.run("insert_answers", batch_no=batch_no, run_no=run_no, packed=packed)
    # An extra has as many requests as were open when it came to light.
    wanted = moved + _still_in(tx, batch) if batch.extra_of is not None else batch.requests
    if moved != wanted or moved != answered + len(setbacks):
        raise IllegalMove(
            f"batch {batch.batch_id!r} has {wanted} requests, but {answered + len(setbacks)} "
            f"outcomes were given and {moved} requests were waiting for one"
        )
    move_tally(tx, run_no, RequestState.IN_BATCH, succeeded, answered)
    for (request_event, reason), n in Counter((each.event, each.reason) for each in setbacks).items():
        state = move_request(RequestState.IN_BATCH, request_event)
        move_tally(tx, run_no, RequestState.IN_BATCH, state, n)
        if state is not RequestState.CANCELLED:
            add_tally(tx, run_no, "reason" if state is RequestState.FAILED else "again", reason, n)
    tx.run("calibrate_run", run_no=run_no, counted=sums.counted_tokens, billed=sums.compared_tokens)
    return _close(tx, batch, sums, event, now)


def settle_extras(tx: Transaction, extras: Sequence[tuple[Batch, BatchSums]], now: datetime) -> None:
    """Batches that were judged with another have their own bill and no requests."""
    for extra, sums in extras:
        if _still_in(tx, extra):
            raise IllegalMove(f"batch {extra.batch_id!r} has requests that wait for an outcome of its own")
        _close(tx, extra, sums, BatchEvent.SETTLED, now)


def _still_in(tx: Transaction, batch: Batch) -> int:
    row = tx.row("count_members", **span_of(batch))
    assert row is not None
    return int(row["n"]) + sum(each.rest for each in of_batch(tx, batch.batch_no))


def _close(tx: Transaction, batch: Batch, sums: BatchSums, event: BatchEvent, now: datetime) -> Batch:
    return record_batch(
        tx,
        batch,
        event,
        succeeded=sums.succeeded,
        answers=sums.answers,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cached_tokens=sums.cached_tokens,
        reasoning_tokens=sums.reasoning_tokens,
        cost_pusd=sums.cost_pusd,
        sync_cost_pusd=sums.sync_cost_pusd,
        wasted_pusd=sums.wasted_pusd,
        settled_at=now,
    )


def _set_back(each: Setback, run_no: int, batch_no: int) -> tuple[object, ...]:
    state = move_request(RequestState.IN_BATCH, each.event)
    failed = state is RequestState.FAILED
    answer = each.answer or (None, None, None)
    return (
        state, each.reason if failed else None, at(each.due_at) if each.due_at else None,
        int(each.costs_attempt), int(each.costs_expiry), *answer,
        each.input_tokens, each.output_tokens, each.cost_pusd, run_no, each.seq, batch_no,
    )  # fmt: skip


def _attempt(each: Setback, run_no: int, batch_no: int, now: datetime) -> tuple[object, ...]:
    answer = each.answer or (None, None, None)
    return (
        run_no, each.seq, batch_no, each.outcome, each.reason, each.message,
        each.finish, *answer,
        each.input_tokens, each.output_tokens, each.cost_pusd, at(now),
    )  # fmt: skip


def record_unsent(tx: Transaction, run_no: int, rows: Sequence[FailedRow], now: datetime) -> None:
    """Failures of records that never travelled: told in the same place as all the others."""
    tx.many(
        "insert_attempt",
        (
            (run_no, row.seq, None, "unsent", row.reason, row.message,
             None, None, None, None, 0, 0, 0, at(now))
            for row in rows
        ),
    )  # fmt: skip
    for reason, n in Counter(row.reason for row in rows).items():
        add_tally(tx, run_no, "reason", reason, n)
