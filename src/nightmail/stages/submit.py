"""planned -> in_progress: hand a batch to its provider, at most once.

1 the intent is committed (and with it the queue's tokens are taken), 2 the input file is uploaded, which
is safe to repeat, 3 its id is recorded, 4 the batch is created, once, 5 its id is recorded. A crash
before 3 leaves at most a file that nobody uses; a crash after 3 leaves a batch whose fate `recover`
finds out from the provider, because the create call may have been carried out.

`submitted_at` is when the create call was about to be made, by this worker, under its lease: `recover`
counts from it how long the call can still be on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Any

from nightmail.core.batch import Batch, BatchState
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.polling import delay, first_look
from nightmail.core.quota import Hold
from nightmail.core.recovery import mark_of, metadata, upload_name
from nightmail.core.run import Run
from nightmail.errors import (
    LeaseLost,
    NotFound,
    ProviderError,
    ProviderUnavailable,
    QuotaReached,
    RequestRefused,
)
from nightmail.providers.base import RemoteBatch
from nightmail.stages.let_go import let_go
from nightmail.stages.money import admission
from nightmail.stages.plan import limits_for
from nightmail.stages.ports import Access, Ports, tell
from nightmail.stages.refused import settle_refused
from nightmail.stages.seen import seen_of
from nightmail.stages.tidy import tidy
from nightmail.stages.unseen import is_of_another_key
from nightmail.telemetry import EventName

# A file is sometimes not visible to the create call for some seconds after its upload (facts E.8).
VISIBILITY_TRIES = 8
# A create call follows its committed intent at once. After a longer stop than this (a suspended process,
# a laptop's lid) the intent is committed anew, which fails if another worker has the run by now.
FRESH = timedelta(seconds=2)


def is_fresh(stated_at: datetime | None, now: datetime) -> bool:
    """Was what a fenced write stated at that time stated just now? Not if the clock was set back since."""
    return stated_at is not None and timedelta(0) <= now - stated_at <= FRESH


async def submit(ports: Ports, run: Run, batch: Batch) -> Batch | Hold:
    """Submit a planned batch, or say why it has to wait; or give it up, to be cut anew, if the provider
    would refuse it for its size or another key is used now.

    Raises `ProviderError` after the batch has been put back to planned, except where its fate is
    unknown: then it is doubtful, and nothing is raised."""
    if is_of_another_key(ports, batch):
        # Cut for that key's account, and its file, if it has one, cannot be used with this one.
        return await ports.store.batches.record_recalled(ports.lease, batch)
    limits = limits_for(ports.provider, run.spec, batch.model, batch.endpoint, batch.mode)
    claimed = await ports.store.batches.claim_submit(
        ports.lease,
        batch,
        await admission(ports, run, batch, limits),
        event=BatchEvent.SUBMIT_STARTED,
        now=ports.now(),
    )
    if claimed is Hold.OUTGROWN:
        await ports.tell(EventName.BATCH_RECUT, batch, tokens=batch.tokens)
        return await ports.store.batches.record_recalled(ports.lease, batch)
    if isinstance(claimed, Hold):
        return claimed
    batch = claimed
    if batch.input_file_id is None:
        try:
            batch = await _upload(ports, run, batch)
        except RequestRefused as error:
            return await _refuse(ports, run, batch, error)
    return await _create(ports, run, batch)


async def _upload(ports: Ports, run: Run, batch: Batch) -> Batch:
    # `nightmail doctor` knows by this name what an upload that was never recorded belongs to.
    filename = upload_name(batch.batch_id, mark_of(run.run_id, run.created_at))
    paths = await ports.store.requests.file_paths(batch.run_no)
    ranges = [
        (paths[file_no], offset, length)
        for file_no, offset, length in await ports.store.requests.ranges(batch)
    ]
    content = await asyncio.to_thread(ports.spool.joined, ranges)
    try:
        with content:
            remote = await ports.provider.upload(content, filename=filename)
        if remote.bytes is not None and remote.bytes != content.size:
            raise ProviderUnavailable(
                f"the upload of {batch.batch_id!r} arrived with {remote.bytes:,} of {content.size:,} bytes",
                ambiguous=False,
            )
    except RequestRefused:
        raise
    except ProviderError:
        await _keep(ports, batch, BatchEvent.DEFERRED)
        raise
    batch = await ports.store.batches.record(
        ports.lease, batch, None, now=ports.now(), input_file_id=remote.id, submitted_at=ports.now()
    )
    await let_go(ports, ranges)
    return batch


async def _intend(ports: Ports, batch: Batch) -> Batch:
    """The batch, its intent committed just now. Raises `LeaseLost` if the run is somebody else's."""
    while not is_fresh(batch.submitted_at, ports.now()):
        now = ports.now()
        batch = await ports.store.batches.record(ports.lease, batch, None, now=now, submitted_at=now)
    return batch


async def _create(ports: Ports, run: Run, batch: Batch) -> Batch:
    for attempt in range(1, VISIBILITY_TRIES + 1):
        batch = await _intend(ports, batch)
        assert batch.input_file_id is not None
        try:
            remote = await ports.provider.create(
                input_file_id=batch.input_file_id,
                endpoint=batch.endpoint,
                metadata=metadata(ports.run_id, batch.batch_id, batch.attempt),
            )
        except NotFound as error:
            if attempt < VISIBILITY_TRIES:
                await ports.clock.wait(delay(attempt - 1, chance=ports.clock.chance()).total_seconds())
                continue
            # Gone rather than late: upload it again.
            await _keep(ports, batch, BatchEvent.DEFERRED, input_file_id=None)
            raise ProviderUnavailable(str(error), ambiguous=False) from error
        except RequestRefused as error:
            return await _refuse(ports, run, batch, error)
        except ProviderUnavailable as error:
            if error.ambiguous:
                # Whether it was carried out is not known: from here on only `recover` may act.
                return await _keep(ports, batch, BatchEvent.DOUBTED)
            await _keep(ports, batch, BatchEvent.DEFERRED)
            raise
        except QuotaReached as error:
            batch = await _keep(ports, batch, BatchEvent.DEFERRED)
            await ports.store.batches.record_refusal(ports.lease, batch, said=error.limit, now=ports.now())
            raise
        except ProviderError:
            await _keep(ports, batch, BatchEvent.DEFERRED)
            raise
        try:
            return await record_submitted(ports, run, batch, remote)
        except LeaseLost:
            await _disown(ports, batch, remote)
            raise
    raise AssertionError("unreachable")


async def _disown(ports: Ports, batch: Batch, remote: RemoteBatch) -> None:
    """This worker slept between its fresh intent and the call, and the run is somebody else's by now.
    Whoever has it may still find and adopt this batch, as long as it is looking for one of this attempt;
    else nobody will ever fetch it, and it is cancelled. If that fails, the audit finds it."""
    current = await ports.store.batches.read(batch.batch_id)
    if current is not None and current.attempt == batch.attempt:
        looking = current.state in (BatchState.SUBMITTING, BatchState.DOUBTFUL)
        if looking or current.provider_batch_id == remote.id:
            return
    with contextlib.suppress(ProviderError):
        await ports.provider.cancel(remote.id)


async def record_submitted(
    ports: Access, run: Run, batch: Batch, remote: RemoteBatch, *, seek_at: datetime | None = None
) -> Batch:
    """The provider has the batch, under this id. `seek_at`: see `Batch`."""
    batch = await ports.store.batches.record(
        ports.lease,
        batch,
        BatchEvent.SUBMITTED,
        now=ports.clock.now(),
        seen=seen_of(remote),
        provider_batch_id=remote.id,
        status=remote.status,
        phase=remote.phase,
        polls=0,
        due_at=ports.clock.now() + first_look(chance=ports.clock.chance(), interval=run.spec.poll_interval),
        seek_at=seek_at,
    )
    told: dict[str, Any] = {"provider_batch_id": remote.id}
    if seek_at is not None:
        told["message"] = (
            "the create call's answer was lost; this one was found in the provider's list. The run is not "
            f"over before the list is asked for a second one at {seek_at:%H:%M:%S} UTC"
        )
    await tell(ports, EventName.BATCH_SUBMITTED, batch, **told)
    return batch


async def _refuse(ports: Ports, run: Run, batch: Batch, error: RequestRefused) -> Batch:
    """The provider will never take this batch: its requests find their outcome as if it had failed."""
    batch = await ports.store.batches.record(
        ports.lease, batch, None, now=ports.now(), error_code=error.code or str(error.status),
        error_message=str(error),
    )  # fmt: skip
    refused = await settle_refused(ports, run, batch, BatchEvent.REFUSED)
    await tidy(ports, run, refused, [refused.input_file_id], patient=False)
    return refused


async def _keep(ports: Ports, batch: Batch, event: BatchEvent, **changes: Any) -> Batch:
    return await ports.store.batches.record(ports.lease, batch, event, now=ports.now(), **changes)
