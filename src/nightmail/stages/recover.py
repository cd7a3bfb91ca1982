"""doubtful -> in_progress or planned: find out what became of a create call whose answer is lost."""

from __future__ import annotations

from nightmail.core.batch import Batch, BatchState
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.polling import delay
from nightmail.core.recovery import QUARANTINE, Candidate, find, seek_again_at
from nightmail.core.run import Run
from nightmail.errors import Unsupported
from nightmail.providers.base import RemoteBatch
from nightmail.stages.extras import take_in
from nightmail.stages.ports import Ports
from nightmail.stages.submit import record_submitted
from nightmail.stages.unseen import believe_unseen
from nightmail.telemetry import EventName


async def doubt(ports: Ports, batch: Batch) -> Batch:
    """A batch that a dead worker left submitting: nothing was created before its file's id was
    recorded; after that, nobody knows."""
    assert batch.state is BatchState.SUBMITTING
    event = BatchEvent.DEFERRED if batch.input_file_id is None else BatchEvent.DOUBTED
    return await ports.store.batches.record(ports.lease, batch, event, now=ports.now())


async def recover(ports: Ports, run: Run, batch: Batch) -> Batch:
    """Settle a doubtful batch, or note when to look again.

    Where the provider cannot be searched, it stays doubtful: it is never silently sent again."""
    now = ports.now()
    if batch.submitted_at is not None and batch.submitted_at > now:
        # The clock was set back; the call was made before now in any case.
        batch = await ports.store.batches.record(ports.lease, batch, None, now=now, submitted_at=now)
    try:
        remotes = {remote.id: remote async for remote in ports.provider.find()}
    except Unsupported:
        return await _unsearchable(ports, batch)
    known = frozenset(await ports.store.batches.provider_ids(batch.account))
    assert batch.submitted_at is not None
    found = find(
        (candidate(remote) for remote in remotes.values()),
        batch_id=batch.batch_id,
        input_file_id=batch.input_file_id,
        known=known,
        submitted_at=batch.submitted_at,
        now=now,
    )
    for extra in found.extras:
        await take_in(ports, batch, remotes[extra])
    if found.adopt is not None:
        seek_at = seek_again_at(batch.submitted_at, listed_at=now)
        return await record_submitted(ports, run, batch, remotes[found.adopt], seek_at=seek_at)
    believe_unseen(ports, run, batch)
    if found.wait_until is not None:
        due_at = min(found.wait_until, now + delay(batch.polls + 1, chance=ports.clock.chance()))
        return await ports.store.batches.record(
            ports.lease, batch, None, now=now, polls=batch.polls + 1, due_at=due_at
        )
    return await ports.store.batches.record(
        ports.lease, batch, BatchEvent.NOT_ACCEPTED, now=now, polls=0, due_at=None
    )


async def _unsearchable(ports: Ports, batch: Batch) -> Batch:
    """Said once, looked at again now and then (a server may have been updated); a person may decide."""
    if batch.polls == 0:
        await ports.tell(
            EventName.BATCH_DOUBTFUL,
            batch,
            message=(
                f"the answer to the create call of {batch.batch_id} was lost and this server cannot list its "
                "batches, so nobody knows whether it runs there. It is not sent again by itself. "
                f"Look at the server for input file {batch.input_file_id}; then: nightmail doctor "
                f"--resend {batch.batch_id}, or --adopt {batch.batch_id}=PROVIDER_BATCH_ID"
            ),
        )
    return await ports.store.batches.record(
        ports.lease, batch, None, now=ports.now(), polls=batch.polls + 1, due_at=ports.now() + QUARANTINE
    )


def candidate(remote: RemoteBatch) -> Candidate:
    """As much of what the provider tells as recovery decides from."""
    return Candidate(
        remote.id, remote.input_file_id, remote.metadata, remote.created_at, remote.completed or 0
    )
