"""What every store must do with a batch that the provider has a second time; part of `exercise_store`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from nightmail.core.answer_index import AnswerIndex, index_of
from nightmail.core.batch import Batch, BatchState
from nightmail.core.failure import Reason
from nightmail.core.ids import RunId
from nightmail.core.lifecycle import BatchEvent, RequestEvent
from nightmail.core.request import Endpoint, Mode, RequestState
from nightmail.core.run import RunSpec
from nightmail.errors import IllegalMove
from nightmail.stores.base import BatchSums, Lease, NewBatch, ReadyRows, Setback, Shard, Store

RUN = RunId("doubled-7f3a")
HOLDER = "d"


def _sums(succeeded: int, answers: int) -> BatchSums:
    return BatchSums(
        succeeded=succeeded, answers=answers, input_tokens=10 * answers, output_tokens=0, cached_tokens=0,
        reasoning_tokens=0, cost_pusd=7 * answers, sync_cost_pusd=14 * answers,
        wasted_pusd=7 * (answers - succeeded), counted_tokens=0, compared_tokens=0,
    )  # fmt: skip


async def extras_are_settled_with_the_batch_that_they_double(store: Store, now: datetime) -> None:
    """One extra is judged with its batch; another comes to light later and takes what is open."""
    lease = await _a_run_of_three(store, now)
    batch = await _in_progress(store, lease, now)
    extra = await store.batches.record_extra(lease, batch, "doubled_2", now=now, due_at=now)
    assert (extra.extra_of, extra.state) == (batch.batch_no, BatchState.IN_PROGRESS)
    assert extra.batch_id != batch.batch_id
    assert await store.requests.members(extra) == [], "requests stay in a batch that is not settled"
    assert "doubled_2" in await store.batches.provider_ids("a")
    batch = await store.batches.record(lease, batch, None, now=now, seek_at=now)
    assert (batch.seek_at, extra.seek_at) == (now, None), "one of the two is to be looked for again"
    batch = await store.batches.record(lease, batch, None, now=now, seek_at=None)
    assert batch.seek_at is None

    batch, extra = [
        await store.batches.record(lease, each, BatchEvent.ENDED, now=now) for each in (batch, extra)
    ]

    file_no = await store.requests.record_file(lease, path=f"{RUN}/results/1.output.jsonl", bytes=1000)
    back = [_back(seq, RequestEvent.RETURNED) for seq in (2, 3)]
    back[1] = _back(3, RequestEvent.POSTPONED, due_at=now + timedelta(hours=1))
    settled = await store.requests.record_outcomes(
        lease, batch, successes=_answer(1, file_no), setbacks=back, sums=_sums(1, 1),
        event=BatchEvent.SETTLED, now=now, extras=[(extra, _sums(0, 2))],
    )  # fmt: skip
    other = await store.batches.read(extra.batch_id)
    assert other is not None
    assert (settled.state, other.state) == (BatchState.SETTLED, BatchState.SETTLED)
    assert (other.cost_pusd, other.wasted_pusd, other.settled_at) == (14, 14, now), "each has its own bill"

    late = await store.batches.record_extra(lease, settled, "doubled_3", now=now)
    assert [member.seq for member in await store.requests.members(late)] == [2, 3], "it takes what is open"
    assert await store.requests.list_ready(lease.run_no, now=now + timedelta(days=1), limit=10) == []
    late = await store.batches.record(lease, late, BatchEvent.ENDED, now=now)
    whole: dict[str, Any] = {"sums": _sums(1, 3), "event": BatchEvent.SETTLED, "now": now}
    success = _answer(2, file_no)
    try:
        await store.requests.record_outcomes(lease, late, successes=success, setbacks=[], **whole)
    except IllegalMove:
        pass
    else:
        raise AssertionError("an extra with a request without an outcome is not settled")
    failed = [_back(3, RequestEvent.FAILED)]
    await store.requests.record_outcomes(lease, late, successes=success, setbacks=failed, **whole)
    tally = await store.requests.count(lease.run_no)
    assert tally.states == {RequestState.SUCCEEDED: 2, RequestState.FAILED: 1}
    assert await store.requests.miscounted(lease.run_no) is None


async def _a_run_of_three(store: Store, now: datetime) -> Lease:
    spec = RunSpec(task="sections.py:Sections", task_name="Sections")
    await store.runs.record(run_id=RUN, identity="doubled", spec=spec, fingerprint={}, now=now)
    lease = await store.runs.claim(run_id=RUN, token=HOLDER, now=now, until=now + timedelta(hours=1))
    assert lease is not None
    await store.requests.record_group(lease, model="gpt-4o-mini", endpoint=Endpoint.CHAT)
    shard = Shard(
        shard_no=0, first_seq=1, record_count=3, source_path="rows.jsonl", source_row=1, position="{}",
        file_path=f"{RUN}/requests/000000.jsonl", file_bytes=300, piece_path=None, failed=[],
        ready=ReadyRows(
            seqs=[1, 2, 3], keys=["key-1", "key-2", "key-3"], group_nos=[0] * 3, tokens=[10] * 3,
            inputs=[1] * 3, lengths=[100] * 3,
        ),
    )  # fmt: skip
    await store.requests.record_shard(lease, shard, now=now)
    return lease


async def _in_progress(store: Store, lease: Lease, now: datetime) -> Batch:
    (ready,) = await store.requests.list_ready(lease.run_no, now=now, limit=10)
    new = NewBatch(
        group=ready.group, mode=Mode.BATCH, account="a", seqs=[1, 2, 3], tokens=30, bytes=300, inputs=3
    )
    (batch,) = await store.batches.record_planned(lease, [new], now=now)
    # What was given up as lost may still come to light.
    return await store.batches.record(
        lease, batch, BatchEvent.SUBMITTED, now=now, provider_batch_id="doubled_1", submitted_at=now
    )


def _answer(seq: int, file_no: int) -> AnswerIndex:
    return index_of([seq], [file_no], [0], [1], [10], [0], [7])


def _back(seq: int, event: RequestEvent, due_at: datetime | None = None) -> Setback:
    return Setback(
        seq=seq, event=event, reason=Reason.EXPIRED, message="m", outcome="expired", due_at=due_at,
        costs_expiry=True,
    )  # fmt: skip
