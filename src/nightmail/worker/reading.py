"""Answer questions about a run from the store and the spool; nothing here changes anything."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightmail.core.ids import RunId
from nightmail.core.progress import ACTIVE_STATES, RunStatus, status_of
from nightmail.core.run import Run
from nightmail.errors import UnknownRun
from nightmail.spool import Spool
from nightmail.stages.deliver import deliver, failures_path, final_schema, windows
from nightmail.stages.failures import list_failures, write_failures
from nightmail.stores.base import Lease, Store
from nightmail.worker.record import number_of, record_of, told
from nightmail.worker.service import Service

if TYPE_CHECKING:
    import pyarrow as pa

# Reading needs no right to drive the run.
NO_LEASE = ""


async def find(store: Store, run_id: RunId | None) -> Run:
    """The run with this id, or the newest. Raises `UnknownRun`."""
    if run_id is not None:
        run = await store.runs.read(run_id)
        if run is not None:
            return run
    runs = await store.runs.list()
    if run_id is None and runs:
        return runs[-1]
    there = f"there is: {', '.join(run.run_id for run in runs[-10:])}" if runs else "there is none at all"
    raise UnknownRun(f"there is no run {run_id!r} in this home; {there}" if run_id else f"no run: {there}")


async def status(store: Store, run: Run, now: datetime) -> RunStatus:
    """The run's counts, money and batches, from a few rows whatever its size."""
    tally = await store.requests.count(run.run_no)
    copies, saved_pusd = await store.copies.count(run.run_no)
    return status_of(
        run,
        states=tally.states,
        reasons=tally.reasons,
        again=tally.again,
        totals=await store.history.totals(run.run_no),
        active=await store.batches.list(run.run_no, states=ACTIVE_STATES),
        quotas=run.spec.quotas,
        failures=str(failures_path(Path(run.spec.output))) if run.spec.output else None,
        now=now,
        copies=copies,
        copies_saved_pusd=saved_pusd,
    )


async def export(service: Service, run: Run, given: Path) -> None:
    """Write outputs and failures of a run, finished or not."""
    ports = await service.ports(run, Lease(run.run_no, NO_LEASE), calls=False)
    output = await asyncio.to_thread(lambda: given.expanduser().absolute())
    try:
        ports.sink(str(output)).check(output)
        await deliver(ports, run, output)
    finally:
        await ports.provider.close()


async def export_failures(service: Service, run: Run, output: Path) -> None:
    """Write the failures of a run, finished or not; no file if there are none."""
    ports = await service.ports(run, Lease(run.run_no, NO_LEASE), calls=False)
    try:
        await write_failures(ports, run, output)
    finally:
        await ports.provider.close()


async def outputs(service: Service, run: Run) -> pa.Table:
    """The outputs as one table."""
    import pyarrow as pa

    ports = await service.ports(run, Lease(run.run_no, NO_LEASE), calls=False)
    try:
        schema = await final_schema(ports, run)
        tables = [table async for table in windows(ports, run, schema)]
        return pa.concat_tables(tables) if tables else schema.empty_table()
    finally:
        await ports.provider.close()


async def failures(service: Service, run: Run) -> list[dict[str, Any]]:
    ports = await service.ports(run, Lease(run.run_no, NO_LEASE), calls=False)
    try:
        return await list_failures(ports, run)
    finally:
        await ports.provider.close()


async def record(service: Service, run: Run, key: str | int) -> dict[str, Any]:
    """One record: what was sent, each attempt, the last answer. Raises `UnknownRecord`."""
    store, spool = service.store, Spool(service.settings.spool)
    return told(await record_of(store, spool, run, await number_of(store, run, key)))
