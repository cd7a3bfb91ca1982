"""ended: fetch the result files, verbatim, before anything judges them.

Output and error file of every ended batch, whatever its status: an expired or cancelled batch holds
paid answers. A file appears in the spool only when it is whole.
"""

from __future__ import annotations

from nightmail.core.batch import Batch
from nightmail.core.run import Run
from nightmail.errors import ProviderUnavailable, RequestRefused
from nightmail.stages.ports import Access, tell
from nightmail.stages.unseen import believe_unseen, is_believed_lost
from nightmail.stages.verdicts import RESULT_KINDS, results_name
from nightmail.telemetry import EventName

# HTTP's word for "was here and will not be again".
GONE = 410


async def ingest(ports: Access, run: Run, batch: Batch, *, patient: bool) -> Batch:
    """Fetch what there is; the batch is noted as ingested. With `patient` a file that cannot be read is
    tried again, by raising `ProviderUnavailable`."""
    now = ports.clock.now()
    if batch.ended_at is not None and batch.ended_at > now:
        # The clock was set back: the grace for files that are not readable yet begins anew.
        batch = await ports.store.batches.record(ports.lease, batch, None, now=now, ended_at=now)
    for kind, file_id in zip(RESULT_KINDS, (batch.output_file_id, batch.error_file_id), strict=True):
        if file_id is not None:
            await _fetch(ports, run, batch, kind, file_id, patient=patient)
    return await ports.store.batches.record(
        ports.lease, batch, None, now=ports.clock.now(), ingested_at=ports.clock.now()
    )


async def _fetch(ports: Access, run: Run, batch: Batch, kind: str, file_id: str, *, patient: bool) -> None:
    name = results_name(ports.run_id, batch, kind)
    try:
        with ports.spool.receiving(name) as hidden:
            size = await ports.provider.fetch(file_id, hidden)
    except RequestRefused as error:
        if error.status != GONE:
            believe_unseen(ports, run, batch)
        ended_at = batch.ended_at
        recent = ended_at is not None and not is_believed_lost(run, ended_at, ports.clock.now())
        if error.status != GONE and (recent or patient):
            # Files may be readable later than they are named, and what is in them is paid.
            raise ProviderUnavailable(str(error), ambiguous=False) from error
        # Gone for good: what it held is missing, and goes again.
        await tell(
            ports,
            EventName.RESULT_FILE_GONE,
            batch,
            file_id=file_id,
            message=str(error),
        )
        return
    await ports.store.requests.record_file(ports.lease, path=name, bytes=size)
