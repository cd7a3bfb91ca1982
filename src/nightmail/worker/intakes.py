"""Intakes: made, fed, emptied into runs, asked for results."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from nightmail.core.ids import RunId
from nightmail.core.intake import Intake, IntakeSpec, is_due, tokens_of
from nightmail.core.request import RequestState
from nightmail.errors import ConfigError, NightmailError, NotNow, StoreError
from nightmail.spool import Spool
from nightmail.stages.ports import Clock
from nightmail.stores.base import Cut, IntakeRow, PageRow, Store, Taken
from nightmail.telemetry import logger
from nightmail.worker.gate import FOLDER, Gate, Line, Page
from nightmail.worker.lease import is_dead
from nightmail.worker.pages import RecordResult, results_of
from nightmail.worker.tidying import Tidying

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
MOST_RECORDS = 1_000  # in a page
MOST_KEY = 200
LOOK = 0.5
HOLD = timedelta(minutes=1)
Start = Callable[..., Awaitable[Any]]


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record with the key by which its result is asked for."""

    key: str
    record: msgspec.Raw


class IntakeResult(msgspec.Struct, frozen=True, kw_only=True):
    """Where a record of an intake is. While it waits there is no `run_id`; `result` is there once its
    request is."""

    record: int
    key: str
    run_id: RunId | None
    result: RecordResult | None


class Intakes:
    """Reached as `client.intakes`. `start` begins a run, as `Client.start` does."""

    def __init__(self, store: Store, spool: Path, clock: Clock, start: Start) -> None:
        self._store = store
        self._spool = Spool(spool)
        self._clock = clock
        self._start = start
        self._gate = Gate(store, spool, clock)
        self._tidying = Tidying(store, spool, clock, self._gate.holder)
        self._found: dict[str, Intake] = {}

    async def create(self, intake_id: str, spec: IntakeSpec, *, tenant: str | None = None) -> Intake:
        """Make an intake, or find the one that was made so before. Raises `NotNow` if it is another."""
        if not NAME.fullmatch(intake_id):
            raise ConfigError(f"an intake's name is made of a-z, 0-9 and -, up to 40, not {intake_id!r}")
        intake = await self._store.intakes.record(intake_id, tenant, spec, now=self._clock.now())
        if (intake.tenant, intake.spec) != (tenant, spec):
            raise NotNow(f"there is an intake {intake_id!r} already, and it is another")
        return intake

    async def list(self) -> Sequence[Intake]:
        """All, oldest first."""
        return await self._store.intakes.list()

    async def read(self, intake_id: str) -> Intake | None:
        return await self._store.intakes.read(intake_id)

    async def find(self, intake_id: str) -> Intake | None:
        """As `read`, but whether it is closed and what waits may be old: for who only asks whose it is and
        what it is for, which never changes."""
        if (found := self._found.get(intake_id)) is None and (found := await self.read(intake_id)):
            self._found[intake_id] = found
        return found

    async def end(self, intake: Intake) -> None:
        """Take nothing in any more; what waits leaves at once."""
        await self._store.intakes.record_closed(intake.intake_no)

    async def hand_in(
        self, intake: Intake, items: Sequence[Item], *, tenant: str | None = None, priority: int = 0
    ) -> Taken:
        """Take records in; returns once they are durable. One that the tenant has handed in before, word
        for word, is not taken twice. Raises `ConfigError` for what is no record."""
        lines = [_line(item) for item in items]
        keys = [line.key for line in lines]
        if len(set(keys)) < len(keys):
            raise ConfigError("a key is in this page twice")
        return await self._gate.hand_in(Page(intake.intake_no, tenant, priority, lines))

    async def results(
        self, intake: Intake, *, tenant: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[IntakeResult]:
        """A tenant's records numbered above `after`, in the order in which they came, as they are now."""
        rows = await self._store.intakes.page(intake.intake_no, tenant, after=after, limit=limit)
        return await self._shown(rows)

    async def results_by_key(
        self, intake: Intake, keys: Sequence[str], *, tenant: str | None = None
    ) -> Sequence[IntakeResult]:
        """Those of a tenant's records that have these keys."""
        return await self._shown(await self._store.intakes.rows(intake.intake_no, tenant, keys))

    async def close(self) -> None:
        """Returns when everything that was handed in is answered."""
        await self._gate.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Let records leave, until `stop` is set. Any number of processes may do so at the same time."""
        while not stop.is_set():
            await self.tidy()
            if not await self.empty():
                await self._clock.wait(LOOK, wake=stop)

    async def tidy(self) -> None:
        """Delete what no run needs any more of what came in; looks once an hour at most."""
        await self._tidying.now_and_then()

    async def empty(self) -> int:
        """Begin a run for each number of records that are to leave now; how many runs."""
        now, me = self._clock.now(), self._gate.holder
        cuts = [*await self._forgotten_cuts(now)]
        for intake in await self._store.intakes.list():
            if is_due(intake, now):
                cut = await self._store.intakes.record_cut(intake, holder=me, until=now + HOLD, now=now)
                cuts += [cut] if cut is not None else []
        for cut in cuts:
            try:
                await self._begin(cut)
            except StoreError:
                raise
            except NightmailError as error:
                # Its task may be gone, or the disk full: no other waits for that, and it is tried again once
                # nobody holds it.
                logger.warning("intake %s: its run cannot begin: %s", cut.intake_id, error)
        if cuts:
            await self._tidying.segments(writing=self._gate.segment_no)
        return len(cuts)

    async def _forgotten_cuts(self, now: datetime) -> Sequence[Cut]:
        """Cuts of processes that died between the cut and its run."""
        holders = await self._store.intakes.cut_holders()
        if not holders:
            return []
        dead = [holder for holder in holders if is_dead(holder)]
        return await self._store.intakes.claim_cuts(
            holder=self._gate.holder, until=now + HOLD, now=now, dead=dead
        )

    async def _begin(self, cut: Cut) -> None:
        """Make the cut's file and begin its run. Done again after a crash it finds both."""
        intake = await self._store.intakes.read(cut.intake_id)
        assert intake is not None
        name = f"{FOLDER}/{cut.intake_id}-{cut.cut_no}.jsonl"
        if not self._spool.exists(name):
            addresses = await self._store.intakes.addresses(cut.cut_no)
            await asyncio.to_thread(self._spool.gather, addresses, name)
        options: Mapping[str, Any] = intake.spec.options
        status = await self._start(
            intake.spec.task, self._spool.path(name), key="", tenant=intake.tenant, **options
        )
        await self._store.intakes.record_begun(cut.cut_no, status.run_id)

    async def _shown(self, rows: Sequence[IntakeRow]) -> Sequence[IntakeResult]:
        by_run: dict[RunId, list[PageRow]] = {}
        for row in rows:
            if row.run_id is not None and row.row is not None:
                by_run.setdefault(row.run_id, []).append(row.row)
        found: dict[tuple[RunId, int], RecordResult] = {}
        for run_id, members in by_run.items():
            for result in await results_of(self._spool, run_id, members):
                found[run_id, result.record] = result
        return [
            IntakeResult(
                record=row.seq,
                key=row.key,
                run_id=row.run_id,
                result=found[row.run_id, row.row.seq] if row.run_id and row.row else None,
            )
            for row in rows
        ]


def state_of(shown: IntakeResult) -> RequestState:
    """A record that still waits, or whose request is being made, is as good as one that waits for a batch."""
    return shown.result.state if shown.result is not None else RequestState.READY


def _line(item: Item) -> Line:
    if not item.key or len(item.key) > MOST_KEY:
        raise ConfigError(f"a key has 1 to {MOST_KEY} characters")
    text = bytes(item.record)
    if not text.lstrip().startswith(b"{"):
        raise ConfigError(f"the record of key {item.key!r} is no JSON object")
    if b"\n" in text or b"\r" in text:
        text = msgspec.json.format(text, indent=-1)
    return Line(item.key, hashlib.sha256(text).digest()[:16], tokens_of(len(text)), text)
