"""What a key does not show may be there all the same, if it was sent with another one.

A provider shows a key what its project has. A worker that was given a key of another project, and believed
what that does not show to be lost, would send and pay everything that is under way a second time.
"""

from __future__ import annotations

from datetime import datetime

from nightmail.core.batch import Batch
from nightmail.core.polling import GRACE, is_lost
from nightmail.core.run import Run, Wish
from nightmail.errors import AuthenticationFailed
from nightmail.stages.ports import Access


def is_believed_lost(run: Run, missed_since: datetime, now: datetime) -> bool:
    """Is what this key has not shown since then to be given up? Of a run that is given up itself nothing goes
    again, so that is decided soon."""
    return is_lost(missed_since, now) or (run.wish is Wish.CANCEL and now - missed_since >= GRACE)


def is_of_another_key(access: Access, batch: Batch) -> bool:
    """Was it sent with another key than the one that is used now? A new one of the same project sees it."""
    return batch.account != access.provider.account


def believe_unseen(access: Access, run: Run, batch: Batch) -> None:
    """Return if this key says truly that something of the batch is not there, or if the run is given up, so
    that nothing goes again. Raises `AuthenticationFailed` otherwise."""
    if run.wish is Wish.CANCEL or not is_of_another_key(access, batch):
        return
    raise AuthenticationFailed(
        f"batch {batch.batch_id} was sent with another key (account {batch.account}) and this one "
        f"(account {access.provider.account}) does not show it, so it may run and be billed there. Nothing "
        "of it is sent again. Use a key of that project; if none is left, cancel the run, then resume it"
    )
