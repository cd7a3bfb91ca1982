"""in_progress -> ended: ask how a batch is, and note when the provider is finished with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from nightmail.core.batch import ENDED_PHASES, Batch, Phase
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.polling import GRACE, LONGEST, LOST_AFTER, next_look
from nightmail.core.run import Run
from nightmail.errors import NotFound, RequestRefused, Unsupported
from nightmail.providers.base import RemoteBatch
from nightmail.stages.extras import ask_to_end
from nightmail.stages.hurry import end_if_late
from nightmail.stages.ports import Access, tell
from nightmail.stages.seen import seen_of
from nightmail.stages.unseen import believe_unseen, is_believed_lost
from nightmail.telemetry import EventName

# From so many batches on, one list call is cheaper than asking after each.
LIST_FROM = 6
# A list that has not shown them all after so many entries will not soon.
LIST_MOST = 1_000
VANISHED = "vanished"
# While it is validated a batch may still be refused for the queue's sake (facts A.3).
UNCONFIRMED = (None, Phase.VALIDATING)


async def look(ports: Access, run: Run, batches: Sequence[Batch]) -> list[Batch]:
    """Look at batches with one list call; those that it showed, as they are now."""
    noted: list[Batch] = []
    waiting = {batch.provider_batch_id: batch for batch in batches}
    try:
        seen = 0
        async for remote in ports.provider.find():
            if (batch := waiting.pop(remote.id, None)) is not None:
                noted.append(await end_if_late(ports, run, await note(ports, run, batch, remote)))
            seen += 1
            if not waiting or seen >= LIST_MOST:
                break
    except (Unsupported, RequestRefused):
        pass
    return noted


async def poll(ports: Access, run: Run, batch: Batch) -> Batch:
    """Look at one batch."""
    assert batch.provider_batch_id is not None
    try:
        remote = await ports.provider.poll(batch.provider_batch_id)
    except NotFound as error:
        believe_unseen(ports, run, batch)
        now = ports.clock.now()
        missed_since = _missed_since(batch, now)
        if not is_believed_lost(run, missed_since, now):
            soon = next_look(now - missed_since, chance=ports.clock.chance(), interval=run.spec.poll_interval)
            if missed_since == now:
                await tell(ports, EventName.PROVIDER_TROUBLE, batch, message=_unknown(error), times=1)
            return await ports.store.batches.record(
                ports.lease,
                batch,
                None,
                now=now,
                ended_at=missed_since,
                polls=batch.polls + 1,
                due_at=now + soon,
            )
        # The provider forgot it (facts E.14). Its requests are missing, and go again.
        return await ports.store.batches.record(
            ports.lease,
            batch,
            BatchEvent.ENDED,
            now=ports.clock.now(),
            phase=Phase.FAILED,
            status=VANISHED,
            error_message=str(error),
        )
    return await end_if_late(ports, run, await note(ports, run, batch, remote))


def _missed_since(batch: Batch, now: datetime) -> datetime:
    """Since when each look has missed it. After a pause longer than any wait, in which this machine slept, it
    begins anew; but for an extra, of which nothing goes again, and which `nightmail doctor` looks at now and
    then."""
    since, due = batch.ended_at, batch.due_at
    slept = batch.extra_of is None and due is not None and now - due > LONGEST
    return now if since is None or since > now or slept else since


def _unknown(error: NotFound) -> str:
    minutes = LOST_AFTER.total_seconds() / 60
    return f"{error}; if that is still so in {minutes:.0f} minutes, it is believed to be lost"


async def note(ports: Access, run: Run, batch: Batch, remote: RemoteBatch) -> Batch:
    """Write down what the provider says of a batch; it has ended if the provider says so and, where
    there must be files, names them (they may appear some polls later). An extra is asked to end."""
    if batch.extra_of is not None:
        await ask_to_end(ports, remote)
    now = ports.clock.now()
    age = now - batch.submitted_at if batch.submitted_at else timedelta(0)
    look_again = now + next_look(age, chance=ports.clock.chance(), interval=run.spec.poll_interval)
    if batch.phase in UNCONFIRMED and remote.phase not in (*UNCONFIRMED, Phase.FAILED):
        await ports.store.batches.record_acceptance(ports.lease, batch)
    told = {
        "status": remote.status,
        "phase": remote.phase,
        "total": remote.total,
        "completed": remote.completed,
        "failed": remote.failed,
        "polls": batch.polls + 1,
        "progressed_at": now if _has_progressed(batch, remote) else batch.progressed_at,
        **_billed(remote),
        "output_file_id": remote.output_file_id or batch.output_file_id,
        "error_file_id": remote.error_file_id or batch.error_file_id,
    }
    seen = seen_of(remote)
    if remote.phase not in ENDED_PHASES:
        return await ports.store.batches.record(
            ports.lease, batch, None, now=now, seen=seen, due_at=look_again, ended_at=None, **told
        )
    # After a clock that was set back the grace begins anew.
    ended_at = min(batch.ended_at or now, now)
    if _may_name_files_yet(remote) and now - ended_at < GRACE:
        soon = now + next_look(now - ended_at, chance=ports.clock.chance(), interval=run.spec.poll_interval)
        return await ports.store.batches.record(
            ports.lease, batch, None, now=now, seen=seen, due_at=soon, ended_at=ended_at, **told
        )
    first = remote.errors[0] if remote.errors and remote.phase is Phase.FAILED else None
    return await ports.store.batches.record(
        ports.lease,
        batch,
        BatchEvent.ENDED,
        now=now,
        seen=seen,
        ended_at=ended_at,
        due_at=None,
        error_code=first.code or "failed" if first else None,
        error_message=first.message if first else None,
        error_line=first.line if first else None,
        error_limit=first.limit if first else None,
        **told,
    )


def _has_progressed(batch: Batch, remote: RemoteBatch) -> bool:
    return (batch.phase, batch.completed, batch.failed) != (remote.phase, remote.completed, remote.failed)


def _may_name_files_yet(remote: RemoteBatch) -> bool:
    """It ended with something to show and names no file: the ids may appear some polls later (facts E.5),
    and what they name is paid. A cancelled batch that says it had done nothing has nothing to name."""
    if remote.output_file_id is not None or remote.error_file_id is not None:
        return False
    if remote.phase is Phase.CANCELLED:
        return remote.completed != 0
    return remote.phase in (Phase.COMPLETED, Phase.EXPIRED)


def _billed(remote: RemoteBatch) -> dict[str, int]:
    """The provider's own sum, where it gives one: what it billed beyond the lines that we get to see."""
    usage = remote.usage
    if usage is None:
        return {}
    return {
        "billed_input": usage.input_tokens,
        "billed_output": usage.output_tokens,
        "billed_cached": usage.cached_tokens,
    }
