"""Why it failed, over all runs: reasons with examples, batches, and what else went wrong."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from nightmail.core.failure import Reason
from nightmail.web.asked import Asked
from nightmail.web.pages.frame import page
from nightmail.web.pages.visit import Looking, OwnRun
from nightmail.web.settings import Settings

router = APIRouter(include_in_schema=False)
RUNS = 10
BATCHES = 15
EXAMPLES = 3
PAGE = 50
Id = Annotated[str | None, Query(max_length=200)]


@router.get("/errors")
async def list_errors(
    request: Request,
    client: Asked,
    viewer: Looking,
    reason: Reason | None = None,
    before: Id = None,
    batches_before: Id = None,
) -> HTMLResponse:
    """Runs that are older than `before`, and batches that are older than `batches_before`."""
    settings: Settings = request.app.state.settings
    ask, only = client.inquiries, viewer.only
    runs = await ask.failing_runs(
        tenant=only, reason=reason, before=before, limit=RUNS + 1, examples=EXAMPLES
    )
    batches = await ask.troubled_batches(tenant=only, before=batches_before, limit=BATCHES + 1)
    values = {
        "reasons": await ask.reasons(tenant=only),
        "reason": reason,
        "runs": runs[:RUNS],
        "older_runs": runs[RUNS - 1].run.run_id if len(runs) > RUNS else None,
        "batches": batches[:BATCHES],
        "older_batches": batches[BATCHES - 1].batch.batch_id if len(batches) > BATCHES else None,
        "events": await ask.troubles(tenant=only),
        "before": before,
        "batches_before": batches_before,
        "hide_texts": settings.hide_texts,
    }
    return page(request, "errors.html", viewer, values)


@router.get("/runs/{run_id}/failed")
async def list_failed(
    request: Request,
    run_id: OwnRun,
    client: Asked,
    viewer: Looking,
    reason: Reason | None = None,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> HTMLResponse:
    """A run's failed records, numbered above `after`."""
    settings: Settings = request.app.state.settings
    rows = await client.inquiries.failed(run_id, reason=reason, after=after, limit=PAGE + 1)
    values = {
        "run": await client.status(run_id),
        "reason": reason,
        "rows": rows[:PAGE],
        "after": after,
        "next": rows[PAGE - 1].seq if len(rows) > PAGE else None,
        "hide_texts": settings.hide_texts,
    }
    return page(request, "failed.html", viewer, values)
