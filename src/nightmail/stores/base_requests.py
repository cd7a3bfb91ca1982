"""The part of the store port that keeps requests; see `base.py`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from nightmail.core.answer_index import AnswerIndex
from nightmail.core.batch import Batch
from nightmail.core.failure import Reason
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.request import Endpoint
from nightmail.stores.base_copies import Same
from nightmail.stores.nouns import (
    Address,
    Asked,
    Attempt,
    BatchSums,
    FailedRow,
    Failure,
    Group,
    Key,
    Lease,
    Member,
    NewBatch,
    Ready,
    RequestRow,
    Setback,
    Shard,
    StoredShard,
    Tally,
)


class Requests(Protocol):
    async def record_group(self, lease: Lease, *, model: str, endpoint: Endpoint) -> Group:
        """The group of a model and an endpoint, made if it is new."""
        ...

    async def list_groups(self, run_no: int) -> list[Group]: ...
    async def record_shard(
        self, lease: Lease, shard: Shard, *, now: datetime, same: Same | None = None
    ) -> None:
        """Put a piece's requests in, those that are the `same` as earlier ones as copies."""
        ...

    async def list_shards(self, run_no: int) -> list[StoredShard]: ...
    async def duplicate_keys(self, run_no: int, *, limit: int) -> list[tuple[Key, list[int]]]:
        """Keys that more than one record has, with their sequence numbers."""
        ...

    async def record_failed(self, lease: Lease, rows: Sequence[FailedRow], *, now: datetime) -> None:
        """Ready requests that must not be sent after all."""
        ...

    async def list_ready(self, run_no: int, *, now: datetime, limit: int) -> list[Ready]:
        """Up to `limit` requests to put into batches now: those asked again first, then the new. One that
        waits for longer than any may has been waiting since before the clock was set back: it is ready."""
        ...

    async def next_due(self, run_no: int) -> datetime | None:
        """When the first waiting request will be ready."""
        ...

    async def members(self, batch: Batch, seqs: Sequence[int] | None = None) -> list[Member]:
        """Those of a batch that wait for an outcome, or of these numbers, by ascending number."""
        ...

    async def asked(self, batch: Batch) -> Asked:
        """The same, as much of them as judging needs."""
        ...

    async def ranges(self, batch: Batch) -> list[Address]:
        """Where the lines of a batch's requests are, in that order; some or all neighbours are joined."""
        ...

    async def record_outcomes(
        self,
        lease: Lease,
        batch: Batch,
        *,
        successes: AnswerIndex,
        setbacks: Sequence[Setback],
        sums: BatchSums,
        event: BatchEvent,
        now: datetime,
        extras: Sequence[tuple[Batch, BatchSums]] = (),
        replanned: Sequence[NewBatch] = (),
    ) -> Batch:
        """Each request of the batch gets its one outcome and the batch moves by `event`, all at once: those
        without a setback have succeeded, and `successes` tells where their answers are. `IllegalMove` if
        these are not as many. The batch's `extras`, which were judged with it, are settled with it, and the
        batches in which its requests go again are written down."""
        ...

    async def record_revalidated(self, lease: Lease, accepted: Sequence[Failure], *, now: datetime) -> None:
        """Failed requests whose stored answer is good after all."""
        ...

    async def record_retried(self, run_no: int, *, reasons: Sequence[Reason] | None, now: datetime) -> int:
        """Failed requests of a finished run back to ready with new ceilings; how many. If any, the run
        is open again, in the same transaction; without a lease, because a finished run has none."""
        ...

    async def miscounted(self, run_no: int) -> tuple[dict[str, int], dict[str, int]] | None:
        """The tallies and the counted rows by state, if they differ."""
        ...

    async def record_given_up(self, lease: Lease, *, now: datetime) -> int:
        """Every request that is in no batch is cancelled; how many."""
        ...

    async def count(self, run_no: int) -> Tally: ...
    async def count_successes(self, run_no: int, first: int, last: int) -> dict[int, int]:
        """How many of the requests numbered first to last succeeded in each batch."""
        ...

    async def list_successes(self, run_no: int, first: int, last: int) -> list[tuple[int, int]]:
        """(seq, batch_no) of the succeeded requests in a range of sequence numbers."""
        ...

    async def list_failures(self, run_no: int, *, after: int, limit: int) -> list[Failure]: ...
    async def read(self, run_no: int, seq: int) -> RequestRow | None: ...
    async def list_attempts(self, run_no: int, seq: int) -> list[Attempt]: ...
    async def record_file(self, lease: Lease, *, path: str, bytes: int) -> int:
        """Number a spool file."""
        ...

    async def file_paths(self, run_no: int) -> dict[int, str]: ...
