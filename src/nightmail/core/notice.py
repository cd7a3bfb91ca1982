"""What somebody is to be told, and the id that makes it one notice however often it is found."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from nightmail.core.ids import BatchId, RunId
from nightmail.core.progress import RunStatus


class NoticeKind(StrEnum):
    """What somebody can be told. Stored and sent as text; add kinds, never change one."""

    RUN_FINISHED = "run_finished"  # every record has its final state and the output is delivered
    RUN_CANCELLED = "run_cancelled"  # its end was wished, and has come
    RUN_PAUSED = "run_paused"  # credentials, billing or a budget: somebody must act
    RUN_PUT_OFF = "run_put_off"  # a worker cannot drive it: its task, its input or its settings
    SCHEDULE_PUT_OFF = "schedule_put_off"  # the run of a schedule cannot be begun
    FAILURES_HIGH = "failures_high"  # a large share of what is through has failed
    BUDGET_USED = "budget_used"  # half, four fifths or all of a run's or a day's money is spent
    QUOTA_LEARNED = "quota_learned"  # the provider named how much a model's queue takes
    QUOTA_BLOCKED = "quota_blocked"  # the provider takes nothing for a model now; it is tried again
    BATCH_EXPIRED = "batch_expired"  # the provider did not do all of it in time; the rest goes again
    BATCH_STUCK = "batch_stuck"  # nothing has changed about it for hours
    BATCH_DOUBTFUL = "batch_doubtful"  # nobody can find out whether the provider has it: a person must
    DEADLINE_AT_RISK = "deadline_at_risk"  # the run may not be over in time


class Happening(NamedTuple):
    """An event as the store has it, with its number."""

    event_no: int
    at: datetime
    run_id: RunId
    batch_id: BatchId | None
    name: str
    detail: dict[str, Any]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something to tell. `to_do` is what can be done about it, if there is something; `eta` the range of
    times in which the run will probably be over; `facts` the same as `text`, for programs."""

    notice_id: str
    kind: NoticeKind
    at: datetime
    run_id: RunId | None
    batch_id: BatchId | None = None
    title: str
    text: str
    to_do: str | None = None
    eta: tuple[datetime, datetime] | None = None
    facts: dict[str, Any] = {}


class Making:
    """Makes notices of one run (or of none) with their ids and the run's ETA."""

    def __init__(self, home: str, at: datetime, status: RunStatus | None, now: datetime) -> None:
        self._home = home
        self._at = at
        self.status = status
        self._now = now

    def __call__(
        self,
        kind: NoticeKind,
        title: str,
        text: str,
        *,
        key: Sequence[object],
        to_do: str | None = None,
        batch_id: BatchId | None = None,
        facts: dict[str, Any] | None = None,
    ) -> Notice:
        status = self.status
        # A run that was forgotten and begun again has the same id and is another run.
        run = () if status is None else (status.run_id, status.created_at.isoformat())
        parts = "\0".join(str(each) for each in (self._home, kind, *run, *key))
        eta = None
        if status is not None and status.eta is not None and status.finished_at is None:
            eta = (self._now + status.eta[0], self._now + status.eta[1])
        return Notice(
            notice_id="ntc_" + hashlib.sha256(parts.encode()).hexdigest()[:32],
            kind=kind,
            at=self._at,
            run_id=None if status is None else status.run_id,
            batch_id=batch_id,
            title=title,
            text=text,
            to_do=to_do,
            eta=eta,
            facts=facts or {},
        )
