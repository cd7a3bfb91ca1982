"""The whole engine on a desk: a real store and spool in a folder, a scripted provider, a clock that jumps.

`Desk` is what the tests of stages, of the worker and of crashes share; a plug-in's author can put a
store or a provider of his own on it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nightmail.config import read, read_prices
from nightmail.core.ids import RunId
from nightmail.core.lifecycle import RunEvent
from nightmail.core.progress import RunStatus
from nightmail.core.request import Mode
from nightmail.core.run import Run
from nightmail.spool import Spool
from nightmail.stages.deliver import failures_path
from nightmail.stages.ports import Ports
from nightmail.stores.base import Lease, Store
from nightmail.stores.sqlite import SqliteStore
from nightmail.tasks.base import Task
from nightmail.tasks.prepared import PreparedTask
from nightmail.testing.clock import ManualClock
from nightmail.testing.faults import Faulty, NoTrouble, Plan
from nightmail.testing.provider import ScriptedProvider
from nightmail.tokens.counter import counter_for
from nightmail.worker.begin import begin, open_source, want
from nightmail.worker.lease import TERM
from nightmail.worker.loop import Driver
from nightmail.worker.reading import status
from nightmail.worker.service import Service, shards_for, sink_for

PURE = (
    "limits", "request_line", "request_body", "result_line", "read_result", "read_answers", "path", "exists",
    "size",
)  # fmt: skip
GROUPS = ("runs", "requests", "batches", "copies", "events", "schedules", "delivered", "notices", "figures")


class Plain(Task):
    """Says something about a record."""

    model = "gpt-4o-mini"

    def build(self, record: Any) -> str:
        return f"say something about {record['text']}"


class Desk:
    """One run of `task` over `rows`. Each `drive` is one life of a worker process."""

    def __init__(
        self,
        folder: Path,
        provider: ScriptedProvider,
        *,
        task: type[Task] = Plain,
        rows: Iterable[Mapping[str, Any]] | None = None,
        output: str = "out.jsonl",
        home: Path | None = None,
        clock: ManualClock | None = None,
        **travel: Any,
    ) -> None:
        self.folder = folder
        self.home = home or folder / "home"
        self.provider = provider
        self.clock = clock or ManualClock()
        self.task = task
        self.output = folder / output
        self.input = folder / "rows.jsonl"
        if rows is None:
            rows = [{"id": f"r{n}", "text": f"thing {n}"} for n in range(6)]
        self.input.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.travel: dict[str, Any] = {"mode": Mode.BATCH, "base_url": "http://desk", **travel}

    async def store(self) -> Store:
        return await SqliteStore.open(self.home)

    async def drive(
        self,
        plan: Plan | None = None,
        *,
        stop: asyncio.Event | None = None,
        alone: bool = True,
        wrap: Callable[[Ports], Ports] | None = None,
    ) -> Run:
        """Begin (or find) the run and drive it to its end; with a plan, as far as that lets it. Whoever
        had the run before is dead, unless this worker is not `alone`: then a living lease is waited out
        by the caller, and the run is returned as it is. `wrap` may put its own ports around these."""
        store = await self.store()
        try:
            wanted = want(self.task, self.input, self.output, self.home, **self.travel)
            run = await begin(store, wanted, now=self.clock.now())
            now = self.clock.now()
            dead = [lease.token for lease in await store.runs.leases()] if alone else []
            lease = await store.runs.claim(
                run_id=run.run_id, token=self.clock.token(), now=now, until=now + TERM, dead=dead
            )
            if lease is None:
                return run
            ports = faulty(self._ports(run, lease, store), plan or NoTrouble(), self.clock)
            if wrap is not None:
                ports = wrap(ports)
            run = await Driver(ports, stop or asyncio.Event()).drive()
            await store.runs.delete_lease(lease)
            return run
        finally:
            await store.close()

    def _ports(self, run: Run, lease: Lease, store: Store) -> Ports:
        spool, source, task = Spool(self.home / "spool"), open_source(run.spec), PreparedTask(self.task)
        return Ports(
            store=store,
            spool=spool,
            provider=self.provider,
            source=source,
            task=task,
            shards=shards_for(run.run_id, task, self.provider, source, spool),
            counter=counter_for,
            sink=sink_for,
            prices=read_prices(None),
            clock=self.clock,
            run_no=run.run_no,
            run_id=run.run_id,
            lease=lease,
        )

    async def resume(self) -> None:
        """Undo a pause."""
        run_id = (await self.status()).run_id
        store = await self.store()
        try:
            run = await store.runs.read(run_id)
            assert run is not None
            await store.runs.record_event(run.run_no, RunEvent.RESUMED, now=self.clock.now())
        finally:
            await store.close()

    async def retry(self) -> int:
        """Ask what the finished run left failed again; how many."""
        run_id = (await self.status()).run_id
        store = await self.store()
        try:
            run = await store.runs.read(run_id)
            assert run is not None
            return await store.requests.record_retried(run.run_no, reasons=None, now=self.clock.now())
        finally:
            await store.close()

    async def revalidate(self) -> int:
        """Judge the stored answers of the finished run's failures again."""
        run_id = (await self.status()).run_id
        store = await self.store()
        try:
            settings = read(home=self.home, api_key="none", environment={})
            service = Service(settings, store, self.clock, tasks=[PreparedTask(self.task)])
            return await service.revalidate(run_id)
        finally:
            await store.close()

    async def status(self) -> RunStatus:
        """Its run (the newest of this output), as its summary would tell."""
        store = await self.store()
        try:
            runs = [run for run in await store.runs.list() if run.spec.output == str(self.output)]
            return await status(store, runs[-1], self.clock.now())
        finally:
            await store.close()

    async def run_id(self) -> RunId:
        return (await self.status()).run_id

    def outputs(self) -> list[dict[str, Any]]:
        """The delivered rows."""
        return [json.loads(line) for line in self.output.read_text().split("\n") if line]

    def failures(self) -> list[dict[str, Any]]:
        """The failures beside them; none if there is no such file."""
        path = failures_path(self.output)
        return [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []


def faulty(ports: Ports, plan: Plan, clock: ManualClock) -> Ports:
    """The same ports, each call of which passes the plan."""
    wrapped: dict[str, Any] = {
        "store": Faulty(ports.store, plan, clock, name="store", groups=GROUPS),
        "spool": Faulty(ports.spool, plan, clock, name="spool", pure=PURE),
        "provider": Faulty(ports.provider, plan, clock, name="provider", pure=PURE),
    }
    shards = shards_for(ports.run_id, ports.task, ports.provider, ports.source, wrapped["spool"])
    # Judging is no boundary, since it writes by the ports only, but time must not pass by how long it takes.
    judging = Faulty(shards, NoTrouble(), clock, name="shards", pure=("build", "expect", "rest"))
    return replace(ports, shards=judging, **wrapped)
