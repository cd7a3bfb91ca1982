"""When records that wait in an intake leave it, and how many of them.

They leave as soon as there are enough of them for a batch, by number or by tokens, or the oldest has waited
long enough; the urgent first, then the old.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

# Of the record's JSON: exact counts come when its request is made.
BYTES_PER_TOKEN = 4


class IntakeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What an intake is for. `options` are those of a run."""

    task: str
    options: dict[str, Any] = {}
    max_records: int = 10_000  # that leave together
    max_tokens: int | None = None
    max_wait_seconds: float = 300.0
    max_waiting: int = 1_000_000  # above it nothing is taken in
    shared: bool = False  # may other tenants put records in?


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """An intake as the store has it. `tenant` owns it and the runs that come of it."""

    intake_no: int
    intake_id: str
    tenant: str | None
    spec: IntakeSpec
    closed: bool
    waiting: int
    waiting_tokens: int
    created_at: datetime
    oldest_at: datetime | None = None


def is_due(intake: Intake, now: datetime) -> bool:
    """Shall some leave now? A closed intake is emptied at once."""
    if not intake.waiting or intake.oldest_at is None:
        return False
    spec = intake.spec
    enough = intake.waiting >= spec.max_records or (
        spec.max_tokens is not None and intake.waiting_tokens >= spec.max_tokens
    )
    # A clock that was set back must not hold them for longer than they may wait.
    waited = abs(now - intake.oldest_at) >= timedelta(seconds=spec.max_wait_seconds)
    return enough or waited or intake.closed


def leaving(tokens: Iterable[int], spec: IntakeSpec) -> int:
    """How many of those that wait, in their order, leave together: at least one."""
    count = total = 0
    for each in tokens:
        total += each
        if count == spec.max_records or (count and spec.max_tokens is not None and total > spec.max_tokens):
            break
        count += 1
    return count


def tokens_of(length: int) -> int:
    """A guess at the tokens of a record of so many bytes."""
    return max(1, length // BYTES_PER_TOKEN)
