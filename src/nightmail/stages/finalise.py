"""settled -> finalised: tidy up at the provider, once everything that it held is safely here."""

from __future__ import annotations

from nightmail.core.batch import Batch
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.request import Mode
from nightmail.core.run import Run
from nightmail.stages.ports import Access
from nightmail.stages.tidy import tidy


async def finalise(ports: Access, run: Run, batch: Batch, *, patient: bool = True) -> Batch:
    """Delete the batch's files; see `tidy` for what `patient` means."""
    files = (batch.input_file_id, batch.output_file_id, batch.error_file_id)
    await tidy(ports, run, batch, files if batch.mode is Mode.BATCH else (), patient=patient)
    return await ports.store.batches.record(
        ports.lease, batch, BatchEvent.FINALISED, now=ports.clock.now(), due_at=None
    )
