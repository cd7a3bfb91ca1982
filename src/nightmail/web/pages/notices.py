"""What somebody was told, or is to be told, and what became of it at each channel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from nightmail.core.delivery import Outgoing
from nightmail.web.asked import Asked
from nightmail.web.pages.frame import page
from nightmail.web.pages.visit import Looking

router = APIRouter(include_in_schema=False)
PAGE = 30


@router.get("/notices")
async def list_notices(
    request: Request,
    client: Asked,
    viewer: Looking,
    before: Annotated[str | None, Query(max_length=100)] = None,
) -> HTMLResponse:
    """A page of notices, the newest first; of the home's channels only an administrator sees all."""
    found = await client.hooks.notices(tenant=viewer.only, before=before, limit=PAGE + 1)
    older = len(found) > PAGE
    shown = list(reversed(found))[:PAGE]
    outbox: dict[str, dict[str, Outgoing]] = {}
    if viewer.is_admin:
        outbox = {channel.name: {} for channel in client.settings.channels}
        for each in await client.hooks.outbox():
            outbox.setdefault(each.channel, {})[each.state] = each
    values = {
        "notices": shown,
        "older": shown[-1][0].notice_id if older else None,
        "before": before,
        "outbox": outbox,
        "channels": {channel.name: channel for channel in client.settings.channels},
    }
    return page(request, "notices.html", viewer, values)
