"""Watching: server-sent events, one with the run as it is each time that something has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from nightmail.client import Client
from nightmail.core.progress import RunStatus
from nightmail.core.run import RunState
from nightmail.stores.base import Event
from nightmail.telemetry import EventName
from nightmail.web.api.views import run_shown
from nightmail.web.asked import Asked
from nightmail.web.changes import COMMENT, changes
from nightmail.web.keys import Keyring, OwnRun, Reader
from nightmail.web.loops import Loops
from nightmail.web.problems import documented

router = APIRouter(prefix="/runs/{run_id}", tags=["runs"])
OVER = (RunState.FINISHED, RunState.CANCELLED)
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


@router.get(
    "/watch", response_class=StreamingResponse, responses={**STREAM, **documented(401, 404, 422, 429)}
)
async def watch_run(run_id: OwnRun, request: Request, client: Asked, asker: Reader) -> StreamingResponse:
    """Events `run`, each with the run as JSON, until one `end` when it is over; `put_off` when a worker
    cannot drive it and tries again later, with a `message` and the kind of `error`. Ends without `end` when
    the service stops, or the key is revoked: ask again."""
    keyring: Keyring = request.app.state.keyring
    told = _told(client, run_id, request.app.state.loops, lambda: keyring.knows(asker))
    return StreamingResponse(told, media_type="text/event-stream")


async def _told(
    client: Client, run_id: str, loops: Loops, may_look: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    async def look() -> tuple[RunStatus, Event | None]:
        newest = await client.events(run_id, limit=1)
        status = await client.status(run_id)
        return status, newest[0] if newest and newest[0].name == EventName.RUN_PUT_OFF else None

    # The range of the end moves by itself: nothing has changed by that.
    found = changes(
        look,
        lambda seen: (run_shown(seen[0]).model_dump_json(exclude={"eta_seconds"}), seen[1] and seen[1].at),
        loops,
        may_look=may_look,
    )
    async for seen in found:
        if seen is None:
            yield COMMENT
            continue
        status, put_off = seen
        yield f"event: run\ndata: {run_shown(status).model_dump_json()}\n\n"
        if status.state in OVER:
            yield "event: end\ndata: {}\n\n"
            return
        if put_off is not None:
            yield f"event: put_off\ndata: {msgspec.json.encode(put_off.detail).decode()}\n\n"
