"""How full each model's queue at the provider is, where its limit is from, and who waits for it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from nightmail.telemetry import EventName
from nightmail.web.asked import Asked
from nightmail.web.pages.frame import page
from nightmail.web.pages.visit import Looking

router = APIRouter(include_in_schema=False)
LESSONS = (
    EventName.QUOTA_LEARNED, EventName.BATCH_REFUSED, EventName.BATCH_RECUT, EventName.PROVIDER_TROUBLE,
)  # fmt: skip
MOST_WAITING = 10


@router.get("/quotas")
async def list_quotas(request: Request, client: Asked, viewer: Looking) -> HTMLResponse:
    tenants = {each.name: each for each in await client.keys.tenants()} if viewer.is_admin else {}
    values = {
        "quotas": await client.inquiries.quotas(tenant=viewer.only),
        "tenants": tenants,
        "now": client.hooks.now(),
        "most_waiting": MOST_WAITING,
        "events": await client.inquiries.troubles(LESSONS, tenant=viewer.only, limit=15),
        "settings_quotas": client.settings.quotas,
    }
    return page(request, "quotas.html", viewer, values)
