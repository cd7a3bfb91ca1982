"""From what was asked for to what `Client` takes: the task, the source, the options of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from nightmail.client import Client
from nightmail.web.api.asking import DeclaredTask, PlanOptions, RunOptions, Source
from nightmail.web.fetch import fetch
from nightmail.web.keys import Asker
from nightmail.web.places import open_source, open_task
from nightmail.web.settings import Settings


async def task_of(task: str | DeclaredTask, client: Client, settings: Settings) -> str:
    """How `Client` finds the task: one that was declared is kept first. Raises `Problem`, `TaskError`."""
    if isinstance(task, DeclaredTask):
        return await client.declare(task.declaration())
    return open_task(task, settings)


async def source_of(source: Source, client: Client, asker: Asker, settings: Settings) -> Any:
    """The records or the files. Raises `Problem` for what is not open, `SourceError` for what is not
    there."""
    if source.records is not None:
        return source.records
    if source.path is not None:
        return open_source(source.path, settings)
    uploads = source.upload_id
    if source.url is not None:
        pieces: AsyncIterator[bytes] = fetch(source.url, settings)
        uploads, _ = await client.uploads.receive(pieces, source.format, tenant=asker.tenant)
    ids = [uploads] if isinstance(uploads, str) else uploads or []
    return [await client.uploads.path(each, tenant=asker.tenant) for each in ids]


def options_of(asked: PlanOptions, client: Client) -> dict[str, Any]:
    """The options of a run. The operator's quotas are ceilings: nobody enqueues more by asking for more."""
    ours = client.settings.quotas
    quotas = {model: min(most, ours.get(model, most)) for model, most in asked.quotas.items()}
    return asked.model_dump(include=set(RunOptions.model_fields)) | {"quotas": quotas}
