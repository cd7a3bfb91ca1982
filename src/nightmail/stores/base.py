"""The store port, in the words of the domain: what nightmail remembers.

Four groups, one per table that matters. Every write that belongs to a run is fenced: it names the
lease under which it is made, and changes nothing (`LeaseLost`) when another worker has taken the run
over. Every state change is a compare-and-set on the old state. A method is one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from nightmail.core.batch import Batch, BatchState
from nightmail.core.ids import BatchId, RunId
from nightmail.core.lifecycle import BatchEvent, RunEvent
from nightmail.core.quota import Enqueued, Hold, Learned
from nightmail.core.run import KeyKind, PauseReason, Run, RunSpec, Wish
from nightmail.stores.base_copies import Copies, CopyCounts, DueCopy, Kept, Same, Shared, Told
from nightmail.stores.base_events import Events
from nightmail.stores.base_figures import FigureReader
from nightmail.stores.base_history import History
from nightmail.stores.base_inquiries import BatchWhole, Failing, Inquiries, Seen, Troubled
from nightmail.stores.base_intakes import Cut, Handed, HandedPage, IntakeRow, Intakes, Segment, Taken
from nightmail.stores.base_notices import Notices
from nightmail.stores.base_pages import Cost, PageRow, Pages, Queue
from nightmail.stores.base_requests import Requests
from nightmail.stores.base_schedules import Delivered, Schedules
from nightmail.stores.base_tenants import Tenants
from nightmail.stores.nouns import (
    Address,
    Admission,
    Asked,
    Attempt,
    BatchSums,
    Before,
    Event,
    FailedRow,
    Failure,
    Group,
    Key,
    Lease,
    Member,
    NewBatch,
    NewLine,
    Ready,
    ReadyRows,
    RequestRow,
    Setback,
    Shard,
    Spending,
    StoredShard,
    Tally,
    Tenure,
)

__all__ = [
    "Address",
    "Admission",
    "Asked",
    "Attempt",
    "BatchSums",
    "BatchWhole",
    "Batches",
    "Before",
    "Copies",
    "CopyCounts",
    "Cost",
    "Cut",
    "DueCopy",
    "Event",
    "Events",
    "FailedRow",
    "Failing",
    "Failure",
    "Group",
    "Handed",
    "HandedPage",
    "History",
    "Inquiries",
    "IntakeRow",
    "Intakes",
    "Kept",
    "Key",
    "Lease",
    "Member",
    "NewBatch",
    "NewLine",
    "PageRow",
    "Pages",
    "Queue",
    "Ready",
    "ReadyRows",
    "RequestRow",
    "Requests",
    "Runs",
    "Same",
    "Seen",
    "Segment",
    "Setback",
    "Shard",
    "Shared",
    "Spending",
    "Store",
    "StoredShard",
    "Taken",
    "Tally",
    "Tenants",
    "Tenure",
    "Told",
    "Troubled",
]


class Runs(Protocol):
    async def record(
        self,
        *,
        run_id: RunId,
        identity: str,
        spec: RunSpec,
        fingerprint: Mapping[str, str],
        now: datetime,
    ) -> Run:
        """Write a new run down, or return the one that has the id already."""
        ...

    async def read(self, run_id: RunId) -> Run | None: ...
    async def list(self, *, identity: str | None = None) -> list[Run]:
        """All runs, oldest first; of one identity if given."""
        ...

    async def unfinished(self) -> Sequence[Run]:
        """Runs that are not at their end, or finished and not delivered, oldest first."""
        ...

    async def page(self, *, tenant: str | None, before: RunId | None, limit: int) -> Sequence[Run]:
        """Runs older than the run `before`, the newest first; of one tenant if given."""
        ...

    async def claim(
        self,
        *,
        run_id: RunId | None,
        token: str,
        now: datetime,
        until: datetime,
        dead: Sequence[str] = (),
        idle: bool = False,
    ) -> Lease | None:
        """Take a run that has work (or, `idle`, any) and no living lease: the oldest, or the one named.
        Leases with the tokens `dead` are known to be over before their time."""
        ...

    async def leases(self) -> Sequence[Tenure]:
        """All leases, living or not."""
        ...

    async def record_lease(self, lease: Lease, *, until: datetime) -> None:
        """Keep the lease longer. Raises `LeaseLost`."""
        ...

    async def delete_lease(self, lease: Lease) -> None:
        """Give the run back. A lease already lost is left alone."""
        ...

    async def record_event(
        self,
        run_no: int,
        event: RunEvent,
        *,
        now: datetime,
        reason: PauseReason | None = None,
        message: str | None = None,
        lease: Lease | None = None,
    ) -> Run:
        """Move the run by its table. Without a lease this is a client's doing (pause, resume, reopen)."""
        ...

    async def delete_unsent(self, run_no: int) -> bool:
        """Forget a run of which nothing was ever put into a batch; False if something was."""
        ...

    async def record_hurried(self, lease: Lease, *, now: datetime) -> Run:
        """The run leaves the batch API for its deadline; its batches in flight are due at once."""
        ...

    async def record_wish(self, run_no: int, wish: Wish | None) -> None: ...
    async def record_spec(self, run_no: int, spec: RunSpec, fingerprint: Mapping[str, str]) -> Run:
        """How the run travels has changed, or a changed task was accepted."""
        ...

    async def record_key(self, lease: Lease, *, name: str, kind: KeyKind) -> None: ...
    async def record_delivered(self, lease: Lease, *, now: datetime) -> None: ...
    async def record_undelivered(self, run_no: int) -> None:
        """The output is gone; a worker is to deliver it again."""
        ...


class Batches(Protocol):
    async def record_planned(
        self, lease: Lease, batches: Sequence[NewBatch], *, now: datetime
    ) -> list[Batch]:
        """Write batches down and move their requests into them."""
        ...

    async def claim_submit(
        self, lease: Lease, batch: Batch, admission: Admission, *, event: BatchEvent, now: datetime
    ) -> Batch | Hold:
        """Move a planned batch by `event` and reserve its tokens and its money, if the account's queue,
        the hour and the budget have room and it is this run's turn: one step, with respect to every
        other worker's. Else why not; then the run is noted as waiting."""
        ...

    async def record_recalled(self, lease: Lease, batch: Batch) -> Batch:
        """A planned batch is given up, and its requests are ready again."""
        ...

    async def spending(self, run_no: int) -> Spending: ...
    async def learned(self, account: str, model: str) -> Learned:
        """What the provider's refusals have taught about a model's queue."""
        ...

    async def record_refusal(self, lease: Lease, batch: Batch, *, said: int | None, now: datetime) -> Learned:
        """The provider refused the batch because its queue is full; `said` is the limit it named."""
        ...

    async def record_acceptance(self, lease: Lease, batch: Batch) -> None:
        """The provider has taken the batch into its queue."""
        ...

    async def record(
        self,
        lease: Lease,
        batch: Batch,
        event: BatchEvent | None,
        *,
        now: datetime,
        seen: Seen | None = None,
        **changes: Any,
    ) -> Batch:
        """Move the batch by its table (or not at all, event None) and note what changed, and what the look
        showed that it is told after."""
        ...

    async def record_extra(
        self, lease: Lease, batch: Batch, provider_batch_id: str, *, now: datetime, **changes: Any
    ) -> Batch:
        """Write down that the provider has `batch` a second time, under this id: a batch of its own, in
        progress. Requests that `batch` had and that are open and in no batch now are moved into it."""
        ...

    async def read(self, batch_id: BatchId) -> Batch | None: ...
    async def list(self, run_no: int, *, states: Sequence[BatchState] | None = None) -> list[Batch]: ...
    async def provider_ids(self, account: str) -> dict[str, BatchId]:
        """Every provider batch id that is known to be ours in this home."""
        ...

    async def count_enqueued(self, account: str, model: str) -> Enqueued: ...


class Store(Protocol):
    """Opened with `StoreClass.open(home)`, which migrates the schema under a lock."""

    @property
    def runs(self) -> Runs: ...
    @property
    def requests(self) -> Requests: ...
    @property
    def batches(self) -> Batches: ...
    @property
    def copies(self) -> Copies: ...
    @property
    def events(self) -> Events: ...
    @property
    def notices(self) -> Notices: ...
    @property
    def figures(self) -> FigureReader: ...
    @property
    def history(self) -> History: ...
    @property
    def tenants(self) -> Tenants: ...
    @property
    def pages(self) -> Pages: ...
    @property
    def inquiries(self) -> Inquiries: ...
    @property
    def intakes(self) -> Intakes: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def delivered(self) -> Delivered: ...

    async def copy(self, folder: Path) -> None:
        """Write everything, as it is at one moment, into another folder, from which it can be opened. Others
        go on meanwhile."""
        ...

    async def close(self) -> None: ...
