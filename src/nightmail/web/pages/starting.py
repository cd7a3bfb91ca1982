"""Starting a run: a form, then the plan with what it will cost, and only then the run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, File, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from nightmail.errors import NightmailError
from nightmail.web.api.reading import options_of, source_of, task_of
from nightmail.web.api.runs import start_run
from nightmail.web.asked import Asked
from nightmail.web.pages.draft import Draft, Drafted, ending_of, new_run
from nightmail.web.pages.frame import HEADERS, page
from nightmail.web.pages.visit import Looking, Steering, Viewer
from nightmail.web.problems import Problem, problem_of
from nightmail.web.settings import Settings

router = APIRouter(prefix="/runs", include_in_schema=False)
CHUNK = 1 << 18


@router.get("/new")
async def ask(request: Request, viewer: Looking) -> HTMLResponse:
    return _form(request, viewer, Draft())


@router.post("/plan")
async def plan_run(
    request: Request,
    client: Asked,
    viewer: Steering,
    draft: Drafted,
    file: Annotated[UploadFile | None, File()] = None,
) -> HTMLResponse:
    """Keep the file, and count what the run would be. Nothing is sent and no run is written down."""
    settings: Settings = request.app.state.settings
    try:
        if file is not None and file.filename:
            ending = ending_of(file.filename)
            upload_id, _ = await client.uploads.receive(_pieces(file), ending, tenant=viewer.asker.tenant)
            draft = draft._replace(upload_id=upload_id, file_name=file.filename)
        asked = new_run(draft)
        source = await source_of(asked.source, client, viewer.asker, settings)
        task = await task_of(asked.task, client, settings)
        plan = await client.plan(task, source, **options_of(asked, client))
    except (Problem, NightmailError) as error:
        return _form(request, viewer, draft, error)
    saved = None
    if plan.cost.expected is not None and plan.sync_cost.expected is not None:
        saved = plan.sync_cost.expected - plan.cost.expected
    values = {"plan": plan, "saved_pusd": saved, "draft": draft, "fields": draft._asdict()}
    return page(request, "plan.html", viewer, values)


@router.post("/change")
async def change(request: Request, viewer: Steering, draft: Drafted) -> HTMLResponse:
    """The form again, as it was."""
    return _form(request, viewer, draft)


@router.post("/new")
async def start(request: Request, client: Asked, viewer: Steering, draft: Drafted) -> Response:
    """Start what was planned, as the API does."""
    try:
        run = await start_run(new_run(draft), request, client, viewer.asker)
    except (Problem, NightmailError) as error:
        return _form(request, viewer, draft, error)
    return RedirectResponse(f"/runs/{run.run_id}", status_code=303, headers=HEADERS)


def _form(
    request: Request, viewer: Viewer, draft: Draft, error: Problem | NightmailError | None = None
) -> HTMLResponse:
    """The form as it was filled in, with what is wrong with it."""
    if not viewer.may_steer:
        raise Problem(403, "scope", "the key with which you signed in may only look")
    settings: Settings = request.app.state.settings
    problem = problem_of(error) if isinstance(error, NightmailError) else error
    values: dict[str, Any] = {
        "draft": draft,
        "wrong": problem.detail if problem else None,
        "has_tasks": bool(settings.tasks or settings.modules),
    }
    return page(request, "start.html", viewer, values, status=problem.status if problem else 200)


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(CHUNK):
        yield piece
