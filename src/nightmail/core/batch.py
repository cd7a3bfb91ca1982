"""What a provider accepts as one unit: our state of it, and the provider's word for it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from nightmail.core.ids import BatchId
from nightmail.core.request import Endpoint, Mode


class BatchState(StrEnum):
    """Where a batch is in our lifecycle. Stored as text; the names are part of the database format."""

    PLANNED = "planned"  # sized and written down; nothing has been sent
    SUBMITTING = "submitting"  # the intent is on disk; the provider may or may not have it
    DOUBTFUL = "doubtful"  # a create call's answer was lost; `recover` finds out
    IN_PROGRESS = "in_progress"  # the provider gave us its id and is working
    ENDED = "ended"  # the provider is finished; not every request has its outcome here yet
    SETTLED = "settled"  # every request of it has exactly one outcome, durably
    FINALISED = "finalised"  # its files at the provider are deleted or kept by wish; nothing is left to do
    ABANDONED = "abandoned"  # the provider never accepted it; its requests went back


CLOSED_STATES = (BatchState.FINALISED, BatchState.ABANDONED)


class Phase(StrEnum):
    """A provider's status words, reduced to what we must know. Unknown words are `in_progress`."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


ENDED_PHASES = (Phase.COMPLETED, Phase.FAILED, Phase.EXPIRED, Phase.CANCELLED)

# The provider may hold these: their tokens count against the model's queue.
IN_FLIGHT_STATES = (BatchState.SUBMITTING, BatchState.DOUBTFUL, BatchState.IN_PROGRESS)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as the store has it. `tokens` is our count, `reserved_tokens` the same
    calibrated by what was billed so far, `reserved_pusd` what it will probably cost,
    `billed_*` the tokens that the provider says it has billed. The sums are filled
    when it is settled: how many answers came, what the provider billed for them, what synchronous calls
    would have cost, and what of it bought no accepted output; None where a price is unknown.

    `progressed_at` is when a look last showed another count or phase than the one before.

    `extra_of` is the number of the batch whose requests the provider has in this one a second time: an
    extra has requests of its own only if that one had been settled when it came to light.

    `seek_at` is when the provider's list is to show whether it has this batch twice; it is not finalised
    before. None: nobody has to look."""

    batch_no: int
    run_no: int
    batch_id: BatchId
    state: BatchState
    mode: Mode
    account: str
    model: str
    endpoint: Endpoint
    requests: int
    tokens: int
    bytes: int
    inputs: int
    first_seq: int
    last_seq: int
    created_at: datetime
    extra_of: int | None = None
    attempt: int = 0
    due_at: datetime | None = None
    seek_at: datetime | None = None
    polls: int = 0
    input_file_id: str | None = None
    provider_batch_id: str | None = None
    status: str | None = None
    phase: Phase | None = None
    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_line: int | None = None
    error_limit: int | None = None
    reserved_tokens: int | None = None
    reserved_pusd: int | None = None
    answers: int = 0
    billed_input: int | None = None
    billed_output: int | None = None
    billed_cached: int | None = None
    submitted_at: datetime | None = None
    progressed_at: datetime | None = None
    ended_at: datetime | None = None
    ingested_at: datetime | None = None
    settled_at: datetime | None = None
    finalised_at: datetime | None = None
    succeeded: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_pusd: int | None = None
    sync_cost_pusd: int | None = None
    wasted_pusd: int | None = None
