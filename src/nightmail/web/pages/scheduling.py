"""The form of a schedule: a new one, or another form for one that is there.

What a schedule has already may stay in it, whoever opened it then; what is new in it must be open to runs
and schedules, as in the API.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from nightmail.core.schedule import ScheduleSpec
from nightmail.errors import NightmailError
from nightmail.web.api.schedules import Named
from nightmail.web.asked import Asked
from nightmail.web.pages.frame import HEADERS, page
from nightmail.web.pages.schedules import needs_admin
from nightmail.web.pages.visit import Looking, Steering, Viewer
from nightmail.web.places import open_place, open_task
from nightmail.web.problems import Problem, problem_of
from nightmail.web.settings import Settings

router = APIRouter(prefix="/schedules", include_in_schema=False, dependencies=[needs_admin])
Field = Annotated[str, Form(max_length=2_000)]
# What the form has of a run's options; others that a schedule has stay as they are.
OPTIONS = ("key", "model", "mode", "budget", "deadline", "limit")


class Wanted(NamedTuple):
    """The fields as they were filled in; `place` is the source, or the folder if `when` is `files`."""

    name: str = ""
    task: str = ""
    when: str = "times"
    cron: str = ""
    time_zone: str = "UTC"
    place: str = ""
    output: str = ""
    every_record: str = ""
    key: str = ""
    model: str = ""
    mode: str = "batch"
    budget: str = ""
    deadline: str = ""
    limit: str = ""


async def _wanted(
    task: Field = "",
    when: Annotated[Literal["times", "files"], Form()] = "times",
    cron: Field = "",
    time_zone: Field = "UTC",
    place: Field = "",
    output: Field = "",
    every_record: Field = "",
    key: Field = "",
    model: Field = "",
    mode: Field = "batch",
    budget: Field = "",
    deadline: Field = "",
    limit: Field = "",
) -> Wanted:
    given = (task, when, cron, time_zone, place, output, every_record, key, model, mode, budget,
             deadline, limit)  # fmt: skip
    return Wanted("", *(each.strip() for each in given))


Filled = Annotated[Wanted, Depends(_wanted)]


@router.get("/new")
async def ask_for_new(request: Request, viewer: Looking) -> HTMLResponse:
    return _form(request, viewer, Wanted(), change=None)


@router.post("/new")
async def add(
    request: Request, client: Asked, viewer: Steering, wanted: Filled, name: Field = ""
) -> Response:
    wanted = wanted._replace(name=name.strip())
    try:
        await _write(request, client, wanted, None)
    except (Problem, NightmailError) as error:
        return _form(request, viewer, wanted, change=None, error=error)
    return RedirectResponse(f"/schedules#{wanted.name}", status_code=303, headers=HEADERS)


@router.get("/{name}/edit")
async def ask_for_change(request: Request, schedule: Named, viewer: Looking) -> HTMLResponse:
    return _form(request, viewer, _of(schedule.name, schedule.spec), change=schedule.name)


@router.post("/{name}/edit")
async def change(
    request: Request, schedule: Named, client: Asked, viewer: Steering, wanted: Filled
) -> Response:
    """It keeps what it knows to be delivered; what was due before is not caught up."""
    name = schedule.name
    wanted = wanted._replace(name=name)
    try:
        await _write(request, client, wanted, schedule.spec)
    except (Problem, NightmailError) as error:
        return _form(request, viewer, wanted, change=name, error=error)
    return RedirectResponse(f"/schedules#{name}", status_code=303, headers=HEADERS)


async def _write(request: Request, client: Asked, wanted: Wanted, before: ScheduleSpec | None) -> None:
    settings: Settings = request.app.state.settings
    if before is None or wanted.task != before.task:
        task = open_task(wanted.task, settings)
    else:
        task = before.task
    if before is None or wanted.place != before.source:
        open_place(wanted.place, settings.sources, "sources")
    if before is None or wanted.output != before.output:
        open_place(wanted.output, settings.outputs, "outputs")
    if wanted.limit and not wanted.limit.isdecimal():
        raise Problem(422, "invalid", f"the limit is a number of records, not {wanted.limit!r}")
    by_time = wanted.when == "times"
    options: dict[str, Any] = dict(before.options) if before else {}
    options |= {name: getattr(wanted, name) or None for name in OPTIONS}
    options["limit"] = int(wanted.limit) if wanted.limit else None
    await client.schedules.add(
        wanted.name,
        task,
        wanted.output,
        source=wanted.place if by_time else None,
        watch=None if by_time else wanted.place,
        cron=wanted.cron if by_time else None,
        time_zone=wanted.time_zone,
        every_record=bool(wanted.every_record),
        replace=before is not None,
        provider=before.provider if before else None,
        base_url=before.base_url if before else None,
        **options,
    )


def _of(name: str, spec: ScheduleSpec) -> Wanted:
    """The form as it would have been filled in for what is there."""
    said = {option: str(spec.options[option]) for option in OPTIONS if spec.options.get(option) is not None}
    return Wanted(
        name=name,
        task=spec.task,
        when="files" if spec.cron is None else "times",
        cron=spec.cron or "",
        time_zone=spec.time_zone,
        place=spec.source,
        output=spec.output,
        every_record="yes" if spec.every_record else "",
    )._replace(**said)


def _form(
    request: Request,
    viewer: Viewer,
    wanted: Wanted,
    *,
    change: str | None,
    error: Problem | NightmailError | None = None,
) -> HTMLResponse:
    """The form as it was filled in, with what is wrong with it."""
    problem = problem_of(error) if isinstance(error, NightmailError) else error
    settings: Settings = request.app.state.settings
    values = {
        "wanted": wanted,
        "change": change,
        "wrong": problem.detail if problem else None,
        "sources": settings.sources,
        "outputs": settings.outputs,
        "tasks": (*settings.tasks, *settings.modules),
    }
    return page(request, "schedule.html", viewer, values, status=problem.status if problem else 200)
