"""A batch that the provider refused whole: who goes again, who fails, and in what company."""

from __future__ import annotations

from nightmail.core.answer_index import AnswerIndex
from nightmail.core.batch import Batch
from nightmail.core.failure import Reason
from nightmail.core.lifecycle import BatchEvent, RequestEvent
from nightmail.core.result import Outcome
from nightmail.core.retry import AfterFailure, after_batch_failure
from nightmail.core.run import PauseReason, Run, Wish
from nightmail.stages.pause import pause
from nightmail.stages.ports import Ports
from nightmail.stores.base import BatchSums, Group, Member, NewBatch, Setback
from nightmail.telemetry import EventName

NOTHING_USED = BatchSums(
    succeeded=0,
    answers=0,
    input_tokens=0,
    output_tokens=0,
    cached_tokens=0,
    reasoning_tokens=0,
    cost_pusd=0,
    sync_cost_pusd=0,
    wasted_pusd=0,
    counted_tokens=0,
    compared_tokens=0,
)


async def settle_refused(ports: Ports, run: Run, batch: Batch, event: BatchEvent) -> Batch:
    """Settle every request of a batch that brought no result file because it failed as a whole."""
    members = await ports.store.requests.members(batch)
    then = decide(batch)
    culprits = _culprits(batch, members, then)
    setbacks = [_setback(run, batch, member, fails=member.seq in culprits) for member in members]
    halves = await _halves(ports, batch, members) if then is AfterFailure.HALVE else []
    settled = await ports.store.requests.record_outcomes(
        ports.lease,
        batch,
        successes=AnswerIndex(),
        setbacks=setbacks,
        sums=NOTHING_USED,
        event=event,
        now=ports.now(),
        # With the outcomes, so that nobody can put the two halves together again in between.
        replanned=halves if run.wish is not Wish.CANCEL else [],
    )
    await ports.tell(
        EventName.BATCH_REFUSED,
        batch,
        code=batch.error_code,
        message=batch.error_message,
        line=batch.error_line,
        then=then,
    )
    if then is AfterFailure.RETURN:
        await ports.store.batches.record_refusal(
            ports.lease, settled, said=batch.error_limit, now=ports.now()
        )
    if then is AfterFailure.PAUSE:
        await pause(ports, PauseReason.BILLING, batch.error_message or batch.error_code)
    return settled


def decide(batch: Batch) -> AfterFailure:
    """What a whole batch's failure means for its requests."""
    return after_batch_failure(
        batch.error_code,
        batch.error_message,
        batch.error_line,
        requests=batch.requests,
        tokens=batch.tokens,
        limit=batch.error_limit,
    )


def _culprits(batch: Batch, members: list[Member], then: AfterFailure) -> set[int]:
    if then is AfterFailure.FAIL:
        return {member.seq for member in members}
    if then is AfterFailure.DROP_LINE and batch.error_line is not None:
        # Lines were written in the order of the members.
        return {members[batch.error_line - 1].seq}
    return set()


def _setback(run: Run, batch: Batch, member: Member, *, fails: bool) -> Setback:
    said = " ".join(part for part in (batch.error_code, batch.error_message) if part)
    if fails:
        event = RequestEvent.FAILED
        reason = Reason.INVALID if batch.error_line is not None else Reason.BATCH_FAILED
    else:
        event = RequestEvent.GIVEN_UP if run.wish is Wish.CANCEL else RequestEvent.RETURNED
        reason = Reason.BATCH_FAILED
    return Setback(
        seq=member.seq, event=event, reason=reason, message=said or "batch failed", outcome=Outcome.ERRORED
    )


async def _halves(ports: Ports, batch: Batch, members: list[Member]) -> list[NewBatch]:
    groups = await ports.store.requests.list_groups(batch.run_no)
    group = next(each for each in groups if each.model == batch.model and each.endpoint == batch.endpoint)
    middle = len(members) // 2
    return [_half(batch, group, part) for part in (members[:middle], members[middle:])]


def _half(batch: Batch, group: Group, members: list[Member]) -> NewBatch:
    return NewBatch(
        group=group,
        mode=batch.mode,
        account=batch.account,
        seqs=[member.seq for member in members],
        tokens=sum(member.tokens for member in members),
        bytes=sum(member.length for member in members),
        inputs=len(members),
    )
