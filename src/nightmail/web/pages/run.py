"""One run: how far it is, what it costs, what went wrong, what was sent; live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from nightmail.client import Client
from nightmail.core.course import Example, Point, projected_pusd
from nightmail.core.failure import Reason
from nightmail.core.pricing import parse_usd
from nightmail.core.progress import RunStatus
from nightmail.core.run import RunState
from nightmail.web.api.views import run_shown
from nightmail.web.asked import Asked
from nightmail.web.pages.frame import page
from nightmail.web.pages.live import drawn, stream
from nightmail.web.pages.sent import sent
from nightmail.web.pages.spans import ways
from nightmail.web.pages.visit import Looking, OwnRun
from nightmail.web.plots import Series, areas
from nightmail.web.settings import Settings

router = APIRouter(prefix="/runs/{run_id}", include_in_schema=False)
PARTS = (
    "run/head.html", "run/progress.html", "run/money.html", "run/failures.html", "run/batches.html",
    "run/events.html",
)  # fmt: skip
OVER = (RunState.FINISHED, RunState.CANCELLED)
COURSE = (Series("succeeded", "of-succeeded"), Series("at the provider", "of-in_batch"))
MOST_BATCHES = 30
MOST_EVENTS = 20


@router.get("")
async def read_run(
    request: Request,
    run_id: OwnRun,
    client: Asked,
    viewer: Looking,
    skip: Annotated[int, Query(ge=0, le=10**9, description="Batches before those that are shown.")] = 0,
) -> HTMLResponse:
    settings: Settings = request.app.state.settings
    status = await client.status(run_id)
    first = None if settings.hide_texts else await client.history.first_request(run_id)
    values = await _values(client, settings, status, skip)
    return page(
        request,
        "run.html",
        viewer,
        {**values, "sent": sent(first) if first else None},
    )


@router.get("/live")
async def watch_run(request: Request, run_id: OwnRun, client: Asked, viewer: Looking) -> StreamingResponse:
    """The parts of the page that have changed, until the run is over."""

    async def draw(status: RunStatus) -> dict[str, str]:
        return drawn(PARTS, viewer, await _values(client, request.app.state.settings, status, 0))

    return stream(
        request,
        viewer,
        lambda: client.status(run_id),
        lambda status: run_shown(status).model_dump_json(exclude={"eta_seconds"}),
        draw,
        is_over=lambda status: status.state in OVER,
    )


async def _values(client: Client, settings: Settings, status: RunStatus, skip: int) -> dict[str, Any]:
    run_id = status.run_id
    run = await client.history.run(run_id)
    reserved = await client.history.reserved(run_id)
    batches = await client.history.batches(run_id, skip=skip, limit=MOST_BATCHES + 1)
    examples = await client.history.examples(run_id) if status.failed else []
    course = await client.history.course(run_id)
    through = status.succeeded + status.failed + status.cancelled
    projected = projected_pusd(status.cost_pusd, reserved, through=through, records=status.records)
    now = client.hooks.now()
    return {
        "run": status,
        "spec": run.spec,
        "hide_texts": settings.hide_texts,
        "is_over": status.state in OVER,
        "is_ending": run.wish is not None,
        "took": (run.finished_at or now) - run.created_at,
        "course": _plot(course, status) if any(each.succeeded or each.in_flight for each in course) else None,
        "reserved": reserved,
        "projected_pusd": projected if run.sealed and status.state not in OVER else None,
        "budget_pusd": parse_usd(run.spec.budget_usd) if run.spec.budget_usd else None,
        "again_pusd": _again(status),
        "groups": _groups(status, examples),
        "ways": ways(batches[:MOST_BATCHES], run.finished_at or now),
        "skip": skip,
        "following": skip + MOST_BATCHES if len(batches) > MOST_BATCHES else None,
        "events": list(reversed(await client.events(run_id, limit=MOST_EVENTS))),
    }


def _plot(course: Sequence[Point], status: RunStatus) -> str:
    values = [(each.at, (each.succeeded, max(0, each.in_flight))) for each in course]
    return areas("Records over time", COURSE, values, line=status.records)


def _groups(status: RunStatus, examples: Sequence[Example]) -> list[tuple[Reason, int, list[Example]]]:
    """The most frequent reason first, each with its examples."""
    counted = sorted(status.failures_by_reason.items(), key=lambda item: (-item[1], item[0]))
    return [
        (reason, count, [each for each in examples if each.reason is reason])
        for reason, count in counted
        if count
    ]


def _again(status: RunStatus) -> int | None:
    """What asking the failed records again will probably cost: as much as they did, each."""
    if status.cost_pusd is None or not status.requests_sent:
        return None
    return status.cost_pusd * status.failed // status.requests_sent
