"""Drive one run: find what is due, run its stage, repeat.

Nothing is remembered here that the store does not have: each round reads the run and its batches and
starts the stage that each batch's state asks for. What stages do at the same time is bounded: a few
transfers, a few judgements, one look at all batches that are due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from nightmail.core.batch import CLOSED_STATES, Batch, BatchState
from nightmail.core.lifecycle import RunEvent
from nightmail.core.polling import delay
from nightmail.core.pricing import format_usd
from nightmail.core.quota import Hold
from nightmail.core.request import OPEN_STATES, Mode
from nightmail.core.run import PauseReason, Run, RunState, Wish
from nightmail.core.throttle import Throttle
from nightmail.errors import (
    AuthenticationFailed,
    BillingBlocked,
    ProviderError,
    ProviderUnavailable,
    QuotaReached,
    RateLimited,
)
from nightmail.stages.call import call, start_calls
from nightmail.stages.cancel import cancel
from nightmail.stages.enqueue import enqueue
from nightmail.stages.finalise import finalise
from nightmail.stages.finish import finish
from nightmail.stages.ingest import ingest
from nightmail.stages.plan import plan
from nightmail.stages.poll import look
from nightmail.stages.ports import Ports
from nightmail.stages.recover import doubt, recover
from nightmail.stages.settle import settle
from nightmail.stages.submit import submit
from nightmail.telemetry import EventName

TRANSFERS = 4
JUDGEMENTS = 2
SYNC_BATCHES = 2
LOOK_AROUND = 1.0  # seconds between looks for wishes of other processes
GRACE = 10.0  # seconds that stages get to come to their end when the worker is stopped
# A batch that must wait asks again when one of ours ends, or after this: other workers' ends are not
# heard of here.
ASK_AGAIN = timedelta(seconds=5)
ASK_MUCH_LATER = timedelta(seconds=30)  # where only time helps: after a refusal, or for the hour's creates
MAX_OUTAGE = timedelta(hours=24)
OPEN_BATCHES = tuple(state for state in BatchState if state not in CLOSED_STATES)


class Driver:
    """Drives the run of `ports` until it is finished, cancelled or paused, or `stop` is set."""

    def __init__(self, ports: Ports, stop: asyncio.Event) -> None:
        self._ports = ports
        self._stop = stop
        self._wake = asyncio.Event()
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._transfers = asyncio.Semaphore(TRANSFERS)
        self._judgements = asyncio.Semaphore(JUDGEMENTS)
        self._throttle = Throttle()
        self._troubles: dict[int, int] = {}
        self._full: dict[str, datetime] = {}  # model -> when to ask again for room
        self._holds: dict[str, Hold] = {}  # model -> why it waits
        self._out_since: datetime | None = None
        self._failure: BaseException | None = None

    async def drive(self) -> Run:
        """Return the run as it is when there is nothing more to do here now."""
        try:
            await self._take_over()
            while True:
                run = await self._round()
                if run is not None:
                    return run
        finally:
            await self._end_stages()

    async def _take_over(self) -> None:
        """What a worker before us left in the middle of a submit."""
        ports = self._ports
        for batch in await ports.store.batches.list(ports.run_no, states=[BatchState.SUBMITTING]):
            await doubt(ports, batch)

    async def _round(self) -> Run | None:
        """One look at everything; the run if driving it is over."""
        ports = self._ports
        run = await self._read()
        if self._stop.is_set():
            await self._end_stages()
            return await self._read()
        if run.wish is Wish.CANCEL:
            await self._guarded(cancel(ports, run))
        elif run.state is RunState.OPEN:
            run = await self._fill(run)
        if run.state is RunState.DRAINING and run.wish is None:
            await plan(ports, run)
        batches = await ports.store.batches.list(run.run_no, states=OPEN_BATCHES)
        now = ports.now()
        self._start_stages(run, batches, now)
        if self._failure is not None:
            raise self._failure
        if not self._busy:
            if not batches and (done := await self._finish(run)) is not None:
                return done
            if run.state is RunState.DRAINING and self._is_out_of_money(batches):
                await self._pause_for_budget(run, batches)
                return None
            if run.state is RunState.PAUSED and not any(
                batch.state is not BatchState.PLANNED for batch in batches
            ):
                return run
        await self._rest(run, batches)
        return None

    async def _read(self) -> Run:
        run = await self._ports.store.runs.read(self._ports.run_id)
        assert run is not None, "a run that is driven under a lease cannot vanish"
        return run

    async def _fill(self, run: Run) -> Run:
        ports = self._ports
        if run.sealed:
            return await ports.store.runs.record_event(
                run.run_no, RunEvent.SEALED, now=ports.now(), lease=ports.lease
            )
        return await enqueue(ports, run)

    async def _finish(self, run: Run) -> Run | None:
        """Deliver and close the run, once every request has its final state."""
        if run.state is RunState.PAUSED and run.wish is None:
            return None
        tally = await self._ports.store.requests.count(run.run_no)
        if any(tally.states.get(state) for state in OPEN_STATES):
            return None
        if run.state is RunState.OPEN and run.wish is None:
            return None
        return await finish(self._ports, run)

    def _start_stages(self, run: Run, batches: list[Batch], now: datetime) -> None:
        looks: list[Batch] = []
        calling = sum(batch.mode is not Mode.BATCH and batch.batch_no in self._busy for batch in batches)
        for batch in batches:
            if batch.batch_no in self._busy or (batch.due_at is not None and batch.due_at > now):
                continue
            if batch.state is BatchState.IN_PROGRESS and batch.mode is Mode.BATCH:
                looks.append(batch)
                continue
            if batch.state is BatchState.PLANNED and not self._may_send(run, batch, now):
                continue
            if batch.state in (BatchState.PLANNED, BatchState.IN_PROGRESS) and batch.mode is not Mode.BATCH:
                if calling >= SYNC_BATCHES:
                    continue
                calling += 1
            self._start([batch], self._advance(run, batch))
        if looks:
            self._start(looks, self._look(run, looks))

    def _may_send(self, run: Run, batch: Batch, now: datetime) -> bool:
        if run.state is not RunState.DRAINING or run.wish is not None:
            return False
        until = self._full.get(batch.model)
        return until is None or until <= now

    def _start(self, batches: list[Batch], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        for batch in batches:
            self._busy[batch.batch_no] = task

        def done(_: asyncio.Task[None]) -> None:
            for batch in batches:
                self._busy.pop(batch.batch_no, None)
            self._wake.set()

        task.add_done_callback(done)

    async def _advance(self, run: Run, batch: Batch) -> None:
        """Run the stage that the batch's state asks for; what it raises ends the driving."""
        try:
            await self._guarded(self._stage(run, batch), batch)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._failure = self._failure or error

    async def _stage(self, run: Run, batch: Batch) -> None:
        ports = self._ports
        match batch.state:
            case BatchState.PLANNED if batch.mode is not Mode.BATCH:
                started = await start_calls(ports, run, batch)
                if isinstance(started, Hold):
                    self._hold(batch, started)
                else:
                    await call(ports, run, started, self._throttle)
            case BatchState.PLANNED:
                async with self._transfers:
                    submitted = await submit(ports, run, batch)
                if isinstance(submitted, Hold):
                    self._hold(batch, submitted)
            case BatchState.DOUBTFUL:
                await recover(ports, run, batch)
            case BatchState.IN_PROGRESS:
                await call(ports, run, batch, self._throttle)
            case BatchState.ENDED:
                self._full.pop(batch.model, None)
                self._holds.pop(batch.model, None)
                if batch.ingested_at is None:
                    async with self._transfers:
                        batch = await ingest(ports, run, batch)
                async with self._judgements:
                    batch = await settle(ports, run, batch)
            case BatchState.SETTLED:
                await finalise(ports, run, batch, patient=self._troubles.get(batch.batch_no, 0) < 3)
            case _:
                raise AssertionError(f"no stage for {batch.state}")
        self._troubles.pop(batch.batch_no, None)

    def _hold(self, batch: Batch, hold: Hold) -> None:
        later = ASK_MUCH_LATER if hold in (Hold.BLOCKED, Hold.CREATES) else ASK_AGAIN
        self._full[batch.model] = self._ports.now() + later
        self._holds[batch.model] = hold

    async def _look(self, run: Run, batches: list[Batch]) -> None:
        try:
            await self._guarded(look(self._ports, run, batches), *batches)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._failure = self._failure or error

    async def _guarded(self, work: Coroutine[Any, Any, None], *batches: Batch) -> None:
        """Run a stage; what the provider refuses or does not answer becomes a later time or a pause."""
        try:
            await work
        except AuthenticationFailed as error:
            await self._pause(PauseReason.CREDENTIALS, error)
        except BillingBlocked as error:
            await self._pause(PauseReason.BILLING, error)
        except QuotaReached:
            # What it teaches is in the store; the next claim asks there.
            for batch in batches:
                self._hold(batch, Hold.BLOCKED)
        except RateLimited as error:
            await self._put_off(batches, error, error.retry_after)
        except ProviderUnavailable as error:
            now = self._ports.now()
            self._out_since = self._out_since or now
            if now - self._out_since > MAX_OUTAGE:
                raise
            await self._put_off(batches, error, None)
        except ProviderError as error:
            await self._put_off(batches, error, None)
        else:
            self._out_since = None

    async def _pause(self, reason: PauseReason, error: ProviderError) -> None:
        ports = self._ports
        run = await self._read()
        if run.state in (RunState.OPEN, RunState.DRAINING):
            await ports.store.runs.record_event(
                run.run_no,
                RunEvent.PAUSED,
                now=ports.now(),
                reason=reason,
                message=str(error),
                lease=ports.lease,
            )

    def _is_out_of_money(self, batches: list[Batch]) -> bool:
        """Does nothing move any more because every batch that waits is too dear?"""
        return bool(batches) and all(
            batch.state is BatchState.PLANNED and self._holds.get(batch.model) is Hold.BUDGET
            for batch in batches
        )

    async def _pause_for_budget(self, run: Run, batches: list[Batch]) -> None:
        ports = self._ports
        spent = (await ports.store.batches.spending(run.run_no)).spent_pusd
        waiting = sum(batch.requests for batch in batches)
        ceiling = run.spec.budget_usd or f"{run.spec.daily_budget_usd} a day"
        message = (
            f"{format_usd(spent)} USD of the budget of {ceiling} USD are spent; what is left does not pay for the "
            f"next batch. {waiting:,} requests wait, nothing is lost. To go on: nightmail resume {run.run_id} "
            "--budget USD"
        )
        self._holds.clear()
        await ports.store.runs.record_event(
            run.run_no,
            RunEvent.PAUSED,
            now=ports.now(),
            reason=PauseReason.BUDGET,
            message=message,
            lease=ports.lease,
        )

    async def _put_off(self, batches: tuple[Batch, ...], error: ProviderError, seconds: float | None) -> None:
        """Try again later: after the time that the provider named, or with growing patience."""
        ports = self._ports
        for batch in batches:
            troubles = self._troubles[batch.batch_no] = self._troubles.get(batch.batch_no, 0) + 1
            wait = timedelta(seconds=seconds) if seconds is not None else delay(
                troubles, chance=ports.clock.chance()
            )  # fmt: skip
            current = await ports.store.batches.read(batch.batch_id)
            if current is not None and current.state not in CLOSED_STATES:
                await ports.store.batches.record(
                    ports.lease, current, None, now=ports.now(), due_at=ports.now() + wait
                )
            if troubles in (1, 10, 100):
                await ports.tell(
                    EventName.PROVIDER_TROUBLE,
                    batch,
                    message=str(error),
                    times=troubles,
                )

    async def _rest(self, run: Run, batches: list[Batch]) -> None:
        """Until a stage ends, something is due, or it is time to look for wishes."""
        ports = self._ports
        now = ports.now()
        dues = [batch.due_at for batch in batches if batch.due_at and batch.batch_no not in self._busy]
        dues += self._full.values()
        if (due := await ports.store.requests.next_due(run.run_no)) is not None:
            dues.append(due)
        seconds = min([LOOK_AROUND, *((due - now).total_seconds() for due in dues if due > now)])
        if not self._stop.is_set():
            await ports.clock.wait(seconds, wake=self._wake)
        self._wake.clear()

    async def _end_stages(self) -> None:
        """Let running stages come to their end for a while, then cancel them: each leaves the store
        consistent at every await."""
        tasks = set(self._busy.values())
        if not tasks:
            return
        if self._failure is None:
            await asyncio.wait(tasks, timeout=GRACE)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Look around now."""
        self._wake.set()
