"""What a stage may touch: the ports of one run, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nightmail.core.ids import RunId
from nightmail.core.pricing import PriceTable
from nightmail.providers.base import Provider
from nightmail.sinks.base import Sink
from nightmail.sources.base import Source
from nightmail.spool import Spool
from nightmail.stores.base import Lease, Store
from nightmail.tasks.prepared import PreparedTask
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
    run_no: int
    run_id: RunId
    lease: Lease

    def now(self) -> datetime:
        return self.clock.now()
