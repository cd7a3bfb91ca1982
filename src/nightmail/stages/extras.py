"""Batches that the provider has a second time: they are asked to end, and what they answered is used.

A create call that somebody on the way repeated, or that was carried out after it had been given up, leaves
two batches for the same requests. Both are paid, so neither may be forgotten. The second becomes a row of
its own, `extra_of` the first: it is asked to end, polled and fetched like any other. Its row comes before
the call that ends it; a crash between the two leaves a row that the next look goes on with.

It is judged together with the batch that it doubles, when both have ended: each request has one outcome,
and an answer of the extra counts where the batch itself has none. If that batch had been settled before,
the extra takes over those of its requests that are open and in no other batch, and is judged for these. With
none, only its bill is left to be written down (decision 0005).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from nightmail.core.answer_index import AnswerIndex
from nightmail.core.batch import CLOSED_STATES, ENDED_PHASES, Batch, BatchState, Phase
from nightmail.core.ids import seq_of
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.pricing import price_of
from nightmail.errors import ProviderError
from nightmail.providers.base import RemoteBatch
from nightmail.stages.bill import Bill
from nightmail.stages.ports import Access, tell
from nightmail.stages.verdicts import RESULT_KINDS, results_name
from nightmail.stores.base import BatchSums
from nightmail.telemetry import EventName


async def take_in(access: Access, batch: Batch, remote: RemoteBatch) -> Batch:
    """Write down that the provider has `batch` a second time, as `remote`; the next look ends it."""
    now = access.clock.now()
    extra = await access.store.batches.record_extra(
        access.lease,
        batch,
        remote.id,
        now=now,
        status=remote.status,
        phase=remote.phase,
        submitted_at=remote.created_at or batch.submitted_at,
        reserved_tokens=batch.reserved_tokens,
        reserved_pusd=batch.reserved_pusd,
        due_at=now,
    )
    await tell(
        access,
        EventName.EXTRA_BATCH,
        extra,
        provider_batch_id=remote.id,
        message=f"the provider has {batch.batch_id} twice; this one is asked to end",
    )
    return extra


async def ask_to_end(access: Access, remote: RemoteBatch) -> None:
    """Ask the provider to end a batch that is still running."""
    if remote.phase not in (Phase.CANCELLING, *ENDED_PHASES):
        # What is refused now is asked at the next look; a batch that cannot be cancelled ends by itself.
        with contextlib.suppress(ProviderError):
            await access.provider.cancel(remote.id)


def is_waiting(batch: Batch, others: Sequence[Batch]) -> bool:
    """Is an ended batch, whose files are here, still to be judged together with another of `others`?"""
    if batch.state is not BatchState.ENDED or batch.ingested_at is None:
        return False
    if batch.extra_of is not None:
        return any(each.batch_no == batch.extra_of and _is_unsettled(each) for each in others)
    return any(
        each.extra_of == batch.batch_no and _is_unsettled(each) and each.ingested_at is None
        for each in others
    )


def _is_unsettled(batch: Batch) -> bool:
    return batch.state not in (*CLOSED_STATES, BatchState.SETTLED)


async def book(access: Access, extra: Batch) -> Batch:
    """Settle an extra that no request waits for: what it cost, all of it wasted."""
    sums = await asyncio.to_thread(_bill, access, extra)
    settled = await access.store.requests.record_outcomes(
        access.lease,
        extra,
        successes=AnswerIndex(),
        setbacks=[],
        sums=sums,
        event=BatchEvent.SETTLED,
        now=access.clock.now(),
    )
    await tell_booked(access, settled, sums)
    return settled


async def tell_booked(access: Access, extra: Batch, sums: BatchSums) -> None:
    """Say what an extra has cost, and how much of that bought nothing."""
    await tell(
        access,
        EventName.EXTRA_BOOKED,
        extra,
        provider_batch_id=extra.provider_batch_id,
        answers=sums.answers,
        cost_pusd=sums.cost_pusd,
        wasted_pusd=sums.wasted_pusd,
    )


def _bill(access: Access, extra: Batch) -> BatchSums:
    bill = Bill(extra, price_of(extra.model, access.prices))
    billed: set[int] = set()
    for kind in RESULT_KINDS:
        name = results_name(access.run_id, extra, kind)
        if not access.spool.exists(name):
            continue
        for _, line in access.spool.lines(name):
            try:
                result = access.provider.read_result(line, extra.endpoint)
            except ValueError:
                continue
            seq = seq_of(result.custom_id, access.run_id) if result.custom_id is not None else None
            if result.response is None or seq is None or seq in billed:
                continue
            billed.add(seq)
            bill.waste(bill.add(result.response.usage))
    return bill.sums(succeeded=0, silent=extra.requests - len(billed))
