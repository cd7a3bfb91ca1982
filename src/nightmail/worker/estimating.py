"""Put together what `plan` needs: no store is written, no call is made, no key is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

from nightmail import plugins
from nightmail.config import Settings, read_prices
from nightmail.stages.estimate import Plan, estimate
from nightmail.stores.base import Store
from nightmail.tokens.counter import counter_for
from nightmail.worker.begin import want
from nightmail.worker.kit import NO_KEY
from nightmail.worker.options import RunOptions, travel_of


async def plan_of(settings: Settings, store: Store, task: Any, source: Any, options: RunOptions) -> Plan:
    """See `Client.plan`."""
    wanted = await asyncio.to_thread(want, task, source, None, settings.home, **travel_of(settings, options))
    provider = plugins.load("providers", settings.provider).open(
        base_url=settings.base_url, api_key=settings.api_key or NO_KEY
    )
    try:
        return await asyncio.to_thread(
            estimate,
            wanted.spec,
            task=wanted.task,
            source=wanted.source,
            provider=provider,
            counter=counter_for,
            prices=await asyncio.to_thread(read_prices, settings.prices),
            answer_tokens=await _learned(store, wanted.spec.task),
        )
    finally:
        await provider.close()


async def _learned(store: Store, task: str) -> float | None:
    """Mean answer tokens of this task's earlier answers, if there were any."""
    answers = tokens = 0
    for run in await store.runs.list():
        if run.spec.task != task:
            continue
        for batch in await store.batches.list(run.run_no):
            answers += batch.succeeded
            tokens += batch.output_tokens
    return tokens / answers if answers else None
