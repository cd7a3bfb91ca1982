"""Answers that nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import Receive, Scope, Send

from nightmail.web.connections import bounded
from nightmail.web.serving import listening
from nightmail.web.settings import Settings

PATIENCE = 30.0
PIECE = b"x" * 65_536


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer without an end, for as long as somebody is there."""
    gone = asyncio.create_task(leaves(receive))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while not gone.done():
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await asyncio.sleep(0)


async def leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    with listening("127.0.0.1", 0) as listener:
        config = uvicorn.Config(endless, http=bounded(settings), lifespan="off", log_level="warning")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        yield server, listener.getsockname()[1]
        server.should_exit = True
        await running


async def test_who_reads_nothing_of_an_answer_is_left() -> None:
    async with serving(Settings(read_timeout=0.2)) as (server, port), asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert await reader.read(8) == b"HTTP/1.1"
        while server.server_state.connections:
            await asyncio.sleep(0.01)
        writer.transport.abort()
