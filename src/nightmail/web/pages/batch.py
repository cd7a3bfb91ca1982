"""One batch: everything known of it, how it went, what the provider says; live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from nightmail.client import Client
from nightmail.core.batch import CLOSED_STATES, Batch
from nightmail.stores.base import BatchWhole
from nightmail.web.asked import Asked
from nightmail.web.pages.frame import page
from nightmail.web.pages.live import drawn, stream
from nightmail.web.pages.visit import Looking, Viewer
from nightmail.web.problems import not_found

router = APIRouter(include_in_schema=False)


class Step(NamedTuple):
    """A state that the batch came to, when, and how long it stayed in it; None while it still does."""

    word: str
    at: datetime
    took: timedelta | None


@router.get("/batches/{batch_id}")
async def read_batch(request: Request, batch_id: str, client: Asked, viewer: Looking) -> HTMLResponse:
    return page(request, "batch.html", viewer, _values(await _own(batch_id, client, viewer)))


@router.get("/batches/{batch_id}/live")
async def watch_batch(request: Request, batch_id: str, client: Asked, viewer: Looking) -> StreamingResponse:
    """The page's one part each time that something of it is new, until nothing will be."""
    await _own(batch_id, client, viewer)

    async def draw(found: BatchWhole) -> dict[str, str]:
        return drawn(("batch/whole.html",), viewer, _values(found))

    return stream(
        request,
        viewer,
        lambda: client.inquiries.batch(batch_id),
        lambda found: (found.batch, found.object_seen_at, len(found.events)),
        draw,
        is_over=lambda found: found.batch.state in CLOSED_STATES,
    )


async def _own(batch_id: str, client: Client, viewer: Viewer) -> BatchWhole:
    found = await client.inquiries.batch(batch_id)
    if viewer.only is not None and found.tenant != viewer.only:
        raise not_found("such batch")
    return found


def _values(found: BatchWhole) -> dict[str, Any]:
    return {
        "whole": found,
        "batch": found.batch,
        "steps": steps_of(found.batch),
        "object": indented(found.object),
        "open": found.batch.settled_at is None,
        "is_over": found.batch.state in CLOSED_STATES,
    }


def steps_of(batch: Batch) -> Sequence[Step]:
    """In the order in which they came, the newest last."""
    came = [
        (word, at)
        for word, at in (
            ("planned", batch.created_at),
            ("submitted", batch.submitted_at),
            ("ended at the provider", batch.ended_at),
            ("files taken in", batch.ingested_at),
            ("settled", batch.settled_at),
            ("finalised", batch.finalised_at),
        )
        if at is not None
    ]
    ends = [at for _, at in came[1:]] + [None]
    return [
        Step(word, at, max(timedelta(0), until - at) if until is not None else None)
        for (word, at), until in zip(came, ends, strict=True)
    ]


def indented(text: str | None) -> str | None:
    """JSON for people; what is none, because it was cut off, as it is."""
    if text is None:
        return None
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text
