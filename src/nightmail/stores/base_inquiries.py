"""The store's part for a person who asks: a batch whole, why it failed, which record has a key.

Every answer is bounded, and found by an index or in a stretch of rows whose length the caller gives, so
that no question holds up what a worker has to write down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from nightmail.core.batch import Batch
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.run import Run
from nightmail.stores.base_pages import PageRow
from nightmail.stores.nouns import Event, Key


class Seen(NamedTuple):
    """What a look at a batch showed: the provider's own status, counts and object (JSON)."""

    status: str
    total: int | None
    completed: int | None
    failed: int | None
    object: str


class Look(NamedTuple):
    """What the provider said of a batch when it said something new."""

    at: datetime
    status: str
    total: int | None
    completed: int | None
    failed: int | None


class Cause(NamedTuple):
    """How many requests of a batch did not succeed in it, and why."""

    outcome: str
    reason: Reason
    requests: int


class BatchWhole(msgspec.Struct, frozen=True, kw_only=True):
    """A batch with everything that is kept about it. `object` is the provider's own, as it was seen at
    `object_seen_at`; `doubles` are the batches that have the same requests at the provider."""

    batch: Batch
    run_id: RunId
    tenant: str | None
    object: str | None
    object_seen_at: datetime | None
    looks: Sequence[Look]  # oldest first
    causes: Sequence[Cause]  # the most frequent first
    doubles: Sequence[BatchId]
    events: Sequence[Event]  # oldest first


class Failing(NamedTuple):
    """How many records of how many runs failed for a reason."""

    reason: Reason
    records: int
    runs: int


class Troubled(NamedTuple):
    """A batch that failed whole, or expired."""

    batch: Batch
    run_id: RunId


class Waiting(NamedTuple):
    """A run that asks for room in a model's queue."""

    account: str
    model: str
    run_id: RunId
    since: datetime


class Use(NamedTuple):
    """What a tenant has in flight in a model's queue; None: runs that are nobody's."""

    account: str
    model: str
    tenant: str | None
    tokens: int


class Inquiries(Protocol):
    async def batch(self, batch_id: BatchId, *, limit: int) -> BatchWhole | None:
        """A batch, with its newest `limit` looks and events."""
        ...

    async def reasons(self, *, tenant: str | None) -> Sequence[Failing]:
        """Why records failed, over all runs, the most frequent first."""
        ...

    async def failing_runs(
        self, *, tenant: str | None, reason: Reason | None, before: RunId | None, limit: int
    ) -> Sequence[tuple[Run, Mapping[Reason, int]]]:
        """Runs older than `before` that have failed records, for one reason if given, the newest first, with
        how many for which reason."""
        ...

    async def failed(
        self, run_no: int, *, reason: Reason | None, after: int, limit: int
    ) -> Sequence[PageRow]:
        """Failed requests numbered above `after`, in order; for one reason if given."""
        ...

    async def troubled_batches(
        self, *, tenant: str | None, before: BatchId | None, limit: int
    ) -> Sequence[Troubled]:
        """Batches that failed whole or expired, older than `before`, the newest first."""
        ...

    async def events(
        self, names: Sequence[str], *, tenant: str | None, among: int, limit: int
    ) -> Sequence[Event]:
        """The newest events of these names, the newest first, as far as they are `among` so many of all."""
        ...

    async def find(
        self,
        run_no: int,
        text: str,
        *,
        number: int | None,
        beginning: bool,
        after: int,
        upto: int,
        limit: int,
    ) -> Sequence[tuple[int, Key]]:
        """(seq, key) of requests numbered above `after` up to `upto` whose key is `text` or `number`, or,
        `beginning`, begins with `text`; in order. It looks at each of these rows: an index of keys would
        cost every request more than all these looks together (decision 0010)."""
        ...

    async def given_quotas(self) -> Mapping[str, tuple[int, int]]:
        """By model, the least and the most tokens that unfinished runs may have in its queue, as their
        users said."""
        ...

    async def waiting(self, *, tenant: str | None, limit: int) -> Sequence[Waiting]:
        """Runs that ask for room, those that wait longest first."""
        ...

    async def uses(self, *, tenant: str | None) -> Sequence[Use]:
        """What is in flight, by queue and tenant."""
        ...
