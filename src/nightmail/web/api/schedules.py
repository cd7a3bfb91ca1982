"""Schedules: runs that start by themselves while the service runs. For administrators, since what such a run
reads and writes lies in the operator's own folders."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from nightmail.core.schedule import ScheduleStatus
from nightmail.errors import ConfigError
from nightmail.web.api.asking import NewSchedule
from nightmail.web.api.reading import options_of, task_of
from nightmail.web.api.views import RunShown, run_shown
from nightmail.web.asked import Asked
from nightmail.web.keys import needs_admin
from nightmail.web.places import open_place
from nightmail.web.problems import documented, not_found

router = APIRouter(prefix="/schedules", tags=["schedules"], dependencies=[needs_admin])
ONE = documented(401, 403, 404, 422, 429)


class OccurrenceShown(BaseModel):
    """One time that a schedule was due: `run_id` once its run is written down, `message` while that does not
    work, `abandoned` if there will be none; `is_open` until its run is over."""

    schedule_no: int
    due_at: datetime
    output: str
    run_id: str | None
    message: str | None
    abandoned: bool
    is_open: bool


class ScheduleShown(BaseModel):
    """A schedule as it is now. `cron` is null where `source` is a folder that is watched; `next_due_at` is
    null for such a one and for a paused one; `occurrences` are the newest first."""

    name: str
    task: str
    source: str
    output: str
    cron: str | None
    time_zone: str
    every_record: bool
    provider: str | None
    base_url: str | None
    options: dict[str, Any]
    paused: bool
    created_at: datetime
    next_due_at: datetime | None
    occurrences: list[OccurrenceShown]


class Schedules(BaseModel):
    schedules: list[ScheduleShown]


async def _schedule(name: str, client: Asked) -> ScheduleStatus:
    try:
        return await client.schedules.read(name)
    except ConfigError as error:
        # Its own text names those that there are, for somebody at the command line.
        raise not_found("such schedule") from error


Named = Annotated[ScheduleStatus, Depends(_schedule)]


@router.get("", responses=documented(401, 403, 429))
async def list_schedules(client: Asked) -> Schedules:
    """All schedules, by name."""
    return Schedules(schedules=[schedule_shown(each) for each in await client.schedules.list()])


@router.post("", status_code=201, responses=documented(401, 403, 404, 408, 409, 413, 422, 429))
async def add_schedule(asked: NewSchedule, request: Request, client: Asked) -> ScheduleShown:
    """Start runs from now on. What they read must be open to runs, and what they write to schedules."""
    settings = request.app.state.settings
    for place in (asked.source, asked.watch):
        if place is not None:
            open_place(place, settings.sources, "sources")
    open_place(asked.output, settings.outputs, "outputs")
    made = await client.schedules.add(
        asked.name,
        await task_of(asked.task, client, settings),
        asked.output,
        source=asked.source,
        watch=asked.watch,
        cron=asked.cron,
        time_zone=asked.time_zone,
        every_record=asked.every_record,
        replace=asked.replace,
        **options_of(asked, client),
    )
    return schedule_shown(made)


@router.get("/{name}", responses=ONE)
async def read_schedule(schedule: Named) -> ScheduleShown:
    """One schedule as it is now."""
    return schedule_shown(schedule)


@router.delete("/{name}", status_code=204, responses=ONE)
async def remove_schedule(schedule: Named, client: Asked) -> None:
    """Start no more runs. Those that it has started stay; what it knew to be delivered is forgotten."""
    await client.schedules.remove(schedule.name)


@router.post("/{name}/pause", responses=ONE)
async def pause_schedule(schedule: Named, client: Asked) -> ScheduleShown:
    """Start nothing until it is resumed; a run that it has started goes on."""
    return schedule_shown(await client.schedules.pause(schedule.name))


@router.post("/{name}/resume", responses=ONE)
async def resume_schedule(schedule: Named, client: Asked) -> ScheduleShown:
    """Start again what is due from now on; what was due meanwhile is not caught up."""
    return schedule_shown(await client.schedules.resume(schedule.name))


@router.post("/{name}/run", responses=ONE)
async def run_schedule(schedule: Named, client: Asked) -> RunShown:
    """Start its run now, due or not; the one that is open if there is one."""
    started = await client.schedules.start(schedule.name)
    return run_shown(await client.status(started.run_id))


def schedule_shown(status: ScheduleStatus) -> ScheduleShown:
    row: dict[str, Any] = msgspec.to_builtins(status)
    return ScheduleShown(**row.pop("spec"), **row)
