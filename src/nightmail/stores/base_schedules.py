"""The part of the store port that recurring work needs: schedules, and what their runs have delivered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from nightmail.core.ids import RunId
from nightmail.core.schedule import FileMark, Occurrence, Schedule, ScheduleSpec
from nightmail.stores.nouns import Key, Lease


class Schedules(Protocol):
    async def record(
        self, name: str, spec: ScheduleSpec, *, now: datetime, replace: bool = False
    ) -> Schedule | None:
        """Write a schedule down; None if the name is taken, unless that one is to be replaced. It then
        keeps what it knows to be delivered and taken."""
        ...

    async def read(self, name: str) -> Schedule | None: ...
    async def list(self) -> list[Schedule]:
        """All of them, by name."""
        ...

    async def record_paused(self, name: str, paused: bool, *, now: datetime) -> None:
        """A resumed one counts its occurrences from now."""
        ...

    async def delete(self, name: str) -> bool:
        """With all that it knows; its runs stay. False if there is none."""
        ...

    async def claim(
        self,
        schedule: Schedule,
        *,
        due_at: datetime,
        output: str,
        since: datetime,
        files: Sequence[FileMark] = (),
    ) -> Occurrence | None:
        """Write an occurrence down and take its files, all in one step. None if the schedule is not as it
        was read any more, if an earlier occurrence is open, or if the output is taken: somebody else was
        first."""
        ...

    async def occurrences(self, schedule_no: int, *, limit: int) -> Sequence[Occurrence]:
        """The newest first."""
        ...

    async def open_occurrence(self, schedule_no: int) -> Occurrence | None:
        """The one whose run is not over, or that has none yet."""
        ...

    async def is_output_taken(self, schedule_no: int, output: str) -> bool: ...
    async def record_started(self, occurrence: Occurrence, run_id: RunId) -> bool:
        """Its run is written down. False if that was known, or it was abandoned."""
        ...

    async def record_trouble(self, occurrence: Occurrence, message: str, *, abandoned: bool = False) -> None:
        """Its run could not be begun, for now or for good."""
        ...

    async def taken_files(self, schedule_no: int) -> set[FileMark]: ...
    async def files_of(self, occurrence: Occurrence) -> Sequence[FileMark]:
        """What it has taken, by path."""
        ...


class Delivered(Protocol):
    """By schedule and key, what was asked when an answer was delivered last: a digest of 64 bits, signed."""

    async def read(self, schedule_no: int, keys: Sequence[Key]) -> dict[Key, int]:
        """The digests of those of these keys that have been delivered."""
        ...

    async def record_contents(self, lease: Lease, rows: Iterable[tuple[int, int]]) -> None:
        """(seq, digest) of requests of the run, until it is known which of them are delivered."""
        ...

    async def record(self, lease: Lease, schedule_no: int, first: int, last: int) -> None:
        """The succeeded requests in a range of sequence numbers are delivered. Again is harmless."""
        ...
