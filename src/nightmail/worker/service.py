"""Carry runs out: claim one, put its ports together, drive it, give it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from nightmail import plugins
from nightmail.config import Settings, read_prices
from nightmail.core.ids import RunId
from nightmail.core.lifecycle import RunEvent
from nightmail.core.pricing import PriceTable
from nightmail.core.run import Run, RunState
from nightmail.errors import ConfigError, LeaseLost, NotNow, SinkError, SourceError, TaskError
from nightmail.processes import drop_ahead
from nightmail.providers.base import Provider
from nightmail.sinks.base import Sink
from nightmail.sinks.files import sink_format
from nightmail.sources.base import Source
from nightmail.spool import Spool
from nightmail.stages.build import Workshop
from nightmail.stages.ports import Clock, Ports
from nightmail.stages.revalidate import revalidate
from nightmail.stages.shards import Here, Tools
from nightmail.stores.base import Lease, Store
from nightmail.tasks.prepared import PreparedTask
from nightmail.telemetry import telling_of
from nightmail.tokens.counter import counter_for
from nightmail.worker.begin import open_source, prepared_for, task_parts
from nightmail.worker.kit import NO_KEY, kit_for
from nightmail.worker.lease import Sightings, claim, held, holder_of
from nightmail.worker.loop import Driver
from nightmail.worker.pool import Pool, places
from nightmail.worker.preload import load_arrow, preload
from nightmail.worker.shift import Shift
from nightmail.worker.tracing import Traces, provider_of


class Service:
    """A worker on one home."""

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, *, tasks: Sequence[PreparedTask] = ()
    ) -> None:
        self.settings = settings
        self.store = store
        self._clock = clock
        self._tasks = list(tasks)
        self._prices: PriceTable | None = None
        self._sightings = Sightings()
        self._places = places()
        self._drivers: set[Driver] = set()
        self._traces: Traces | None = None
        self._asked_for_traces = False
        self.stop = asyncio.Event()

    def add_task(self, task: PreparedTask) -> None:
        """A task of this process, which need not be importable elsewhere."""
        self._tasks.append(task)

    async def close(self) -> None:
        """Send what is still to be sent of what was done here."""
        if self._traces is not None:
            await asyncio.to_thread(self._traces.close)

    async def _trace(self) -> None:
        """Traces, if the environment asks for them. Raises `ConfigError` if it asks for what is not there."""
        if not self._asked_for_traces:
            provider = await asyncio.to_thread(provider_of)
            self._traces = Traces(provider) if provider is not None else None
            self._asked_for_traces = True

    async def preload(self) -> None:
        """Load what working needs now, not amid other things. Most of a second."""
        await asyncio.to_thread(preload, self.settings.provider)

    def look_now(self) -> None:
        """Something in the store has just become due: whoever drives a run in this process looks at once.
        Another process does within a second."""
        for driver in self._drivers:
            driver.wake.set()

    async def claim(self, run_id: RunId) -> Lease | None:
        """The right to drive a run; None if another worker has it."""
        return await claim(self.store, self._clock, run_id, sightings=self._sightings)

    async def work_on(self, run_id: RunId, on_wait: Callable[[str], None] | None = None) -> Run | None:
        """Drive one run until it is over, paused or `stop` is set; None if another worker has it, or has
        taken it over because this process slept. `on_wait` is told who has it.

        What the user must mend is raised, and a run of which nothing was sent is forgotten with it."""
        await self._trace()
        lease = await self.claim(run_id)
        if lease is None:
            await self._tell_driver(run_id, on_wait)
            return None
        try:
            return await self._drive(run_id, lease)
        except LeaseLost:
            return None
        except (SourceError, TaskError, ConfigError, SinkError):
            if await self.store.runs.delete_unsent(lease.run_no):
                await asyncio.to_thread(Spool(self.settings.spool).forget, run_id)
            raise

    async def _tell_driver(self, run_id: RunId, told: Callable[[str], None] | None) -> None:
        run = await self.store.runs.read(run_id)
        for tenure in await self.store.runs.leases():
            if told is not None and run is not None and tenure.run_no == run.run_no:
                told(holder_of(tenure.token))

    async def revalidate(self, run_id: RunId) -> int:
        """Judge the stored answers of a finished run's failures anew; how many are good now. Raises
        `ConfigError` if somebody drives the run."""
        run = await self.store.runs.read(run_id)
        assert run is not None
        if run.state is RunState.FINISHED:
            await self.store.runs.record_event(run.run_no, RunEvent.REOPENED, now=self._clock.now())
        lease = await self.claim(run_id)
        if lease is None:
            raise NotNow(f"{run_id} is being worked on; wait for its end")
        async with held(self.store, self._clock, lease):
            ports = await self.ports(run, lease, calls=False)
            try:
                count = await revalidate(ports, run)
                # From here on the run is the mended task's: the same command goes on with it.
                others = {
                    part: said for part, said in run.fingerprint.items() if not part.startswith("task ")
                }
                await self.store.runs.record_spec(run.run_no, run.spec, others | task_parts(ports.task))
                return count
            finally:
                await ports.provider.close()

    async def work(self, *, until_idle: bool = False) -> None:
        """Drive whatever there is to drive, many runs at the same time, until `stop` is set. A run that
        cannot be driven is put off, with an event that says why; the others go on."""
        await self._trace()
        shift = Shift(self.store, self._clock, claim=self.claim, drive=self._drive, stop=self.stop)
        await shift.work(until_idle=until_idle)

    async def _drive(self, run_id: RunId, lease: Lease) -> Run:
        async with held(self.store, self._clock, lease):
            run = await self.store.runs.read(run_id)
            assert run is not None
            ports = await self.ports(run, lease, calls=run.finished_at is None)
            if self._traces is not None:
                ports = replace(ports, provider=self._traces.calls(ports.provider, run))
            pool = self._pool(run, ports)
            try:
                if pool is not None and _builds_all(run):
                    size = sum(path.stat().st_size for path in ports.source.paths if path.exists())
                    if pool.expect(size):
                        # They are not ready sooner. Once they are, an import here would keep them waiting.
                        await asyncio.to_thread(load_arrow)
                else:
                    drop_ahead()
                with telling_of(run.run_id):
                    if run.wish is None and run.finished_at is None:
                        await ports.provider.check()
                    return await self._drive_with(replace(ports, shards=pool or ports.shards))
            finally:
                if pool is not None:
                    await asyncio.to_thread(pool.close)
                await ports.provider.close()

    async def _drive_with(self, ports: Ports) -> Run:
        traces = self._traces
        driver = Driver(ports, self.stop) if traces is None else Driver(ports, self.stop, traces.batch)
        self._drivers.add(driver)
        try:
            driven = await driver.drive()
        finally:
            self._drivers.discard(driver)
        if traces is not None:
            traces.run(driven)
        return driven

    def _pool(self, run: Run, ports: Ports) -> Pool | None:
        """Processes for a run's shards, started when there is enough to do; None if its task is only here."""
        kit = kit_for(run, ports.task, self.settings.spool)
        assert isinstance(ports.shards, Here)
        return Pool(kit, ports.shards, places=self._places) if kit is not None else None

    async def ports(self, run: Run, lease: Lease, *, calls: bool = True) -> Ports:
        """The ports of a run; without `calls` no key is asked for. Raises `ConfigError` or `TaskError` for
        what is missing."""
        task = await asyncio.to_thread(prepared_for, run, self._tasks)
        if self._prices is None:
            self._prices = await asyncio.to_thread(read_prices, self.settings.prices)
        spool, source = Spool(self.settings.spool), open_source(run.spec)
        provider = self.provider(run, calls=calls)
        return Ports(
            store=self.store,
            spool=spool,
            provider=provider,
            source=source,
            task=task,
            shards=shards_for(run.run_id, task, provider, source, spool),
            counter=counter_for,
            sink=sink_for,
            prices=self._prices,
            clock=self._clock,
            run_no=run.run_no,
            run_id=run.run_id,
            lease=lease,
        )

    def provider(self, run: Run, *, calls: bool) -> Provider:
        key = self.settings.api_key if calls else self.settings.api_key or NO_KEY
        provider: Provider = plugins.load("providers", run.spec.provider).open(
            base_url=run.spec.base_url, api_key=key
        )
        return provider


def _builds_all(run: Run) -> bool:
    """Is the source still to be read, and to its end?"""
    return run.state is RunState.OPEN and not run.sealed and run.spec.limit is None


def shards_for(run_id: RunId, task: PreparedTask, provider: Provider, source: Source, spool: Spool) -> Here:
    """Where a run's shards are done if it has no processes for them."""
    workshop = Workshop(task=task, provider=provider, counter=counter_for, run_id=run_id)
    return Here(Tools(run_id, task, provider, source, spool, workshop))


def sink_for(path: str) -> type[Sink]:
    """The sink class for a file, by its ending."""
    sink: type[Sink] = plugins.load("sinks", sink_format(Path(path)))
    return sink
