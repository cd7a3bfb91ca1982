"""Notices: what somebody was told, or is to be told, and what became of it at each channel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel

from nightmail.core.delivery import Told
from nightmail.core.notice import Notice, NoticeKind
from nightmail.web.asked import Asked
from nightmail.web.keys import OwnRun, Reader, needs_admin
from nightmail.web.problems import documented

router = APIRouter(tags=["notices"])
Limit = Annotated[int, Query(ge=1, le=1000)]
PAGE = 50


class ToldShown(BaseModel):
    """What became of a notice at one channel."""

    channel: str
    state: str
    tries: int
    due_at: datetime | None
    ended_at: datetime | None
    error: str | None


class NoticeShown(BaseModel):
    """Something to tell. `to_do` is what can be done about it, `eta` the times between which the run will
    probably be over, `facts` the same as `text` for programs."""

    notice_id: str
    kind: NoticeKind
    at: datetime
    run_id: str | None
    batch_id: str | None
    title: str
    text: str
    to_do: str | None
    eta: tuple[datetime, datetime] | None
    facts: dict[str, Any]
    told: list[ToldShown]


class Notices(BaseModel):
    """The newest, oldest first."""

    notices: list[NoticeShown]


@router.get("/notices", dependencies=[needs_admin], responses=documented(401, 403, 422, 429))
async def list_notices(client: Asked, limit: Limit = PAGE) -> Notices:
    """The newest notices of the home."""
    return _shown(await client.hooks.notices(limit=limit))


@router.get("/runs/{run_id}/notices", responses=documented(401, 404, 422, 429))
async def list_notices_of_run(run_id: OwnRun, client: Asked, asker: Reader, limit: Limit = PAGE) -> Notices:
    """The newest notices of a run."""
    return _shown(await client.hooks.notices(run_id, limit=limit))


def _shown(found: Sequence[tuple[Notice, Sequence[Told]]]) -> Notices:
    return Notices(notices=[_notice(notice, told) for notice, told in found])


def _notice(notice: Notice, told: Sequence[Told]) -> NoticeShown:
    fates = [ToldShown(**msgspec.structs.asdict(each)) for each in told]
    return NoticeShown(**msgspec.structs.asdict(notice), told=fates)
