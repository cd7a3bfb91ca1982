"""Webhooks in: the provider says that a batch has ended.

Needs no key of ours: the signature says who sends. Whatever is taken is durable before it is answered, so
that the provider never forgets what we have not kept.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from nightmail.client import Client
from nightmail.errors import ConfigError, WebhookRefused

# OpenAI's are a few hundred bytes (facts A.10).
MOST_BYTES = 64 * 1024

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


@router.post(
    "/openai",
    status_code=204,
    responses={
        400: {"description": "Not signed as it should be, too old, or no event."},
        413: {"description": "Larger than any event."},
        503: {"description": "No secret is set to check it with."},
    },
)
async def openai(request: Request) -> Response:
    """An event of OpenAI, signed as Standard Webhooks describes. The batch that it names is looked at at
    once; one that has come before, or that is about no batch of this home, is answered alike."""
    client: Client = request.app.state.client
    body = await _body(request)
    try:
        await client.hooks.receive(dict(request.headers), body)
    except WebhookRefused as error:
        raise HTTPException(400, str(error)) from error
    except ConfigError as error:
        raise HTTPException(503, str(error)) from error
    return Response(status_code=204)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"an event has at most {MOST_BYTES} bytes")
    return bytes(body)
