"""Quotas and costs: what is in flight and what was paid, over all runs that the asker may see."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator

from nightmail.web.api.views import usd_shown
from nightmail.web.asked import Asked
from nightmail.web.keys import Reader
from nightmail.web.problems import documented

router = APIRouter(tags=["money"])
FIRST_DAY = date(2000, 1, 1)


def _written_as_a_day(value: object) -> object:
    """2026-11-21, and no number of seconds, which would be taken for one too."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise ValueError("write a day as 2026-11-21")
    return value


Day = Annotated[date, BeforeValidator(_written_as_a_day)]


class QueueShown(BaseModel):
    """A model's queue at the provider: what is in flight, and what waits for room in `planned` batches.
    `limit_tokens` is what its refusals have taught, null if nothing."""

    account: str
    model: str
    batches: int
    requests: int
    tokens: int
    limit_tokens: int | None
    learned_at: datetime | None
    refusals: int
    blocked_until: datetime | None
    planned: int
    planned_tokens: int


class Quotas(BaseModel):
    quotas: list[QueueShown]


class CostShown(BaseModel):
    """What the batches of a UTC day and a model came to; null where a price is unknown."""

    day: date
    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: str | None
    sync_cost_usd: str | None
    wasted_usd: str | None


class Costs(BaseModel):
    costs: list[CostShown]


@router.get("/quotas", responses=documented(401, 422, 429))
async def list_quotas(client: Asked, asker: Reader) -> Quotas:
    """Each model's queue: what the asker's runs have in flight, and what is known of its limit."""
    found = await client.queues(tenant=asker.only)
    return Quotas(quotas=[QueueShown(**each._asdict()) for each in found])


@router.get("/costs", responses=documented(401, 422, 429))
async def list_costs(
    client: Asked, asker: Reader, since: Annotated[Day, Query(description="A UTC day.")] = FIRST_DAY
) -> Costs:
    """What was paid, by UTC day and model, for batches that are settled."""
    moment = datetime(since.year, since.month, since.day, tzinfo=UTC)
    found = await client.costs(since=moment, tenant=asker.only)
    return Costs(
        costs=[
            CostShown(
                day=date.fromisoformat(each.day),
                model=each.model,
                requests=each.requests,
                input_tokens=each.input_tokens,
                output_tokens=each.output_tokens,
                cost_usd=usd_shown(each.cost_pusd),
                sync_cost_usd=usd_shown(each.sync_cost_pusd),
                wasted_usd=usd_shown(each.wasted_pusd),
            )
            for each in found
        ]
    )
