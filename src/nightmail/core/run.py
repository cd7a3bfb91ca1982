"""One execution of a task over a source."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from nightmail.core.ids import RunId
from nightmail.core.request import Mode


class RunState(StrEnum):
    """Where a run is. Stored as text; the names are part of the database format."""

    OPEN = "open"  # the source may still give records
    DRAINING = "draining"  # every record is in; what is there is being worked off
    PAUSED = "paused"  # nothing new is sent until somebody acts; the reason is beside it
    FINISHED = "finished"  # every record has its final state and the output is delivered
    CANCELLED = "cancelled"  # given up by the user; what had succeeded is delivered


class PauseReason(StrEnum):
    """Why a run is paused, by who must act."""

    USER = "user"
    BUDGET = "budget"
    BILLING = "billing"
    CREDENTIALS = "credentials"


class Wish(StrEnum):
    """What a client has asked for and a worker has not carried out yet."""

    CANCEL = "cancel"


class KeyKind(StrEnum):
    """What a run's keys are; decided by its first record."""

    ROW = "row"  # the input names no key: the row number in the whole source, from 1
    INTEGER = "integer"
    TEXT = "text"


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is to do, as it is stored: no key, no prompt."""

    # What the run is: a change here is another run.
    task: str  # "package.module:Class", "/path/file.py:Class"; "__main__:Class" if only its process has it
    task_name: str
    model: str | None = None
    source_format: str = "jsonl"
    source_paths: tuple[str, ...] = ()
    source_name: str = ""  # as the user wrote it
    key: str | None = None
    limit: int | None = None
    output: str | None = None
    skip_bad_rows: bool = False
    provider: str = "openai"
    base_url: str | None = None
    tenant: str | None = None  # whose it is, where several share a home
    # How it travels: may change from one command to the next.
    mode: Mode = Mode.BATCH
    max_attempts: int = 4
    budget_usd: str | None = None
    daily_budget_usd: str | None = None
    deadline_seconds: float | None = None  # from the run's first start
    priority: int = 0
    quotas: dict[str, int] = {}
    max_batch_requests: int | None = None
    max_batch_bytes: int | None = None
    max_active_batches: int | None = None
    poll_interval: float | None = None
    keep_remote_files: bool = False
    dedupe: bool = True  # are requests that are the same sent once?
    # The schedule that started it; `only_new` leaves out what its earlier runs have delivered unchanged.
    schedule_no: int | None = None
    only_new: bool = False


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the store has it. `position` is where reading the source goes on (JSON, the source's
    own), `record_count` how many records have been read, `unchanged_count` how many of these were left out,
    `planned_seq` up to which they have been put into a first batch, `hurried_at` when its deadline made it
    leave the batch API."""

    run_no: int
    run_id: RunId
    identity: str
    state: RunState
    spec: RunSpec
    fingerprint: dict[str, str]
    created_at: datetime
    sealed: bool = False
    pause_reason: PauseReason | None = None
    pause_message: str | None = None
    wish: Wish | None = None
    position: str | None = None
    key_name: str | None = None
    key_kind: KeyKind | None = None
    record_count: int = 0
    unchanged_count: int = 0
    planned_seq: int = 0
    counted_tokens: int = 0
    billed_tokens: int = 0
    hurried_at: datetime | None = None
    finished_at: datetime | None = None
    delivered_at: datetime | None = None
