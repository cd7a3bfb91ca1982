"""Look at the batches that are due: with one list call where they are many, else one by one."""

from __future__ import annotations

from nightmail.core.batch import Batch, BatchState, Phase
from nightmail.core.run import Run
from nightmail.stages.poll import LIST_FROM, UNCONFIRMED, look, poll
from nightmail.stages.ports import Ports
from nightmail.worker.holds import Holds
from nightmail.worker.troubles import Troubles


async def look_at(ports: Ports, run: Run, batches: list[Batch], troubles: Troubles, holds: Holds) -> None:
    """Note how each batch is now. Where the list is in trouble again and again they are asked after one
    by one, and what ails one look keeps none of the others."""
    unseen = {batch.batch_no: batch for batch in batches}
    if len(batches) >= LIST_FROM and all(map(troubles.is_patient, batches)):
        listed = await troubles.guard(look(ports, run, batches), *batches)
        if listed is None:
            return  # they are all put off
        for now in listed:
            _make_room(unseen.pop(now.batch_no), now, holds)
    for batch in unseen.values():
        polled = await troubles.guard(poll(ports, run, batch), batch)
        if polled is not None:
            _make_room(batch, polled, holds)


def _make_room(batch: Batch, now: Batch, holds: Holds) -> None:
    """Its place is free from now on, not only once its results are here; of one that failed it must first
    be read what the failure teaches."""
    ended = now.state is BatchState.ENDED and now.phase is not Phase.FAILED
    if ended or (batch.phase in UNCONFIRMED and now.phase is Phase.IN_PROGRESS):
        holds.release(now)
