"""Schedules: written down, looked at, and started, each occurrence once, whoever else is looking.

The claim of an occurrence is its row, written in one transaction; its run has a name that is made of the
occurrence. So a crash between the two is mended by whoever looks next, and two who look at the same time
begin the same run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from nightmail.config import Settings
from nightmail.core.run import Run
from nightmail.core.schedule import (
    FileMark,
    Occurrence,
    Schedule,
    ScheduleStatus,
    next_after,
    output_of,
)
from nightmail.errors import ConfigError, NightmailError, NotNow
from nightmail.stages.ports import Clock
from nightmail.stores.base import Store
from nightmail.tasks.base import Task
from nightmail.telemetry import EventName, log
from nightmail.worker.begin import begin, want
from nightmail.worker.options import travel_of
from nightmail.worker.schedule_spec import spec_of, zone_of
from nightmail.worker.watch import as_it_was, quiet_files

SHOWN = 10


class Schedules:
    """The schedules of a home."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock

    async def add(
        self,
        name: str,
        task: type[Task] | str,
        output: str | Path,
        *,
        source: str | Path | None = None,
        watch: str | Path | None = None,
        cron: str | None = None,
        time_zone: str = "UTC",
        every_record: bool = False,
        replace: bool = False,
        provider: str | None = None,
        base_url: str | None = None,
        **options: Any,
    ) -> ScheduleStatus:
        """Start runs of `task` from now on: over `source` at each time of the cron expression, or over the
        files that come into the folder `watch`, as soon as they are complete.

        `output` is a pattern with {date} and perhaps {time}, by the clock of `time_zone`, and {schedule}.
        Only new and changed records are asked unless `every_record`. `options` are those of
        `Client.start`. An existing one with `replace` keeps what it knows to be delivered. Raises
        `ConfigError`, `TaskError`, `SourceError` or `SinkError` for what is wrong with it; the source need
        not be there yet.
        """
        spec = await asyncio.to_thread(
            spec_of,
            name,
            task,
            str(output),
            source=source,
            watch=watch,
            cron=cron,
            time_zone=time_zone,
            every_record=every_record,
            options=options,
            now=self._clock.now(),
        )
        spec = msgspec.structs.replace(spec, provider=provider, base_url=base_url)
        made = await self._store.schedules.record(name, spec, now=self._clock.now(), replace=replace)
        if made is None:
            raise NotNow(f"there is a schedule {name!r} already; change it with --replace, or remove it")
        return await self._status(made)

    async def list(self) -> list[ScheduleStatus]:
        """All of them, by name."""
        return [await self._status(each) for each in await self._store.schedules.list()]

    async def read(self, name: str) -> ScheduleStatus:
        """Raises `ConfigError` if there is none of that name."""
        return await self._status(await self._find(name))

    async def remove(self, name: str) -> None:
        """Its runs stay, and go on; what it knew to be delivered is forgotten."""
        if not await self._store.schedules.delete(name):
            await self._find(name)

    async def pause(self, name: str) -> ScheduleStatus:
        """Start nothing until it is resumed."""
        await self._find(name)
        await self._store.schedules.record_paused(name, True, now=self._clock.now())
        return await self.read(name)

    async def resume(self, name: str) -> ScheduleStatus:
        """Start again what is due from now on; what was due meanwhile is not caught up."""
        await self._find(name)
        await self._store.schedules.record_paused(name, False, now=self._clock.now())
        return await self.read(name)

    async def start(self, name: str) -> Run:
        """Start its run now, due or not; the one that is open if there is one. Raises `ConfigError` if
        nothing is new in a watched folder, and what is wrong with the task or the source."""
        schedule, now = await self._find(name), self._clock.now()
        occurrence = await self._store.schedules.open_occurrence(schedule.schedule_no)
        if occurrence is None:
            files: Sequence[FileMark] = ()
            if schedule.spec.cron is None:
                taken = await self._store.schedules.taken_files(schedule.schedule_no)
                folder = Path(schedule.spec.source)
                files = await asyncio.to_thread(quiet_files, folder, now, taken)
                if not files:
                    raise ConfigError(f"nothing new is complete in {folder}")
            occurrence = await self.claim(schedule, now, files=files)
        if occurrence is None:
            raise ConfigError(f"{name} was changed or started by somebody else in this moment; try again")
        run_id = occurrence.run_id
        run = await self._store.runs.read(run_id) if run_id else await self.begin(schedule, occurrence)
        if run is None:
            raise ConfigError(f"the files that {name} has taken are gone; start it again")
        return run

    async def claim(
        self, schedule: Schedule, due_at: datetime, *, files: Sequence[FileMark] = ()
    ) -> Occurrence | None:
        """Take an occurrence, in one step with everybody else's; None if somebody was first, or its run
        before is not over."""
        local, number = due_at.astimezone(zone_of(schedule.spec.time_zone)), 0
        while True:
            number += 1
            output = output_of(schedule.spec.output, schedule=schedule.name, local=local, number=number)
            # Also one that is not ours: a schedule replaces nobody's file.
            if not await asyncio.to_thread(Path(output).exists) and not (
                await self._store.schedules.is_output_taken(schedule.schedule_no, output)
            ):
                break
        return await self._store.schedules.claim(
            schedule, due_at=due_at, output=output, since=max(due_at, schedule.since), files=files
        )

    async def begin(self, schedule: Schedule, occurrence: Occurrence) -> Run | None:
        """Write the occurrence's run down; None if its files are gone and it is given up. What is wrong is
        kept with the occurrence and raised; then this may be called again."""
        source: str | list[str] = schedule.spec.source
        if schedule.spec.cron is None:
            files = await self._store.schedules.files_of(occurrence)
            source = [mark.path for mark in files if await asyncio.to_thread(as_it_was, mark)]
            if not source:
                gone = f"none of its {len(files)} files is there any more as it was"
                await self._store.schedules.record_trouble(occurrence, gone, abandoned=True)
                return None
        try:
            wanted = await asyncio.to_thread(
                want,
                schedule.spec.task,
                source,
                occurrence.output,
                self._settings.home,
                **self._travel(schedule),
            )
            # A crash came between the run and the note of it: it is as it was begun then.
            run = await begin(self._store, wanted, now=self._clock.now(), as_started=True)
        except NightmailError as error:
            await self._store.schedules.record_trouble(occurrence, str(error))
            raise
        if await self._store.schedules.record_started(occurrence, run.run_id):
            name, now = EventName.RUN_SCHEDULED, self._clock.now()
            detail: dict[str, Any] = {"schedule": schedule.name, "due_at": occurrence.due_at.isoformat()}
            log(name, run_id=run.run_id, batch_id=None, detail=detail)
            await self._store.events.record(run.run_no, name, now=now, **detail)
        return run

    def _travel(self, schedule: Schedule) -> dict[str, Any]:
        spec = schedule.spec
        travel = travel_of(self._settings, spec.options)
        travel["provider"] = spec.provider or travel["provider"]
        travel["base_url"] = spec.base_url or travel["base_url"]
        only_new = spec.cron is not None and not spec.every_record
        return travel | {"schedule_no": schedule.schedule_no, "only_new": only_new}

    async def _find(self, name: str) -> Schedule:
        schedule = await self._store.schedules.read(name)
        if schedule is None:
            names = ", ".join(each.name for each in await self._store.schedules.list()) or "none at all"
            raise ConfigError(f"there is no schedule {name!r} in this home; there is: {names}")
        return schedule

    async def _status(self, schedule: Schedule) -> ScheduleStatus:
        due = None
        if schedule.spec.cron is not None and not schedule.paused:
            due = next_after(schedule.spec.cron, zone_of(schedule.spec.time_zone), schedule.since)
        return ScheduleStatus(
            name=schedule.name,
            spec=schedule.spec,
            paused=schedule.paused,
            created_at=schedule.created_at,
            next_due_at=due,
            occurrences=tuple(await self._store.schedules.occurrences(schedule.schedule_no, limit=SHOWN)),
        )
