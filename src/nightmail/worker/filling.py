"""The source of a run, read beside everything else: its first batches are on their way while the rest of it
is still being built.

What is wrong with a source is found before its first record is in the store, so what leaves early is part of
a source that was whole when the run began. Runs of which that is not so wait for its end: bad rows that are
left out show which keys are twice only then, and other modes depend on how many records there are.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from nightmail.core.lifecycle import RunEvent
from nightmail.core.planning import most_requests
from nightmail.core.request import Mode
from nightmail.core.run import Run
from nightmail.stages.enqueue import enqueue
from nightmail.stages.ports import Ports
from nightmail.worker.underway import GRACE, ended

# What is there is looked through for batches when it fills one by its number of requests, so that each row is
# read about once; and now and then, since by its tokens or bytes it may fill one sooner.
LOOK = timedelta(seconds=1)
MANY = 50_000


def flows(run: Run) -> bool:
    """May batches of an open run be cut before all of its source is in?"""
    return run.spec.mode is Mode.BATCH and not run.spec.skip_bad_rows


class Filling:
    """Reads until the run is sealed, `stop` is set, or `end`; sets `wake` when it is done, and when there is
    enough for another batch."""

    def __init__(self, ports: Ports, stop: asyncio.Event, wake: asyncio.Event) -> None:
        self._ports = ports
        self._stop = stop
        self._wake = wake
        self._ended = False
        self._task: asyncio.Task[Run] | None = None
        self._planned_seq = 0
        self._looked_at: datetime | None = None
        self._looked_count = 0  # records that there were at the last look

    async def go_on(self, run: Run) -> Run:
        """Begin, or look how far it is; the run as it is now. Raises what reading raised."""
        ports = self._ports
        if run.sealed:
            return await ports.store.runs.record_event(
                run.run_no, RunEvent.SEALED, now=ports.now(), lease=ports.lease
            )
        if not flows(run):
            return await enqueue(ports, run, self._stop.is_set)
        if self._task is None:
            self._ended = False
            self._task = asyncio.create_task(enqueue(ports, run, self._is_over, self._told))
            self._task.add_done_callback(lambda _: self._wake.set())
        if not self._task.done():
            return run
        task, self._task = self._task, None
        return task.result()

    def may_plan(self, run: Run) -> bool:
        """Is it time to look through an open run for batches?"""
        now = self._ports.now()
        self._planned_seq = run.planned_seq
        looked = self._looked_at is not None and timedelta(0) <= now - self._looked_at < LOOK
        if looked and not self._is_enough(run.record_count):
            return False
        self._looked_at, self._looked_count = now, run.record_count
        return True

    def _told(self, count: int) -> None:
        if self._is_enough(count):
            self._wake.set()

    def _is_enough(self, count: int) -> bool:
        """Do so many records fill another batch? At least half of them have come since the last look: where
        all are copies of others, there is no batch to be cut of them, however many they are."""
        left = count - self._planned_seq
        enough = left > min(MANY, most_requests(self._planned_seq + 1))
        return enough and 2 * (count - self._looked_count) >= left

    async def end(self) -> None:
        """Read no further; the pieces that are in the store stay there. Wherever it is cancelled, the store
        has all of a piece or nothing."""
        if (task := self._task) is None:
            return
        self._ended, self._task = True, None
        await ended([task], grace=GRACE)

    def _is_over(self) -> bool:
        return self._ended or self._stop.is_set()
