"""The parts of the service that stand by themselves, in this process, over a home in a folder."""

from __future__ import annotations

from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI

from nightmail.client import Client
from nightmail.web import metrics, receive


def app_of(client):
    app = FastAPI()
    app.state.client = client
    app.include_router(receive.router)
    app.include_router(metrics.router)
    return app


@asynccontextmanager
async def opened(folder, **options):
    """The client of a home, and somebody who asks the service."""
    async with Client(folder / "home", base_url="http://127.0.0.1:9", api_key="sk-test", **options) as client:
        transport = httpx2.ASGITransport(app=app_of(client))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8686") as http:
            yield client, http
