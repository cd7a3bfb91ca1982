"""What a run looks like from outside: counts, money, and when it may be over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from nightmail.core.batch import IN_FLIGHT_STATES, Batch, BatchState
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.pricing import format_usd
from nightmail.core.request import OPEN_STATES, Mode, RequestState
from nightmail.core.run import PauseReason, Run, RunState
from nightmail.core.travel import deadline_of

# An estimate of the end is a guess before so many records are through.
ETA_FROM = 0.01
# A batch that was put back, or that the provider never took, has sent nothing.
UNSENT = (BatchState.PLANNED, BatchState.ABANDONED)
# Those of which a status tells one by one.
ACTIVE_STATES = (*IN_FLIGHT_STATES, BatchState.ENDED)


class Totals(NamedTuple):
    """All batches of a run together: what was sent, since when, and what those that are settled have taken.
    Pico-USD, None where the price of one of them is unknown."""

    batches: int
    batches_done: int
    requests_sent: int
    started_at: datetime | None
    input_tokens: int
    output_tokens: int
    cost_pusd: int | None
    sync_cost_pusd: int | None
    wasted_pusd: int | None


class BatchView(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that the provider has, or is about to get. `status` is the provider's word."""

    batch_id: BatchId
    state: BatchState
    status: str | None
    model: str
    requests: int
    tokens: int
    completed: int | None
    failed: int | None
    submitted_at: datetime | None


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A run at one moment. records = succeeded + failed + cancelled + open, always.

    Money is in pico-USD, None where a price is unknown. `token_error` is how far our token counts were
    from what was billed (0.02: 2 % too low), None before the first usage came back. `eta` is a range,
    `hurried` whether the deadline has made the run leave the batch API; `unchanged` counts further records of
    the source, which an earlier run of the schedule has delivered as they are. `copies` are records whose
    request is the same as another's, which alone is sent; `copies_saved_pusd` is what those that are
    answered would have cost.
    """

    run_id: RunId
    task_name: str
    tenant: str | None
    state: RunState
    mode: Mode
    priority: int
    deadline: datetime | None
    hurried: bool
    pause_reason: PauseReason | None
    pause_message: str | None
    sealed: bool
    records: int
    succeeded: int
    failed: int
    cancelled: int
    open: int
    in_batch: int
    asked_again: dict[Reason, int]
    failures_by_reason: dict[Reason, int]
    batches: int
    batches_done: int
    active: tuple[BatchView, ...]
    requests_sent: int
    input_tokens: int
    output_tokens: int
    enqueued_tokens: int
    quotas: dict[str, int]
    cost_pusd: int | None
    sync_cost_pusd: int | None
    wasted_pusd: int | None
    token_error: float | None
    eta: tuple[timedelta, timedelta] | None
    created_at: datetime
    finished_at: datetime | None
    output: str | None
    failures: str | None
    unchanged: int = 0
    copies: int = 0
    copies_saved_pusd: int | None = 0

    @property
    def savings_pusd(self) -> int | None:
        if self.cost_pusd is None or self.sync_cost_pusd is None:
            return None
        return self.sync_cost_pusd - self.cost_pusd

    @property
    def exit_code(self) -> int:
        """0 all succeeded, 1 finished with failed records, 3 not at the end."""
        if self.state not in (RunState.FINISHED, RunState.CANCELLED):
            return 3
        return 0 if self.succeeded == self.records else 1


def status_of(
    run: Run,
    *,
    states: Mapping[RequestState, int],
    reasons: Mapping[Reason, int],
    again: Mapping[Reason, int],
    totals: Totals,
    active: Sequence[Batch],
    quotas: Mapping[str, int],
    failures: str | None,
    now: datetime,
    copies: int = 0,
    copies_saved_pusd: int | None = 0,
) -> RunStatus:
    """Put together what the store knows of a run; `active` are its batches in `ACTIVE_STATES`."""
    succeeded, failed = states.get(RequestState.SUCCEEDED, 0), states.get(RequestState.FAILED, 0)
    cancelled = states.get(RequestState.CANCELLED, 0)
    still_open = sum(states.get(state, 0) for state in OPEN_STATES)
    through = succeeded + failed + cancelled
    return RunStatus(
        run_id=run.run_id,
        task_name=run.spec.task_name,
        tenant=run.spec.tenant,
        state=run.state,
        mode=run.spec.mode,
        priority=run.spec.priority,
        deadline=deadline_of(run),
        hurried=run.hurried_at is not None,
        pause_reason=run.pause_reason,
        pause_message=run.pause_message,
        sealed=run.sealed,
        records=through + still_open,
        succeeded=succeeded,
        failed=failed,
        cancelled=cancelled,
        open=still_open,
        in_batch=states.get(RequestState.IN_BATCH, 0),
        asked_again=dict(again),
        failures_by_reason=dict(reasons),
        batches=totals.batches,
        batches_done=totals.batches_done,
        active=tuple(_view(batch) for batch in active),
        requests_sent=totals.requests_sent,
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        enqueued_tokens=sum(
            batch.tokens for batch in active if batch.state in IN_FLIGHT_STATES and batch.mode is Mode.BATCH
        ),
        quotas=dict(quotas),
        cost_pusd=totals.cost_pusd,
        sync_cost_pusd=totals.sync_cost_pusd,
        wasted_pusd=totals.wasted_pusd,
        token_error=run.billed_tokens / run.counted_tokens - 1 if run.counted_tokens else None,
        eta=eta(through, through + still_open, totals.started_at, now) if still_open and run.sealed else None,
        created_at=run.created_at,
        finished_at=run.finished_at,
        output=run.spec.output,
        failures=failures if failed else None,
        unchanged=run.unchanged_count,
        copies=copies,
        copies_saved_pusd=copies_saved_pusd,
    )


def totals_of(batches: Sequence[Batch]) -> Totals:
    """What a store says of these batches in one line."""
    closed = [batch for batch in batches if batch.settled_at is not None]
    sent = [batch for batch in batches if batch.submitted_at is not None and batch.state not in UNSENT]
    return Totals(
        batches=len(batches),
        batches_done=len(closed),
        requests_sent=sum(batch.requests for batch in sent),
        started_at=min((batch.submitted_at for batch in sent if batch.submitted_at), default=None),
        input_tokens=sum(batch.input_tokens for batch in closed),
        output_tokens=sum(batch.output_tokens for batch in closed),
        cost_pusd=_sum(batch.cost_pusd for batch in closed),
        sync_cost_pusd=_sum(batch.sync_cost_pusd for batch in closed),
        wasted_pusd=_sum(batch.wasted_pusd for batch in closed),
    )


def eta(
    through: int, records: int, started: datetime | None, now: datetime
) -> tuple[timedelta, timedelta] | None:
    """From how long the part that is through has taken; a range, because batches come in lumps."""
    if started is None or now <= started or through < max(1, records * ETA_FROM):
        return None
    left = (now - started) * ((records - through) / through)
    return left * 0.7, left * 1.8


def summary(status: RunStatus) -> dict[str, object]:
    """The one JSON object of `--json`: the contract with scripts. Add keys, never change one."""
    return {
        "run_id": status.run_id,
        "state": status.state,
        "records": status.records,
        "succeeded": status.succeeded,
        "failed": status.failed,
        "cancelled": status.cancelled,
        "open": status.open,
        "batches": status.batches,
        "requests_sent": status.requests_sent,
        "input_tokens": status.input_tokens,
        "output_tokens": status.output_tokens,
        "cost_usd": format_usd(status.cost_pusd),
        "sync_cost_usd": format_usd(status.sync_cost_pusd),
        "savings_usd": format_usd(status.savings_pusd),
        "wasted_usd": format_usd(status.wasted_pusd),
        "output": status.output,
        "failures": status.failures,
        "failures_by_reason": {reason.value: n for reason, n in status.failures_by_reason.items()},
        "mode": status.mode,
        "deadline": None if status.deadline is None else status.deadline.isoformat(),
        "hurried": status.hurried,
        "pause_reason": status.pause_reason,
        "pause_message": status.pause_message,
        "token_error": status.token_error,
        "unchanged": status.unchanged,
        "copies": status.copies,
        "copies_saved_usd": format_usd(status.copies_saved_pusd),
    }


def usd(pusd: int | None) -> Decimal | None:
    """Pico-USD as a decimal number of dollars."""
    return None if pusd is None else Decimal(pusd) / 10**12


def _view(batch: Batch) -> BatchView:
    return BatchView(
        batch_id=batch.batch_id,
        state=batch.state,
        status=batch.status,
        model=batch.model,
        requests=batch.requests,
        tokens=batch.tokens,
        completed=batch.completed,
        failed=batch.failed,
        submitted_at=batch.submitted_at,
    )


def _sum(values: Iterable[int | None]) -> int | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total
