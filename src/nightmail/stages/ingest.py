"""ended: fetch the result files, verbatim, before anything judges them.

Output and error file of every ended batch, whatever its status: an expired or cancelled batch holds
paid answers. A file appears in the spool only when it is whole.
"""

from __future__ import annotations

from nightmail.core.batch import Batch
from nightmail.core.run import Run
from nightmail.errors import NotFound
from nightmail.stages.ports import Ports
from nightmail.stages.validate import results_name
from nightmail.telemetry import EventName


async def ingest(ports: Ports, run: Run, batch: Batch) -> Batch:
    """Fetch what there is; the batch is noted as ingested."""
    files = (("output", batch.output_file_id), ("errors", batch.error_file_id))
    for kind, file_id in files:
        if file_id is not None:
            await _fetch(ports, batch, kind, file_id)
    return await ports.store.batches.record(
        ports.lease, batch, None, now=ports.now(), ingested_at=ports.now()
    )


async def _fetch(ports: Ports, batch: Batch, kind: str, file_id: str) -> None:
    name = results_name(ports.run_id, batch, kind)
    path = ports.spool.path(name)
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - once per batch, local
    try:
        size = await ports.provider.fetch(file_id, part)
    except NotFound as error:
        # Gone for good: what it held is missing, and goes again.
        await ports.tell(
            EventName.RESULT_FILE_GONE,
            batch,
            file_id=file_id,
            message=str(error),
        )
        return
    part.replace(path)  # noqa: ASYNC240 - a rename
    await ports.store.requests.record_file(ports.lease, path=name, bytes=size)
