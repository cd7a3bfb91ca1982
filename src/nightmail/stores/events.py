"""The table of events: what happened, for people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from nightmail.core.ids import BatchId, RunId
from nightmail.stores.base import Event
from nightmail.stores.database import Database, at, moment


class SqliteEvents:
    """See `nightmail.stores.base.Events`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, run_no: int, name: str, *, now: datetime, batch_no: int | None = None, **detail: Any
    ) -> None:
        text = msgspec.json.encode(detail).decode()
        await self._database.write(
            lambda tx: tx.run(
                "insert_event", run_no=run_no, batch_no=batch_no, at=at(now), name=name, detail=text
            )
        )

    async def list(self, run_no: int, *, limit: int) -> list[Event]:
        rows = await self._database.read(lambda tx: tx.rows("list_events", run_no=run_no, limit=limit))
        found = []
        for row in reversed(rows):
            when = moment(row["at"])
            assert when is not None
            batch = BatchId(row["batch_id"]) if row["batch_id"] else None
            detail = msgspec.json.decode(row["detail"])
            found.append(Event(when, RunId(row["run_id"]), batch, row["name"], detail))
        return found
