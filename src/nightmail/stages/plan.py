"""requests -> batches: cut what is ready into batches and write them down."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nightmail.core.batch import CLOSED_STATES, BatchState
from nightmail.core.limits import Limits
from nightmail.core.planning import batch_limits, split
from nightmail.core.quota import Learned, queue_limit
from nightmail.core.request import Endpoint, Mode
from nightmail.core.run import Run, RunSpec, RunState
from nightmail.core.travel import mode_of
from nightmail.providers.base import Provider
from nightmail.stages.money import affordable
from nightmail.stages.ports import Ports
from nightmail.stores.base import NewBatch, Ready

# So many requests are looked at in one go: one more than a multiple of the largest batch, since the last
# batch is left out if more may follow.
AT_ONCE = 100_001
# Requests that are asked again wait for company until so many are there or nothing else is in flight:
# a batch of its own for each would use up the batches that may be created in an hour.
COMPANY = 1_000
# A synchronous "batch" is only a portion of calls whose results are taken in together.
SYNC_PORTION = 1_000
# An embedding is some 20 KB of JSON: larger batches have result files of hundreds of megabytes, each of which
# is judged by one process.
EMBEDDINGS_PORTION = 6_250


async def plan(ports: Ports, run: Run) -> int:
    """Write down batches for whatever is ready; how many. While records are still coming in, only those to
    which nothing could be added."""
    store = ports.store
    unsettled = [state for state in BatchState if state not in (*CLOSED_STATES, BatchState.SETTLED)]
    planned = 0
    while True:
        ready = await store.requests.list_ready(run.run_no, now=ports.now(), limit=AT_ONCE)
        cut_short = sum(len(each.items) for each in ready) >= AT_ONCE
        batches: list[NewBatch] = []
        for each in ready:
            again = each.items.seqs[0] <= run.planned_seq
            mode = travel_mode(ports.provider, run, each.group.model, each.group.endpoint, ports.now())
            if again and len(each.items) < COMPANY and mode is Mode.BATCH:
                in_flight = batches or await store.batches.list(run.run_no, states=unsettled)
                if in_flight:
                    continue
            learned = await store.batches.learned(ports.provider.account, each.group.model)
            slices = _cut(ports, run, each, learned, mode, new=not again)
            # More requests follow that this look did not see: the last batch can be fuller.
            if run.state is RunState.OPEN or (cut_short and len(slices) > 1):
                slices.pop()
            batches += slices
        if not batches:
            return planned
        await store.batches.record_planned(ports.lease, batches, now=ports.now())
        planned += len(batches)
        if not cut_short:
            return planned


def _cut(ports: Ports, run: Run, ready: Ready, learned: Learned, mode: Mode, *, new: bool) -> list[NewBatch]:
    limits = limits_for(ports.provider, run.spec, ready.group.model, ready.group.endpoint, mode)
    if mode is Mode.BATCH:
        known = queue_limit(limits, learned, ports.now())
        limits = msgspec.structs.replace(limits, max_enqueued_tokens=known)
    limits = affordable(ports, run, ready.group.model, batch_limits(limits), ready.items, mode)
    return [
        NewBatch(
            group=ready.group,
            mode=mode,
            account=ports.provider.account,
            seqs=each.seqs,
            tokens=each.tokens,
            bytes=each.bytes,
            inputs=each.inputs,
        )
        for each in split(ready.items, limits, new=new)
    ]


def travel_mode(provider: Provider, run: Run, model: str, endpoint: Endpoint, now: datetime) -> Mode:
    """How requests to a model travel now: batch, sync or flex."""
    return mode_of(run, flex=provider.limits(model, endpoint).flex, now=now)


def limits_for(provider: Provider, spec: RunSpec, model: str, endpoint: Endpoint, mode: Mode) -> Limits:
    """What holds for a model in this run: the provider's limits, and the user's where they are lower
    (a quota of the user's replaces the provider's: who has a higher tier says so)."""
    known = provider.limits(model, endpoint)
    synchronous = mode is not Mode.BATCH
    most = SYNC_PORTION if synchronous else known.max_batch_requests
    if endpoint is Endpoint.EMBEDDINGS:
        most = min(most, EMBEDDINGS_PORTION)
    return msgspec.structs.replace(
        known,
        max_batch_requests=min(most, spec.max_batch_requests or most),
        max_batch_bytes=min(known.max_batch_bytes, spec.max_batch_bytes or known.max_batch_bytes),
        max_enqueued_tokens=None if synchronous else spec.quotas.get(model, known.max_enqueued_tokens),
        max_active_batches=spec.max_active_batches or known.max_active_batches,
    )
