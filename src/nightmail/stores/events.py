"""The table of events: what happened, for people."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

import msgspec

from nightmail.core.ids import BatchId, RunId
from nightmail.core.notice import Happening
from nightmail.stores.base import Event
from nightmail.stores.database import Database, Transaction, at, moment


class SqliteEvents:
    """See `nightmail.stores.base.Events`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, run_no: int, name: str, *, now: datetime, batch_no: int | None = None, **detail: Any
    ) -> None:
        await self._database.write(
            lambda tx: insert_event(tx, run_no, name, now=now, batch_no=batch_no, **detail)
        )

    async def list_after(self, event_no: int, *, limit: int) -> list[Happening]:
        rows = await self._database.read(lambda tx: tx.rows("list_events_after", after=event_no, limit=limit))
        return [Happening(row["event_no"], *event_of(row)) for row in rows]

    async def list(self, run_no: int, *, limit: int) -> list[Event]:
        rows = await self._database.read(lambda tx: tx.rows("list_events", run_no=run_no, limit=limit))
        return [event_of(row) for row in reversed(rows)]


def insert_event(
    tx: Transaction, run_no: int, name: str, *, now: datetime, batch_no: int | None = None, **detail: Any
) -> None:
    """Write an event down with the change that it tells of, so that there is never one without the other."""
    text = msgspec.json.encode(detail).decode()
    tx.run("insert_event", run_no=run_no, batch_no=batch_no, at=at(now), name=name, detail=text)


def event_of(row: sqlite3.Row) -> Event:
    when = moment(row["at"])
    assert when is not None
    batch = BatchId(row["batch_id"]) if row["batch_id"] else None
    return Event(when, RunId(row["run_id"]), batch, row["name"], msgspec.json.decode(row["detail"]))
