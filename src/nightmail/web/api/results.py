"""Results: in pages while the run goes on, by key, and as files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from nightmail.core.request import RequestState
from nightmail.web.asked import Asked
from nightmail.web.keys import OwnRun, Reader
from nightmail.web.problems import documented
from nightmail.worker.pages import RecordResult
from nightmail.worker.uploads import Format

router = APIRouter(prefix="/runs/{run_id}", tags=["results"])
MOST = 1000
CHUNK = 1 << 18
# By the last part of a format.
MEDIA = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "parquet": "application/vnd.apache.parquet",
    "gz": "application/gzip",
    "zst": "application/zstd",
}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA.values()}}
}


class ResultShown(BaseModel):
    """A record as it is now: `output` when it has succeeded, `reason` and `message` when it has failed."""

    record: int
    key: int | str
    state: RequestState
    attempts: int
    output: dict[str, Any] | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    reason: str | None
    message: str | None


class Results(BaseModel):
    """Records in the order of the source. `next` is given to `after` for the page behind it; null at the
    end of what there is. A record that is still open may be another thing when it is asked for again."""

    results: list[ResultShown]
    next: int | None


def result_shown(result: RecordResult) -> ResultShown:
    return ResultShown(**{name: getattr(result, name) for name in ResultShown.model_fields})


@router.get("/results", responses=documented(401, 404, 422, 429))
async def list_results(
    run_id: OwnRun,
    client: Asked,
    asker: Reader,
    after: Annotated[int, Query(ge=0, le=2**62, description="The `next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    state: RequestState | None = None,
) -> Results:
    """A page of records, also while the run goes on; of one state if given."""
    found = await client.results(run_id, after=after, limit=limit, state=state)
    following = found[-1].record if len(found) == limit else None
    return Results(results=[result_shown(each) for each in found], next=following)


@router.get("/records/{key:path}", responses=documented(401, 404, 422, 429))
async def read_record(run_id: OwnRun, key: str, client: Asked, asker: Reader) -> dict[str, Any]:
    """Everything known of one record: its request, each attempt, the last answer."""
    return await client.record(key, run_id)


@router.get("/output", response_class=StreamingResponse, responses={**FILE, **documented(401, 404, 422, 429)})
async def download_output(
    run_id: OwnRun, client: Asked, asker: Reader, format: Format = "jsonl"
) -> StreamingResponse:
    """What has succeeded so far, as a file."""
    path = client.uploads.temporary(f".{format}")
    try:
        await client.export(path, run_id)
        file = await asyncio.to_thread(path.open, "rb")
        return _sent(file, f"{run_id}.{format}", MEDIA[format.rpartition(".")[2]])
    finally:
        await _forgotten(path, path.with_name(f"{path.name.partition('.')[0]}.failures.jsonl"))


@router.get(
    "/failures", response_class=StreamingResponse, responses={**FILE, **documented(401, 404, 422, 429)}
)
async def download_failures(run_id: OwnRun, client: Asked, asker: Reader) -> StreamingResponse:
    """What has failed so far, as JSON lines: key, reason, every attempt, the last raw answer."""
    path = client.uploads.temporary(".jsonl")
    try:
        await client.export_failures(path, run_id)
        # If nothing has failed there is no file, and the answer is empty.
        await asyncio.to_thread(path.touch)
        file = await asyncio.to_thread(path.open, "rb")
        return _sent(file, f"{run_id}.failures.jsonl", MEDIA["jsonl"])
    finally:
        await _forgotten(path)


async def _forgotten(*paths: Path) -> None:
    """The names go before the first byte is sent: an open file stays readable, and no crash leaves one."""
    for path in paths:
        await asyncio.to_thread(path.unlink, missing_ok=True)


def _sent(file: BinaryIO, name: str, media: str) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        with file:
            while piece := await asyncio.to_thread(file.read, CHUNK):
                yield piece

    return StreamingResponse(
        pieces(), media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
