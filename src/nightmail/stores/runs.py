"""The table of runs: their states, leases and wishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from nightmail.core.ids import RunId
from nightmail.core.lifecycle import RunEvent, move_run
from nightmail.core.run import KeyKind, PauseReason, Run, RunSpec, RunState, Wish
from nightmail.errors import IllegalMove, LeaseLost, StoreError
from nightmail.stores.base import Lease, Tenure
from nightmail.stores.database import Database, Transaction, at
from nightmail.stores.events import insert_event
from nightmail.stores.rows import run_of
from nightmail.telemetry import EventName, log

# Whose rows are forgotten with a run of which nothing was sent.
_TABLES = (
    "requests",
    "stretch_columns",
    "stretches",
    "attempts",
    "shards",
    "files",
    "groups",
    "tallies",
    "events",
    "waits",
    "contents",
    "copies",
    "copy_counts",
    "digests",
)


class SqliteRuns:
    """See `nightmail.stores.base.Runs`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, *, run_id: RunId, identity: str, spec: RunSpec, fingerprint: Mapping[str, str], now: datetime
    ) -> Run:
        def work(tx: Transaction) -> Run:
            tx.run(
                "insert_run",
                run_id=run_id,
                identity=identity,
                spec=_json(spec),
                fingerprint=_json(dict(fingerprint)),
                now=at(now),
            )
            row = tx.row("read_run", run_id=run_id)
            assert row is not None
            return run_of(row)

        return await self._database.write(work)

    async def read(self, run_id: RunId) -> Run | None:
        row = await self._database.read(lambda tx: tx.row("read_run", run_id=run_id))
        return run_of(row) if row else None

    async def list(self, *, identity: str | None = None) -> list[Run]:
        rows = await self._database.read(lambda tx: tx.rows("list_runs", identity=identity))
        return [run_of(row) for row in rows]

    async def unfinished(self) -> Sequence[Run]:
        rows = await self._database.read(lambda tx: tx.rows("list_unfinished_runs"))
        return [run_of(row) for row in rows]

    async def page(self, *, tenant: str | None, before: RunId | None, limit: int) -> Sequence[Run]:
        rows = await self._database.read(
            lambda tx: tx.rows("page_of_runs", tenant=tenant, before=before, limit=limit)
        )
        return [run_of(row) for row in rows]

    async def claim(
        self,
        *,
        run_id: RunId | None,
        token: str,
        now: datetime,
        until: datetime,
        dead: Sequence[str] = (),
        idle: bool = False,
    ) -> Lease | None:
        def work(tx: Transaction) -> Lease | None:
            row = tx.row("claimable_run", run_id=run_id, now=at(now), dead=_json(list(dead)), idle=idle)
            if row is None:
                return None
            tx.run("lease_run", run_no=row["run_no"], token=token, until=at(until))
            return Lease(row["run_no"], token)

        return await self._database.write(work)

    async def leases(self) -> Sequence[Tenure]:
        rows = await self._database.read(lambda tx: tx.rows("list_leases"))
        return [Tenure(number, token, datetime.fromisoformat(until)) for number, token, until in rows]

    async def record_lease(self, lease: Lease, *, until: datetime) -> None:
        changed = await self._database.write(
            lambda tx: tx.run("renew_lease", run_no=lease.run_no, token=lease.token, until=at(until))
        )
        if not changed:
            raise LeaseLost(f"run number {lease.run_no} has been taken over by another worker")

    async def delete_lease(self, lease: Lease) -> None:
        await self._database.write(lambda tx: tx.run("release_lease", run_no=lease.run_no, token=lease.token))

    async def record_event(
        self,
        run_no: int,
        event: RunEvent,
        *,
        now: datetime,
        reason: PauseReason | None = None,
        message: str | None = None,
        lease: Lease | None = None,
    ) -> Run:
        def work(tx: Transaction) -> Run:
            if lease is not None:
                tx.fence(lease)
            return move(tx, run_no, event, now=now, reason=reason, message=message)

        run = await self._database.write(work)
        why = {"reason": reason.value, "message": message} if reason is not None else {}
        log(EventName.RUN_MOVED, run_id=run.run_id, batch_id=None, detail={"new": run.state.value, **why})
        return run

    async def delete_unsent(self, run_no: int) -> bool:
        def work(tx: Transaction) -> bool:
            count = tx.row("count_batches", run_no=run_no)
            if count is None or count["n"]:
                return False
            for table in _TABLES:
                tx.run(f"delete_{table}_of_run", run_no=run_no)
            return tx.run("delete_unsent_run", run_no=run_no) == 1

        return await self._database.write(work)

    async def record_hurried(self, lease: Lease, *, now: datetime) -> Run:
        def work(tx: Transaction) -> Run:
            tx.fence(lease)
            tx.run("hurry_run", run_no=lease.run_no, now=at(now))
            tx.run("look_now", run_no=lease.run_no, now=at(now))
            return _read(tx, lease.run_no)

        return await self._database.write(work)

    async def record_wish(self, run_no: int, wish: Wish | None) -> None:
        await self._database.write(lambda tx: tx.run("set_wish", run_no=run_no, wish=wish))

    async def record_spec(self, run_no: int, spec: RunSpec, fingerprint: Mapping[str, str]) -> Run:
        def work(tx: Transaction) -> Run:
            tx.run("set_spec", run_no=run_no, spec=_json(spec), fingerprint=_json(dict(fingerprint)))
            return _read(tx, run_no)

        return await self._database.write(work)

    async def record_key(self, lease: Lease, *, name: str, kind: KeyKind) -> None:
        def work(tx: Transaction) -> None:
            tx.fence(lease)
            tx.run("set_key", run_no=lease.run_no, name=name, kind=kind)

        await self._database.write(work)

    async def record_delivered(self, lease: Lease, *, now: datetime) -> None:
        def work(tx: Transaction) -> None:
            tx.fence(lease)
            tx.run("set_delivered", run_no=lease.run_no, now=at(now))

        await self._database.write(work)

    async def record_undelivered(self, run_no: int) -> None:
        await self._database.write(lambda tx: tx.run("set_delivered", run_no=run_no, now=None))


def move(
    tx: Transaction,
    run_no: int,
    event: RunEvent,
    *,
    now: datetime,
    reason: PauseReason | None = None,
    message: str | None = None,
) -> Run:
    """Move a run inside a transaction, by its table."""
    run = _read(tx, run_no)
    state = move_run(run.state, event)
    ended = state in (RunState.FINISHED, RunState.CANCELLED)
    changed = tx.run(
        "move_run",
        run_no=run_no,
        old_state=run.state,
        new_state=state,
        pause_reason=reason,
        pause_message=message,
        finished_at=at(now) if ended else None,
        sealed=event is RunEvent.SEALED,
        reopened=event is RunEvent.REOPENED,
    )
    if not changed:
        raise IllegalMove(f"run {run.run_id!r} is no longer {run.state}")
    if event is RunEvent.SEALED:
        tx.run("delete_digests_of_run", run_no=run_no)
    why: dict[str, Any] = {"reason": reason, "message": message} if reason is not None else {}
    insert_event(tx, run_no, EventName.RUN_MOVED, now=now, old=run.state, new=state, **why)
    return _read(tx, run_no)


def _read(tx: Transaction, run_no: int) -> Run:
    row = tx.row("read_run_by_number", run_no=run_no)
    if row is None:
        raise StoreError(f"there is no run number {run_no}")
    return run_of(row)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
