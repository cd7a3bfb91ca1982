"""The table of batches: what was planned, what the provider has, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from nightmail.core.batch import Batch, BatchState
from nightmail.core.ids import BatchId, RunId, batch_id
from nightmail.core.lifecycle import BatchEvent, RequestEvent, move_batch, move_request
from nightmail.core.quota import Enqueued, Hold, Learned, after_acceptance, after_refusal
from nightmail.core.request import RequestState
from nightmail.errors import IllegalMove, StoreError
from nightmail.stores.admission import admit, read_enqueued, read_learned, write_learned
from nightmail.stores.base import Admission, Lease, NewBatch, Seen, Spending
from nightmail.stores.database import Database, Transaction, at
from nightmail.stores.events import insert_event
from nightmail.stores.looks import tell_end, write_seen
from nightmail.stores.rows import batch_of
from nightmail.stores.stretches import of_batch, put_in_batch, unpack
from nightmail.stores.tallies import move_tally
from nightmail.telemetry import EventName

# What a stage may note on a batch beside its state.
CHANGEABLE = frozenset(Batch.__struct_fields__) - {"batch_no", "run_no", "batch_id", "state", "extra_of"}
# Its requests have their outcome, or never got one from it: what is open of them is free.
THROUGH = (BatchState.SETTLED, BatchState.FINALISED, BatchState.ABANDONED)


class SqliteBatches:
    """See `nightmail.stores.base.Batches`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record_planned(
        self, lease: Lease, batches: Sequence[NewBatch], *, now: datetime
    ) -> list[Batch]:
        def work(tx: Transaction) -> list[Batch]:
            tx.fence(lease)
            return insert_batches(tx, lease.run_no, batches, now)

        return await self._database.write(work)

    async def claim_submit(
        self, lease: Lease, batch: Batch, admission: Admission, *, event: BatchEvent, now: datetime
    ) -> Batch | Hold:
        def work(tx: Transaction) -> Batch | Hold:
            tx.fence(lease)
            hold = admit(tx, batch, admission, now)
            if hold is not None:
                return hold
            return record_batch(
                tx,
                batch,
                event,
                attempt=batch.attempt + 1,
                submitted_at=now,
                due_at=None,
                reserved_tokens=admission.tokens,
                reserved_pusd=admission.reserve_pusd,
            )

        return await self._database.write(work)

    async def record_recalled(self, lease: Lease, batch: Batch) -> Batch:
        def work(tx: Transaction) -> Batch:
            tx.fence(lease)
            unpack(tx, batch.run_no, of_batch(tx, batch.batch_no))
            moved = tx.run(
                "recall_batch",
                run_no=batch.run_no,
                batch_no=batch.batch_no,
                first=batch.first_seq,
                last=batch.last_seq,
            )
            ready = move_request(RequestState.IN_BATCH, RequestEvent.RETURNED)
            move_tally(tx, batch.run_no, RequestState.IN_BATCH, ready, moved)
            return record_batch(tx, batch, BatchEvent.RECALLED, due_at=None)

        return await self._database.write(work)

    async def spending(self, run_no: int) -> Spending:
        row = await self._database.read(lambda tx: tx.row("run_spending", run_no=run_no))
        assert row is not None
        return Spending(*row)

    async def learned(self, account: str, model: str) -> Learned:
        return await self._database.read(lambda tx: read_learned(tx, account, model))

    async def record_refusal(self, lease: Lease, batch: Batch, *, said: int | None, now: datetime) -> Learned:
        def work(tx: Transaction) -> Learned:
            tx.fence(lease)
            before = read_learned(tx, batch.account, batch.model)
            others = read_enqueued(tx, batch.account, batch.model).tokens
            ours = batch.tokens if batch.reserved_tokens is None else batch.reserved_tokens
            learned = after_refusal(before, said=said, ours=ours, others=others, now=now)
            write_learned(tx, batch.account, batch.model, learned)
            if learned.limit != before.limit or learned.blocked_until != before.blocked_until:
                insert_event(
                    tx,
                    batch.run_no,
                    EventName.QUOTA_LEARNED,
                    now=now,
                    batch_no=batch.batch_no,
                    account=batch.account,
                    model=batch.model,
                    limit=learned.limit,
                    limit_before=before.limit,
                    refusals=learned.refusals,
                    blocked_until=learned.blocked_until,
                )
            return learned

        return await self._database.write(work)

    async def record_acceptance(self, lease: Lease, batch: Batch) -> None:
        def work(tx: Transaction) -> None:
            tx.fence(lease)
            before = read_learned(tx, batch.account, batch.model)
            if before.refusals:
                write_learned(tx, batch.account, batch.model, after_acceptance(before))

        await self._database.write(work)

    async def record(
        self,
        lease: Lease,
        batch: Batch,
        event: BatchEvent | None,
        *,
        now: datetime,
        seen: Seen | None = None,
        **changes: Any,
    ) -> Batch:
        if event is BatchEvent.ENDED:
            changes.setdefault("ended_at", now)
        if event is BatchEvent.FINALISED:
            changes.setdefault("finalised_at", now)

        def work(tx: Transaction) -> Batch:
            tx.fence(lease)
            moved = record_batch(tx, batch, event, **changes)
            if seen is not None:
                write_seen(tx, batch, seen, now)
            if event is BatchEvent.ENDED:
                tell_end(tx, moved, now)
            return moved

        return await self._database.write(work)

    async def record_extra(
        self, lease: Lease, batch: Batch, provider_batch_id: str, *, now: datetime, **changes: Any
    ) -> Batch:
        def work(tx: Transaction) -> Batch:
            tx.fence(lease)
            return _insert_extra(tx, batch, now, provider_batch_id=provider_batch_id, **changes)

        return await self._database.write(work)

    async def read(self, batch_id: BatchId) -> Batch | None:
        row = await self._database.read(lambda tx: tx.row("read_batch", batch_id=batch_id))
        return batch_of(row) if row else None

    async def list(self, run_no: int, *, states: Sequence[BatchState] | None = None) -> list[Batch]:
        wanted = None if states is None else f"|{'|'.join(states)}|"
        rows = await self._database.read(lambda tx: tx.rows("list_batches", run_no=run_no, states=wanted))
        return [batch_of(row) for row in rows]

    async def provider_ids(self, account: str) -> dict[str, BatchId]:
        rows = await self._database.read(lambda tx: tx.rows("list_provider_ids", account=account))
        return {row["provider_batch_id"]: BatchId(row["batch_id"]) for row in rows}

    async def count_enqueued(self, account: str, model: str) -> Enqueued:
        return await self._database.read(lambda tx: read_enqueued(tx, account, model))


def record_batch(tx: Transaction, batch: Batch, event: BatchEvent | None, **changes: Any) -> Batch:
    """Move a batch inside a transaction: compare-and-set on the state the caller saw."""
    if unknown := changes.keys() - CHANGEABLE:
        raise StoreError(f"batch {batch.batch_id!r}: there is nothing called {sorted(unknown)}")
    state = move_batch(batch.state, event) if event else batch.state
    columns = {name: at(value) if isinstance(value, datetime) else value for name, value in changes.items()}
    assignments = ", ".join(["state = :state_", *(_assignment(name) for name in columns)])
    seen = at(batch.due_at) if batch.due_at else None
    changed = tx.statement(
        f"UPDATE batches SET {assignments} WHERE batch_no = :batch_no_ AND state = :old_state_",
        {
            **columns,
            **({"due_seen_": seen} if "due_at" in columns else {}),
            "state_": state,
            "old_state_": batch.state,
            "batch_no_": batch.batch_no,
        },
    )
    if not changed:
        raise IllegalMove(f"batch {batch.batch_id!r} is no longer {batch.state}")
    row = tx.row("read_batch_by_number", batch_no=batch.batch_no)
    assert row is not None
    return batch_of(row)


def _assignment(column: str) -> str:
    """Who was told "look now" while a look was under way must not lose that by the look's own next time."""
    if column != "due_at":
        return f"{column} = :{column}"
    return (
        "due_at = CASE WHEN state = 'in_progress' AND due_at IS NOT :due_seen_ THEN due_at ELSE :due_at END"
    )


def insert_batches(tx: Transaction, run_no: int, batches: Sequence[NewBatch], now: datetime) -> list[Batch]:
    """Write batches down and move their requests into them, inside a transaction."""
    return [_insert(tx, run_no, new, now) for new in batches]


def _insert(tx: Transaction, run_no: int, new: NewBatch, now: datetime) -> Batch:
    run = tx.row("read_run_by_number", run_no=run_no)
    assert run is not None
    first, last = new.seqs[0], new.seqs[-1]
    number = tx.insert(
        "insert_batch",
        run_no=run_no,
        batch_id=_next_id(tx, run_no),
        mode=new.mode,
        account=new.account,
        model=new.group.model,
        endpoint=new.group.endpoint,
        requests=len(new.seqs),
        tokens=new.tokens,
        bytes=new.bytes,
        inputs=new.inputs,
        first_seq=first,
        last_seq=last,
        now=at(now),
    )
    in_batch = move_request(RequestState.READY, RequestEvent.BATCHED)
    moved, rows = put_in_batch(tx, run_no, new.seqs, number)
    waiting = 0
    if rows:
        seqs = msgspec.json.encode(rows).decode()
        waiting = sum(row["n"] for row in tx.rows("count_waiting", run_no=run_no, seqs=seqs))
        moved += tx.many("batch_one", ((number, run_no, seq) for seq in rows))
    if moved != len(new.seqs):
        raise IllegalMove(
            f"batch of requests {first} to {last}: {len(new.seqs) - moved} of them were not ready any more"
        )
    if first > run["planned_seq"]:
        tx.run("set_planned_seq", run_no=run_no, seq=last)
    move_tally(tx, run_no, RequestState.WAITING, in_batch, waiting)
    move_tally(tx, run_no, RequestState.READY, in_batch, moved - waiting)
    row = tx.row("read_batch_by_number", batch_no=number)
    assert row is not None
    return batch_of(row)


def _insert_extra(tx: Transaction, batch: Batch, now: datetime, **changes: Any) -> Batch:
    number = tx.insert(
        "insert_extra", batch_id=_next_id(tx, batch.run_no), extra_of=batch.batch_no, now=at(now)
    )
    current = tx.row("read_batch_by_number", batch_no=batch.batch_no)
    row = tx.row("read_batch_by_number", batch_no=number)
    assert current is not None
    assert row is not None
    if BatchState(current["state"]) in THROUGH:
        key = {
            "run_no": batch.run_no,
            "first": batch.first_seq,
            "last": batch.last_seq,
            "batch_no": batch.batch_no,
        }
        for left in tx.rows("count_left", **key):
            old = RequestState(left["state"])
            move_tally(tx, batch.run_no, old, move_request(old, RequestEvent.BATCHED), left["n"])
        tx.run("move_left", to=number, **key)
    return record_batch(tx, batch_of(row), BatchEvent.SUBMITTED, **changes)


def _next_id(tx: Transaction, run_no: int) -> BatchId:
    run = tx.row("read_run_by_number", run_no=run_no)
    count = tx.row("count_batches", run_no=run_no)
    assert run is not None
    assert count is not None
    return batch_id(RunId(run["run_id"]), count["n"] + 1)
