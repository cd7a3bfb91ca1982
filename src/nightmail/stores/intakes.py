"""The tables of intakes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.ids import RunId
from nightmail.core.intake import Intake, IntakeSpec, leaving
from nightmail.core.request import RequestState
from nightmail.stores.base_intakes import Cut, HandedPage, IntakeRow, Segment, Taken
from nightmail.stores.base_pages import PageRow
from nightmail.stores.database import Database, Transaction, at, moment
from nightmail.stores.taking import take

# A cut is held for no longer than this ahead; one that is was so before the clock was set back.
LONGEST_HOLD = timedelta(hours=1)


class SqliteIntakes:
    """See `nightmail.stores.base_intakes.Intakes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, intake_id: str, tenant: str | None, spec: IntakeSpec, *, now: datetime) -> Intake:
        def work(tx: Transaction) -> Intake:
            tx.run("insert_intake", intake_id=intake_id, tenant=tenant, spec=_json(spec), now=at(now))
            row = tx.row("read_intake", intake_id=intake_id)
            assert row is not None
            return _intake(row)

        return await self._database.write(work)

    async def read(self, intake_id: str) -> Intake | None:
        row = await self._database.read(lambda tx: tx.row("read_intake", intake_id=intake_id))
        return _intake(row) if row else None

    async def list(self) -> Sequence[Intake]:
        return [_intake(row) for row in await self._database.read(lambda tx: tx.rows("list_intakes"))]

    async def record_closed(self, intake_no: int) -> None:
        await self._database.write(lambda tx: tx.run("close_intake", intake_no=intake_no))

    async def record_segment(self, path: str, holder: str) -> int:
        return await self._database.write(lambda tx: tx.insert("insert_segment", path=path, holder=holder))

    async def record_pages(self, pages: Sequence[HandedPage], *, now: datetime) -> Sequence[Taken]:
        return await self._database.write(lambda tx: take(tx, pages, at(now)))

    async def record_cut(self, intake: Intake, *, holder: str, until: datetime, now: datetime) -> Cut | None:
        def work(tx: Transaction) -> Cut | None:
            number = intake.intake_no
            waiting: list[int] = tx.rows("list_waiting", int, intake_no=number, limit=intake.spec.max_records)
            records = leaving(waiting, intake.spec)
            if not records:
                return None
            cut_no = tx.insert(
                "insert_cut", intake_no=number, records=records, holder=holder, until=at(until), now=at(now)
            )
            tx.run("cut_records", intake_no=number, cut_no=cut_no, records=records)
            tx.run("shrink_intake", intake_no=number, records=records, tokens=sum(waiting[:records]))
            return Cut(cut_no, intake.intake_id, records)

        return await self._database.write(work)

    async def claim_cuts(
        self, *, holder: str, until: datetime, now: datetime, dead: Sequence[str]
    ) -> Sequence[Cut]:
        def work(tx: Transaction) -> Sequence[Cut]:
            latest = at(now + LONGEST_HOLD)
            said = _json(list(dead))
            tx.run("claim_cuts", holder=holder, until=at(until), now=at(now), latest=latest, dead=said)
            return [Cut(*row) for row in tx.rows("list_held_cuts", holder=holder)]

        return await self._database.write(work)

    async def cut_holders(self) -> Sequence[str]:
        return [row["holder"] for row in await self._database.read(lambda tx: tx.rows("list_cut_holders"))]

    async def addresses(self, cut_no: int) -> Sequence[tuple[str, int, int]]:
        return await self._database.read(lambda tx: tx.rows("list_addresses", _address, cut_no=cut_no))

    async def record_begun(self, cut_no: int, run_id: RunId) -> None:
        await self._database.write(lambda tx: tx.run("begin_cut", cut_no=cut_no, run_id=run_id))

    async def spent_segments(self) -> Sequence[Segment]:
        rows = await self._database.read(lambda tx: tx.rows("spent_segments"))
        return [Segment(*row) for row in rows]

    async def record_retired(self, segment: Segment) -> bool:
        return await self._database.write(
            lambda tx: bool(tx.run("retire_segment", segment_no=segment.segment_no, holder=segment.holder))
        )

    async def segments(self) -> Sequence[str]:
        return [row["path"] for row in await self._database.read(lambda tx: tx.rows("list_segments"))]

    async def cuts_over(self, cut_nos: Sequence[int]) -> Sequence[int]:
        said = _json(list(cut_nos))
        return await self._database.read(lambda tx: tx.rows("cuts_over", int, cuts=said))

    async def page(
        self, intake_no: int, tenant: str | None, *, after: int, limit: int
    ) -> Sequence[IntakeRow]:
        rows = await self._database.read(
            lambda tx: tx.rows(
                "page_of_intake", intake_no=intake_no, tenant=tenant or "", after=after, limit=limit
            )
        )
        return [_intake_row(row) for row in rows]

    async def rows(self, intake_no: int, tenant: str | None, keys: Sequence[str]) -> Sequence[IntakeRow]:
        said = _json(list(keys))
        rows = await self._database.read(
            lambda tx: tx.rows("read_intake_records", intake_no=intake_no, tenant=tenant or "", keys=said)
        )
        return [_intake_row(row) for row in rows]


def _address(path: str, offset: int, length: int) -> tuple[str, int, int]:
    return path, offset, length


def _intake(row: sqlite3.Row) -> Intake:
    return Intake(
        intake_no=row["intake_no"],
        intake_id=row["intake_id"],
        tenant=row["tenant"],
        spec=msgspec.json.decode(row["spec"], type=IntakeSpec),
        closed=bool(row["closed"]),
        waiting=row["waiting"],
        waiting_tokens=row["waiting_tokens"],
        created_at=datetime.fromisoformat(row["created_at"]),
        oldest_at=moment(row["oldest_at"]),
    )


def _intake_row(row: sqlite3.Row) -> IntakeRow:
    request = None
    if row["state"] is not None:
        request = PageRow(
            row["line"],
            row["key"],
            RequestState(row["state"]),
            row["attempts"],
            row["batch_no"],
            Reason(row["reason"]) if row["reason"] else None,
            row["message"],
        )
    return IntakeRow(row["seq"], row["key"], RunId(row["run_id"]) if row["run_id"] else None, request)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
