"""All runs, the newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from nightmail.web.asked import Asked
from nightmail.web.pages.frame import page
from nightmail.web.pages.visit import Looking

router = APIRouter(include_in_schema=False)
PAGE = 50


@router.get("/runs")
async def list_runs(
    request: Request,
    client: Asked,
    viewer: Looking,
    before: Annotated[str | None, Query(max_length=200)] = None,
) -> HTMLResponse:
    """A page of runs that are older than `before`."""
    runs = await client.page_of_runs(limit=PAGE + 1, before=before, tenant=viewer.only)
    following = runs[PAGE - 1].run_id if len(runs) > PAGE else None
    return page(request, "runs.html", viewer, {"runs": runs[:PAGE], "following": following, "before": before})
