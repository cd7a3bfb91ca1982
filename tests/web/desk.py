"""The application in this process, asked without a socket, over a home in a folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2

from nightmail.client import Client
from nightmail.web.app import app
from nightmail.web.loops import Loop, Work

PATIENCE = 60.0
HOST = "http://127.0.0.1:8686"
TASK = '''
import nightmail


class Colours(nightmail.Task):
    """Names a colour."""

    model = "gpt-4o-mini"

    def build(self, record):
        return f"which colour has {record['text']}?"
'''


class Office:
    """A home with a service: `http` asks it, `client` is the program's own door to the same home."""

    def __init__(self, folder: Path, client: Client, http: httpx2.AsyncClient) -> None:
        self.folder, self.client, self.http = folder, client, http
        self.task = folder / "colours.py"
        self.task.write_text(TASK)

    def rows(self, count: int = 3, name: str = "rows.jsonl") -> Path:
        path = self.folder / name
        path.write_text(
            "".join(json.dumps({"id": f"r{n}", "text": f"thing {n}"}) + "\n" for n in range(count))
        )
        return path

    async def start(self, name: str = "rows.jsonl", **options: Any) -> str:
        """A run in the store that nobody has worked on."""
        return (await self.client.start(str(self.task), self.rows(name=name), **options)).run_id

    async def until(self, run_id: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The run as the API has it, once it is so."""
        async with asyncio.timeout(PATIENCE):
            while not condition(run := (await self.get(f"/api/v1/runs/{run_id}")).json()):
                await asyncio.sleep(0.02)
        return run

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.http.get(path, **options)

    async def post(self, path: str, **options: Any) -> httpx2.Response:
        return await self.http.post(path, **options)


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    *,
    base_url: str = "http://127.0.0.1:9",
    loops: Sequence[Loop] = (),
    working: bool = False,
    **options: Any,
) -> AsyncIterator[Office]:
    async with Client(folder / "home", base_url=base_url, api_key="sk-test") as client:
        made = app(client, loops=[*loops, *([Work(client)] if working else [])], **options)
        async with (
            made.router.lifespan_context(made),
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app=made, raise_app_exceptions=False), base_url=HOST
            ) as http,
        ):
            yield Office(folder, client, http)
