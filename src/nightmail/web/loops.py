"""What the service does beside answering: loops that run until it stops.

A loop is an object with `run(stop)`: it returns soon after `stop` is set, having finished the step it
was in. If one fails, the service is not ready any more and is told to stop: half a service that looks
whole is worse than one that is started again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from nightmail.client import Client

logger = logging.getLogger("nightmail")


class Loop(Protocol):
    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set."""
        ...


class Work:
    """The worker on the client's home, as a loop."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def run(self, stop: asyncio.Event) -> None:
        working = asyncio.create_task(self._client.work_all())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._client.stop()
            await working
        finally:
            stopping.cancel()
            working.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)


class Loops:
    """Several loops as one. `failure` is what ended one of them before its time; then `on_failure` was
    called."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        self._loops = list(loops)
        self._running: list[asyncio.Task[None]] = []
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None
        self.on_failure: Callable[[], None] = lambda: None

    @property
    def are_well(self) -> bool:
        """Does everything run that should?"""
        return bool(self._running or not self._loops) and self.failure is None and not self.stopping.is_set()

    def start(self) -> None:
        self._running = [asyncio.create_task(loop.run(self.stopping)) for loop in self._loops]
        for task in self._running:
            task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Return when each loop has finished the step it was in."""
        self.stopping.set()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        self.failure = self.failure or error
        logger.error("a loop of the service has failed: %s: %s", type(error).__name__, error)
        self.on_failure()
