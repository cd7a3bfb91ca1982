"""What looks at a batch have shown, written down with the change that each of them made to the batch."""

from __future__ import annotations

from datetime import datetime

from nightmail.core.batch import Batch
from nightmail.stores.base import Seen
from nightmail.stores.database import Transaction, at
from nightmail.stores.events import insert_event
from nightmail.telemetry import EventName

# A list of every error of a large file may be as long as the file; the first of them tell what is wrong.
LONGEST_OBJECT = 32_000


def write_seen(tx: Transaction, batch: Batch, seen: Seen, now: datetime) -> None:
    """Keep the provider's newest object of a batch; and the look itself, if it showed another status or at
    least a hundredth of the batch more: so a batch has some hundred of them at most, however often it is
    looked at."""
    tx.run("write_object", batch_no=batch.batch_no, now=at(now), object=seen.object[:LONGEST_OBJECT])
    tx.run(
        "insert_look",
        batch_no=batch.batch_no,
        now=at(now),
        status=seen.status,
        total=seen.total,
        completed=seen.completed,
        failed=seen.failed,
        step=max(1, batch.requests // 100),
    )


def tell_end(tx: Transaction, batch: Batch, now: datetime) -> None:
    """The provider is finished with the batch."""
    insert_event(
        tx,
        batch.run_no,
        EventName.BATCH_ENDED,
        now=now,
        batch_no=batch.batch_no,
        phase=batch.phase,
        requests=batch.requests,
        completed=batch.completed,
        failed=batch.failed,
    )
