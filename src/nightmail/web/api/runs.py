"""Runs: list, inspect, start, steer. What is asked for is written down; a worker does it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from nightmail.web.api.asking import NewRun, Resume, Retry
from nightmail.web.api.reading import options_of, source_of, task_of
from nightmail.web.api.views import Events, Runs, RunShown, event_shown, run_shown
from nightmail.web.asked import Asked
from nightmail.web.keys import OwnRun, Reader, Submitter
from nightmail.web.problems import documented

router = APIRouter(prefix="/runs", tags=["runs"])
PAGE = 50
# A body takes all that a route's path and key may be refused for, and what a body can be.
STEERING = documented(401, 403, 404, 408, 409, 413, 422, 429)


class Retried(BaseModel):
    """How many records are to be asked again, or were found good after all; and the run."""

    records: int
    run: RunShown


@router.get("", responses=documented(401, 422, 429))
async def list_runs(
    client: Asked,
    asker: Reader,
    limit: Annotated[int, Query(ge=1, le=500)] = PAGE,
    before: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
) -> Runs:
    """Runs, the newest first."""
    found = await client.page_of_runs(limit=limit, before=before, tenant=asker.only)
    following = found[-1].run_id if len(found) == limit else None
    return Runs(runs=[run_shown(each) for each in found], next=following)


@router.post("", status_code=201, responses=documented(401, 403, 404, 408, 409, 413, 422, 429, 507))
async def start_run(asked: NewRun, request: Request, client: Asked, asker: Submitter) -> RunShown:
    """Start a run, or find the one that this task over this source is."""
    settings = request.app.state.settings
    source = await source_of(asked.source, client, asker, settings)
    task = await task_of(asked.task, client, settings)
    status = await client.start(
        task,
        source,
        tenant=asker.tenant,
        new=asked.new,
        as_started=asked.as_started,
        **options_of(asked, client),
    )
    return run_shown(status)


@router.get("/{run_id}", responses=documented(401, 404, 422, 429))
async def read_run(run_id: OwnRun, client: Asked, asker: Reader) -> RunShown:
    """One run as it is now."""
    return run_shown(await client.status(run_id))


@router.post("/{run_id}/pause", responses=STEERING)
async def pause_run(run_id: OwnRun, client: Asked, asker: Submitter) -> RunShown:
    """Send nothing new; what the provider has is still taken in."""
    return run_shown(await client.pause(run_id))


@router.post("/{run_id}/resume", responses=STEERING)
async def resume_run(
    run_id: OwnRun, client: Asked, asker: Submitter, asked: Resume | None = None
) -> RunShown:
    """Undo a pause, with another budget if one is given."""
    return run_shown(await client.resume(run_id, budget=asked.budget if asked else None))


@router.post("/{run_id}/cancel", responses=STEERING)
async def cancel_run(run_id: OwnRun, client: Asked, asker: Submitter) -> RunShown:
    """Wish the run's end: a worker ends its batches; paid answers are kept."""
    return run_shown(await client.cancel(run_id))


@router.post("/{run_id}/retry", responses=STEERING)
async def retry_run(run_id: OwnRun, client: Asked, asker: Submitter, asked: Retry | None = None) -> Retried:
    """Ask the failed records of a finished run again, and only those."""
    if asked is not None and asked.revalidate:
        records = await client.revalidate(run_id)
    else:
        records = await client.retry(run_id, reasons=(asked.reasons if asked else None) or None)
    return Retried(records=records, run=run_shown(await client.status(run_id)))


@router.get("/{run_id}/events", responses=documented(401, 404, 422, 429))
async def list_events(
    run_id: OwnRun, client: Asked, asker: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = PAGE
) -> Events:
    """What happened last, the newest at the end."""
    return Events(events=[event_shown(each) for each in await client.events(run_id, limit=limit)])
