"""The store's part for intakes: records that are handed in over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from nightmail.core.ids import RunId
from nightmail.core.intake import Intake, IntakeSpec
from nightmail.stores.base_pages import PageRow


class Handed(NamedTuple):
    """A record that is in a segment, and where."""

    key: str
    digest: bytes
    tokens: int
    offset: int
    length: int


class HandedPage(NamedTuple):
    """Records that came together: all of them are taken in, or none."""

    intake_no: int
    tenant: str | None
    priority: int
    segment_no: int
    records: Sequence[Handed]


class Taken(NamedTuple):
    """What became of a page. `duplicates` were there before, word for word. If one of the others is set,
    nothing was taken: `conflicts` are keys that were there with other words, `full` says that the queue is
    at its bound, `closed` that it takes nothing any more."""

    accepted: int
    duplicates: int
    waiting: int
    conflicts: Sequence[str] = ()
    full: bool = False
    closed: bool = False


class Cut(NamedTuple):
    """Records that leave together. `run_id` is None until their run has begun."""

    cut_no: int
    intake_id: str
    records: int


class Segment(NamedTuple):
    segment_no: int
    path: str
    holder: str


class IntakeRow(NamedTuple):
    """A record of an intake: where it is now. `run_id` and `row` are None while it waits."""

    seq: int
    key: str
    run_id: RunId | None
    row: PageRow | None


class Intakes(Protocol):
    async def record(self, intake_id: str, tenant: str | None, spec: IntakeSpec, *, now: datetime) -> Intake:
        """Write a new intake down, or return the one that has the id."""
        ...

    async def read(self, intake_id: str) -> Intake | None: ...
    async def list(self) -> Sequence[Intake]:
        """All, oldest first."""
        ...

    async def record_closed(self, intake_no: int) -> None:
        """Nothing is taken in any more; what waits leaves."""
        ...

    async def record_segment(self, path: str, holder: str) -> int: ...
    async def record_pages(self, pages: Sequence[HandedPage], *, now: datetime) -> Sequence[Taken]:
        """Take pages in, in one transaction; what became of each. Raises `LeaseLost` if a segment that they
        are in was retired."""
        ...

    async def record_cut(self, intake: Intake, *, holder: str, until: datetime, now: datetime) -> Cut | None:
        """As many as are to leave together are cut off, by `core.intake.leaving`; None if none waits."""
        ...

    async def claim_cuts(
        self, *, holder: str, until: datetime, now: datetime, dead: Sequence[str]
    ) -> Sequence[Cut]:
        """Cuts whose run has not begun and whose holder is dead or late: this one's from now on."""
        ...

    async def cut_holders(self) -> Sequence[str]:
        """Who has cuts of which no run has begun."""
        ...

    async def addresses(self, cut_no: int) -> Sequence[tuple[str, int, int]]:
        """The records of a cut in their order: path, offset, length."""
        ...

    async def record_begun(self, cut_no: int, run_id: RunId) -> None: ...
    async def spent_segments(self) -> Sequence[Segment]:
        """Segments of which every record has left, in runs that have begun."""
        ...

    async def record_retired(self, segment: Segment) -> bool:
        """Nothing is appended to a spent segment any more: False if it is not spent, or another's by now."""
        ...

    async def segments(self) -> Sequence[str]:
        """The paths of those that are not retired."""
        ...

    async def cuts_over(self, cut_nos: Sequence[int]) -> Sequence[int]:
        """Those of the cuts whose file no run needs any more."""
        ...

    async def page(
        self, intake_no: int, tenant: str | None, *, after: int, limit: int
    ) -> Sequence[IntakeRow]:
        """A tenant's records numbered above `after`, in order."""
        ...

    async def rows(self, intake_no: int, tenant: str | None, keys: Sequence[str]) -> Sequence[IntakeRow]:
        """A tenant's records with these keys, in order of their numbers."""
        ...
