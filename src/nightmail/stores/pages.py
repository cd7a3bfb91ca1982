"""Runs in pages and in sums, for who looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from nightmail.core.request import RequestState
from nightmail.stores.base_pages import Cost, PageRow, Queue
from nightmail.stores.database import Database, at, moment
from nightmail.stores.lookups import read_page, read_rows


class SqlitePages:
    """See `nightmail.stores.base_pages.Pages`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, run_no: int, *, after: int, limit: int, state: RequestState | None
    ) -> Sequence[PageRow]:
        return await self._database.read(
            lambda tx: read_page(tx, run_no, after=after, limit=limit, state=state)
        )

    async def rows(self, run_no: int, seqs: Sequence[int]) -> Sequence[PageRow]:
        return await self._database.read(lambda tx: read_rows(tx, run_no, seqs))

    async def queues(self, *, tenant: str | None) -> Sequence[Queue]:
        rows = await self._database.read(lambda tx: tx.rows("list_queues", tenant=tenant))
        return [
            Queue(
                row["account"],
                row["model"],
                row["batches"],
                row["requests"],
                row["tokens"],
                row["limit_tokens"],
                moment(row["learned_at"]),
                row["refusals"],
                moment(row["blocked_until"]),
                row["planned"],
                row["planned_tokens"],
            )
            for row in rows
        ]

    async def costs(self, *, tenant: str | None, since: datetime) -> Sequence[Cost]:
        rows = await self._database.read(lambda tx: tx.rows("list_costs", tenant=tenant, since=at(since)))
        return [Cost(*row) for row in rows]
