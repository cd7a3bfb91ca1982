"""The buttons of a run's page. What is asked for is written down; a worker does it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, StreamingResponse

from nightmail.core.failure import Reason
from nightmail.web.api import results
from nightmail.web.api.asking import Money
from nightmail.web.asked import Asked
from nightmail.web.pages.frame import HEADERS
from nightmail.web.pages.visit import Looking, OwnRun, Steering

router = APIRouter(prefix="/runs/{run_id}", include_in_schema=False)


@router.post("/pause")
async def pause_run(run_id: OwnRun, client: Asked, viewer: Steering) -> RedirectResponse:
    await client.pause(run_id)
    return _back(run_id)


@router.post("/resume")
async def resume_run(
    run_id: OwnRun, client: Asked, viewer: Steering, budget: Annotated[Money | Literal[""], Form()] = ""
) -> RedirectResponse:
    await client.resume(run_id, budget=budget or None)
    return _back(run_id)


@router.post("/cancel")
async def cancel_run(run_id: OwnRun, client: Asked, viewer: Steering) -> RedirectResponse:
    await client.cancel(run_id)
    return _back(run_id)


@router.post("/retry")
async def retry_run(
    run_id: OwnRun, client: Asked, viewer: Steering, reason: Annotated[Reason | Literal[""], Form()] = ""
) -> RedirectResponse:
    """Ask failed records again: of one reason, or all."""
    await client.retry(run_id, reasons=[reason] if reason else None)
    return _back(run_id)


@router.post("/revalidate")
async def revalidate_run(run_id: OwnRun, client: Asked, viewer: Steering) -> RedirectResponse:
    """Judge the stored answers of failed records again; nobody is asked."""
    await client.revalidate(run_id)
    return _back(run_id)


@router.get("/output")
async def download_output(
    run_id: OwnRun, client: Asked, viewer: Looking, format: Literal["jsonl", "csv", "parquet"] = "jsonl"
) -> StreamingResponse:
    return await results.download_output(run_id, client, viewer.asker, format)


@router.get("/failures")
async def download_failures(run_id: OwnRun, client: Asked, viewer: Looking) -> StreamingResponse:
    return await results.download_failures(run_id, client, viewer.asker)


def _back(run_id: str) -> RedirectResponse:
    return RedirectResponse(f"/runs/{run_id}", status_code=303, headers=HEADERS)
