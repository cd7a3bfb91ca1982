"""Which of a home's runs one worker drives, all at the same time: a batch takes up to a day, and no other
run waits for that.

The urgent are taken on first. What several of them send is bounded by the quota, which they share through
the store as if each had a worker of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from nightmail.core.ids import RunId
from nightmail.core.run import Run, RunState, Wish
from nightmail.errors import DiskFull, LeaseLost, NightmailError, StoreError
from nightmail.stages.ports import Clock
from nightmail.stores.base import Lease, Store
from nightmail.telemetry import EventName, log

MOST_RUNS = 64  # driven at the same time; each holds a connection pool and looks into the store every second
LOOK = 2.0  # seconds between looks for runs that nobody drives
PUT_OFF = timedelta(minutes=5)  # until a run that could not be driven is tried again


class Shift:
    """`claim` gives the right to drive a run, `drive` drives it until it is over, paused or `stop` is set."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        claim: Callable[[RunId], Awaitable[Lease | None]],
        drive: Callable[[RunId, Lease], Awaitable[Run]],
        stop: asyncio.Event,
    ) -> None:
        self._store = store
        self._clock = clock
        self._claim = claim
        self._drive = drive
        self._stop = stop
        self._driving: dict[RunId, asyncio.Task[None]] = {}
        self._put_off: dict[RunId, tuple[datetime, Wish | None]] = {}  # since when, and what was wished then
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None

    async def work(self, *, until_idle: bool) -> None:
        """Until `stop` is set, or with `until_idle` there is nothing left to drive here. Raises
        `StoreError`: without the store nothing can go on."""
        try:
            while self._driving or self._failure or not self._stop.is_set():
                if self._failure is not None:
                    raise self._failure
                if not self._stop.is_set():
                    await self._take_on()
                if until_idle and not self._driving:
                    return
                await self._clock.wait(LOOK, wake=self._ended if self._driving else self._stop)
                self._ended.clear()
        finally:
            for task in self._driving.values():
                task.cancel()
            await asyncio.gather(*self._driving.values(), return_exceptions=True)

    async def _take_on(self) -> None:
        # A paused run that nobody wants cancelled has nothing to do: to try to claim it would be a write.
        runs = [
            run
            for run in await self._store.runs.unfinished()
            if run.state is not RunState.PAUSED or run.wish is not None
        ]
        # The urgent first, the old before the new.
        for run in sorted(runs, key=lambda run: (-run.spec.priority, run.run_no)):
            if len(self._driving) >= MOST_RUNS or self._stop.is_set():
                return
            if run.run_id in self._driving or self._is_put_off(run):
                continue
            lease = await self._claim(run.run_id)
            if lease is not None:
                self._start(run, lease)

    def _is_put_off(self, run: Run) -> bool:
        if run.run_id not in self._put_off:
            return False
        (since, wish), now = self._put_off[run.run_id], self._clock.now()
        # Before that time it is only after the clock was set back; and what is wished since then may be
        # possible.
        return run.wish is wish and since <= now < since + PUT_OFF

    def _start(self, run: Run, lease: Lease) -> None:
        task = self._driving[run.run_id] = asyncio.create_task(self._drive_one(run, lease))

        def done(_: asyncio.Task[None]) -> None:
            del self._driving[run.run_id]
            self._ended.set()

        task.add_done_callback(done)

    async def _drive_one(self, run: Run, lease: Lease) -> None:
        """A run that cannot be driven is put off, with an event that says why; the others go on."""
        try:
            driven = await self._drive(run.run_id, lease)
            if driven.state is RunState.PAUSED and driven.wish is not None:
                # It is to be cancelled and comes no further without somebody's help.
                self._put_off[run.run_id] = (self._clock.now(), driven.wish)
        except LeaseLost:
            # This process slept, and another worker has the run now.
            return
        except StoreError as error:
            self._failure = error
        except NightmailError as error:
            self._put_off[run.run_id] = (self._clock.now(), run.wish)
            await self._tell(run, error)
        except Exception as error:
            self._failure = error

    async def _tell(self, run: Run, error: NightmailError) -> None:
        log(EventName.RUN_PUT_OFF, run_id=run.run_id, batch_id=None, detail={"message": str(error)})
        # A full disk may have no room for the event either.
        with contextlib.suppress(DiskFull):
            await self._store.events.record(
                run.run_no,
                EventName.RUN_PUT_OFF,
                now=self._clock.now(),
                message=str(error),
                error=type(error).__name__,
            )
