"""A survey under way in a thread: what it has looked through so far is there to be built already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

from nightmail.stages.keying import Keying
from nightmail.stages.survey import Surveyed


class Surveying:
    """Takes in `surveyed` until it ends, raises or is `stopped`. To be closed."""

    def __init__(self, surveyed: Iterator[Surveyed], stopped: Callable[[], bool]) -> None:
        self._surveyed = surveyed
        self._stopped = stopped
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._found: asyncio.Queue[Surveyed | None] = asyncio.Queue()
        self._task = asyncio.create_task(asyncio.to_thread(self._read))
        self.records = 0  # looked through so far
        self.keying: Keying | None = None  # by the first record of all, once one was seen

    @property
    def is_under_way(self) -> bool:
        return not self._task.done()

    async def whole(self) -> bool:
        """Wait for the end; False if it was stopped. Raises what the survey raised."""
        return await asyncio.shield(self._task)

    async def pieces(self) -> AsyncIterator[Surveyed]:
        """Each as soon as it is known; they end where the survey does, however it does."""
        while (each := await self._found.get()) is not None:
            yield each

    async def close(self) -> None:
        """It reads no further than the piece it is at."""
        self._closed = True
        await asyncio.gather(self._task, return_exceptions=True)

    def _read(self) -> bool:
        try:
            for each in self._surveyed:
                if self._closed or self._stopped():
                    return False
                self.records += each.records
                self.keying = each.keying
                self._tell(each)
            return True
        finally:
            self._tell(None)

    def _tell(self, found: Surveyed | None) -> None:
        self._loop.call_soon_threadsafe(self._found.put_nowait, found)
