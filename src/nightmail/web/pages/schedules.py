"""Schedules: what starts by itself, when it did and will; paused, started and removed by their buttons.

For administrators, as in the API: what such a run reads and writes lies in the operator's own folders.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from nightmail.web.api.schedules import Named
from nightmail.web.asked import Asked
from nightmail.web.pages.frame import HEADERS, page
from nightmail.web.pages.visit import Looking, Steering
from nightmail.web.problems import Problem


async def _admin(viewer: Looking) -> None:
    if not viewer.is_admin:
        raise Problem(403, "scope", "schedules are for administrators of the service")


needs_admin = Depends(_admin)
router = APIRouter(prefix="/schedules", include_in_schema=False, dependencies=[needs_admin])


@router.get("")
async def list_schedules(request: Request, client: Asked, viewer: Looking) -> HTMLResponse:
    values = {"schedules": await client.schedules.list(), "now": client.hooks.now()}
    return page(request, "schedules.html", viewer, values)


@router.post("/{name}/pause")
async def pause_schedule(schedule: Named, client: Asked, viewer: Steering) -> RedirectResponse:
    await client.schedules.pause(schedule.name)
    return _back(schedule.name)


@router.post("/{name}/resume")
async def resume_schedule(schedule: Named, client: Asked, viewer: Steering) -> RedirectResponse:
    await client.schedules.resume(schedule.name)
    return _back(schedule.name)


@router.post("/{name}/remove")
async def remove_schedule(schedule: Named, client: Asked, viewer: Steering) -> RedirectResponse:
    await client.schedules.remove(schedule.name)
    return _back()


@router.post("/{name}/run")
async def run_schedule(schedule: Named, client: Asked, viewer: Steering) -> RedirectResponse:
    """Start its run now; to the page of that."""
    run = await client.schedules.start(schedule.name)
    return RedirectResponse(f"/runs/{run.run_id}", status_code=303, headers=HEADERS)


def _back(name: str = "") -> RedirectResponse:
    return RedirectResponse(f"/schedules{'#' + name if name else ''}", status_code=303, headers=HEADERS)
