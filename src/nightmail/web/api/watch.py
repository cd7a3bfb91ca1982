"""Watching: server-sent events, one with the run as it is each time that something has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from nightmail.client import Client
from nightmail.core.run import RunState
from nightmail.web.api.views import run_shown
from nightmail.web.asked import Asked
from nightmail.web.keys import OwnRun, Reader
from nightmail.web.loops import Loops
from nightmail.web.problems import documented

router = APIRouter(prefix="/runs/{run_id}", tags=["runs"])
LOOK = 1.0
# Proxies close what is silent for long.
SIGN_OF_LIFE = 15
OVER = (RunState.FINISHED, RunState.CANCELLED)
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


@router.get(
    "/watch", response_class=StreamingResponse, responses={**STREAM, **documented(401, 404, 422, 429)}
)
async def watch_run(run_id: OwnRun, request: Request, client: Asked, asker: Reader) -> StreamingResponse:
    """Events `run`, each with the run as JSON, until one `end` when it is over. Ends without it when the
    service stops: ask again."""
    changes = _changes(client, run_id, request.app.state.loops)
    return StreamingResponse(changes, media_type="text/event-stream")


async def _changes(client: Client, run_id: str, loops: Loops) -> AsyncIterator[str]:
    told, silent = None, 0
    while not loops.stopping.is_set():
        status = await client.status(run_id)
        # The range of the end moves by itself: nothing has changed by that.
        moved = run_shown(status).model_dump_json(exclude={"eta_seconds"})
        if moved != told:
            told, silent = moved, 0
            yield f"event: run\ndata: {run_shown(status).model_dump_json()}\n\n"
        if status.state in OVER:
            yield "event: end\ndata: {}\n\n"
            return
        silent += 1
        if silent % SIGN_OF_LIFE == 0:
            yield ":\n\n"
        try:
            async with asyncio.timeout(LOOK):
                await loops.stopping.wait()
        except TimeoutError:
            continue
