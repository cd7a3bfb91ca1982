"""Uploads: the inputs of runs, sent as they are."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from nightmail.errors import SourceError
from nightmail.web.asked import Asked
from nightmail.web.keys import Submitter
from nightmail.web.problems import documented, not_found
from nightmail.worker.uploads import Format

router = APIRouter(prefix="/uploads", tags=["runs"])


class Upload(BaseModel):
    """An input that is kept. The same bytes have the same id: the first 32 digits of their SHA-256, a dot,
    and the format."""

    upload_id: str
    bytes: int


@router.get("/{upload_id}", responses=documented(401, 403, 404, 429))
async def read_upload(upload_id: str, client: Asked, asker: Submitter) -> Upload:
    """An upload that is still kept: what has the same content need not be sent again."""
    try:
        path = await client.uploads.path(upload_id, tenant=asker.tenant)
        return Upload(upload_id=upload_id, bytes=(await asyncio.to_thread(path.stat)).st_size)
    except (SourceError, FileNotFoundError) as error:
        raise not_found("such upload") from error


@router.post(
    "",
    status_code=201,
    responses=documented(401, 403, 408, 413, 422, 429, 507),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def upload(
    request: Request,
    client: Asked,
    asker: Submitter,
    format: Annotated[Format, Query(description="What the bytes are.")] = "jsonl",
) -> Upload:
    """Keep an input: the body is the file itself."""
    upload_id, size = await client.uploads.receive(request.stream(), format, tenant=asker.tenant)
    return Upload(upload_id=upload_id, bytes=size)
