"""The way in: many requests at the same time become one write to disk and one transaction.

While one group is being kept, the next gathers. A request is answered when its group is on disk: first the
records' bytes, in a segment of the spool, then the rows that name them. A crash between the two leaves bytes
that nothing names; a crash after both, before the answer, leaves records that the client hands in again
under the same keys, which changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from nightmail.core import disk
from nightmail.errors import DiskFull, LeaseLost, StoreError
from nightmail.stages.ports import Clock
from nightmail.stores.base import Handed, HandedPage, Store, Taken
from nightmail.worker.begin import INTAKE
from nightmail.worker.lease import make_token

FOLDER = f"{INTAKE}/queue"
SEGMENT_BYTES = 64_000_000
# Seconds from the begin of one group to that of the next, while several come at a time: twice the requests in
# a group are half the writes. Who hands in alone does not wait.
PACE = 0.01


class Line(NamedTuple):
    """A record as it was handed in, on one line."""

    key: str
    digest: bytes
    tokens: int
    text: bytes


class Page(NamedTuple):
    """Records that came together."""

    intake_no: int
    tenant: str | None
    priority: int
    lines: Sequence[Line]


class Gate:
    """One for each process and home."""

    def __init__(self, store: Store, spool: Path, clock: Clock) -> None:
        self._store = store
        self._spool = spool
        self._clock = clock
        self.holder = make_token(clock)
        self._gathering: list[tuple[Page, asyncio.Future[Taken]]] = []
        self._keeping: asyncio.Task[None] | None = None
        self._segment: FileIO | None = None
        self._segment_no = 0
        self._offset = 0
        self._is_busy = False
        self._kept_at = 0.0  # by the loop's clock

    @property
    def segment_no(self) -> int | None:
        """The segment that is being written."""
        return self._segment_no if self._segment is not None else None

    async def hand_in(self, page: Page) -> Taken:
        """Returns once the page is durable, or refused."""
        answer: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._gathering.append((page, answer))
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_all())
        return await answer

    async def close(self) -> None:
        """Returns when everything that was handed in is answered."""
        if self._keeping is not None:
            await self._keeping
        if self._segment is not None:
            await asyncio.to_thread(self._segment.close)
            self._segment = None

    async def _keep_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._gathering:
            if self._is_busy:
                await self._clock.wait(self._kept_at + PACE - loop.time())
            self._kept_at = loop.time()
            group, self._gathering = self._gathering, []
            self._is_busy = len(group) > 1
            try:
                taken = await self._keep_somewhere([page for page, _ in group])
            except BaseException as error:
                # What is on disk of the segment is not known: nothing is appended to it any more.
                self._leave_segment()
                for _, answer in group:
                    if not answer.done():
                        answer.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                continue
            for (_, answer), each in zip(group, taken, strict=True):
                if not answer.done():
                    answer.set_result(each)

    async def _keep_somewhere(self, pages: Sequence[Page]) -> Sequence[Taken]:
        try:
            return await self._keep(pages)
        except LeaseLost:
            # Everything in the segment had left, and somebody who took this process for dead has retired it.
            # What was just appended is named by nothing.
            self._leave_segment()
            return await self._keep(pages)

    async def _keep(self, pages: Sequence[Page]) -> Sequence[Taken]:
        if self._segment is None or self._offset >= SEGMENT_BYTES:
            await self._begin_segment()
        handed, offset = [], self._offset
        for page in pages:
            records = []
            for line in page.lines:
                records.append(Handed(line.key, line.digest, line.tokens, offset, len(line.text) + 1))
                offset += len(line.text) + 1
            handed.append(HandedPage(page.intake_no, page.tenant, page.priority, self._segment_no, records))
        content = b"".join(line.text + b"\n" for page in pages for line in page.lines)
        await asyncio.to_thread(self._append, content)
        self._offset = offset
        return await self._store.intakes.record_pages(handed, now=self._clock.now())

    async def _begin_segment(self) -> None:
        self._leave_segment()
        name = f"{FOLDER}/{self._clock.token()}.jsonl"
        # Noted before it is there: whoever finds the note knows whose it is.
        self._segment_no = await self._store.intakes.record_segment(name, self.holder)
        self._segment = await asyncio.to_thread(_opened, self._spool / name)
        self._offset = 0

    def _leave_segment(self) -> None:
        if self._segment is not None:
            # A full disk may refuse even this; nothing is in a buffer of ours.
            with contextlib.suppress(OSError):
                self._segment.close()
            self._segment = None

    def _append(self, content: bytes) -> None:
        assert self._segment is not None
        try:
            view = memoryview(content)
            while view:
                view = view[self._segment.write(view) :]
            os.fdatasync(self._segment.fileno())
        except OSError as error:
            raise _failed(Path(str(self._segment.name)), error) from error


def _opened(path: Path) -> FileIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = FileIO(path, "ab")
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _failed(path, error) from error
    return file


def _failed(path: Path, error: OSError) -> Exception:
    if disk.is_full(error):
        return DiskFull(disk.full(path, error))
    return StoreError(disk.refused(path, "written", error))
