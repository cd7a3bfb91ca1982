"""Drive one run: find what is due, run its stage, repeat.

Nothing is remembered here that the store does not have: each round reads the run and its batches and
starts the stage that each batch's state asks for. What stages do at the same time is bounded: a few
transfers, a few judgements, one look at all batches that are due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial

from nightmail.core.batch import CLOSED_STATES, Batch, BatchState
from nightmail.core.polling import is_due, may_join
from nightmail.core.quota import Hold
from nightmail.core.recovery import is_time_to_seek
from nightmail.core.request import OPEN_STATES, Mode
from nightmail.core.run import PauseReason, Run, RunState, Wish
from nightmail.core.throttle import Throttle
from nightmail.errors import IllegalMove
from nightmail.stages.call import call, start_calls
from nightmail.stages.cancel import cancel
from nightmail.stages.extras import is_waiting
from nightmail.stages.finalise import finalise
from nightmail.stages.finish import finish
from nightmail.stages.hurry import hurry, is_recalled, recall
from nightmail.stages.ingest import ingest
from nightmail.stages.plan import plan
from nightmail.stages.ports import Ports
from nightmail.stages.recover import doubt, recover
from nightmail.stages.seek import seek
from nightmail.stages.settle import settle
from nightmail.stages.submit import submit
from nightmail.worker.filling import Filling, flows
from nightmail.worker.holds import Holds
from nightmail.worker.looks import look_at
from nightmail.worker.preload import load_arrow
from nightmail.worker.sharing import Sharing
from nightmail.worker.troubles import Troubles
from nightmail.worker.underway import Underway

TRANSFERS = 4
JUDGEMENTS = 2
CALLING = 2  # portions of calls at the same time
LOOK_AROUND = 1.0  # seconds between looks for wishes of other processes
OPEN_BATCHES = tuple(state for state in BatchState if state not in CLOSED_STATES)
Told = Callable[[Run, Batch], None]


class Driver:
    """Drives the run of `ports` until it is finished, cancelled or paused, or `stop` is set. `settled` is
    told of each batch of which every request has its outcome."""

    def __init__(self, ports: Ports, stop: asyncio.Event, settled: Told | None = None) -> None:
        self._ports = ports
        self._stop = stop
        self._settled = settled
        self.wake = asyncio.Event()  # set: something may have become due
        self._underway = Underway(ports.run_id, self.wake)
        self._transfers = asyncio.Semaphore(TRANSFERS)
        self._judgements = asyncio.Semaphore(JUDGEMENTS)
        self._throttle = Throttle()
        self._holds = Holds()
        self._sharing = Sharing(ports, stop)
        self._troubles = Troubles(ports, self._holds)
        self._filling = Filling(ports, stop, self.wake)
        self._seen: RunState | None = None  # by the newest round

    async def drive(self) -> Run:
        """Return the run as it is when there is nothing more to do here now."""
        try:
            await self._take_over()
            while True:
                try:
                    run = await self._round()
                except IllegalMove:
                    if not await self._moved_meanwhile():
                        raise
                    continue
                if run is not None:
                    return run
        finally:
            await self._end()

    async def _moved_meanwhile(self) -> bool:
        """Did somebody pause or resume the run while a round acted on the state that it had read? Then
        what it tried is not wrong, only late, and the next round sees how things are."""
        self._underway.failure = None
        return (await self._read()).state is not self._seen

    async def _take_over(self) -> None:
        """What a worker before us left in the middle of a submit, and of files."""
        ports = self._ports
        await asyncio.to_thread(ports.spool.sweep, ports.run_id)
        for batch in await ports.store.batches.list(ports.run_no, states=[BatchState.SUBMITTING]):
            await doubt(ports, batch)

    async def _round(self) -> Run | None:
        """One look at everything; the run if driving it is over."""
        ports = self._ports
        run = await self._read()
        self._seen = run.state
        if not self._stop.is_set():
            run = await self._prepare(run)
        if self._stop.is_set():
            # Also if it was set while the source was read: nothing is sent any more.
            await self._end()
            return await self._read()
        batches = await ports.store.batches.list(run.run_no, states=OPEN_BATCHES)
        now = ports.now()
        self._start_stages(run, batches, now)
        if self._underway.failure is not None:
            raise self._underway.failure
        if not self._underway:
            if not batches and (done := await self._finish(run)) is not None:
                return done
            # One that is judged together with another moves only when that one does.
            moving = [batch for batch in batches if not is_waiting(batch, batches)]
            if run.state is RunState.DRAINING and self._holds.out_of_money(moving):
                await self._holds.pause_for_budget(ports, run, moving)
                return None
            if run.state is RunState.PAUSED and not self._awaits_results(run, moving):
                return run
        await self._rest(run, batches)
        return None

    async def _prepare(self, run: Run) -> Run:
        """What comes before the batches: carry out a wish, read the source, plan."""
        if run.wish is Wish.CANCEL or run.state is not RunState.OPEN:
            await self._filling.end()
        if run.wish is Wish.CANCEL:
            if self._troubles.may_ask():
                await self._troubles.guard(cancel(self._ports, run))
        elif run.state is RunState.OPEN:
            run = await self._filling.go_on(run)
        if run.wish is not None or self._stop.is_set():
            return run
        if run.state is RunState.DRAINING:
            run = await hurry(self._ports, run)
            await self._recall(run)
            await plan(self._ports, run)
        elif run.state is RunState.OPEN and flows(run) and self._filling.may_plan(run):
            await plan(self._ports, run)
        return run

    async def _recall(self, run: Run) -> None:
        if run.hurried_at is not None:
            planned = await self._ports.store.batches.list(run.run_no, states=[BatchState.PLANNED])
            idle = [each for each in planned if each not in self._underway and is_recalled(run, each)]
            await recall(self._ports, run, idle)

    def _awaits_results(self, run: Run, batches: list[Batch]) -> bool:
        """Is there something that a paused run may still take in? Not by a key that is not accepted, and
        not by calls, which would cost."""
        return run.pause_reason is not PauseReason.CREDENTIALS and any(
            batch.state is not BatchState.PLANNED
            and not (batch.mode is not Mode.BATCH and batch.state is BatchState.IN_PROGRESS)
            for batch in batches
        )

    async def _read(self) -> Run:
        run = await self._ports.store.runs.read(self._ports.run_id)
        assert run is not None, "a run that is driven under a lease cannot vanish"
        return run

    async def _finish(self, run: Run) -> Run | None:
        """Deliver and close the run, once every request has its final state."""
        if run.state in (RunState.PAUSED, RunState.OPEN) and run.wish is None:
            return None
        tally = await self._ports.store.requests.count(run.run_no)
        if any(tally.states.get(state) for state in OPEN_STATES):
            if await self._sharing.rest(run, tally):
                self.wake.set()
            return None
        return await finish(self._ports, run, self._stop)

    def _start_stages(self, run: Run, batches: list[Batch], now: datetime) -> None:
        self._start_seeking(run, batches, now)
        looks, joining, interval = list[Batch](), list[Batch](), run.spec.poll_interval
        room = {True: TRANSFERS, False: CALLING}  # by whether it is a batch
        for batch in batches:
            if batch in self._underway:
                room[batch.mode is Mode.BATCH] -= (
                    batch.mode is not Mode.BATCH or batch.state is BatchState.PLANNED
                )
        for batch in batches:
            if batch in self._underway:
                continue
            is_look = batch.state is BatchState.IN_PROGRESS and batch.mode is Mode.BATCH
            due = is_due(batch.due_at, now, interval=interval)
            if not due and not (is_look and may_join(batch.due_at, now, interval=interval)):
                continue
            if is_waiting(batch, batches):
                continue
            if batch.state is BatchState.SETTLED and batch.seek_at is not None:
                continue
            if is_look:
                (looks if due else joining).append(batch)
                continue
            if batch.state in (BatchState.PLANNED, BatchState.IN_PROGRESS):
                if room[batch.mode is Mode.BATCH] <= 0 or not self._may_send(run, batch, now):
                    continue
                room[batch.mode is Mode.BATCH] -= 1
            self._underway.start([batch], partial(self._advance, run, batch))
        if looks:
            looks += joining
            look = partial(look_at, self._ports, run, looks, self._troubles, self._holds)
            self._underway.start(looks, look)

    def _start_seeking(self, run: Run, batches: list[Batch], now: datetime) -> None:
        """While the list cannot be had, these batches go on; only their ends wait for it."""
        due = [each for each in batches if is_time_to_seek(each.seek_at, now) and each not in self._underway]
        if due and self._troubles.may_ask():
            self._underway.start(due, lambda: self._troubles.guard(seek(self._ports, run, due)))

    def _may_send(self, run: Run, batch: Batch, now: datetime) -> bool:
        """May this batch, planned or in the middle of its calls, send something now?"""
        if run.state not in (RunState.OPEN, RunState.DRAINING):
            return False
        if batch.state is BatchState.IN_PROGRESS:
            return True
        return run.wish is None and self._holds.may_ask(batch, now)

    async def _advance(self, run: Run, batch: Batch) -> None:
        await self._troubles.guard(self._stage(run, batch), batch)

    async def _stage(self, run: Run, batch: Batch) -> Hold | None:
        """Advance the batch by a stage, or say why it has to wait."""
        ports = self._ports
        match batch.state:
            case BatchState.PLANNED if batch.mode is not Mode.BATCH:
                started = await start_calls(ports, run, batch)
                if isinstance(started, Hold):
                    return started
                await call(ports, run, started, self._throttle, self._stop)
            case BatchState.PLANNED:
                async with self._transfers:
                    if self._stop.is_set():
                        return None
                    submitted = await submit(ports, run, batch)
                if isinstance(submitted, Hold):
                    return submitted
                load_arrow()
            case BatchState.DOUBTFUL:
                await recover(ports, run, batch)
            case BatchState.IN_PROGRESS:
                await call(ports, run, batch, self._throttle, self._stop)
            case BatchState.ENDED:
                if batch.ingested_at is None:
                    async with self._transfers:
                        batch = await ingest(
                            ports, run, batch, patient=self._troubles.may_be_there(run, batch)
                        )
                    if is_waiting(batch, await ports.store.batches.list(run.run_no, states=OPEN_BATCHES)):
                        return None
                async with self._judgements:
                    batch = await settle(ports, run, batch)
                # Its reservation has become what it really cost.
                self._holds.release(batch)
                await self._sharing.after(run, batch)
                if self._settled is not None:
                    self._settled(run, batch)
            case BatchState.SETTLED:
                await finalise(ports, run, batch, patient=self._troubles.is_patient(batch))
            case _:
                raise AssertionError(f"no stage for {batch.state}")
        return None

    async def _rest(self, run: Run, batches: list[Batch]) -> None:
        """Until a stage ends, something is due, or it is time to look for wishes."""
        ports = self._ports
        now = ports.now()
        ports.shards.rest(now)
        dues = [batch.due_at for batch in batches if batch.due_at and batch not in self._underway]
        due = await ports.store.requests.next_due(run.run_no)
        dues += [*self._holds.dues(), *([] if due is None else [due])]
        seconds = min([LOOK_AROUND, *((due - now).total_seconds() for due in dues if due > now)])
        if not self._stop.is_set():
            await ports.clock.wait(seconds, wake=self.wake)
        self.wake.clear()

    async def _end(self) -> None:
        """Neither the reading nor a stage goes on when this is over, also if it is cancelled meanwhile."""
        await asyncio.gather(self._filling.end(), self._underway.end())
