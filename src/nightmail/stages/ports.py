"""What a stage may touch: the ports of one run, and nothing else.

Stages that neither ask nor judge take `Access`, which needs no task: `nightmail doctor` carries them out
for runs whose task may be gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from nightmail.core.batch import Batch
from nightmail.core.ids import RunId
from nightmail.core.pricing import PriceTable
from nightmail.providers.base import Provider
from nightmail.sinks.base import Sink
from nightmail.sources.base import Source
from nightmail.spool import Spool
from nightmail.stages.shards import BuildOrder, BuiltPiece, JudgeOrder
from nightmail.stages.verdicts import Verdicts
from nightmail.stores.base import Lease, Store
from nightmail.tasks.prepared import PreparedTask
from nightmail.telemetry import EventName, log
from nightmail.tokens.base import Counter


class Clock(Protocol):
    """Time and chance, handed in so that tests can jump."""

    def now(self) -> datetime:
        """UTC, aware."""
        ...

    def chance(self) -> float:
        """In [0, 1)."""
        ...

    def token(self) -> str:
        """A name that nobody else has."""
        ...

    async def wait(self, seconds: float, *, wake: asyncio.Event | None = None) -> None:
        """Return after so many seconds, or as soon as `wake` is set."""
        ...


class Access(Protocol):
    """What the provider has of one run, and where it is written down, held under one lease."""

    @property
    def store(self) -> Store: ...
    @property
    def spool(self) -> Spool: ...
    @property
    def provider(self) -> Provider: ...
    @property
    def prices(self) -> PriceTable: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def run_no(self) -> int: ...
    @property
    def run_id(self) -> RunId: ...
    @property
    def lease(self) -> Lease: ...


class Shards(Protocol):
    """Where the work that burns CPU is done: in this process, or in several."""

    @property
    def ahead(self) -> int:
        """How many pieces are worth giving at once."""
        ...

    @property
    def early(self) -> int:
        """How many may be given while this process still looks through the source."""
        ...

    def rest(self, now: datetime) -> None:
        """To be told the time now and then: what has not been needed for long may be given back."""
        ...

    async def build(self, order: BuildOrder) -> BuiltPiece: ...
    async def judge(self, order: JudgeOrder) -> Verdicts: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of one run, held under one lease."""

    store: Store
    spool: Spool
    provider: Provider
    source: Source
    task: PreparedTask
    counter: Callable[[str], Counter]
    sink: Callable[[str], type[Sink]]
    prices: PriceTable
    clock: Clock
    shards: Shards
    run_no: int
    run_id: RunId
    lease: Lease

    def now(self) -> datetime:
        return self.clock.now()

    async def tell(self, name: EventName, batch: Batch | None = None, **detail: Any) -> None:
        await tell(self, name, batch, **detail)


async def tell(access: Access, name: EventName, batch: Batch | None = None, **detail: Any) -> None:
    """Write down for people that something happened; nothing is ever decided from it."""
    log(name, run_id=access.run_id, batch_id=batch.batch_id if batch else None, detail=detail)
    batch_no = batch.batch_no if batch else None
    await access.store.events.record(access.run_no, name, now=access.clock.now(), batch_no=batch_no, **detail)
