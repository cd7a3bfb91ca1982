"""One record, whole: what was sent each time, what came, why it was not accepted, what it cost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from nightmail.core.batch import Batch
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.pricing import format_usd
from nightmail.core.request import RequestState
from nightmail.core.result import Outcome
from nightmail.core.run import KeyKind, Run
from nightmail.errors import StoreError, UnknownRecord
from nightmail.spool import Spool
from nightmail.stores.base import Address, Attempt, Key, RequestRow, Store
from nightmail.worker.pages import results_of

# Rows of one look for a key: some five milliseconds, after which others have their turn at the store.
STRETCH = 100_000


class AttemptWhole(msgspec.Struct, frozen=True, kw_only=True):
    """One request in one batch. `request` is the line that was sent and `answer` the one that came, as
    they are in the spool; `reason` and `message` say why it was not accepted. One that is under way has
    no outcome. Times in UTC; money in pico-USD, None where the price is unknown."""

    number: int
    batch_id: BatchId | None
    model: str | None
    outcome: str | None
    ended_at: datetime | None = None
    reason: Reason | None = None
    message: str | None = None
    finish: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_pusd: int | None = 0
    request: Any = None
    answer: Any = None


class RecordWhole(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a record. `record` is its number in the source, `tokens` our own count of its
    request, `attempt_count` how many attempts have cost one of those it may have; `output` is there when it
    has succeeded. `copy_of` is the record whose request is the same and alone was sent; the answer is its."""

    run_id: RunId
    record: int
    key: Key
    state: RequestState
    reason: Reason | None
    model: str
    tokens: int
    attempt_count: int
    batch_id: BatchId | None
    input_tokens: int
    output_tokens: int
    cost_pusd: int | None
    attempts: Sequence[AttemptWhole]
    request: Any = None
    answer: Any = None
    output: dict[str, Any] | None = None
    copy_of: int | None = None
    records: int = 0  # that the run has so far


async def record_of(store: Store, spool: Spool, run: Run, seq: int, *, texts: bool = True) -> RecordWhole:
    """The record with this number; without `texts`, nothing of what it says and what was said to it.
    Raises `UnknownRecord`."""
    row = await store.requests.read(run.run_no, seq)
    if row is None:
        raise UnknownRecord(f"run {run.run_id} has no record {seq:,}")
    past = await store.requests.list_attempts(run.run_no, seq)
    paths = await store.requests.file_paths(run.run_no) if texts else {}
    batch = await store.batches.read(row.batch_id) if row.batch_id else None
    copy_of = await store.copies.first_of(run.run_no, seq)
    output = None
    if texts and row.state is RequestState.SUCCEEDED:
        (page,) = await results_of(spool, run.run_id, await store.pages.rows(run.run_no, [seq]))
        output = page.output

    def stored(address: Address | None) -> Any:
        return _read(spool, paths[address.file_no], address) if texts and address is not None else None

    def whole() -> RecordWhole:
        attempts = [_past(each, stored, texts=texts) for each in past]
        newest = _newest(row, batch, past, stored) if copy_of is None else None
        return RecordWhole(
            run_id=run.run_id,
            record=row.seq,
            key=row.key,
            state=row.state,
            reason=row.reason,
            model=row.model,
            tokens=row.tokens,
            attempt_count=row.attempts,
            batch_id=row.batch_id,
            input_tokens=row.spent_input,
            output_tokens=row.spent_output,
            cost_pusd=row.spent_pusd,
            attempts=[*attempts, newest] if newest else attempts,
            request=stored(row.request),
            answer=stored(row.answer),
            output=output,
            copy_of=copy_of,
            records=run.record_count,
        )

    return await asyncio.to_thread(whole)


def told(whole: RecordWhole) -> dict[str, Any]:
    """The record as programs are given it: money in USD, times as ISO text."""
    plain = msgspec.to_builtins(whole)
    plain["cost_usd"] = format_usd(plain.pop("cost_pusd"))
    for attempt in plain["attempts"]:
        attempt["at"] = attempt.pop("ended_at")
        attempt["cost_usd"] = format_usd(attempt.pop("cost_pusd"))
    return dict(plain)


async def number_of(store: Store, run: Run, key: str | int) -> int:
    """The number of the record that has the key. Raises `UnknownRecord`."""
    text, number = str(key), number_in(run, str(key))
    if run.key_kind is KeyKind.ROW and number is not None and 0 < number <= run.record_count:
        return number
    for after in range(0, run.record_count, STRETCH):
        found = await store.inquiries.find(
            run.run_no, text, number=number, beginning=False, after=after, upto=after + STRETCH, limit=1
        )
        if found:
            return found[0][0]
    raise UnknownRecord(f"run {run.run_id} has no record with the key {key!r}")


def number_in(run: Run, text: str) -> int | None:
    """What a text means as a key of the run, if its keys are numbers."""
    plain = text.removeprefix("-")
    if run.key_kind is KeyKind.TEXT or not (plain.isascii() and plain.isdigit() and len(plain) < 19):
        return None
    return int(text)


def _newest(
    row: RequestRow, batch: Batch | None, past: Sequence[Attempt], stored: Any
) -> AttemptWhole | None:
    """The attempt that is under way, or that succeeded: what was spent, without what the others were."""
    if batch is None or row.state not in (RequestState.IN_BATCH, RequestState.SUCCEEDED):
        return None
    if row.state is RequestState.IN_BATCH:
        return AttemptWhole(
            number=len(past) + 1, batch_id=batch.batch_id, model=batch.model, outcome=None,
            request=stored(row.request),
        )  # fmt: skip
    if past and past[-1].answer == row.answer:
        # Its answer was judged anew, and counts after all: it is there already.
        return None
    costs = [each.cost_pusd for each in past]
    known = row.spent_pusd is not None and None not in costs
    return AttemptWhole(
        number=len(past) + 1,
        batch_id=batch.batch_id,
        model=batch.model,
        outcome=Outcome.SUCCEEDED,
        ended_at=batch.settled_at,
        input_tokens=row.spent_input - sum(each.input_tokens for each in past),
        output_tokens=row.spent_output - sum(each.output_tokens for each in past),
        cost_pusd=(row.spent_pusd or 0) - sum(each or 0 for each in costs) if known else None,
        request=stored(row.request),
        answer=stored(row.answer),
    )


def _past(attempt: Attempt, stored: Any, *, texts: bool) -> AttemptWhole:
    return AttemptWhole(
        number=attempt.number,
        batch_id=attempt.batch_id,
        model=attempt.model,
        outcome=attempt.outcome,
        ended_at=attempt.ended_at,
        reason=attempt.reason,
        # A complaint quotes the answer that it is about.
        message=attempt.message if texts else None,
        finish=attempt.finish,
        input_tokens=attempt.input_tokens,
        output_tokens=attempt.output_tokens,
        cost_pusd=attempt.cost_pusd,
        request=stored(attempt.request),
        answer=stored(attempt.answer),
    )


def _read(spool: Spool, path: str, address: Address) -> Any:
    try:
        raw = spool.read(path, address.offset, address.length)
    except StoreError as error:
        # The rest of the record is worth seeing all the same.
        return f"(not readable: {error})"
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw.decode(errors="replace")
