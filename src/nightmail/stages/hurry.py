"""A deadline nears: leave the batch API in time. What is unsent is recalled, what would come too late is
asked to end; what a cancelled batch had not done then goes by calls, so that nothing is paid twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from nightmail.core.batch import ENDED_PHASES, Batch, BatchState, Phase
from nightmail.core.request import ASKED_STATES, Mode
from nightmail.core.run import Run
from nightmail.core.travel import comes_too_late, deadline_of, leaves_at
from nightmail.errors import RequestRefused, Unsupported
from nightmail.stages.ports import Access, Ports
from nightmail.stages.tidy import tidy
from nightmail.telemetry import EventName


async def hurry(ports: Ports, run: Run) -> Run:
    """The run, hurried if it is time. Each batch in flight is then looked at, and ended if need be."""
    if run.hurried_at is not None or run.spec.mode not in (Mode.BATCH, Mode.AUTO):
        return run
    tally = await ports.store.requests.count(run.run_no)
    open_requests = sum(tally.states.get(state, 0) for state in ASKED_STATES)
    leaves = leaves_at(run, open_requests=open_requests)
    if leaves is None or ports.now() < leaves or not open_requests:
        return run
    run = await ports.store.runs.record_hurried(ports.lease, now=ports.now())
    await ports.tell(EventName.RUN_HURRIED, deadline=deadline_of(run), open=open_requests)
    return run


async def recall(ports: Ports, run: Run, batches: Iterable[Batch]) -> None:
    """Take back the requests of planned batches: they are planned anew, to go by calls."""
    for batch in batches:
        recalled = await ports.store.batches.record_recalled(ports.lease, batch)
        # After a crash before this line the file is one that `nightmail doctor` finds.
        await tidy(ports, run, recalled, [recalled.input_file_id], patient=False)


def is_recalled(run: Run, batch: Batch) -> bool:
    """Does this batch have to give its requests back?"""
    return run.hurried_at is not None and batch.mode is Mode.BATCH and batch.state is BatchState.PLANNED


async def end_if_late(ports: Access, run: Run, batch: Batch) -> Batch:
    """Ask a batch in progress to end if it would come too late. It then ends by the ordinary way: what it
    had done is kept, and the rest goes again."""
    deadline = deadline_of(run)
    if (
        run.hurried_at is None
        or deadline is None
        or batch.state is not BatchState.IN_PROGRESS
        or batch.phase in (Phase.CANCELLING, *ENDED_PHASES)
        or not comes_too_late(batch, deadline, ports.clock.now())
    ):
        return batch
    assert batch.provider_batch_id is not None
    try:
        await ports.provider.cancel(batch.provider_batch_id)
    except (RequestRefused, Unsupported):
        return batch  # it has to be waited for: sending its requests again would pay for them twice
    return await ports.store.batches.record(
        ports.lease,
        batch,
        None,
        now=ports.clock.now(),
        phase=Phase.CANCELLING,
        due_at=ports.clock.now(),
    )
