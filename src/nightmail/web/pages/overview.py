"""The first page: what is going on."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from nightmail.web.asked import Asked
from nightmail.web.pages.frame import page
from nightmail.web.pages.visit import Looking

router = APIRouter(include_in_schema=False)
RECENT = 10


@router.get("/")
async def read_overview(request: Request, client: Asked, viewer: Looking) -> HTMLResponse:
    runs = await client.page_of_runs(limit=RECENT, tenant=viewer.only)
    return page(request, "overview.html", viewer, {"runs": runs})
