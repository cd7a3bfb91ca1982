"""Runs: list and inspect."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from nightmail.web.api.views import Runs, RunShown, run_shown
from nightmail.web.asked import Asked
from nightmail.web.problems import documented

router = APIRouter(prefix="/runs", tags=["runs"])
PAGE = 50


@router.get("", responses=documented(422))
async def list_runs(
    client: Asked,
    limit: Annotated[int, Query(ge=1, le=500)] = PAGE,
    before: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
) -> Runs:
    """Runs, the newest first."""
    found = await client.page_of_runs(limit=limit, before=before)
    following = found[-1].run_id if len(found) == limit else None
    return Runs(runs=[run_shown(each) for each in found], next=following)


@router.get("/{run_id}", responses=documented(404, 422))
async def read_run(run_id: str, client: Asked) -> RunShown:
    """One run as it is now."""
    return run_shown(await client.status(run_id))
