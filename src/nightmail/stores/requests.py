"""The table of requests: bulk statements only; a row is compact and holds no text of anybody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from nightmail.core.answer_index import AnswerIndex
from nightmail.core.batch import Batch
from nightmail.core.failure import Reason
from nightmail.core.lifecycle import BatchEvent, RequestEvent, RunEvent, move_request
from nightmail.core.request import Endpoint, RequestState
from nightmail.errors import IllegalMove
from nightmail.stores.base import (
    Address,
    Asked,
    Attempt,
    BatchSums,
    FailedRow,
    Failure,
    Group,
    Key,
    Lease,
    Member,
    NewBatch,
    Ready,
    RequestRow,
    Same,
    Setback,
    Shard,
    StoredShard,
    Tally,
)
from nightmail.stores.batches import insert_batches
from nightmail.stores.batching import (
    read_asked,
    read_members,
    read_ranges,
    read_ready,
    read_successes,
    tally_successes,
)
from nightmail.stores.copies import follow_again, insert_copies, save_revalidated
from nightmail.stores.database import Database, Transaction, moment
from nightmail.stores.lookups import read_request
from nightmail.stores.outcomes import record_unsent, settle, settle_extras
from nightmail.stores.rows import attempt_of, failure_of
from nightmail.stores.runs import move
from nightmail.stores.stretches import insert_ready, unpack_ready
from nightmail.stores.tallies import add_tally, move_tally, read_tally


class SqliteRequests:
    """See `nightmail.stores.base.Requests`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record_group(self, lease: Lease, *, model: str, endpoint: Endpoint) -> Group:
        def work(tx: Transaction) -> Group:
            tx.fence(lease)
            key = {"run_no": lease.run_no, "model": model, "endpoint": endpoint}
            if (row := tx.row("read_group", **key)) is None:
                tx.run("insert_group", **key)
                row = tx.row("read_group", **key)
            assert row is not None
            return Group(row["group_no"], model, endpoint)

        return await self._database.write(work)

    async def list_groups(self, run_no: int) -> list[Group]:
        rows = await self._database.read(lambda tx: tx.rows("list_groups", run_no=run_no))
        return [Group(row["group_no"], row["model"], Endpoint(row["endpoint"])) for row in rows]

    async def record_shard(
        self, lease: Lease, shard: Shard, *, now: datetime, same: Same | None = None
    ) -> None:
        run_no, ready = lease.run_no, shard.ready

        def work(tx: Transaction) -> None:
            tx.fence(lease)
            file_no = _file_no(tx, run_no, shard.file_path, shard.file_bytes)
            tx.run(
                "insert_shard",
                run_no=run_no,
                shard_no=shard.shard_no,
                first_seq=shard.first_seq,
                record_count=shard.record_count,
                source_path=shard.source_path,
                source_row=shard.source_row,
                piece_path=shard.piece_path,
            )
            apart = {seq for seq, _ in same.copies} if same is not None else set()
            insert_ready(tx, run_no, file_no, ready, apart=apart, alone=shard.alone)
            tx.many("insert_failed", ((run_no, row.seq, row.key, row.reason) for row in shard.failed))
            record_unsent(tx, run_no, shard.failed, now)
            add_tally(tx, run_no, "state", RequestState.READY, len(ready.seqs))
            add_tally(tx, run_no, "state", RequestState.FAILED, len(shard.failed))
            if same is not None:
                insert_copies(tx, run_no, shard.shard_no, same)
            tx.run(
                "advance_run",
                run_no=run_no,
                position=shard.position,
                records=shard.record_count,
                unchanged=shard.record_count - len(ready.seqs) - len(shard.failed),
            )

        await self._database.write(work)

    async def list_shards(self, run_no: int) -> list[StoredShard]:
        rows = await self._database.read(lambda tx: tx.rows("list_shards", run_no=run_no))
        return [StoredShard(*row) for row in rows]

    async def duplicate_keys(self, run_no: int, *, limit: int) -> list[tuple[Key, list[int]]]:
        rows = await self._database.read(lambda tx: tx.rows("duplicate_keys", run_no=run_no, limit=limit))
        return [(row["key"], sorted(map(int, row["seqs"].split(",")))) for row in rows]

    async def record_failed(self, lease: Lease, rows: Sequence[FailedRow], *, now: datetime) -> None:
        def work(tx: Transaction) -> None:
            tx.fence(lease)
            unpack_ready(tx, lease.run_no, [row.seq for row in rows])
            left = len(rows)
            for state in (RequestState.READY, RequestState.FOLLOWING):
                new = move_request(state, RequestEvent.FAILED)
                changed = tx.many("fail_ready", ((row.reason, lease.run_no, row.seq, state) for row in rows))
                move_tally(tx, lease.run_no, state, new, changed)
                left -= changed
            if left:
                raise IllegalMove(f"{left} of {len(rows)} requests were not ready any more")
            record_unsent(tx, lease.run_no, rows, now)

        await self._database.write(work)

    async def list_ready(self, run_no: int, *, now: datetime, limit: int) -> list[Ready]:
        return await self._database.read(lambda tx: read_ready(tx, run_no, now, limit))

    async def next_due(self, run_no: int) -> datetime | None:
        row = await self._database.read(lambda tx: tx.row("next_due", run_no=run_no))
        return moment(row["due_at"]) if row else None

    async def members(self, batch: Batch, seqs: Sequence[int] | None = None) -> list[Member]:
        return await self._database.read(lambda tx: read_members(tx, batch, seqs))

    async def asked(self, batch: Batch) -> Asked:
        return await self._database.read(lambda tx: read_asked(tx, batch))

    async def ranges(self, batch: Batch) -> list[Address]:
        return await self._database.read(lambda tx: read_ranges(tx, batch))

    async def record_outcomes(
        self,
        lease: Lease,
        batch: Batch,
        *,
        successes: AnswerIndex,
        setbacks: Sequence[Setback],
        sums: BatchSums,
        event: BatchEvent,
        now: datetime,
        extras: Sequence[tuple[Batch, BatchSums]] = (),
        replanned: Sequence[NewBatch] = (),
    ) -> Batch:
        def work(tx: Transaction) -> Batch:
            tx.fence(lease)
            settle_extras(tx, extras, now)
            settled = settle(tx, batch, successes, setbacks, sums, event, now)
            insert_batches(tx, lease.run_no, replanned, now)
            return settled

        return await self._database.write(work)

    async def record_revalidated(self, lease: Lease, accepted: Sequence[Failure], *, now: datetime) -> None:
        run_no = lease.run_no
        succeeded = move_request(RequestState.FAILED, RequestEvent.SUCCEEDED)

        def work(tx: Transaction) -> None:
            tx.fence(lease)
            changed = tx.many("revalidate_one", ((run_no, each.seq) for each in accepted))
            if changed != len(accepted):
                raise IllegalMove(f"{len(accepted) - changed} of {len(accepted)} records had not failed")
            move_tally(tx, run_no, RequestState.FAILED, succeeded, changed)
            for reason, n in Counter(each.reason for each in accepted).items():
                add_tally(tx, run_no, "reason", reason, -n)
            copies = save_revalidated(tx, run_no, accepted)
            # A copy was never in the batch that its answer came with.
            for batch_no, n in Counter(each.batch_no for each in accepted if each.seq not in copies).items():
                tx.run("add_succeeded", batch_no=batch_no, n=n)

        await self._database.write(work)

    async def record_retried(self, run_no: int, *, reasons: Sequence[Reason] | None, now: datetime) -> int:
        wanted = None if reasons is None else f"|{'|'.join(reasons)}|"

        def work(tx: Transaction) -> int:
            for row in tx.rows("tally_failed", run_no=run_no, reasons=wanted):
                add_tally(tx, run_no, "reason", row["reason"], -row["n"])
            changed = tx.run("retry_failed", run_no=run_no, reasons=wanted)
            if changed:
                tx.run("forget_planned_seq", run_no=run_no)
                ready = move_request(RequestState.FAILED, RequestEvent.RETRIED)
                move_tally(tx, run_no, RequestState.FAILED, ready, changed)
                follow_again(tx, run_no)
                move(tx, run_no, RunEvent.REOPENED, now=now)
            return changed

        return await self._database.write(work)

    async def miscounted(self, run_no: int) -> tuple[dict[str, int], dict[str, int]] | None:
        def work(tx: Transaction) -> tuple[dict[str, int], dict[str, int]] | None:
            told = {state.value: n for state, n in read_tally(tx, run_no).states.items()}
            counted = Counter(dict(tx.each("count_states", run_no=run_no)))
            counted.update(dict(tx.each("count_stretched", run_no=run_no)))
            return None if told == counted else (told, counted)

        return await self._database.read(work)

    async def record_given_up(self, lease: Lease, *, now: datetime) -> int:
        run_no = lease.run_no

        def work(tx: Transaction) -> int:
            tx.fence(lease)
            for row in tx.rows("tally_unsent", run_no=run_no):
                old = RequestState(row["state"])
                move_tally(tx, run_no, old, move_request(old, RequestEvent.GIVEN_UP), row["n"])
            given_up = tx.run("give_up_unsent", run_no=run_no)
            stretched = tx.row("tally_ready_stretches", run_no=run_no)
            assert stretched is not None
            ready = RequestState.READY
            move_tally(tx, run_no, ready, move_request(ready, RequestEvent.GIVEN_UP), stretched["n"])
            tx.run("give_up_stretches", run_no=run_no)
            return given_up + int(stretched["n"])

        return await self._database.write(work)

    async def count(self, run_no: int) -> Tally:
        return await self._database.read(lambda tx: read_tally(tx, run_no))

    async def count_successes(self, run_no: int, first: int, last: int) -> dict[int, int]:
        return await self._database.read(lambda tx: tally_successes(tx, run_no, first, last))

    async def list_successes(self, run_no: int, first: int, last: int) -> list[tuple[int, int]]:
        return await self._database.read(lambda tx: read_successes(tx, run_no, first, last))

    async def list_failures(self, run_no: int, *, after: int, limit: int) -> list[Failure]:
        def work(tx: Transaction) -> list[Failure]:
            rows = tx.rows("list_failures", run_no=run_no, after=after, limit=limit)
            if not rows:
                return []
            tried: dict[int, list[Attempt]] = {row["seq"]: [] for row in rows}
            span = {"first": rows[0]["seq"], "last": rows[-1]["seq"]}
            for row in tx.rows("list_attempts_of_failed", run_no=run_no, **span):
                tried[row["seq"]].append(attempt_of(row))
            return [failure_of(row, tried[row["seq"]]) for row in rows]

        return await self._database.read(work)

    async def read(self, run_no: int, seq: int) -> RequestRow | None:
        return await self._database.read(lambda tx: read_request(tx, run_no, seq))

    async def list_attempts(self, run_no: int, seq: int) -> list[Attempt]:
        rows = await self._database.read(lambda tx: tx.rows("list_attempts", run_no=run_no, seq=seq))
        return [attempt_of(row) for row in rows]

    async def record_file(self, lease: Lease, *, path: str, bytes: int) -> int:
        def work(tx: Transaction) -> int:
            tx.fence(lease)
            return _file_no(tx, lease.run_no, path, bytes)

        return await self._database.write(work)

    async def file_paths(self, run_no: int) -> dict[int, str]:
        rows = await self._database.read(lambda tx: tx.rows("list_files", run_no=run_no))
        return {row["file_no"]: row["path"] for row in rows}


def _file_no(tx: Transaction, run_no: int, path: str, size: int) -> int:
    tx.run("insert_file", run_no=run_no, path=path, bytes=size)
    row = tx.row("read_file_no", path=path)
    assert row is not None
    return int(row["file_no"])
