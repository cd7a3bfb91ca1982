"""Intakes: records handed in over time by many programs, that leave as full batches."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from nightmail.core.intake import Intake, IntakeSpec
from nightmail.core.request import Mode, RequestState
from nightmail.web.api.asking import Count, DeclaredTask, Money, Text
from nightmail.web.api.reading import task_of
from nightmail.web.api.results import ResultShown, result_shown
from nightmail.web.asked import Asked
from nightmail.web.keys import Reader, Submitter
from nightmail.web.problems import Problem, documented, not_found
from nightmail.worker.intakes import IntakeResult, state_of

router = APIRouter(prefix="/intakes", tags=["intakes"])
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class NewIntake(BaseModel):
    """Records leave when there are `max_records` or `max_tokens` (four bytes of JSON are taken for one), or
    the oldest has waited for `max_wait_seconds`. `shared`: other tenants may hand records in too."""

    model_config = ConfigDict(extra="forbid")

    intake_id: Name
    task: str | DeclaredTask
    max_records: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_tokens: Count | None = None
    max_wait_seconds: Annotated[float, Field(ge=0, le=30 * 86_400)] = 300.0
    max_waiting: Annotated[int, Field(ge=1, le=100_000_000)] = 1_000_000
    shared: StrictBool = False
    model: Text | None = None
    mode: Mode = Mode.BATCH
    budget: Money | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 4
    poll_interval: Annotated[float, Field(ge=0.05, le=86_400)] | None = None


class IntakeShown(BaseModel):
    """An intake: what waits in it, and since when."""

    intake_id: str
    tenant: str | None
    shared: bool
    closed: bool
    max_records: int
    max_tokens: int | None
    max_wait_seconds: float
    max_waiting: int
    waiting: int
    waiting_tokens: int
    oldest_at: str | None


class Intakes(BaseModel):
    intakes: list[IntakeShown]


class IntakeRecord(BaseModel):
    """A record of an intake. `run_id` and `result` are null while it waits."""

    record: int
    key: str
    state: RequestState
    run_id: str | None
    result: ResultShown | None


class IntakeResults(BaseModel):
    """Records in the order in which they came. `next` is given to `after` for the page behind it."""

    results: list[IntakeRecord]
    next: int | None


async def _intake(intake_id: str, client: Asked, asker: Reader) -> Intake:
    """An intake that the asker may hand records to: another tenant's is not there, unless it is shared."""
    intake = await client.intakes.read(intake_id)
    if intake is None or not (asker.only in (None, intake.tenant) or intake.spec.shared):
        raise not_found("such intake")
    return intake


OpenIntake = Annotated[Intake, Depends(_intake)]


@router.get("", responses=documented(401, 429))
async def list_intakes(client: Asked, asker: Reader) -> Intakes:
    """The intakes that the asker may hand records to."""
    found = await client.intakes.list()
    return Intakes(
        intakes=[_shown(each) for each in found if asker.only in (None, each.tenant) or each.spec.shared]
    )


@router.post("", status_code=201, responses=documented(401, 403, 404, 408, 409, 413, 422, 429))
async def create_intake(asked: NewIntake, request: Request, client: Asked, asker: Submitter) -> IntakeShown:
    """Make an intake, or find the one that was made so before."""
    task = await task_of(asked.task, client, request.app.state.settings)
    limits = ("max_records", "max_tokens", "max_wait_seconds", "max_waiting", "shared")
    options = asked.model_dump(exclude={"intake_id", "task", *limits}, mode="json", exclude_none=True)
    spec = IntakeSpec(task=task, options=options, **{name: getattr(asked, name) for name in limits})
    return _shown(await client.intakes.create(asked.intake_id, spec, tenant=asker.tenant))


@router.get("/{intake_id}", responses=documented(401, 404, 429))
async def read_intake(intake: OpenIntake) -> IntakeShown:
    """One intake as it is now."""
    return _shown(intake)


@router.delete("/{intake_id}", status_code=204, responses=documented(401, 403, 404, 429))
async def close_intake(intake: OpenIntake, client: Asked, asker: Submitter) -> None:
    """Take nothing in any more; what waits leaves at once, and results stay."""
    if asker.only not in (None, intake.tenant):
        raise Problem(403, "owner", "only its owner closes an intake")
    await client.intakes.end(intake)


@router.get("/{intake_id}/results", responses=documented(401, 404, 422, 429))
async def list_intake_results(
    intake: OpenIntake,
    client: Asked,
    asker: Reader,
    after: Annotated[int, Query(ge=0, le=2**62, description="The `next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    key: Annotated[list[str] | None, Query(max_length=100, description="Only these; repeatable.")] = None,
) -> IntakeResults:
    """The asker's own records and their results: by key, or all in pages."""
    if key:
        found = await client.intakes.results_by_key(intake, key, tenant=asker.tenant)
        return IntakeResults(results=[_record(each) for each in found], next=None)
    found = await client.intakes.results(intake, tenant=asker.tenant, after=after, limit=limit)
    following = found[-1].record if len(found) == limit else None
    return IntakeResults(results=[_record(each) for each in found], next=following)


def _shown(intake: Intake) -> IntakeShown:
    spec = intake.spec
    return IntakeShown(
        intake_id=intake.intake_id,
        tenant=intake.tenant,
        shared=spec.shared,
        closed=intake.closed,
        max_records=spec.max_records,
        max_tokens=spec.max_tokens,
        max_wait_seconds=spec.max_wait_seconds,
        max_waiting=spec.max_waiting,
        waiting=intake.waiting,
        waiting_tokens=intake.waiting_tokens,
        oldest_at=intake.oldest_at.isoformat() if intake.oldest_at else None,
    )


def _record(each: IntakeResult) -> IntakeRecord:
    return IntakeRecord(
        record=each.record,
        key=each.key,
        state=state_of(each),
        run_id=each.run_id,
        result=result_shown(each.result) if each.result is not None else None,
    )
