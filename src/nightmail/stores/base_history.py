"""The store's part for how work has gone: what a plot or a page needs, in a bounded number of rows.

Nothing here reads the rows of requests but the few that it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from nightmail.core.batch import Batch
from nightmail.core.course import Example, Reserved, Slot, Trip
from nightmail.core.progress import Totals
from nightmail.core.run import Run


class StoredLine(NamedTuple):
    """Where a request's line is: a path of the spool, and the bytes in it."""

    path: str
    offset: int
    length: int


class History(Protocol):
    async def unfinished(self, *, tenant: str | None, limit: int) -> Sequence[Run]:
        """Runs that are neither finished nor cancelled, the newest first; of one tenant if given."""
        ...

    async def slots(
        self, *, run_no: int | None, tenant: str | None, since: datetime, width: timedelta
    ) -> Sequence[Slot]:
        """What was sent and came back since then, in slots of that width, without the empty ones; of one
        run, or of one tenant, if given."""
        ...

    async def trips(self, *, tenant: str | None, since: datetime, limit: int) -> Sequence[Trip]:
        """Batches that ended at the provider since then, the last first."""
        ...

    async def batches(self, run_no: int, *, skip: int, limit: int) -> Sequence[Batch]:
        """A run's batches but the planned ones: first those that are under way, then the newest."""
        ...

    async def totals(self, run_no: int) -> Totals:
        """What `core.progress.totals_of` says of all batches of the run."""
        ...

    async def reserved(self, run_no: int) -> Reserved:
        """What the run's batches were expected to cost."""
        ...

    async def examples(self, run_no: int, *, each: int, among: int) -> Sequence[Example]:
        """Up to `each` failed records of every reason that there is among the first `among` of them."""
        ...

    async def first_request(self, run_no: int) -> StoredLine | None:
        """The first request that was made; None if there was none among the first records."""
        ...
