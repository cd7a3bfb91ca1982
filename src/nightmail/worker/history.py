"""How work has gone, for who looks: over all runs, and in one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from nightmail.core.batch import Batch
from nightmail.core.course import MOST_POINTS, Example, Point, Reserved, Slot, Trip, points
from nightmail.core.ids import RunId
from nightmail.core.progress import RunStatus
from nightmail.core.run import Run
from nightmail.spool import Spool
from nightmail.stages.ports import Clock
from nightmail.stores.base import Store
from nightmail.worker import reading

# A request with pictures in it is not a thing to read.
MOST_BYTES = 100_000
EXAMPLES = 3
# So many failed records are looked at for examples: what is rarer has none.
LOOKED_AT = 2_000


class History:
    """Reached as `client.history`."""

    def __init__(self, store: Store, spool: Spool, clock: Clock) -> None:
        self._store = store
        self._spool = spool
        self._clock = clock

    async def run(self, run_id: str) -> Run:
        """The run as it was started. Raises `UnknownRun`."""
        return await reading.find(self._store, RunId(run_id))

    async def unfinished(self, *, tenant: str | None = None, limit: int = 50) -> list[RunStatus]:
        """Runs that are neither finished nor cancelled, the newest first; of one tenant if given."""
        runs = await self._store.history.unfinished(tenant=tenant, limit=limit)
        return [await reading.status(self._store, run, self._clock.now()) for run in runs]

    async def slots(self, *, since: datetime, width: timedelta, tenant: str | None = None) -> Sequence[Slot]:
        """What was sent and came back since then, in slots of that width, without the empty ones."""
        return await self._store.history.slots(run_no=None, tenant=tenant, since=since, width=width)

    async def trips(self, *, since: datetime, limit: int, tenant: str | None = None) -> Sequence[Trip]:
        """Batches that ended at the provider since then, the last first."""
        return await self._store.history.trips(tenant=tenant, since=since, limit=limit)

    async def course(self, run_id: str) -> list[Point]:
        """A run's records over time, from its start to its end or to now."""
        run = await self.run(run_id)
        until = run.finished_at or self._clock.now()
        width = max((until - run.created_at) / MOST_POINTS, timedelta(seconds=1))
        slots = await self._store.history.slots(
            run_no=run.run_no, tenant=None, since=run.created_at, width=width
        )
        course = [Point(run.created_at, 0, 0), *points(slots, width)]
        # The last slot ends a little after its last batch.
        course = [each._replace(at=min(each.at, until)) for each in course]
        return [*course, course[-1]._replace(at=until)]

    async def batches(self, run_id: str, *, skip: int = 0, limit: int = 50) -> Sequence[Batch]:
        """The run's batches but those that are only planned: first those that are under way, then the
        newest, leaving out the first `skip`."""
        run = await self.run(run_id)
        return await self._store.history.batches(run.run_no, skip=skip, limit=limit)

    async def reserved(self, run_id: str) -> Reserved:
        """What the run's batches were expected to cost when they were sent."""
        return await self._store.history.reserved((await self.run(run_id)).run_no)

    async def examples(self, run_id: str) -> Sequence[Example]:
        """A few failed records of each reason, in the order of the source."""
        run = await self.run(run_id)
        return await self._store.history.examples(run.run_no, each=EXAMPLES, among=LOOKED_AT)

    async def first_request(self, run_id: str) -> dict[str, Any] | None:
        """The run's first request as it is sent; None if there is none yet, or it is too large to read."""
        line = await self._store.history.first_request((await self.run(run_id)).run_no)
        if line is None or line.length > MOST_BYTES:
            return None
        raw = await asyncio.to_thread(self._spool.read, line.path, line.offset, line.length)
        request: dict[str, Any] = msgspec.json.decode(raw)
        return request
