"""Assembles the service: the routes, the errors, the loops beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from nightmail.client import Client
from nightmail.web import problems
from nightmail.web.api import health, runs
from nightmail.web.loops import Loop, Loops

API = "/api/v1"
ROUTERS = (runs.router,)


def app(client: Client, *, loops: Sequence[Loop] = ()) -> FastAPI:
    """The application over an open client. `loops` run as long as it does."""
    beside = Loops(loops)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        beside.start()
        try:
            yield
        finally:
            await beside.stop()

    made = FastAPI(
        title="nightmail",
        version="1",
        summary="LLM work through batch APIs, every record accounted for.",
        lifespan=lifespan,
        openapi_url=f"{API}/openapi.json",
        # Their pages load scripts from elsewhere; the document itself is enough for any tool.
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    made.state.client = client
    made.state.loops = beside
    problems.install(made)
    made.include_router(health.router)
    api = APIRouter(prefix=API)
    for router in ROUTERS:
        api.include_router(router)
    made.include_router(api)
    return made
