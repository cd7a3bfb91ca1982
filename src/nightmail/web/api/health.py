"""`/healthz`: does the process answer? `/readyz`: can it do its work?"""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel

from nightmail.errors import NightmailError
from nightmail.web.asked import Asked
from nightmail.web.problems import Problem, documented

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: str = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """The process is there. Says nothing about the database or the worker."""
    return Health()


@router.get("/readyz", responses=documented(503))
async def readyz(request: Request, client: Asked) -> Health:
    """The database answers and every loop of the service (its worker too) runs."""
    if not request.app.state.loops.are_well:
        raise Problem(503, "not-ready", "the service is stopping, or one of its loops has failed")
    try:
        await client.ping()
    except NightmailError as error:
        raise Problem(503, "not-ready", "the service's database cannot be used now") from error
    return Health()
