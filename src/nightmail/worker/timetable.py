"""The loop that starts what is due: for `nightmail serve`, and for any program that wants it.

It remembers nothing that matters: any number of them may look at the same home, and may be killed at any
moment. An occurrence waits while the run before it is not over, and however many it waited through, one
run catches up.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from nightmail.core.schedule import Schedule, newest
from nightmail.errors import NightmailError, StoreError
from nightmail.stages.ports import Clock
from nightmail.stores.base import Store
from nightmail.telemetry import EventName, log
from nightmail.worker.schedule_spec import zone_of
from nightmail.worker.schedules import Schedules
from nightmail.worker.watch import Watch

LOOK = 5.0  # seconds between looks
AGAIN = timedelta(minutes=5)  # until a run that could not be begun is tried again


class Timetable:
    """Starts runs; carrying them out is a worker's."""

    def __init__(self, schedules: Schedules, store: Store, clock: Clock) -> None:
        self._schedules = schedules
        self._store = store
        self._clock = clock
        self._watches: dict[int, Watch] = {}
        self._put_off: dict[int, datetime] = {}  # schedule -> since when

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until `stop` is set. Raises `StoreError`: without the store nothing can go
        on."""
        while not stop.is_set():
            await self.look()
            await self._clock.wait(LOOK, wake=stop)

    async def look(self) -> None:
        """Start whatever is due now. One that cannot be started holds no other up."""
        schedules = [each for each in await self._store.schedules.list() if not each.paused]
        for number in self._watches.keys() - {each.schedule_no for each in schedules}:
            del self._watches[number]
        for schedule in schedules:
            if self._is_put_off(schedule):
                continue
            try:
                await self._look_at(schedule)
            except StoreError:
                raise
            except Exception as error:
                # Also a fault of ours, or of a task's module: the service has other things to do. What is
                # the user's to mend is kept with the occurrence, too.
                said = str(error) if isinstance(error, NightmailError) else repr(error)
                detail = {"schedule": schedule.name, "message": said}
                log(EventName.SCHEDULE_PUT_OFF, run_id="-", batch_id=None, detail=detail)
                self._put_off[schedule.schedule_no] = self._clock.now()
            else:
                self._put_off.pop(schedule.schedule_no, None)

    async def _look_at(self, schedule: Schedule) -> None:
        occurrence = await self._store.schedules.open_occurrence(schedule.schedule_no)
        if occurrence is None:
            now = self._clock.now()
            if schedule.spec.cron is None:
                taken = await self._store.schedules.taken_files(schedule.schedule_no)
                files = await asyncio.to_thread(self._watch(schedule).look, now, taken)
                if files:
                    occurrence = await self._schedules.claim(schedule, now, files=files)
            else:
                zone = zone_of(schedule.spec.time_zone)
                due = newest(schedule.spec.cron, zone, since=schedule.since, now=now)
                if due is not None:
                    occurrence = await self._schedules.claim(schedule, due)
        if occurrence is not None and occurrence.run_id is None:
            await self._schedules.begin(schedule, occurrence)

    def _watch(self, schedule: Schedule) -> Watch:
        folder = Path(schedule.spec.source)
        watch = self._watches.get(schedule.schedule_no)
        if watch is None or watch.folder != folder:
            watch = self._watches[schedule.schedule_no] = Watch(folder)
        return watch

    def _is_put_off(self, schedule: Schedule) -> bool:
        since, now = self._put_off.get(schedule.schedule_no), self._clock.now()
        # Before that time it is only after the clock was set back.
        return since is not None and since <= now < since + AGAIN
