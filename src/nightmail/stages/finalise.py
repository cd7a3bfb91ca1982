"""settled -> finalised: tidy up at the provider, once everything that it held is safely here."""

from __future__ import annotations

import asyncio

from nightmail.core.batch import Batch
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.request import Mode
from nightmail.core.run import Run
from nightmail.errors import ProviderError, RequestRefused, Unsupported
from nightmail.stages.ports import Access, tell
from nightmail.stages.submit import input_name
from nightmail.telemetry import EventName


async def finalise(ports: Access, run: Run, batch: Batch, *, patient: bool = True) -> Batch:
    """Delete the batch's files at the provider, unless they are to be kept, and our copy of its input
    (it is ranges of files that stay). A provider that cannot is no reason to keep a run open: without
    patience what it refuses is left to its own expiry."""
    deleted: list[str] = []
    if batch.mode is Mode.BATCH and not run.spec.keep_remote_files:
        for file_id in (batch.input_file_id, batch.output_file_id, batch.error_file_id):
            if file_id is None:
                continue
            try:
                if await ports.provider.delete(file_id):
                    deleted.append(file_id)
            except (Unsupported, RequestRefused):
                # Not every server can; its own expiry removes them.
                break
            except ProviderError:
                if patient:
                    raise
                break
    await asyncio.to_thread(ports.spool.delete, input_name(ports.run_id, batch))
    if deleted:
        await tell(ports, EventName.REMOTE_FILES_DELETED, batch, file_ids=deleted)
    return await ports.store.batches.record(
        ports.lease, batch, BatchEvent.FINALISED, now=ports.clock.now(), due_at=None
    )
