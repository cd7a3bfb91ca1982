"""Client: start a run, watch it, steer it, read what came of it. Async; `nightmail.sync` is its twin.

A client writes wishes into the home's store and reads from it; only a worker acts on them. The worker
may be in this process (`work`), or another one on the same home.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

import msgspec

from nightmail import config, plugins
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.lifecycle import RunEvent
from nightmail.core.progress import RunStatus
from nightmail.core.request import RequestState
from nightmail.core.run import PauseReason, Run, RunState, Wish
from nightmail.errors import ConfigError, NotNow
from nightmail.spool import Spool
from nightmail.stages.estimate import Plan
from nightmail.stores.base import Cost, Event, Queue, Store
from nightmail.tasks.base import Task
from nightmail.tasks.declared import Declaration, keep
from nightmail.worker import reading
from nightmail.worker.audit import Audit, audit, resolve_doubt
from nightmail.worker.backup import Backup, Restored, back_up, restore
from nightmail.worker.begin import INTAKE, begin, want
from nightmail.worker.clock import RealClock
from nightmail.worker.estimating import plan_of
from nightmail.worker.history import History
from nightmail.worker.hooks import Hooks
from nightmail.worker.inquiries import Inquiries
from nightmail.worker.intakes import Intakes
from nightmail.worker.keys import Keys
from nightmail.worker.options import RunOptions, amount_of, travel_of
from nightmail.worker.pages import RecordResult, page_of_results
from nightmail.worker.schedules import Schedules
from nightmail.worker.service import Service
from nightmail.worker.timetable import Timetable
from nightmail.worker.uploads import Uploads

if TYPE_CHECKING:
    import pyarrow as pa

WATCH_EVERY = 0.5
Told = Callable[[str], None]


class Client:
    """One home, one provider account. Use it as `async with Client(...) as client`.

    `home` is the folder in which everything is kept (default `.nightmail`); `base_url` and `api_key`
    default to the environment (`OPENAI_BASE_URL`, `OPENAI_API_KEY`).
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        provider: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
    ) -> None:
        self.settings = config.read(home=home, provider=provider, base_url=base_url, api_key=api_key)
        self._clock = RealClock()
        self._opened: Store | None = None
        self._service: Service | None = None
        self._intakes: Intakes | None = None

    async def __aenter__(self) -> Self:
        self._opened = await plugins.load("stores", "sqlite").open(self.settings.home)
        self._service = Service(self.settings, self._store, self._clock)
        self._intakes = Intakes(self._store, self.settings.spool, self._clock, self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._service is not None:
            await self._service.close()
        if self._intakes is not None:
            await self._intakes.close()
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    @property
    def _store(self) -> Store:
        if self._opened is None:
            raise ConfigError("the client is not open: use `async with Client(...) as client`")
        return self._opened

    @property
    def _worker(self) -> Service:
        assert self._store is not None
        assert self._service is not None
        return self._service

    @property
    def schedules(self) -> Schedules:
        """Runs that start by themselves: add, list, change, remove them."""
        return Schedules(self.settings, self._store, self._clock)

    @property
    def timetable(self) -> Timetable:
        """The loop that starts what is due: `await client.timetable.run(stop)`."""
        return Timetable(self.schedules, self._store, self._clock)

    async def start(
        self,
        task: type[Task] | Task | str,
        source: Any,
        output: str | Path | None = None,
        *,
        new: bool = False,
        as_started: bool = False,
        **options: Unpack[RunOptions],
    ) -> RunStatus:
        """Write a run down, or find the one that the same arguments have started before. Sends nothing:
        `work` does, or any worker on this home.

        `task` is a `Task` class or how to import one; `source` a path, several, a glob, a pandas, polars
        or Arrow frame, or an iterable of records; `output` a .parquet, .jsonl or .csv path, or None to
        read the outputs by `outputs`; `options` are `RunOptions`. Raises `ConfigError`, `TaskError`,
        `SourceError`, `SinkError`, and `RunChanged` if the run is there but the task, the input or an option
        was another.
        """
        travel = travel_of(self.settings, options)
        wanted = await asyncio.to_thread(want, task, source, output, self.settings.home, **travel)
        run = await begin(self._store, wanted, now=self._clock.now(), new=new, as_started=as_started)
        if not isinstance(task, str):
            # It may have state of its own, or be nowhere but in this process.
            self._worker.add_task(wanted.task)
        return await self._status(run)

    async def run(
        self, task: type[Task] | Task | str, source: Any, output: Any = None, **options: Any
    ) -> RunStatus:
        """`start` and `work` in one."""
        status = await self.start(task, source, output, **options)
        return await self.work(status.run_id)

    async def work(self, run_id: str | None = None, *, on_wait: Told | None = None) -> RunStatus:
        """Carry a run out until it is finished, cancelled or paused, or `stop` is called; if another
        worker has it, watch until that one is done with it. `on_wait` is told once who that is."""
        run, driven = await self._find(run_id), None
        while not self._worker.stop.is_set():
            if run.state in (RunState.FINISHED, RunState.CANCELLED) and await self._is_delivered(run):
                break
            if run.state is RunState.PAUSED and (run.wish is None or driven is not None):
                break
            if (driven := await self._worker.work_on(run.run_id, on_wait)) is None:
                on_wait = None
                # Its end shows in the store; its worker's end, in the lease.
                await self._clock.wait(1.0, wake=self._worker.stop)
            run = await self._find(run.run_id)
        return await self._status(run)

    async def work_all(self, *, until_idle: bool = False) -> None:
        """Be a worker: carry out every run of the home, until `stop` is called."""
        await self._worker.work(until_idle=until_idle)

    async def preload(self) -> None:
        """Load what working needs, before anybody waits for an answer of this process."""
        await self._worker.preload()

    def stop(self) -> None:
        """Let `work` return soon; what is at the provider stays there."""
        self._worker.stop.set()

    async def status(self, run_id: str | None = None) -> RunStatus:
        """A run as it is now; the newest if none is named."""
        return await self._status(await self._find(run_id))

    async def runs(self) -> list[RunStatus]:
        """Every run of the home, oldest first."""
        return [await self._status(run) for run in await self._store.runs.list()]

    async def page_of_runs(
        self, *, limit: int, before: str | None = None, tenant: str | None = None
    ) -> list[RunStatus]:
        """Runs that are older than `before`, the newest first; of one tenant if given."""
        runs = await self._store.runs.page(
            tenant=tenant, before=RunId(before) if before else None, limit=limit
        )
        return [await self._status(run) for run in runs]

    async def watch(
        self, run_id: str | None = None, *, every: float = WATCH_EVERY
    ) -> AsyncIterator[RunStatus]:
        """The run's status again and again, the last time when it is finished, cancelled or paused."""
        while True:
            status = await self.status(run_id)
            yield status
            if status.state in (RunState.FINISHED, RunState.CANCELLED, RunState.PAUSED):
                return
            await self._clock.wait(every)

    async def pause(self, run_id: str | None = None) -> RunStatus:
        """Send nothing new; what the provider has is still taken in when a worker runs."""
        run = await self._find(run_id)
        if run.state in (RunState.OPEN, RunState.DRAINING):
            run = await self._store.runs.record_event(
                run.run_no, RunEvent.PAUSED, now=self._clock.now(), reason=PauseReason.USER
            )
        return await self._status(run)

    async def resume(
        self, run_id: str | None = None, *, budget: Decimal | float | str | None = None
    ) -> RunStatus:
        """Undo a pause, with another budget (USD, for the whole run) if one is given, and with the daily one
        that the settings have now. Sends nothing by itself."""
        run = await self._find(run_id)
        own = run.spec.budget_usd if budget is None else amount_of(budget)
        spec = msgspec.structs.replace(run.spec, budget_usd=own, daily_budget_usd=self.settings.daily_budget)
        run = await self._store.runs.record_spec(run.run_no, spec, run.fingerprint)
        if run.state is RunState.PAUSED:
            run = await self._store.runs.record_event(run.run_no, RunEvent.RESUMED, now=self._clock.now())
        return await self._status(run)

    async def cancel(self, run_id: str | None = None) -> RunStatus:
        """Wish the run's end: unsent requests are given up, batches are asked to end, paid answers are
        kept and delivered. Carried out by a worker."""
        run = await self._find(run_id)
        if run.state not in (RunState.FINISHED, RunState.CANCELLED):
            await self._store.runs.record_wish(run.run_no, Wish.CANCEL)
        return await self.status(run.run_id)

    async def retry(self, run_id: str | None = None, *, reasons: Sequence[Reason] | None = None) -> int:
        """Failed records of a finished run (of some reasons only, if given) are to be asked again; how
        many. Records of which no request could be made stay failed."""
        run = await self._find(run_id)
        if run.state is not RunState.FINISHED:
            raise NotNow(
                f"{run.run_id} is {run.state}: only what a finished run left failed can be asked again"
            )
        if run.spec.deadline_seconds is not None:
            # It was for the first time round, and has passed.
            spec = msgspec.structs.replace(run.spec, deadline_seconds=None)
            await self._store.runs.record_spec(run.run_no, spec, run.fingerprint)
        return await self._store.requests.record_retried(run.run_no, reasons=reasons, now=self._clock.now())

    async def revalidate(self, run_id: str | None = None) -> int:
        """Judge the stored answers of failed records again, with the task as it is now; how many are
        good. Nothing is sent; `work` then delivers."""
        return await self._worker.revalidate((await self._find(run_id)).run_id)

    async def export(self, output: str | Path, run_id: str | None = None) -> RunStatus:
        """Write what has succeeded so far to `output`, and what has failed beside it."""
        run = await self._find(run_id)
        await reading.export(self._worker, run, Path(output))
        return await self._status(run)

    async def outputs(self, run_id: str | None = None) -> pa.Table:
        """What has succeeded so far, as the output file has it, in the order of the source."""
        return await reading.outputs(self._worker, await self._find(run_id))

    async def failures(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """What has failed, as the failures file has it."""
        return await reading.failures(self._worker, await self._find(run_id))

    async def record(self, key: str | int, run_id: str | None = None) -> dict[str, Any]:
        """Everything known of one record: its request, each attempt, the last answer."""
        return await reading.record(self._worker, await self._find(run_id), key)

    async def plan(self, task: type[Task] | Task | str, source: Any, **options: Unpack[RunOptions]) -> Plan:
        """What a run would be; no call is made and nothing is kept."""
        return await plan_of(self.settings, self._store, task, source, options)

    async def backup(self, path: str | Path) -> Backup:
        """Copy the home, as it is at one moment, into a new folder; workers may go on meanwhile."""
        return await back_up(self.settings, self._store, self._clock, Path(path))

    @staticmethod
    async def restore(path: str | Path, home: str | Path | None = None) -> Restored:
        """Make a home, where none is, of a back-up. Its unfinished runs and its schedules are paused."""
        return await restore(config.read(home=home), RealClock(), Path(path))

    async def doctor(self, *, fix: bool = False) -> Audit:
        """Compare the store with itself, with the spool and with the provider's account; with `fix`, mend
        what needs no person. Runs that a worker has are left alone."""
        return await audit(self.settings, self._store, self._clock, fix=fix)

    async def resolve_doubt(self, batch_id: str, *, adopt: str | None) -> None:
        """Decide a doubtful batch by hand: it is the provider's `adopt`, or (None) it is not there."""
        await resolve_doubt(self._store, self._clock, BatchId(batch_id), adopt)

    async def events(self, run_id: str | None = None, *, limit: int = 50) -> list[Event]:
        """What happened, newest last."""
        return await self._store.events.list((await self._find(run_id)).run_no, limit=limit)

    @property
    def hooks(self) -> Hooks:
        """What goes out of the home and comes in: notices, webhooks, figures."""
        return Hooks(self._worker, self._clock)

    async def tenant_of(self, run_id: str) -> str | None:
        """Whose run it is. Raises `UnknownRun`."""
        return (await self._find(run_id)).spec.tenant

    @property
    def history(self) -> History:
        """How work has gone: over all runs, and in one."""
        return History(self._store, Spool(self.settings.spool), self._clock)

    @property
    def keys(self) -> Keys:
        """The keys of a service on this home."""
        return Keys(self._store, self._clock)

    @property
    def intakes(self) -> Intakes:
        """Records that come over time and leave as batches."""
        assert self._store is not None
        assert self._intakes is not None
        return self._intakes

    @property
    def inquiries(self) -> Inquiries:
        """Questions of a person: a batch, a record, a search, why it failed, how full the queues are."""
        return Inquiries(self._store, Spool(self.settings.spool), self._clock)

    @property
    def uploads(self) -> Uploads:
        """Inputs that came over the network."""
        return Uploads(self.settings.spool, self._clock)

    async def declare(self, declaration: Declaration) -> str:
        """Keep a task that is declared without Python; how `start` finds it. Raises `TaskError`."""
        return str(await asyncio.to_thread(keep, declaration, self.settings.spool / INTAKE / "tasks"))

    async def results(
        self,
        run_id: str | None = None,
        *,
        after: int = 0,
        limit: int = 100,
        state: RequestState | None = None,
    ) -> list[RecordResult]:
        """Records numbered above `after` as they are now, in order; of one state if given."""
        run = await self._find(run_id)
        spool = Spool(self.settings.spool)
        return await page_of_results(self._store, spool, run, after=after, limit=limit, state=state)

    async def queues(self, *, tenant: str | None = None) -> Sequence[Queue]:
        """Each model's queue at the provider: what is in flight, of one tenant if given, and its limit."""
        return await self._store.pages.queues(tenant=tenant)

    async def costs(self, *, since: datetime, tenant: str | None = None) -> Sequence[Cost]:
        """What was paid, by UTC day and model; by one tenant if given."""
        return await self._store.pages.costs(tenant=tenant, since=since)

    async def export_failures(self, output: str | Path, run_id: str | None = None) -> None:
        """Write what has failed so far to `output`, as JSON lines; no file if nothing has."""
        await reading.export_failures(self._worker, await self._find(run_id), Path(output))

    async def ping(self) -> None:
        """Returns if the store answers. Raises `StoreError`."""
        await self._store.runs.page(tenant=None, before=None, limit=1)

    async def _find(self, run_id: str | None) -> Run:
        return await reading.find(self._store, RunId(run_id) if run_id else None)

    async def _status(self, run: Run) -> RunStatus:
        return await reading.status(self._store, run, self._clock.now())

    async def _is_delivered(self, run: Run) -> bool:
        """Is the output where it belongs? A deleted one is delivered again: that costs nothing."""
        if run.delivered_at is None:
            return False
        if run.spec.output is None or await asyncio.to_thread(Path(run.spec.output).exists):
            return True
        await self._store.runs.record_undelivered(run.run_no)
        return False
