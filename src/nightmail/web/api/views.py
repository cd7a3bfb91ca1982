"""What the API shows of a run: the command line's `--json` object, and what moves while it goes on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from nightmail.core.pricing import format_usd
from nightmail.core.progress import BatchView, RunStatus, summary
from nightmail.stores.base import Event


class BatchShown(BaseModel):
    """A batch that the provider has. `status` is the provider's own word."""

    batch_id: str
    state: str
    status: str | None
    model: str
    requests: int
    tokens: int
    completed: int | None
    failed: int | None
    submitted_at: datetime | None


class RunShown(BaseModel):
    """A run. records = succeeded + failed + cancelled + open, always; money is in USD, null where a price is
    unknown; `eta_seconds` is a range; `unchanged` counts further records, which an earlier run of the
    schedule has delivered as they are. `copies` are records whose request is the same as another's, which
    alone is sent; the answered ones would have cost `copies_saved_usd`."""

    run_id: str
    task: str
    tenant: str | None
    state: str
    mode: str
    priority: int
    records: int
    succeeded: int
    failed: int
    cancelled: int
    open: int
    in_batch: int
    unchanged: int
    copies: int
    batches: int
    batches_done: int
    requests_sent: int
    input_tokens: int
    output_tokens: int
    enqueued_tokens: int
    quotas: dict[str, int]
    cost_usd: str | None
    sync_cost_usd: str | None
    savings_usd: str | None
    wasted_usd: str | None
    copies_saved_usd: str | None
    failures_by_reason: dict[str, int]
    asked_again: dict[str, int]
    pause_reason: str | None
    pause_message: str | None
    deadline: datetime | None
    hurried: bool
    sealed: bool
    token_error: float | None
    eta_seconds: tuple[float, float] | None
    created_at: datetime
    finished_at: datetime | None
    active: list[BatchShown]


class Runs(BaseModel):
    """A page of runs, the newest first. `next` is given to `before` for the page after it."""

    runs: list[RunShown]
    next: str | None


class EventShown(BaseModel):
    """Something that happened. `detail` never holds a prompt or an answer."""

    at: datetime
    run_id: str
    batch_id: str | None
    name: str
    detail: dict[str, Any]


class Events(BaseModel):
    events: list[EventShown]


def run_shown(status: RunStatus) -> RunShown:
    said = summary(status)
    own: dict[str, Any] = {name: said[name] for name in RunShown.model_fields if name in said}
    own |= {
        "cost_usd": usd_shown(status.cost_pusd),
        "sync_cost_usd": usd_shown(status.sync_cost_pusd),
        "savings_usd": usd_shown(status.savings_pusd),
        "wasted_usd": usd_shown(status.wasted_pusd),
        "copies_saved_usd": usd_shown(status.copies_saved_pusd),
    }
    return RunShown(
        **own,
        task=status.task_name,
        tenant=status.tenant,
        in_batch=status.in_batch,
        quotas=status.quotas,
        priority=status.priority,
        batches_done=status.batches_done,
        enqueued_tokens=status.enqueued_tokens,
        asked_again={reason.value: n for reason, n in status.asked_again.items()},
        sealed=status.sealed,
        eta_seconds=(status.eta[0].total_seconds(), status.eta[1].total_seconds()) if status.eta else None,
        created_at=status.created_at,
        finished_at=status.finished_at,
        active=[batch_shown(batch) for batch in status.active],
    )


def usd_shown(pusd: int | None) -> str | None:
    """Pico-USD as the API has money: a text in USD, null where a price is unknown."""
    return None if pusd is None else format_usd(pusd)


def batch_shown(batch: BatchView) -> BatchShown:
    return BatchShown(**{name: getattr(batch, name) for name in BatchShown.model_fields})


def event_shown(event: Event) -> EventShown:
    return EventShown(
        at=event.at, run_id=event.run_id, batch_id=event.batch_id, name=event.name, detail=event.detail
    )
