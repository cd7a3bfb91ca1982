"""Look once more for batches whose create answer was lost, when their quarantine is over.

`recover` adopts the first batch that the provider's list shows. The call may have been made twice, though:
something on the way repeats it, as late as our own call can be on its way, and the list lags. What shows up
after the adoption runs and is billed like the first, and nobody else would look for it.

Until this look the batch goes its way (it is polled, fetched and judged), but it is not finalised, and so
its run does not end. A crash before its last write leaves the look to be made again: extras that were taken
in by then are known.
"""

from __future__ import annotations

from collections.abc import Sequence

from nightmail.core.batch import Batch
from nightmail.core.recovery import unclaimed
from nightmail.core.run import Run
from nightmail.errors import RequestRefused, Unsupported
from nightmail.stages.extras import take_in
from nightmail.stages.ports import Access
from nightmail.stages.recover import candidate
from nightmail.stages.unseen import believe_unseen


async def seek(access: Access, run: Run, batches: Sequence[Batch]) -> None:
    """Take in what the provider has besides these batches of a run, by one list for all of them."""
    try:
        remotes = {remote.id: remote async for remote in access.provider.find()}
    except (Unsupported, RequestRefused):
        # Nobody can look any more; `nightmail doctor` says so too.
        remotes = {}
    else:
        for batch in batches:
            if batch.provider_batch_id not in remotes:
                believe_unseen(access, run, batch)
    candidates = [candidate(remote) for remote in remotes.values()]
    for batch in batches:
        # Read after the list was made: what is in our books by then is no surprise.
        known = await access.store.batches.provider_ids(batch.account)
        for found in unclaimed(
            candidates, batch_id=batch.batch_id, input_file_id=batch.input_file_id, known=known
        ):
            await take_in(access, batch, remotes[found.provider_batch_id])
        await access.store.batches.record(access.lease, batch, None, now=access.clock.now(), seek_at=None)
