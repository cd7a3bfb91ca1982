"""The first page: what is going on, what it costs, how full the queues are, how work has gone lately."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from nightmail.client import Client
from nightmail.core import wording
from nightmail.core.batch import Phase
from nightmail.core.pricing import parse_usd
from nightmail.core.progress import RunStatus
from nightmail.stores.base import Cost
from nightmail.web.api.views import run_shown
from nightmail.web.asked import Asked
from nightmail.web.pages.frame import page
from nightmail.web.pages.gauges import gauges
from nightmail.web.pages.live import drawn, stream
from nightmail.web.pages.visit import Looking, Viewer
from nightmail.web.plots import Dot, Series, columns, dots

router = APIRouter(include_in_schema=False)
PARTS = ("overview/now.html", "overview/queues.html", "overview/lately.html")
MOST_RUNS = 20
MOST_DOTS = 200
EVERY = 2.0
Span = Literal["hour", "day", "week"]
# How far back, and the width of a column.
SPANS: dict[Span, tuple[timedelta, timedelta]] = {
    "hour": (timedelta(hours=1), timedelta(minutes=1)),
    "day": (timedelta(days=1), timedelta(minutes=30)),
    "week": (timedelta(days=7), timedelta(hours=4)),
}
ANSWERED = (Series("succeeded", "of-succeeded"), Series("not succeeded", "of-failed"))
Chosen = Annotated[Span | None, Query(alias="span")]


class Sum(NamedTuple):
    """Pico-USD over some days. `unpriced` are models whose price is unknown: they are in no sum."""

    cost_pusd: int
    saved_pusd: int
    wasted_pusd: int
    unpriced: tuple[str, ...]


@router.get("/")
async def read_overview(
    request: Request, client: Asked, viewer: Looking, span: Chosen = None
) -> HTMLResponse:
    runs = await client.history.unfinished(tenant=viewer.only, limit=MOST_RUNS)
    return page(request, "overview.html", viewer, await _values(client, viewer, runs, span))


@router.get("/live")
async def watch_overview(
    request: Request, client: Asked, viewer: Looking, span: Chosen = None
) -> StreamingResponse:
    """The parts of the page that have changed, as they change."""

    async def look() -> tuple[datetime, list[RunStatus]]:
        runs = await client.history.unfinished(tenant=viewer.only, limit=MOST_RUNS)
        return client.hooks.now(), runs

    def shape(found: tuple[datetime, list[RunStatus]]) -> tuple[str, ...]:
        now, runs = found
        # Plots move on by themselves.
        return (f"{now:%H:%M}", *(run_shown(run).model_dump_json(exclude={"eta_seconds"}) for run in runs))

    async def draw(found: tuple[datetime, list[RunStatus]]) -> dict[str, str]:
        return drawn(PARTS, viewer, await _values(client, viewer, found[1], span))

    return stream(request, viewer, look, shape, draw, every=EVERY)


async def _values(client: Client, viewer: Viewer, runs: list[RunStatus], span: Span | None) -> dict[str, Any]:
    now = client.hooks.now()
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    costs = await client.costs(since=today.replace(day=1), tenant=viewer.only)
    recent = [] if runs else await client.page_of_runs(limit=5, tenant=viewer.only)
    daily = client.settings.daily_budget
    return {
        "runs": runs,
        "recent": recent,
        "most_runs": MOST_RUNS,
        "today": _sum(cost for cost in costs if cost.day == f"{today:%Y-%m-%d}"),
        "month": _sum(costs),
        "daily_budget_pusd": parse_usd(daily) if daily and viewer.is_admin else None,
        "month_budget_pusd": await _budget(client, viewer),
        "gauges": gauges(await client.queues(tenant=viewer.only), client.settings.quotas, runs),
        "spans": tuple(SPANS),
        **await _lately(client, viewer, now, span),
    }


async def _budget(client: Client, viewer: Viewer) -> int | None:
    """Of the tenant to whom the viewer is bound, for a month."""
    if viewer.only is None:
        return None
    return next((each.budget_pusd for each in await client.keys.tenants() if each.name == viewer.only), None)


async def _lately(client: Client, viewer: Viewer, now: datetime, span: Span | None) -> dict[str, Any]:
    """The plots over the span; without one over an hour, if nothing is older, or a day."""
    length, _ = SPANS[span or "day"]
    trips = await client.history.trips(since=now - length, limit=MOST_DOTS, tenant=viewer.only)
    if span is None:
        hour = now - SPANS["hour"][0]
        span = "hour" if trips and all(trip.submitted_at >= hour for trip in trips) else "day"
    length, width = SPANS[span]
    # Columns stay where they are while time goes on.
    end = datetime.fromtimestamp(
        (now.timestamp() // width.total_seconds() + 1) * width.total_seconds(), now.tzinfo
    )
    begin = end - length
    slots = await client.history.slots(since=begin, width=width, tenant=viewer.only)
    found = [
        Dot(
            trip.ended_at,
            trip.took.total_seconds(),
            "of-in_batch" if trip.phase is Phase.COMPLETED else "of-failed",
            f"{trip.batch_id}: {wording.duration(trip.took)}, {wording.plural(trip.requests, 'request')}, "
            f"{trip.model}, {trip.phase}",
        )
        for trip in reversed(trips)
    ]
    answered = [
        (slot.start, (slot.succeeded, slot.through - slot.succeeded)) for slot in slots if slot.through
    ]
    throughput = (
        columns("Records answered", ANSWERED, answered, begin=begin, end=end, width=width)
        if answered
        else None
    )
    turnaround = dots("Turnaround of batches", found, begin=begin, end=end) if found else None
    return {
        "span": span,
        "throughput": throughput,
        "turnaround": turnaround,
        "answered": sum(slot.through for slot in slots),
        "width": width,
        "trips": len(trips),
        "median": sorted(trip.took for trip in trips)[len(trips) // 2] if trips else None,
    }


def _sum(costs: Iterable[Cost]) -> Sum:
    cost = saved = wasted = 0
    unpriced: set[str] = set()
    for each in costs:
        if each.cost_pusd is None or each.sync_cost_pusd is None:
            unpriced.add(each.model)
            continue
        cost, saved = cost + each.cost_pusd, saved + each.sync_cost_pusd - each.cost_pusd
        wasted += each.wasted_pusd or 0
    return Sum(cost, saved, wasted, tuple(sorted(unpriced)))
