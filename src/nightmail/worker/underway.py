"""What is under way for one run, and how it ends when its driver does.

Left alone it would go on after the store is closed. So whoever began it waits for its end, also if that
waiting is cut short itself: by a lease that is lost meanwhile, say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from nightmail.core.batch import Batch
from nightmail.core.ids import RunId
from nightmail.telemetry import telling_of

GRACE = 10.0  # seconds in which what is under way may come to its own end when the worker is stopped


class Underway:
    """The stages that batches of one run are in; `wake` is set whenever one ends. `failure` is what the first
    of them raised: it is no outcome of a batch, and ends the driving."""

    def __init__(self, run_id: RunId, wake: asyncio.Event) -> None:
        self.failure: BaseException | None = None
        self._run_id = run_id
        self._wake = wake
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by number of batch

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def __contains__(self, batch: Batch) -> bool:
        return batch.batch_no in self._tasks

    def start(self, batches: Sequence[Batch], work: Callable[[], Awaitable[Any]]) -> None:
        """Carry out `work` beside everything else; each of the batches is in it until it ends."""
        task = asyncio.create_task(self._carry_out(batches, work))
        for batch in batches:
            self._tasks[batch.batch_no] = task

        def done(_: asyncio.Task[None]) -> None:
            for batch in batches:
                self._tasks.pop(batch.batch_no, None)
            self._wake.set()

        task.add_done_callback(done)

    async def _carry_out(self, batches: Sequence[Batch], work: Callable[[], Awaitable[Any]]) -> None:
        with telling_of(self._run_id, batches[0].batch_id if len(batches) == 1 else None):
            try:
                await work()
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                self.failure = self.failure or error

    async def end(self) -> None:
        """Let what runs come to its end for a while, or end it at once if something has failed: each stage
        leaves the store consistent at every await."""
        await ended(self._tasks.values(), grace=GRACE if self.failure is None else 0)


async def ended(tasks: Iterable[asyncio.Task[Any]], *, grace: float) -> None:
    """Return when these tasks are over: after so many seconds, or as soon as this is cancelled itself, they
    are cancelled. What they raised is theirs to tell."""
    own = set(tasks)
    try:
        if own:
            await asyncio.wait(own, timeout=grace)
    finally:
        for task in own:
            task.cancel()
        # However often this is cancelled, it is over only when each of them is.
        await asyncio.gather(*own, return_exceptions=True)
