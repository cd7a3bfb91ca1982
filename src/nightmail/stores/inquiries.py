"""What a person asks, answered from the tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.run import Run
from nightmail.stores.base import Event, Key
from nightmail.stores.base_inquiries import BatchWhole, Cause, Failing, Look, Troubled, Use, Waiting
from nightmail.stores.base_pages import PageRow
from nightmail.stores.database import Database, Transaction, moment
from nightmail.stores.events import event_of
from nightmail.stores.lookups import find_keys, page_row
from nightmail.stores.rows import batch_of, run_of
from nightmail.stores.tallies import read_tally


class SqliteInquiries:
    """See `nightmail.stores.base_inquiries.Inquiries`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def batch(self, batch_id: BatchId, *, limit: int) -> BatchWhole | None:
        def work(tx: Transaction) -> BatchWhole | None:
            row = tx.row("read_batch_whole", batch_id=batch_id)
            if row is None:
                return None
            batch = batch_of(row, beside=("run_id", "tenant", "object", "seen_at"))
            span = {"run_no": batch.run_no, "first": batch.first_seq, "last": batch.last_seq}
            number = {"batch_no": batch.batch_no}
            return BatchWhole(
                batch=batch,
                run_id=RunId(row["run_id"]),
                tenant=row["tenant"],
                object=row["object"],
                object_seen_at=moment(row["seen_at"]),
                looks=[_look(each) for each in reversed(tx.rows("list_looks", limit=limit, **number))],
                causes=[
                    Cause(each["outcome"], Reason(each["reason"]), each["requests"])
                    for each in tx.rows("list_causes", **span, **number)
                ],
                doubles=[
                    BatchId(each["batch_id"])
                    for each in tx.rows(
                        "list_doubles", run_no=batch.run_no, extra_of=batch.extra_of, **number
                    )
                ],
                events=[
                    event_of(each)
                    for each in reversed(tx.rows("list_events_of_batch", limit=limit, **number))
                ],
            )

        return await self._database.read(work)

    async def reasons(self, *, tenant: str | None) -> Sequence[Failing]:
        rows = await self._database.read(lambda tx: tx.rows("sum_reasons", tenant=tenant))
        return [Failing(Reason(row["reason"]), row["records"], row["runs"]) for row in rows]

    async def failing_runs(
        self, *, tenant: str | None, reason: Reason | None, before: RunId | None, limit: int
    ) -> Sequence[tuple[Run, Mapping[Reason, int]]]:
        def work(tx: Transaction) -> list[tuple[Run, Mapping[Reason, int]]]:
            rows = tx.rows("list_failing_runs", tenant=tenant, reason=reason, before=before, limit=limit)
            return [(run_of(row), read_tally(tx, row["run_no"]).reasons) for row in rows]

        return await self._database.read(work)

    async def failed(
        self, run_no: int, *, reason: Reason | None, after: int, limit: int
    ) -> Sequence[PageRow]:
        rows = await self._database.read(
            lambda tx: tx.rows("page_of_failed", run_no=run_no, reason=reason, after=after, limit=limit)
        )
        return [page_row(row) for row in rows]

    async def troubled_batches(
        self, *, tenant: str | None, before: BatchId | None, limit: int
    ) -> Sequence[Troubled]:
        rows = await self._database.read(
            lambda tx: tx.rows("list_troubled_batches", tenant=tenant, before=before, limit=limit)
        )
        return [_troubled(row) for row in rows]

    async def events(
        self, names: Sequence[str], *, tenant: str | None, among: int, limit: int
    ) -> Sequence[Event]:
        wanted = msgspec.json.encode(list(names)).decode()
        rows = await self._database.read(
            lambda tx: tx.rows("list_events_named", names=wanted, tenant=tenant, among=among, limit=limit)
        )
        return [event_of(row) for row in rows]

    async def find(
        self,
        run_no: int,
        text: str,
        *,
        number: int | None,
        beginning: bool,
        after: int,
        upto: int,
        limit: int,
    ) -> Sequence[tuple[int, Key]]:
        return await self._database.read(
            lambda tx: find_keys(
                tx, run_no, text, number=number, beginning=beginning, after=after, upto=upto, limit=limit
            )
        )

    async def given_quotas(self) -> Mapping[str, tuple[int, int]]:
        rows = await self._database.read(lambda tx: tx.rows("list_given_quotas"))
        return {row["model"]: (row["least"], row["most"]) for row in rows}

    async def waiting(self, *, tenant: str | None, limit: int) -> Sequence[Waiting]:
        rows = await self._database.read(lambda tx: tx.rows("list_waiting_runs", tenant=tenant, limit=limit))
        return [_waiting(row) for row in rows]

    async def uses(self, *, tenant: str | None) -> Sequence[Use]:
        return await self._database.read(lambda tx: tx.rows("list_uses", Use, tenant=tenant))


def _look(row: sqlite3.Row) -> Look:
    at = moment(row["at"])
    assert at is not None
    return Look(at, row["status"], row["total"], row["completed"], row["failed"])


def _troubled(row: sqlite3.Row) -> Troubled:
    return Troubled(batch_of(row, beside=("run_id",)), RunId(row["run_id"]))


def _waiting(row: sqlite3.Row) -> Waiting:
    since = moment(row["since"])
    assert since is not None
    return Waiting(row["account"], row["model"], RunId(row["run_id"]), since)
