"""The simulator's own time: the real one plus an offset that tests may move forward."""

from __future__ import annotations

import asyncio
import contextlib
import time


class Clock:
    """Seconds since 1970. Moving it forward wakes whoever sleeps past the new time."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self._moved = asyncio.Event()

    def now(self) -> float:
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        self.offset += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep_until(self, at: float, *, unless: asyncio.Event) -> None:
        """Return at the time `at`, or as soon as `unless` is set."""
        while not unless.is_set() and (left := at - self.now()) > 0:
            waiting = [
                asyncio.ensure_future(unless.wait()),
                asyncio.ensure_future(self._moved.wait()),
            ]
            try:
                await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
