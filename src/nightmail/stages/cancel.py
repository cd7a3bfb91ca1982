"""Carry out the wish to stop: nothing new is sent, what runs is asked to end, what is paid is kept."""

from __future__ import annotations

from nightmail.core.answer_index import AnswerIndex
from nightmail.core.batch import ENDED_PHASES, Batch, BatchState, Phase
from nightmail.core.failure import Reason
from nightmail.core.lifecycle import BatchEvent, RequestEvent
from nightmail.core.request import Mode
from nightmail.core.result import Outcome
from nightmail.core.run import Run
from nightmail.errors import RequestRefused, Unsupported
from nightmail.stages.ports import Ports
from nightmail.stages.refused import NOTHING_USED
from nightmail.stages.tidy import tidy
from nightmail.stores.base import Setback


async def cancel(ports: Ports, run: Run) -> None:
    """Give up every request that the provider does not have, and ask it to end its batches. Safe to
    repeat; the batches then end by the ordinary way, and their answers are taken in."""
    await ports.store.requests.record_given_up(ports.lease, now=ports.now())
    for batch in await ports.store.batches.list(run.run_no, states=[BatchState.PLANNED]):
        await _give_up(ports, run, batch)
    for batch in await ports.store.batches.list(run.run_no, states=[BatchState.IN_PROGRESS]):
        asked = batch.phase in (Phase.CANCELLING, *ENDED_PHASES)
        if batch.mode is Mode.BATCH and batch.provider_batch_id is not None and not asked:
            due_at = ports.now()
            try:
                await ports.provider.cancel(batch.provider_batch_id)
            except (RequestRefused, Unsupported):
                # It has just ended, or this server cannot. Asked again after the next look, not before.
                due_at = batch.due_at or due_at
            await ports.store.batches.record(
                ports.lease, batch, None, now=ports.now(), phase=Phase.CANCELLING, due_at=due_at
            )


async def _give_up(ports: Ports, run: Run, batch: Batch) -> None:
    members = await ports.store.requests.members(batch)
    given_up = await ports.store.requests.record_outcomes(
        ports.lease,
        batch,
        successes=AnswerIndex(),
        setbacks=[
            Setback(
                seq=member.seq,
                event=RequestEvent.GIVEN_UP,
                reason=Reason.MISSING,
                message="cancelled by the user before it was sent",
                outcome=Outcome.CANCELLED,
            )
            for member in members
        ],
        sums=NOTHING_USED,
        event=BatchEvent.REFUSED,
        now=ports.now(),
    )
    await tidy(ports, run, given_up, [given_up.input_file_id], patient=False)
