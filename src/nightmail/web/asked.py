"""What every route asks for: the client of the home."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from nightmail.client import Client


async def client_of(request: Request) -> Client:
    # Async, though it waits for nothing: a plain function would be called in a thread.
    client: Client = request.app.state.client
    return client


Asked = Annotated[Client, Depends(client_of)]
