"""Which files of what came in over the network are not needed any more, and their end.

* A segment goes when every record in it has left, in a run that has begun: by then each is in the file of
  its cut.
* The file of a cut goes when its run is at its end and delivered.
* An upload goes when it has lain for a week and no unfinished run reads it.
* What a process that died left half written goes after a day.

First the database says that a file is not needed, then it is looked whether a back-up is being made, then the
file goes: a back-up that copied the database while the file was needed had said so before.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightmail.spool import Spool
from nightmail.stages.ports import Clock
from nightmail.stores.base import Segment, Store
from nightmail.worker.backup import is_under_way
from nightmail.worker.begin import INTAKE
from nightmail.worker.lease import is_dead

QUEUE = f"{INTAKE}/queue"
UPLOADS = f"{INTAKE}/uploads"
EVERY = timedelta(hours=1)
KEEP_UPLOAD = timedelta(days=7)
HALF_WRITTEN = timedelta(days=1)
# A process of another machine cannot be seen to be dead. One that has not written for so long either is, or
# begins another segment when it finds this one retired.
SILENT = timedelta(hours=1)
CUT = re.compile(r"[a-z0-9][a-z0-9-]*-(\d+)\.jsonl", re.ASCII)
TEMPORARY = re.compile(r"out-.*|\..*\.part")


class Tidying:
    """The files of one home's intakes and uploads. `holder` is this process in the table of segments."""

    def __init__(self, store: Store, spool: Path, clock: Clock, holder: str) -> None:
        self._store = store
        self._spool = Spool(spool)
        self._clock = clock
        self._holder = holder
        self._at: datetime | None = None

    async def segments(self, *, writing: int | None) -> None:
        """Delete spent segments, but that which this process is writing."""
        now = self._clock.now()
        for segment in await self._store.intakes.spent_segments():
            if segment.segment_no == writing or not await self._is_left(segment, now):
                continue
            if await self._store.intakes.record_retired(segment):
                await self._delete([self._spool.path(segment.path)])

    async def now_and_then(self) -> None:
        """Once an hour: delete whatever else is not needed any more."""
        now = self._clock.now()
        if self._at is not None and timedelta(0) <= now - self._at < EVERY:
            return
        self._at = now
        await self._delete(await self._cuts())
        await self._delete(await self._retired())
        await self._delete(await self._uploads(now))

    async def _is_left(self, segment: Segment, now: datetime) -> bool:
        if segment.holder == self._holder or is_dead(segment.holder):
            return True
        written = await asyncio.to_thread(_written_at, self._spool.path(segment.path))
        return written is None or now - written > SILENT

    async def _cuts(self) -> list[Path]:
        files = {
            int(found[1]): path for path in await self._files(QUEUE) if (found := CUT.fullmatch(path.name))
        }
        over = await self._store.intakes.cuts_over(sorted(files)) if files else []
        return [files[cut_no] for cut_no in over]

    async def _retired(self) -> list[Path]:
        """Segments that were kept for a back-up, or whose end a crash interrupted. The folder is read first:
        a segment is written down before its file is there."""
        files = [path for path in await self._files(QUEUE) if not CUT.fullmatch(path.name)]
        known = {Path(path).name for path in await self._store.intakes.segments()}
        return [path for path in files if path.name not in known and path.suffix == ".jsonl"]

    async def _uploads(self, now: datetime) -> list[Path]:
        files = await self._files(UPLOADS)
        needed = {path for run in await self._store.runs.unfinished() for path in run.spec.source_paths}
        return [
            path
            for path in files
            if now - _came_at(path) > (HALF_WRITTEN if TEMPORARY.fullmatch(path.name) else KEEP_UPLOAD)
            and str(path.absolute()) not in needed
        ]

    async def _files(self, folder: str) -> list[Path]:
        return await asyncio.to_thread(lambda: list(_files(self._spool.path(folder))))

    async def _delete(self, files: Iterable[Path]) -> None:
        def delete() -> None:
            if is_under_way(self._spool.root, self._clock.now()):
                return
            for path in files:
                path.unlink(missing_ok=True)

        await asyncio.to_thread(delete)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _written_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def _came_at(path: Path) -> datetime:
    """When the file was put there, or sent again."""
    try:
        return datetime.fromtimestamp(path.stat().st_ctime, UTC)
    except FileNotFoundError:
        return datetime.max.replace(tzinfo=UTC)
