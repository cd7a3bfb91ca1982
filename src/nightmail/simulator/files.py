"""The Files endpoints: bytes in, bytes out, both streamed."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from nightmail.simulator.breaking import hang_up
from nightmail.simulator.calls import answer_json, integer
from nightmail.simulator.multipart import read_upload
from nightmail.simulator.parts import Parts
from nightmail.simulator.records import File
from nightmail.simulator.refusal import Refusal, missing, wrong_value

_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_MAX_BYTES = 512_000_000
_BATCH_DAYS = 30
_CHUNK = 1 << 20


async def upload(request: Request, parts: Parts) -> Response:
    """POST /files"""
    # The purpose may come after the file, so the larger limit holds while it streams.
    coming = parts.state.work / f"upload-{uuid.uuid4().hex}"
    try:
        form = await read_upload(
            request.headers.get("content-type", ""), request.stream(), coming,
            max(_MAX_BYTES, parts.settings.max_batch_bytes),
        )  # fmt: skip
        file = _file_of(form.fields, form.filename, form.size, parts)
        fault = parts.struck.find("upload_short", now=parts.clock.now())
        if fault is not None:
            parts.keep_counts()
            file.bytes = int(file.bytes * (0.5 if fault.share is None else fault.share))
            if fault.code != "count":
                os.truncate(coming, file.bytes)
        coming.rename(parts.state.path(file.id))
    finally:
        coming.unlink(missing_ok=True)
    parts.state.add_file(file)
    return answer_json(file.shown())


def _file_of(fields: dict[str, str], filename: str | None, size: int, parts: Parts) -> File:
    if filename is None:
        raise missing("file")
    purpose = fields.get("purpose")
    if purpose is None:
        raise missing("purpose")
    if purpose not in _PURPOSES:
        raise wrong_value("purpose", purpose, ", ".join(f"'{one}'" for one in _PURPOSES))
    limit = parts.settings.max_batch_bytes if purpose == "batch" else _MAX_BYTES
    if size > limit:
        raise Refusal(
            413,
            f"File is too large. The maximum size of a file with purpose '{purpose}' is {limit} bytes.",
            param="file",
            code="file_too_large",
        )
    # Bytes handed to the official client are uploaded as `upload`, without an ending; programs that do so
    # (bespokelabs-curator 0.1, instructor 1.17) are served by the provider.
    if purpose == "batch" and "." in filename and not filename.endswith(".jsonl"):
        raise Refusal(
            400, f"Invalid file format for Batch API. Must be .jsonl, not '{filename}'.", param="file",
        )  # fmt: skip
    now = int(parts.clock.now())
    seconds = _expires_after(fields)
    if seconds is None and purpose == "batch":
        seconds = _BATCH_DAYS * 86_400
    return File(
        id=parts.settings.dialect.new_id("file-", 22),
        purpose=purpose,
        filename=filename,
        bytes=size,
        created_at=now,
        expires_at=None if seconds is None else now + seconds,
    )


def _expires_after(fields: dict[str, str]) -> int | None:
    anchor, given = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and given is None:
        return None
    if anchor != "created_at":
        raise wrong_value("expires_after[anchor]", anchor, "'created_at'")
    if given is None or not given.isdigit() or not 3_600 <= int(given) <= 2_592_000:
        raise wrong_value("expires_after[seconds]", given, "3600 to 2592000")
    return int(given)


def found(parts: Parts, file_id: str) -> File:
    """The file of that id, if it has not expired. Raises `Refusal` (404)."""
    file = parts.state.file(file_id)
    if file is not None and file.expires_at is not None and file.expires_at <= parts.clock.now():
        parts.state.forget_file(file_id)
        file = None
    if file is None:
        raise Refusal(404, f"No such File object: {file_id}", param="id")
    return file


def _readable(parts: Parts, file_id: str) -> File:
    """The file, unless a fault hides the output of its batch. Raises `Refusal`."""
    file = found(parts, file_id)
    batch = parts.state.batch(file.batch) if file.batch is not None else None
    if batch is None:
        return file
    fault = batch.faults.get("file_gone") or batch.faults.get("files_late")
    hidden = "file_gone" in batch.faults or parts.clock.now() < batch.files_hidden_until
    if batch.hidden_reads > 0:
        batch.hidden_reads -= 1
        parts.state.save_batch(batch)
        hidden = True
    if fault is not None and hidden:
        raise Refusal(fault.status or 404, f"No such File object: {file_id}", param="id")
    return file


async def list_all(request: Request, parts: Parts) -> Response:
    """GET /files"""
    order = request.query_params.get("order", "desc")
    if order not in ("asc", "desc"):
        raise wrong_value("order", order, "'asc' and 'desc'")
    page, more = parts.state.list_files(
        purpose=request.query_params.get("purpose"),
        limit=integer(request, "limit", 10_000, 1, 10_000),
        after=request.query_params.get("after"),
        ascending=order == "asc",
    )
    now = parts.clock.now()
    shown = [file.shown() for file in page if file.expires_at is None or file.expires_at > now]
    ends = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
    return answer_json(
        {"object": "list", "data": shown, "first_id": ends[0], "last_id": ends[1], "has_more": more}
    )


async def show(request: Request, parts: Parts) -> Response:
    """GET /files/{id}"""
    return answer_json(_readable(parts, request.path_params["file_id"]).shown())


async def content(request: Request, parts: Parts) -> Response:
    """GET /files/{id}/content"""
    file = _readable(parts, request.path_params["file_id"])
    path = parts.state.path(file.id)
    fault = None
    if file.purpose == "batch_output":
        fault = parts.struck.find("truncated_download", now=parts.clock.now())
    parts.keep_counts()
    whole = path.stat().st_size
    size = whole if fault is None else int(whole * (0.5 if fault.share is None else fault.share))
    # `code = "short"` is a server that lost the end itself: a shorter file, told as if it were whole.
    short = fault is not None and fault.code == "short"
    lost = fault is not None and not short
    return StreamingResponse(
        _bytes_of(path, size, request if lost else None),
        media_type="application/octet-stream",
        headers={
            "content-length": str(size if short else whole),
            "content-disposition": f'attachment; filename="{_ascii(file.filename)}"',
        },
    )


def _ascii(filename: str) -> str:
    return filename.encode("ascii", "replace").decode().replace('"', "'")


async def _bytes_of(path: Path, size: int, losing: Request | None) -> AsyncIterator[bytes]:
    # Read in the event loop on purpose: a megabyte of page cache is read faster than handed over.
    with path.open("rb") as file:
        left = size
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
    if losing is not None:
        await hang_up(losing)


async def delete(request: Request, parts: Parts) -> Response:
    """DELETE /files/{id}"""
    if "delete" in parts.settings.dialect.without:
        raise Refusal(405, "Method Not Allowed")
    file = found(parts, request.path_params["file_id"])
    parts.state.forget_file(file.id)
    return answer_json({"id": file.id, "object": "file", "deleted": True})
