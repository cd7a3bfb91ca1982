"""The source of a run, read beside everything else: its first batches are on their way while the rest of it
is still being built.

What is wrong with a source is found before its first record is built, so what leaves early is part of a
source that was whole when the run began. Runs of which that is not so wait for its end: bad rows that are
left out show which keys are twice only then, and other modes depend on how many records there are.
"""

from __future__ import annotations

import asyncio

from nightmail.core.lifecycle import RunEvent
from nightmail.core.request import Mode
from nightmail.core.run import Run
from nightmail.stages.enqueue import enqueue
from nightmail.stages.ports import Ports

GRACE = 10.0  # seconds that a piece gets to come to its end


def flows(run: Run) -> bool:
    """May batches of an open run be cut before all of its source is in?"""
    return run.spec.mode is Mode.BATCH and not run.spec.skip_bad_rows


class Filling:
    """Reads until the run is sealed, `stop` is set, or `end`; sets `wake` when it is done."""

    def __init__(self, ports: Ports, stop: asyncio.Event, wake: asyncio.Event) -> None:
        self._ports = ports
        self._stop = stop
        self._wake = wake
        self._ended = False
        self._task: asyncio.Task[Run] | None = None

    async def go_on(self, run: Run) -> Run:
        """Begin, or look how far it is; the run as it is now. Raises what reading raised."""
        ports = self._ports
        if run.sealed:
            return await ports.store.runs.record_event(
                run.run_no, RunEvent.SEALED, now=ports.now(), lease=ports.lease
            )
        if not flows(run):
            return await enqueue(ports, run, self._stop.is_set)
        if self._task is None:
            self._ended = False
            self._task = asyncio.create_task(enqueue(ports, run, self._is_over))
            self._task.add_done_callback(lambda _: self._wake.set())
        if not self._task.done():
            return run
        task, self._task = self._task, None
        return task.result()

    async def end(self) -> None:
        """Read no further; the pieces that are in the store stay there. Wherever it is cancelled, the store
        has all of a piece or nothing."""
        if (task := self._task) is None:
            return
        self._ended, self._task = True, None
        try:
            await asyncio.wait([task], timeout=GRACE)
        finally:
            # Also when this is cancelled: left alone, it would go on after the store is closed.
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _is_over(self) -> bool:
        return self._ended or self._stop.is_set()
