"""What a store takes and gives: plain values, no behaviour; re-exported by `base`, which is the import.

What a batch has tens of thousands of is a column of plain values, or a struct outside the garbage collector's
care: such a struct costs a third of a named tuple's time to make, and no collection ever walks it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.lifecycle import RequestEvent
from nightmail.core.limits import Limits
from nightmail.core.planning import Items
from nightmail.core.request import Endpoint, Mode, RequestState
from nightmail.core.result import Finish

Key = int | str


class Lease(NamedTuple):
    """The right to drive one run, until a time. The token is the fence."""

    run_no: int
    token: str


class Tenure(NamedTuple):
    """A lease as others see it: whose, and until when if it is not renewed."""

    run_no: int
    token: str
    until: datetime


class Address(NamedTuple):
    """Where bytes are in the spool."""

    file_no: int
    offset: int
    length: int


class ReadyRows(msgspec.Struct, frozen=True, kw_only=True):
    """Requests as they enter: columns of one length, ascending numbers, lines in this order in the file."""

    seqs: list[int] = []
    keys: list[Key] = []
    group_nos: list[int] = []
    tokens: list[int] = []
    inputs: list[int] = []
    lengths: list[int] = []


class FailedRow(NamedTuple):
    """A record of which no request could be made."""

    seq: int
    key: Key
    reason: Reason
    message: str


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """The requests made from one piece of the source: one transaction.

    `position` is where reading goes on; `source_path` and `source_row` say where the piece began. The request
    lines are in `file_path` (relative to the spool), the piece itself in `piece_path` (None where the task
    never asks for records again). Of its `record_count` records those that are neither ready nor failed are
    left out, as unchanged. The keys of those that are `alone` will be compared."""

    shard_no: int
    first_seq: int
    record_count: int
    source_path: str
    source_row: int
    position: str
    file_path: str
    file_bytes: int
    piece_path: str | None
    ready: ReadyRows
    failed: list[FailedRow]
    alone: bool = False


class StoredShard(NamedTuple):
    """Where the records `first_seq` to `first_seq + record_count - 1` came from."""

    shard_no: int
    first_seq: int
    record_count: int
    source_path: str
    source_row: int
    piece_path: str | None


class Group(NamedTuple):
    """Requests that may share a batch."""

    group_no: int
    model: str
    endpoint: Endpoint


class Ready(NamedTuple):
    """Requests of one group that may be put into a batch, in order."""

    group: Group
    items: Items


class NewBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch to be written down: its requests by their numbers, ascending."""

    group: Group
    mode: Mode
    account: str
    seqs: list[int]
    tokens: int
    bytes: int
    inputs: int


class Member(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A request of a batch, as much of it as judging and sending need."""

    seq: int
    key: Key
    attempts: int
    expiries: int
    tokens: int
    file_no: int
    offset: int
    length: int
    spent_input: int
    spent_output: int
    spent_pusd: int | None


class Before(NamedTuple):
    """What a request of a batch took before it: answered attempts, tokens, money in pico-USD."""

    attempts: int
    input_tokens: int
    output_tokens: int
    pusd: int | None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of a batch, as much of them as judging needs: columns of one length, by ascending
    number, and what was `before` for those that were asked before."""

    seqs: list[int]
    keys: list[Key]
    tokens: list[int]
    before: dict[int, Before] = {}


class NewLine(NamedTuple):
    """A request's replacement line: another body for its next attempt."""

    address: Address
    group_no: int
    tokens: int


class Setback(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that did not succeed, and what becomes of the request.

    `event` is FAILED, RETURNED, POSTPONED (then `due_at`) or GIVEN_UP. `answer` is where the result
    line is, if one came. `line` replaces the request's line for the next attempt."""

    seq: int
    event: RequestEvent
    reason: Reason
    message: str
    outcome: str
    finish: Finish | None = None
    costs_attempt: bool = False
    costs_expiry: bool = False
    answer: Address | None = None
    due_at: datetime | None = None
    line: NewLine | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_pusd: int | None = 0


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold for a batch to be submitted. Money in pico-USD; None: unknown, or no ceiling."""

    limits: Limits
    tokens: int  # what the batch will count for in the model's queue
    priority: int = 0
    reserve_pusd: int | None = None
    learned: bool = True  # have answers of this run come, from which the reservation was learned?
    budget_pusd: int | None = None
    daily_pusd: int | None = None


class Spending(NamedTuple):
    """What a run's settled batches have brought and cost, and what is reserved for the others."""

    answers: int
    output_tokens: int
    spent_pusd: int
    reserved_pusd: int


class BatchSums(msgspec.Struct, frozen=True, kw_only=True):
    """What a settled batch used and cost; see `Batch`."""

    succeeded: int
    answers: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_pusd: int | None
    sync_cost_pusd: int | None
    wasted_pusd: int | None
    # Calibration: our own count of the requests whose usage came back, and that usage.
    counted_tokens: int
    compared_tokens: int


class Attempt(NamedTuple):
    """A past attempt that did not succeed."""

    seq: int
    number: int
    batch_id: BatchId | None
    model: str | None  # as the batch asked for it; None if no request was sent
    outcome: str
    reason: Reason
    message: str
    finish: Finish | None
    request: Address | None  # the line that was sent; None if there was none
    answer: Address | None
    input_tokens: int
    output_tokens: int
    cost_pusd: int | None
    ended_at: datetime


class Failure(NamedTuple):
    """A record that failed for good, with its last answer and everything that was tried."""

    seq: int
    key: Key
    reason: Reason
    history: list[Attempt]
    attempts: int
    answer: Address | None
    batch_no: int | None
    spent_input: int
    spent_output: int
    spent_pusd: int | None


class RequestRow(NamedTuple):
    """One request, whole: for looking at a record."""

    seq: int
    key: Key
    state: RequestState
    attempts: int
    expiries: int
    model: str
    tokens: int
    request: Address | None
    answer: Address | None
    reason: Reason | None
    batch_id: BatchId | None
    batch_no: int | None
    spent_input: int
    spent_output: int
    spent_pusd: int | None


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests of a run are in each state, and how many failed for which reason."""

    states: dict[RequestState, int]
    reasons: dict[Reason, int]
    again: dict[Reason, int]  # attempts that were (or will be) followed by another, by what was wrong


class Event(NamedTuple):
    """Something that happened, for people: told once, never decided from."""

    at: datetime
    run_id: RunId
    batch_id: BatchId | None
    name: str
    detail: dict[str, Any]
