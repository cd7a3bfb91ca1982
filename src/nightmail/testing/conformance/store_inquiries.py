"""What every store must answer to a person who asks."""

from __future__ import annotations

from datetime import datetime

from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.request import RequestState
from nightmail.stores.base import Key, Lease, Seen, Store


async def questions_are_answered(store: Store, lease: Lease, run_id: RunId, now: datetime) -> None:
    """Of a run that has failed records, and a batch whose requests came to different ends."""
    ask = store.inquiries
    ((run, reasons),) = await ask.failing_runs(tenant=None, reason=None, before=None, limit=10)
    assert (run.run_id, reasons) == (run_id, {Reason.INVALID: 1, Reason.BUILD: 1})
    assert await ask.failing_runs(tenant=None, reason=None, before=run_id, limit=10) == []
    assert await ask.failing_runs(tenant=None, reason=Reason.CHECK, before=None, limit=10) == []
    assert set(await ask.reasons(tenant=None)) == {(Reason.INVALID, 1, 1), (Reason.BUILD, 1, 1)}
    everything = await ask.failed(lease.run_no, reason=None, after=0, limit=10)
    assert {each.state for each in everything} == {RequestState.FAILED}
    (one,) = await ask.failed(lease.run_no, reason=Reason.INVALID, after=0, limit=10)
    assert (one.seq, one.message) == (6, "bad")
    assert await ask.failed(lease.run_no, reason=Reason.INVALID, after=6, limit=10) == []

    async def find(text: str, after: int, upto: int, *, beginning: bool = False) -> list[tuple[int, Key]]:
        found = await ask.find(
            lease.run_no, text, number=None, beginning=beginning, after=after, upto=upto, limit=10
        )
        return list(found)

    assert await find("key-4", 0, 1_000) == [(4, "key-4")]
    assert await find("key-4", 4, 1_000) == []
    begun = await find("key-", 1, 3, beginning=True)
    assert begun == [(2, "key-2"), (3, "key-3")]

    first = (await store.batches.list(lease.run_no))[0]
    for completed, text in ((None, "1"), (5, "2"), (5, "3")):
        seen = Seen("in_progress", 9, completed, 0, text)
        await store.batches.record(lease, first, None, now=now, seen=seen)
    whole = await ask.batch(first.batch_id, limit=10)
    assert whole is not None
    assert (whole.run_id, whole.object, whole.object_seen_at) == (run_id, "3", now)
    assert sum(each.requests for each in whole.causes) == first.requests - first.succeeded
    assert await ask.batch(BatchId("nobody"), limit=10) is None
