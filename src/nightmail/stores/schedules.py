"""The tables of schedules, of their occurrences, and of the files that these have taken."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import msgspec

from nightmail.core.ids import RunId
from nightmail.core.schedule import FileMark, Occurrence, Schedule, ScheduleSpec
from nightmail.stores.database import Database, Transaction, at


class SqliteSchedules:
    """See `nightmail.stores.base_schedules.Schedules`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, name: str, spec: ScheduleSpec, *, now: datetime, replace: bool = False
    ) -> Schedule | None:
        text = _text(spec)

        def work(tx: Transaction) -> Schedule | None:
            made = tx.run("insert_schedule", name=name, spec=text, now=at(now))
            if not made and not (replace and tx.run("replace_schedule", name=name, spec=text, now=at(now))):
                return None
            row = tx.row("read_schedule", name=name)
            return _schedule_of(row) if row else None

        return await self._database.write(work)

    async def read(self, name: str) -> Schedule | None:
        row = await self._database.read(lambda tx: tx.row("read_schedule", name=name))
        return _schedule_of(row) if row else None

    async def list(self) -> list[Schedule]:
        return [_schedule_of(row) for row in await self._database.read(lambda tx: tx.rows("list_schedules"))]

    async def record_paused(self, name: str, paused: bool, *, now: datetime) -> None:
        def work(tx: Transaction) -> int:
            if paused:
                return tx.run("pause_schedule", name=name)
            return tx.run("resume_schedule", name=name, now=at(now))

        await self._database.write(work)

    async def delete(self, name: str) -> bool:
        def work(tx: Transaction) -> bool:
            row = tx.row("read_schedule", name=name)
            if row is None:
                return False
            for table in ("occurrences", "taken_files", "delivered"):
                tx.run(f"delete_{table}_of_schedule", schedule_no=row["schedule_no"])
            return tx.run("delete_schedule", schedule_no=row["schedule_no"]) == 1

        return await self._database.write(work)

    async def claim(
        self,
        schedule: Schedule,
        *,
        due_at: datetime,
        output: str,
        since: datetime,
        files: Sequence[FileMark] = (),
    ) -> Occurrence | None:
        number = schedule.schedule_no

        def work(tx: Transaction) -> Occurrence | None:
            if tx.row("read_open_occurrence", schedule_no=number) is not None:
                return None
            taken = {_mark_of(row) for row in tx.rows("list_taken_files", schedule_no=number)}
            if not taken.isdisjoint(files):
                return None
            current = tx.row("read_schedule", name=schedule.name)
            if current is None or _schedule_of(current) != schedule:
                return None
            if not tx.run("insert_occurrence", schedule_no=number, due_at=at(due_at), output=output):
                return None
            tx.run("advance_schedule", schedule_no=number, since=at(since))
            rows = ((number, mark.path, mark.size, mark.mtime_ns, at(due_at)) for mark in files)
            tx.many("take_file", rows)
            return Occurrence(
                schedule_no=number, due_at=due_at, output=output, run_id=None, message=None,
                abandoned=False, is_open=True,
            )  # fmt: skip

        return await self._database.write(work)

    async def occurrences(self, schedule_no: int, *, limit: int) -> Sequence[Occurrence]:
        rows = await self._database.read(
            lambda tx: tx.rows("list_occurrences", schedule_no=schedule_no, limit=limit)
        )
        return [_occurrence_of(row) for row in rows]

    async def open_occurrence(self, schedule_no: int) -> Occurrence | None:
        row = await self._database.read(lambda tx: tx.row("read_open_occurrence", schedule_no=schedule_no))
        return _occurrence_of(row) if row else None

    async def is_output_taken(self, schedule_no: int, output: str) -> bool:
        return await self._database.read(
            lambda tx: tx.row("read_output_taken", schedule_no=schedule_no, output=output) is not None
        )

    async def record_started(self, occurrence: Occurrence, run_id: RunId) -> bool:
        key = {"schedule_no": occurrence.schedule_no, "due_at": at(occurrence.due_at)}
        return await self._database.write(lambda tx: tx.run("start_occurrence", run_id=run_id, **key) == 1)

    async def record_trouble(self, occurrence: Occurrence, message: str, *, abandoned: bool = False) -> None:
        key = {"schedule_no": occurrence.schedule_no, "due_at": at(occurrence.due_at)}
        await self._database.write(
            lambda tx: tx.run("trouble_occurrence", message=message, abandoned=abandoned, **key)
        )

    async def taken_files(self, schedule_no: int) -> set[FileMark]:
        rows = await self._database.read(lambda tx: tx.rows("list_taken_files", schedule_no=schedule_no))
        return {_mark_of(row) for row in rows}

    async def files_of(self, occurrence: Occurrence) -> Sequence[FileMark]:
        key = {"schedule_no": occurrence.schedule_no, "due_at": at(occurrence.due_at)}
        rows = await self._database.read(lambda tx: tx.rows("list_files_of_occurrence", **key))
        return [_mark_of(row) for row in rows]


def _text(spec: ScheduleSpec) -> str:
    return msgspec.json.encode(spec).decode()


def _schedule_of(row: sqlite3.Row) -> Schedule:
    return Schedule(
        schedule_no=row["schedule_no"],
        name=row["name"],
        spec=msgspec.json.decode(row["spec"], type=ScheduleSpec),
        paused=bool(row["paused"]),
        since=datetime.fromisoformat(row["since"]),
        created_at=datetime.fromisoformat(row["created_at"]),
    )


def _occurrence_of(row: sqlite3.Row) -> Occurrence:
    return Occurrence(
        schedule_no=row["schedule_no"],
        due_at=datetime.fromisoformat(row["due_at"]),
        output=row["output"],
        run_id=RunId(row["run_id"]) if row["run_id"] else None,
        message=row["message"],
        abandoned=bool(row["abandoned"]),
        is_open=bool(row["is_open"]),
    )


def _mark_of(row: sqlite3.Row) -> FileMark:
    return FileMark(row["path"], row["size"], row["mtime_ns"])
