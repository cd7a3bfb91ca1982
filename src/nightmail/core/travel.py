"""How requests travel: as the user said, by the size of the run, and, as a deadline nears, by the clock.

A deadline is kept by leaving the batch API in time: what is unsent or would come too late goes by calls,
by flex first where the provider has it (it costs what a batch costs), and in the last stretch at once.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from nightmail.core.batch import Batch, Phase
from nightmail.core.request import Mode
from nightmail.core.run import Run

# Mode `auto`: a run of up to so many records is called at once, a larger one goes by batch.
FEW = 100
# Answers a second to reckon with before the first call is made; an account's limits may allow far more.
PACE = 10.0
# A cancelled batch may take ten minutes to end (facts A.1): its remainder is free only then.
CANCELLING = timedelta(minutes=10)
LAST_STRETCH = timedelta(minutes=15)
# However short the time, none of these takes more than its share of the whole of it.
SHARE = 4

_PART = re.compile(r"(\d+(?:\.\d+)?)([dhms])")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_duration(text: str) -> timedelta:
    """`6h`, `90m`, `1d12h` or `45s` as a length of time. Raises `ValueError`."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no length of time; write it like 6h, 90m or 1d12h")
    whole = timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
    if not whole:
        raise ValueError("a deadline has to lie in the future; write it like 6h, 90m or 1d12h")
    return whole


def deadline_of(run: Run) -> datetime | None:
    """When the run is to be over. Counted from its first start: repeating the command moves nothing."""
    if run.spec.deadline_seconds is None:
        return None
    return run.created_at + timedelta(seconds=run.spec.deadline_seconds)


def leaves_at(run: Run, *, open_requests: int) -> datetime | None:
    """When the run has to leave the batch API: late enough to cancel what is there and to call the rest."""
    deadline = deadline_of(run)
    if deadline is None:
        return None
    share = (deadline - run.created_at) / SHARE
    calls = min(timedelta(seconds=open_requests / PACE), share)
    return deadline - min(LAST_STRETCH, share) - calls - min(CANCELLING, share)


def in_last_stretch(run: Run, now: datetime) -> bool:
    """Is there no time left for calls that may be refused or take minutes?"""
    deadline = deadline_of(run)
    if deadline is None:
        return False
    return now >= deadline - min(LAST_STRETCH, (deadline - run.created_at) / SHARE)


def mode_of(run: Run, *, flex: bool, now: datetime) -> Mode:
    """How the run's next requests travel: batch, sync or flex; `flex` is whether their model has it."""
    calls = Mode.FLEX if flex and not in_last_stretch(run, now) else Mode.SYNC
    if run.hurried_at is not None:
        return calls
    if run.spec.mode is Mode.FLEX:
        return Mode.SYNC if in_last_stretch(run, now) else Mode.FLEX
    if run.spec.mode is Mode.AUTO:
        return calls if is_few(run.record_count - run.unchanged_count) else Mode.BATCH
    return run.spec.mode


def is_few(records: int) -> bool:
    """Is a run of so many records called at once by mode `auto`?"""
    return records <= FEW


def may_cost_more(run: Run) -> bool:
    """May a request that is planned for flex end as a call at full price?"""
    return run.spec.mode is not Mode.FLEX or run.spec.deadline_seconds is not None


def comes_too_late(batch: Batch, deadline: datetime, now: datetime) -> bool:
    """Will this batch, at the pace it has shown so far, end after the deadline?"""
    if batch.phase is Phase.FINALIZING:
        return False
    if not batch.completed or not batch.total or batch.submitted_at is None:
        return True
    pace = (now - batch.submitted_at) / batch.completed
    return now + pace * (batch.total - batch.completed) > deadline
