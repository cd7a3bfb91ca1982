"""How full each model's queue at the provider is, where its limit is from, and who waits for it; live."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from nightmail.client import Client
from nightmail.telemetry import EventName
from nightmail.web.asked import Asked
from nightmail.web.pages.frame import page
from nightmail.web.pages.live import drawn, stream
from nightmail.web.pages.visit import Looking, Viewer

router = APIRouter(include_in_schema=False)
LESSONS = (
    EventName.QUOTA_LEARNED, EventName.BATCH_REFUSED, EventName.BATCH_RECUT, EventName.PROVIDER_TROUBLE,
)  # fmt: skip
MOST_WAITING = 10


@router.get("/quotas")
async def list_quotas(request: Request, client: Asked, viewer: Looking) -> HTMLResponse:
    return page(request, "quotas.html", viewer, await _values(client, viewer))


@router.get("/quotas/live")
async def watch_quotas(request: Request, client: Asked, viewer: Looking) -> StreamingResponse:
    """The page's one part each time that something of it is new."""

    async def draw(values: dict[str, Any]) -> dict[str, str]:
        return drawn(("quotas/queues.html",), viewer, values)

    def shape(values: dict[str, Any]) -> str:
        # A block ends by itself: what is said of it is looked at each minute.
        return repr((values["quotas"], values["events"], values["now"].replace(second=0, microsecond=0)))

    return stream(request, viewer, lambda: _values(client, viewer), shape, draw)


async def _values(client: Client, viewer: Viewer) -> dict[str, Any]:
    return {
        "quotas": await client.inquiries.quotas(tenant=viewer.only),
        "tenants": {each.name: each for each in await client.keys.tenants()} if viewer.is_admin else {},
        "now": client.hooks.now(),
        "most_waiting": MOST_WAITING,
        "events": await client.inquiries.troubles(LESSONS, tenant=viewer.only, limit=15),
        "settings_quotas": client.settings.quotas,
    }
