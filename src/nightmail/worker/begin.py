"""From "this task over this input" to a run in the store: new, or the one that it already is.

The same command is the same run: its identity is the task, the input and the output as named. What the
identity names may have changed since; then the run is not silently mixed, and the error says what.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from nightmail import plugins
from nightmail.core.ids import RunId, run_id
from nightmail.core.run import Run, RunSpec
from nightmail.errors import ConfigError, RunChanged, TaskError
from nightmail.sinks.files import sink_format
from nightmail.sources.base import Source
from nightmail.sources.files import resolve
from nightmail.sources.memory import is_frame, store_frame, store_iterable
from nightmail.stores.base import Store
from nightmail.tasks.base import Task
from nightmail.tasks.load import load, reference_of
from nightmail.tasks.prepared import PreparedTask

INTAKE = "intake"  # the folder of the spool for what belongs to no run, or not yet


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it was asked for."""

    spec: RunSpec
    identity: str
    fingerprint: dict[str, str]
    task: PreparedTask
    source: Source


def task_of(given: type[Task] | Task | str, *, model: str | None) -> tuple[PreparedTask, str]:
    """The task, prepared, and how it is named in the store."""
    if isinstance(given, str):
        cls: type[Task] = load(given)
        return PreparedTask(cls, model=model), reference_of(cls) or given
    cls = given if isinstance(given, type) else type(given)
    return PreparedTask(given, model=model), reference_of(cls) or f"__main__:{cls.__qualname__}"


def source_of(given: Any, folder: Path) -> tuple[str, tuple[Path, ...], str]:
    """Format, files and name of an input: a path, several, a frame, or records (which are written to
    `folder` first, so that the run does not depend on objects of this process)."""
    if is_frame(given):
        path = store_frame(given, folder)
        return "parquet", (path,), path.name
    if isinstance(given, str | Path):
        kind, paths = resolve(given)
        return kind, paths, str(given)
    if isinstance(given, list | tuple) and given and all(isinstance(each, str | Path) for each in given):
        kind, paths = resolve(given)
        return kind, paths, ", ".join(map(str, given))
    path = store_iterable(given, folder)
    return "jsonl", (path,), path.name


def open_source(spec: RunSpec) -> Source:
    source: Source = plugins.load("sources", spec.source_format)(
        tuple(Path(path) for path in spec.source_paths)
    )
    return source


def want(
    task: type[Task] | Task | str, source: Any, output: str | Path | None, home: Path, **travel: Any
) -> Wanted:
    """Read what was asked for; no call, no database. Raises for whatever is wrong with it."""
    prepared, reference = task_of(task, model=travel.get("model"))
    kind, paths, name = source_of(source, home / "spool" / INTAKE)
    target = Path(output).expanduser().absolute() if output is not None else None
    if target is not None:
        plugins.load("sinks", sink_format(target)).check(target)
    spec = RunSpec(
        task=reference,
        task_name=prepared.name,
        source_format=kind,
        source_paths=tuple(str(path.absolute()) for path in paths),
        source_name=name,
        output=str(target) if target else None,
        **travel,
    )
    opened = open_source(spec)
    named = [spec.task, *(spec.source_paths), spec.output or "", str(spec.limit) if output is None else ""]
    if spec.schedule_no is not None:
        # An occurrence is nobody else's run, whatever it is over.
        named.append(str(spec.schedule_no))
    if spec.tenant is not None:
        named.append(spec.tenant)
    identity = hashlib.sha256("\0".join(named).encode()).hexdigest()
    fingerprint = task_parts(prepared) | {
        "the input": opened.fingerprint(),
        "--key": str(spec.key),
        "--limit": str(spec.limit),
        "--model": str(spec.model),
        "--base-url": f"{spec.provider} {spec.base_url}",
    }
    return Wanted(spec=spec, identity=identity, fingerprint=fingerprint, task=prepared, source=opened)


def task_parts(task: PreparedTask) -> dict[str, str]:
    """The part of a run's fingerprint that is the task's."""
    return {f"task {part}": value for part, value in task.fingerprint().items()}


async def begin(
    store: Store, wanted: Wanted, *, now: datetime, new: bool = False, as_started: bool = False
) -> Run:
    """The run in the store. Raises `RunChanged` if it is there and something else was meant then."""
    earlier = await store.runs.list(identity=wanted.identity)
    run = earlier[-1] if earlier else None
    if run is not None and not new:
        changed = changes(run.fingerprint, wanted.fingerprint)
        if not changed or as_started:
            return await _with_travel(store, run, wanted.spec)
        if not await store.runs.delete_unsent(run.run_no):
            raise RunChanged(
                f"{run.run_id} was started with something else ({', '.join(changed)} changed). "
                "Start anew with --new, or continue the old one with --as-started."
            )
        earlier = earlier[:-1]
    generation = len(earlier) + 1
    identifier = run_id(wanted.spec.task_name, wanted.identity, generation)
    return await _record(store, wanted, identifier, now)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What is not as it was, by name."""
    return [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]


async def _record(store: Store, wanted: Wanted, identifier: RunId, now: datetime) -> Run:
    run = await store.runs.record(
        run_id=identifier, identity=wanted.identity, spec=wanted.spec, fingerprint=wanted.fingerprint, now=now
    )
    if run.identity != wanted.identity:
        # Four digits of a digest can meet; the name then takes more of it.
        longer = RunId(f"{identifier}{wanted.identity[:6]}")
        return await _record(store, wanted, longer, now)
    return run


async def _with_travel(store: Store, run: Run, spec: RunSpec) -> Run:
    """How the run travels may change from one command to the next; what it is does not."""
    if run.spec.mode is not spec.mode and run.finished_at is None and run.planned_seq:
        raise ConfigError(
            f"{run.run_id} was started with --mode {run.spec.mode} and has batches; "
            "finish or cancel it first, or start anew with --new"
        )
    travelling = msgspec.structs.replace(
        run.spec,
        mode=spec.mode,
        max_attempts=spec.max_attempts,
        # A budget once set holds until another is given.
        budget_usd=spec.budget_usd or run.spec.budget_usd,
        daily_budget_usd=spec.daily_budget_usd,
        # So does a deadline.
        deadline_seconds=spec.deadline_seconds or run.spec.deadline_seconds,
        priority=spec.priority,
        quotas=spec.quotas or run.spec.quotas,
        max_batch_requests=spec.max_batch_requests,
        max_batch_bytes=spec.max_batch_bytes,
        max_active_batches=spec.max_active_batches,
        poll_interval=spec.poll_interval,
        keep_remote_files=spec.keep_remote_files,
        dedupe=spec.dedupe,
    )
    if travelling == run.spec:
        return run
    return await store.runs.record_spec(run.run_no, travelling, run.fingerprint)


def prepared_for(run: Run, known: Sequence[PreparedTask] = ()) -> PreparedTask:
    """The task of a stored run: one that this process has, else loaded by its reference."""
    for task in known:
        reference = reference_of(type(task.task)) or f"__main__:{type(task.task).__qualname__}"
        if reference == run.spec.task:
            return task
    if run.spec.task.startswith("__main__:"):
        raise TaskError(
            f"{run.run_id} belongs to a task that only its own process has ({run.spec.task}). "
            "Put the class into a file of its own, or continue from where it was started."
        )
    return PreparedTask(load(run.spec.task), model=run.spec.model)
