"""Statuses of runs, made up: what the command line is given to show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from nightmail.core.batch import BatchState
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.progress import BatchView, RunStatus
from nightmail.core.request import Mode
from nightmail.core.run import RunState

CENT = 10**10
STARTED = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)


def batch(number: int = 1, **changes: Any) -> BatchView:
    return msgspec.structs.replace(
        BatchView(
            batch_id=BatchId(f"topics-7f3a.b{number}"),
            state=BatchState.IN_PROGRESS,
            status="in_progress",
            model="gpt-4o-mini",
            requests=1000,
            tokens=112_400,
            completed=600,
            failed=10,
            submitted_at=STARTED,
        ),
        **changes,
    )


def status(**changes: Any) -> RunStatus:
    """A run in the middle of its night, unless changed."""
    return msgspec.structs.replace(
        RunStatus(
            run_id=RunId("topics-7f3a"),
            task_name="Topics",
            tenant=None,
            state=RunState.DRAINING,
            mode=Mode.BATCH,
            priority=0,
            deadline=None,
            hurried=False,
            pause_reason=None,
            pause_message=None,
            sealed=True,
            records=8412,
            succeeded=6216,
            failed=14,
            cancelled=0,
            open=2182,
            in_batch=2000,
            asked_again={Reason.TRUNCATED: 25, Reason.CHECK: 16},
            failures_by_reason={Reason.REFUSED: 9, Reason.CHECK: 5},
            batches=12,
            batches_done=8,
            active=(batch(9),),
            requests_sent=8000,
            input_tokens=1_310_000,
            output_tokens=90_000,
            enqueued_tokens=312_000,
            quotas={"gpt-4o-mini": 500_000},
            cost_pusd=8 * CENT,
            sync_cost_pusd=16 * CENT,
            wasted_pusd=CENT // 10,
            token_error=0.003,
            eta=(timedelta(seconds=9), timedelta(seconds=23)),
            created_at=STARTED,
            finished_at=None,
            output="/work/topics.parquet",
            failures="/work/topics.failures.jsonl",
        ),
        **changes,
    )


def finished(**changes: Any) -> RunStatus:
    """The same run when it is over."""
    ended: dict[str, Any] = {
        "state": RunState.FINISHED,
        "succeeded": 8398,
        "open": 0,
        "in_batch": 0,
        "batches_done": 12,
        "active": (),
        "enqueued_tokens": 0,
        "eta": None,
        "finished_at": STARTED + timedelta(seconds=31),
    }
    return status(**(ended | changes))
