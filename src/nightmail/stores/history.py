"""How work has gone, from the tables of runs and batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from nightmail.core.batch import Batch, Phase
from nightmail.core.course import Example, Reserved, Slot, Trip
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.progress import Totals
from nightmail.core.run import Run
from nightmail.stores.base_history import StoredLine
from nightmail.stores.database import Database, at, moment
from nightmail.stores.lookups import first_line
from nightmail.stores.rows import batch_of, run_of


class SqliteHistory:
    """See `nightmail.stores.base_history.History`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unfinished(self, *, tenant: str | None, limit: int) -> Sequence[Run]:
        rows = await self._database.read(
            lambda tx: tx.rows("page_of_unfinished_runs", tenant=tenant, limit=limit)
        )
        return [run_of(row) for row in rows]

    async def slots(
        self, *, run_no: int | None, tenant: str | None, since: datetime, width: timedelta
    ) -> Sequence[Slot]:
        rows = await self._database.read(
            lambda tx: tx.rows(
                "list_slots", run_no=run_no, tenant=tenant, since=at(since), width=width.total_seconds()
            )
        )
        return [
            Slot(since + width * row["slot"], row["sent"], row["through"], row["succeeded"]) for row in rows
        ]

    async def trips(self, *, tenant: str | None, since: datetime, limit: int) -> Sequence[Trip]:
        rows = await self._database.read(
            lambda tx: tx.rows("list_trips", tenant=tenant, since=at(since), limit=limit)
        )
        return [
            Trip(
                BatchId(row["batch_id"]),
                RunId(row["run_id"]),
                row["model"],
                row["requests"],
                Phase(row["phase"]) if row["phase"] else None,
                datetime.fromisoformat(row["submitted_at"]),
                datetime.fromisoformat(row["ended_at"]),
            )
            for row in rows
        ]

    async def batches(self, run_no: int, *, skip: int, limit: int) -> Sequence[Batch]:
        rows = await self._database.read(
            lambda tx: tx.rows("page_of_batches", run_no=run_no, skip=skip, limit=limit)
        )
        return [batch_of(row) for row in rows]

    async def totals(self, run_no: int) -> Totals:
        row = await self._database.read(lambda tx: tx.row("read_totals", run_no=run_no))
        assert row is not None
        return Totals(**{**dict(row), "started_at": moment(row["started_at"])})

    async def reserved(self, run_no: int) -> Reserved:
        row = await self._database.read(lambda tx: tx.row("read_reserved", run_no=run_no))
        assert row is not None
        return Reserved(
            None if row["settled_unknown"] else row["settled"],
            None if row["under_way_unknown"] else row["under_way"],
            row["requests"],
        )

    async def examples(self, run_no: int, *, each: int, among: int) -> Sequence[Example]:
        rows = await self._database.read(
            lambda tx: tx.rows("list_examples", run_no=run_no, each=each, among=among)
        )
        return [Example(Reason(row["reason"]), row["seq"], row["key"], row["message"]) for row in rows]

    async def first_request(self, run_no: int) -> StoredLine | None:
        found = await self._database.read(lambda tx: first_line(tx, run_no))
        return StoredLine(*found) if found else None
