"""What another process must be told to do a run's shards, and whether it can be: a task that only this
process has cannot be taken there."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from nightmail import plugins
from nightmail.core.ids import RunId
from nightmail.core.run import Run
from nightmail.errors import TaskError
from nightmail.spool import Spool
from nightmail.stages.build import Workshop
from nightmail.stages.shards import Tools
from nightmail.tasks.load import load, reference_of
from nightmail.tasks.prepared import PreparedTask
from nightmail.tokens.counter import counter_for

# Lines are read and written there; nothing is called.
NO_KEY = "not-used"


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """How the tools of a run are made anew."""

    run_id: RunId
    task: str
    model: str | None
    fingerprint: dict[str, str]
    provider: str
    base_url: str | None
    source_format: str
    source_paths: tuple[str, ...]
    spool: str


def kit_for(run: Run, task: PreparedTask, spool: Path) -> Kit | None:
    """The kit of a run; None if its task cannot be made anew by its reference: it is defined in a notebook,
    a script or a function, or is an instance with a state of its own."""
    cls = type(task.task)
    reference = reference_of(cls)
    if reference is None or not sys.executable:
        return None
    try:
        if _state(cls()) != _state(task.task):
            return None
    except Exception:  # the class wants arguments, or what it holds cannot be compared
        return None
    return Kit(
        run_id=run.run_id,
        task=reference,
        model=run.spec.model,
        fingerprint=task.fingerprint(),
        provider=run.spec.provider,
        base_url=run.spec.base_url,
        source_format=run.spec.source_format,
        source_paths=run.spec.source_paths,
        spool=str(spool),
    )


def tools_of(kit: Kit) -> Tools:
    """The tools, in the process that was given the kit. Raises `TaskError` if the task has become another."""
    task = PreparedTask(load(kit.task), model=kit.model)
    if task.fingerprint() != kit.fingerprint:
        raise TaskError(f"{kit.task} is not the task that the run was started with")
    provider = plugins.load("providers", kit.provider).open(base_url=kit.base_url, api_key=NO_KEY)
    source = plugins.load("sources", kit.source_format)(tuple(Path(path) for path in kit.source_paths))
    return Tools(
        run_id=kit.run_id,
        task=task,
        provider=provider,
        source=source,
        spool=Spool(Path(kit.spool)),
        workshop=Workshop(task=task, provider=provider, counter=counter_for, run_id=kit.run_id),
    )


def _state(task: object) -> dict[str, object]:
    return {name: value for name, value in vars(task).items() if name != "_reader"}
