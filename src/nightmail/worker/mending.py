"""`nightmail doctor --fix`: put right what was found, under the lease of each run, so that no worker is
disturbed. Doing it again after a death anywhere goes on where it stopped: what is left is found again.

What has to be judged is left to a worker, which has the task: here extras are only written down and asked
to end. A finished run has no worker any more and nothing to judge, so its extras are booked here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from nightmail.core.batch import CLOSED_STATES, Batch, BatchState, Phase
from nightmail.core.ids import RunId
from nightmail.core.polling import delay
from nightmail.core.pricing import PriceTable, format_usd
from nightmail.core.recovery import find, seek_again_at
from nightmail.core.run import Run
from nightmail.errors import NightmailError, ProviderError
from nightmail.providers.base import Provider
from nightmail.spool import Spool
from nightmail.stages.extras import book, take_in
from nightmail.stages.finalise import finalise
from nightmail.stages.ingest import ingest
from nightmail.stages.poll import poll
from nightmail.stages.ports import Clock
from nightmail.stages.recover import candidate
from nightmail.stages.submit import record_submitted
from nightmail.stores.base import Lease, Store
from nightmail.worker.findings import (
    Case,
    DeadLease,
    Finding,
    LeftFiles,
    LostFolder,
    UnbookedExtra,
    UnknownBatches,
)
from nightmail.worker.lease import claim, held

# How long the command waits for the extras of finished runs to end. A provider may take ten minutes, and
# whoever waits in front of a terminal should not have to: the next --fix goes on.
PATIENCE = timedelta(seconds=30)


class NotDone(NightmailError):
    """It is still as it was, or not through yet; the text is advice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """One run, held under a lease; see `nightmail.stages.ports.Access`."""

    store: Store
    spool: Spool
    provider: Provider
    prices: PriceTable
    clock: Clock
    run_no: int
    run_id: RunId
    lease: Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Mender:
    """Mends the cases of one audit. `provider` is None where it could not be asked."""

    store: Store
    spool: Spool
    provider: Provider | None
    prices: PriceTable
    clock: Clock

    async def mend(self, cases: Sequence[Case]) -> list[Finding]:
        """The findings in their order, with what was done or what is left to do."""
        until = self.clock.now() + PATIENCE
        return [await self._one(case, until) for case in cases]

    async def _one(self, case: Case, until: datetime) -> Finding:
        if case.mendable is None:
            return case.finding
        try:
            done = await self._mended(case, until)
        except NightmailError as error:
            return msgspec.structs.replace(case.finding, advice=str(error))
        return msgspec.structs.replace(case.finding, done=done)

    async def _mended(self, case: Case, until: datetime) -> str:
        match case.mendable:
            case LostFolder(name=name):
                await asyncio.to_thread(self.spool.forget, name)
                return "removed"
            case DeadLease(lease=lease):
                await self.store.runs.delete_lease(lease)
                return "given back"
            case mendable:
                assert case.run is not None
                assert mendable is not None
        if self.provider is None:
            raise NotDone("the provider could not be asked; see above")
        taken = await claim(self.store, self.clock, case.run.run_id, idle=True)
        if taken is None:
            raise NotDone(f"{case.run.run_id} is being worked on; stop that worker, then repeat this")
        async with held(self.store, self.clock, taken):
            # Read again under the lease: a worker may have changed it since it was looked at.
            run = await self.store.runs.read(case.run.run_id)
            assert run is not None
            custody = Custody(
                store=self.store,
                spool=self.spool,
                provider=self.provider,
                prices=self.prices,
                clock=self.clock,
                run_no=run.run_no,
                run_id=run.run_id,
                lease=taken,
            )
            match mendable:
                case UnknownBatches():
                    return await _claim_batches(custody, run, mendable, until)
                case UnbookedExtra(extra=extra):
                    return await _close_extra(custody, run, extra, until)
                case LeftFiles():
                    return await _delete_files(custody, run, mendable)
                case _:
                    assert_never(mendable)


async def _claim_batches(custody: Custody, run: Run, found: UnknownBatches, until: datetime) -> str:
    batch = await custody.store.batches.read(found.batch.batch_id)
    assert batch is not None
    known = await custody.store.batches.provider_ids(batch.account)
    remotes = {remote.id: remote for remote in found.remotes if remote.id not in known}
    said = []
    if batch.state is BatchState.PLANNED:
        now = custody.clock.now()
        adopted = find(
            (candidate(remote) for remote in remotes.values()),
            batch_id=batch.batch_id,
            input_file_id=batch.input_file_id,
            known=frozenset(known),
            submitted_at=batch.submitted_at or now,
            now=now,
        ).adopt
        if adopted is not None:
            # It was to be sent again; now it need not be.
            seek_at = seek_again_at(batch.submitted_at or now, listed_at=found.listed_at)
            batch = await record_submitted(custody, run, batch, remotes.pop(adopted), seek_at=seek_at)
            said.append(f"{adopted} is adopted: {batch.batch_id} is not sent a second time")
    elif batch.state not in (BatchState.IN_PROGRESS, BatchState.ENDED, BatchState.SETTLED, *CLOSED_STATES):
        raise NotDone(f"{batch.batch_id} is {batch.state}: a worker finds out what became of it")
    elif batch.state is BatchState.IN_PROGRESS and any(
        remote.phase is Phase.COMPLETED for remote in remotes.values()
    ):
        # The extra has every answer. Ended before the extra is known: a death in between ends it again.
        await _end(custody, batch)
        said.append(f"{batch.provider_batch_id} is asked to end, since the other one has the answers")
    for remote in remotes.values():
        extra = await take_in(custody, batch, remote)
        if run.finished_at is not None:
            said.append(await _close_extra(custody, run, extra, until))
            continue
        await poll(custody, run, extra)
        said.append(f"{remote.id} is {extra.batch_id} now; the next worker books it and uses its answers")
    return "; ".join(said) or "claimed meanwhile"


async def _end(custody: Custody, batch: Batch) -> None:
    assert batch.provider_batch_id is not None
    # One that cannot be cancelled runs on; its answers are used first.
    with contextlib.suppress(ProviderError):
        await custody.provider.cancel(batch.provider_batch_id)
    now = custody.clock.now()
    await custody.store.batches.record(
        custody.lease, batch, None, now=now, phase=Phase.CANCELLING, due_at=now
    )


async def _close_extra(custody: Custody, run: Run, extra: Batch, until: datetime) -> str:
    """Take the extra of a finished run to its end: no request waits for it, so there is only a bill."""
    looks = 0
    while extra.state is BatchState.IN_PROGRESS:
        extra = await poll(custody, run, extra)
        if extra.state is not BatchState.IN_PROGRESS:
            break
        wait = delay(looks, chance=custody.clock.chance())
        if custody.clock.now() + wait > until:
            raise NotDone(f"{extra.provider_batch_id} is asked to end; repeat this when it has")
        looks += 1
        await custody.clock.wait(wait.total_seconds())
    if extra.state is BatchState.ENDED:
        if extra.ingested_at is None:
            extra = await ingest(custody, run, extra, patient=False)
        extra = await book(custody, extra)
    if extra.state is BatchState.SETTLED:
        extra = await finalise(custody, run, extra, patient=False)
    return f"{extra.provider_batch_id} has ended; it cost {format_usd(extra.cost_pusd)} USD, booked as wasted"


async def _delete_files(custody: Custody, run: Run, left: LeftFiles) -> str:
    batches = await custody.store.batches.list(run.run_no)
    needed = {
        file_id
        for batch in batches
        if batch.state not in CLOSED_STATES
        for file_id in (batch.input_file_id, batch.output_file_id, batch.error_file_id)
    }
    deleted = 0
    for file in left.files:
        if file.id not in needed:
            deleted += await custody.provider.delete(file.id)
    return f"{deleted} deleted" if deleted else "gone meanwhile"
