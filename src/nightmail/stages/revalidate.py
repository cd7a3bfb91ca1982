"""failed -> succeeded without paying: judge stored answers anew, after the user mended the task.

Every answer was kept as it came, so a bug in `parse` or `check` costs nothing but a second look. Only
answers that were rejected are judged; what had succeeded stays as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from nightmail.core.batch import Batch
from nightmail.core.failure import Reason
from nightmail.core.run import KeyKind, Run
from nightmail.stages.accepted import PICO
from nightmail.stages.parts import ROWS_AT_ONCE, PartWriter, next_part_name, part_schema, writing
from nightmail.stages.ports import Ports
from nightmail.stages.records import Records
from nightmail.stores.base import Failure, StoredShard

PAGE = 10_000
# Failures that an answer stands behind.
JUDGED = (Reason.MALFORMED, Reason.SCHEMA, Reason.TRUNCATED, Reason.REFUSED, Reason.CHECK)


async def revalidate(ports: Ports, run: Run) -> int:
    """Judge the stored answers of failed records again; how many are good now. The run has to be
    delivered again afterwards."""
    shards = await ports.store.requests.list_shards(run.run_no) if ports.task.needs_record else []
    paths = await ports.store.requests.file_paths(run.run_no)
    batches = {batch.batch_no: batch for batch in await ports.store.batches.list(run.run_no)}
    by_batch: dict[int, list[Failure]] = {}
    after = 0
    while page := await ports.store.requests.list_failures(run.run_no, after=after, limit=PAGE):
        after = page[-1].seq
        for failure in page:
            if failure.answer is not None and failure.batch_no is not None and failure.reason in JUDGED:
                by_batch.setdefault(failure.batch_no, []).append(failure)
    token = ports.clock.token()
    count = 0
    for batch_no, failures in by_batch.items():
        batch = batches[batch_no]
        accepted = await asyncio.to_thread(_judge, ports, run, batch, failures, paths, shards, token)
        if accepted:
            await ports.store.requests.record_revalidated(ports.lease, accepted, now=ports.now())
        count += len(accepted)
    return count


def _judge(
    ports: Ports,
    run: Run,
    batch: Batch,
    failures: Sequence[Failure],
    paths: dict[int, str],
    shards: Sequence[StoredShard],
    token: str,
) -> list[Failure]:
    """The failures whose answers pass now, their outputs in a part of their own."""
    records = Records(ports.spool, ports.source, shards) if shards else None
    schema = part_schema(run.key_name or "row", run.key_kind or KeyKind.ROW, ports.task.arrow_schema())
    accepted: list[Failure] = []
    good: list[tuple[Failure, str, Any]] = []  # not in the part yet
    name = next_part_name(ports.spool, run.run_id, batch.batch_no, token)
    with writing(ports.spool, name, schema) as part:
        for failure in failures:
            assert failure.answer is not None
            file_no, offset, length = failure.answer
            line = ports.spool.read(paths[file_no], offset, length)
            response = ports.provider.read_result(line, batch.endpoint).response
            if response is None:
                continue
            judged = ports.task.judge(response)
            if judged.rejection is not None:
                continue
            if records is not None and ports.task.check(judged.output, records.read(failure.seq)) is not None:
                continue
            accepted.append(failure)
            good.append((failure, response.model or batch.model, judged.output))
            if len(good) >= ROWS_AT_ONCE:
                _write(ports, part, good)
        _write(ports, part, good)
    return accepted


def _write(ports: Ports, part: PartWriter, good: list[tuple[Failure, str, Any]]) -> None:
    if not good:
        return
    failures, models, outputs = zip(*good, strict=True)
    good.clear()
    meta = (
        models,
        [failure.attempts for failure in failures],
        [failure.spent_input for failure in failures],
        [failure.spent_output for failure in failures],
        [None if failure.spent_pusd is None else failure.spent_pusd / PICO for failure in failures],
    )
    keys = [failure.key for failure in failures]
    part.add([failure.seq for failure in failures], keys, ports.task.rows(outputs), meta)
