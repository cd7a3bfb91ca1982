"""Runs in pages and in sums, for who looks at them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.request import RequestState
from nightmail.stores.base_pages import Cost, PageRow, Queue
from nightmail.stores.database import Database, at, moment


class SqlitePages:
    """See `nightmail.stores.base_pages.Pages`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, run_no: int, *, after: int, limit: int, state: RequestState | None
    ) -> Sequence[PageRow]:
        rows = await self._database.read(
            lambda tx: tx.rows("page_of_requests", run_no=run_no, after=after, limit=limit, state=state)
        )
        return [page_row(row) for row in rows]

    async def rows(self, run_no: int, seqs: Sequence[int]) -> Sequence[PageRow]:
        numbers = msgspec.json.encode(list(seqs)).decode()
        rows = await self._database.read(lambda tx: tx.rows("read_requests", run_no=run_no, seqs=numbers))
        return [page_row(row) for row in rows]

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


def page_row(row: sqlite3.Row) -> PageRow:
    """A row of the queries that give a page of requests."""
    return PageRow(
        row["seq"],
        row["key"],
        RequestState(row["state"]),
        row["attempts"],
        row["batch_no"],
        Reason(row["reason"]) if row["reason"] else None,
        row["message"],
        row["part"],
    )
