"""Assembles the service: the API, the pages, the errors, the loops beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from nightmail.client import Client
from nightmail.web import metrics, problems, receive
from nightmail.web.api import (
    doctor,
    hand_in,
    health,
    intakes,
    keys,
    money,
    notices,
    plans,
    results,
    runs,
    schedules,
    uploads,
    watch,
)
from nightmail.web.described import describing
from nightmail.web.guard import Guard
from nightmail.web.keys import Keyring, needs_admin
from nightmail.web.loops import Loop, Loops
from nightmail.web.pages.frame import told
from nightmail.web.pages.routes import PAGES
from nightmail.web.settings import Settings

API = "/api/v1"
ROUTERS = tuple(
    each.router
    for each in (runs, plans, intakes, uploads, results, watch, money, schedules, keys, notices, doctor)
)
DEFAULTS = Settings()


def app(
    client: Client, *, loops: Sequence[Loop] = (), settings: Settings = DEFAULTS, local: bool = True
) -> FastAPI:
    """The application over an open client. `loops` run as long as it does. `local`: only programs of this
    machine can reach it, so that it asks for no key as long as the home has none."""
    beside = Loops(loops)

    @asynccontextmanager
    async def lifespan(begun: FastAPI) -> AsyncIterator[None]:
        begun.state.form_secret = client.keys.secret()
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
    made.state.settings = settings
    made.state.keyring = Keyring(client, settings, local=local)
    made.add_middleware(Guard, settings=settings)
    problems.install(made, told)
    made.router.routes.extend(_routes())
    made.openapi = describing(made)  # type: ignore[method-assign]  # as FastAPI asks for it to be done
    return made


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """Every route in the order in which it is tried. Applications of one process share them: to read the
    endpoints' signatures takes longer than all the rest of making one."""
    every = APIRouter()
    # Routes are tried in their order, and records are handed in more often than anything else is asked.
    every.routes.append(hand_in.ROUTE)
    every.include_router(health.router)
    # A webhook is signed by who sends it; the figures are everybody's.
    every.include_router(receive.router)
    every.include_router(
        metrics.router, dependencies=[needs_admin], responses=problems.documented(401, 403, 429)
    )
    api = APIRouter(prefix=API)
    for router in ROUTERS:
        api.include_router(router)
    every.include_router(api)
    for router in PAGES:
        every.include_router(router)
    return tuple(every.routes)
