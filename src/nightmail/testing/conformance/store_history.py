"""What every store must tell of how work has gone; part of `exercise_store`."""

from __future__ import annotations

from datetime import datetime, timedelta

from nightmail.core.course import Slot
from nightmail.core.failure import Reason
from nightmail.core.ids import RunId
from nightmail.core.progress import totals_of
from nightmail.stores.base import Store

MINUTE = timedelta(minutes=1)


async def how_a_run_has_gone_is_told(store: Store, run_id: RunId, now: datetime) -> None:
    """`run_id` has sent three requests in one batch, and has two extras of it; two have succeeded."""
    run = await store.runs.read(run_id)
    assert run is not None
    history = store.history
    assert run_id in [each.run_id for each in await history.unfinished(tenant=None, limit=10)]
    assert await history.unfinished(tenant="nobody", limit=10) == []

    since = now - MINUTE
    slots = await history.slots(run_no=run.run_no, tenant=None, since=since, width=MINUTE)
    assert list(slots) == [Slot(now, sent=3, through=3, succeeded=2)], f"{slots}"
    assert list(await history.slots(run_no=run.run_no, tenant="nobody", since=since, width=MINUTE)) == []
    assert list(await history.slots(run_no=None, tenant=None, since=now + MINUTE, width=MINUTE)) == []

    trips = await history.trips(tenant=None, since=now, limit=100)
    assert [trip.took for trip in trips if trip.run_id == run_id] == [timedelta(0)]
    assert len(await history.trips(tenant=None, since=now, limit=1)) == 1
    assert list(await history.trips(tenant="nobody", since=now, limit=2)) == []
    batches = await history.batches(run.run_no, skip=0, limit=2)
    rest = await history.batches(run.run_no, skip=2, limit=2)
    numbers = [batch.batch_no for batch in (*batches, *rest)]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 3
    for each in await store.runs.list():
        assert await history.totals(each.run_no) == totals_of(await store.batches.list(each.run_no))
    assert (await history.reserved(run.run_no)).under_way == 0

    (example,) = await history.examples(run.run_no, each=3, among=10)
    assert (example.record, example.key) == (3, "key-3")
    assert example.reason in set(Reason)
    assert example.message
    assert list(await history.examples(run.run_no, each=3, among=0)) == []
    line = await history.first_request(run.run_no)
    assert line is not None
    assert (line.path, line.offset, line.length) == (f"{run_id}/requests/000000.jsonl", 0, 100)
