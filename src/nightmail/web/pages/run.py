"""One run: how far it is, what it cost, what went wrong."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from nightmail.web.asked import Asked
from nightmail.web.pages.frame import page
from nightmail.web.pages.visit import Looking, OwnRun

router = APIRouter(prefix="/runs/{run_id}", include_in_schema=False)


@router.get("")
async def read_run(request: Request, run_id: OwnRun, client: Asked, viewer: Looking) -> HTMLResponse:
    return page(request, "run.html", viewer, {"run": await client.status(run_id)})
