"""What every store must do with requests that are the same as an earlier one; part of `exercise_store`."""

from __future__ import annotations

from datetime import datetime, timedelta

from nightmail.core.answer_index import AnswerIndex, index_of
from nightmail.core.batch import Batch
from nightmail.core.failure import Reason
from nightmail.core.ids import RunId
from nightmail.core.lifecycle import BatchEvent, RequestEvent, RunEvent
from nightmail.core.request import Endpoint, Mode, RequestState
from nightmail.core.run import RunSpec
from nightmail.errors import IllegalMove, LeaseLost
from nightmail.stores.base import (
    BatchSums,
    DueCopy,
    Kept,
    Lease,
    NewBatch,
    ReadyRows,
    Same,
    Setback,
    Shard,
    Shared,
    Store,
    Told,
)

RUN = RunId("repeated-7f3a")
KEPT = Kept(bytes(range(8)) * 7, bytes(range(4)) * 7)


async def copies_follow_their_firsts(store: Store, now: datetime) -> None:
    """Seven records; 3, 4 and 5 ask what 1 asks, 6 and 7 what 2 asks. 1 succeeds, 2 fails."""
    lease = await _a_run_of_seven(store, now)
    run_no = lease.run_no
    tally = await store.requests.count(run_no)
    assert tally.states == {RequestState.READY: 2, RequestState.FOLLOWING: 5}
    assert await store.copies.kept(run_no, 0) == KEPT
    assert await store.copies.count(run_no) == (5, 0)
    assert [await store.copies.first_of(run_no, seq) for seq in (1, 3, 7)] == [None, 1, 2]
    assert await store.copies.due(run_no, after=0, limit=10) == [], "no first has its final state"
    await store.runs.record_event(run_no, RunEvent.SEALED, now=now, lease=lease)
    assert await store.copies.kept(run_no, 0) is None, "no more records come"

    file_no = await _first_succeeds_and_second_fails(store, lease, now)
    due = await store.copies.due(run_no, after=0, limit=3)
    assert [(copy.seq, copy.first_seq, copy.key, copy.first_key) for copy in due] == [
        (3, 1, "k3", "k1"), (4, 1, "k4", "k1"), (5, 1, "k5", "k1"),
    ]  # fmt: skip
    assert (due[0].first_state, due[0].answer, due[0].spent_pusd) == ("succeeded", (file_no, 40, 10), 77)
    failed = await store.copies.due(run_no, after=5, limit=10)
    assert [(copy.seq, copy.first_state, copy.reason) for copy in failed] == [
        (6, "failed", "refused"), (7, "failed", "refused"),
    ]  # fmt: skip
    await _each_gets_its_own(store, lease, [*due, *failed], now)
    await _they_are_asked_again_with_their_first(store, lease, now)


async def _each_gets_its_own(store: Store, lease: Lease, due: list[DueCopy], now: datetime) -> None:
    run_no = lease.run_no
    answered, released = due[:2], due[2:3]
    shared = Shared(
        part=(f"{RUN}/outputs/copies-1.arrow", 100),
        answered=answered,
        released=released,
        told=[Told(released[0], Reason.CHECK, "will not do")],
        failed=[Told(copy, Reason.REFUSED, "as its first") for copy in due[3:]],
    )
    try:
        await store.copies.record_shared(Lease(run_no, "another"), shared, now=now)
    except LeaseLost:
        assert (await store.requests.count(run_no)).states[RequestState.FOLLOWING] == 5
    else:
        raise AssertionError("who has lost the lease moves nothing")
    await store.copies.record_shared(lease, shared, now=now)
    tally = await store.requests.count(run_no)
    assert tally.states == {
        RequestState.SUCCEEDED: 3, RequestState.FAILED: 3, RequestState.READY: 1,
    }  # fmt: skip
    assert tally.reasons == {Reason.REFUSED: 3}
    assert await store.requests.miscounted(run_no) is None
    assert await store.copies.count(run_no) == (4, 2 * 77), "who is sent by itself is no copy any more"
    part = f"{RUN}/outputs/copies-1.arrow"
    assert await store.copies.parts(run_no, 1, 10) == {3: part, 4: part}
    assert list(await store.copies.all_parts(run_no)) == [part]
    assert [row.part for row in await store.pages.rows(run_no, [1, 3])] == [None, part]
    record = await store.requests.read(run_no, 3)
    assert record is not None
    assert (record.attempts, record.spent_pusd, record.answer) == (0, 0, due[0].answer)
    (attempt,) = await store.requests.list_attempts(run_no, 5)
    assert (attempt.outcome, attempt.message, attempt.cost_pusd) == ("shared", "will not do", 0)
    (ready,) = await store.requests.list_ready(run_no, now=now, limit=10)
    assert ready.items.seqs == [5], "it is found although others behind it were planned"
    try:
        await store.copies.record_shared(lease, shared, now=now)
    except IllegalMove:
        assert (await store.requests.count(run_no)).states == tally.states
    else:
        raise AssertionError("what has moved does not move again")


async def _they_are_asked_again_with_their_first(store: Store, lease: Lease, now: datetime) -> None:
    run_no = lease.run_no
    await _batch(store, lease, [5], now)
    await store.runs.record_event(run_no, RunEvent.COMPLETED, now=now, lease=lease)
    assert await store.requests.record_retried(run_no, reasons=None, now=now) == 3
    states = (await store.requests.count(run_no)).states
    assert (states[RequestState.READY], states[RequestState.FOLLOWING]) == (1, 2)
    assert await store.requests.miscounted(run_no) is None


async def _a_run_of_seven(store: Store, now: datetime) -> Lease:
    spec = RunSpec(task="t.py:Task", task_name="Task")
    run = await store.runs.record(run_id=RUN, identity="repeated", spec=spec, fingerprint={}, now=now)
    lease = await store.runs.claim(
        run_id=run.run_id, token="c", now=now, until=now + timedelta(days=1)  # noqa: S106
    )  # fmt: skip
    assert lease is not None
    group = await store.requests.record_group(lease, model="gpt-4o-mini", endpoint=Endpoint.CHAT)
    seqs = list(range(1, 8))
    await store.requests.record_shard(
        lease,
        Shard(
            shard_no=0, first_seq=1, record_count=7, source_path="rows.jsonl", source_row=1, position="{}",
            file_path=f"{RUN}/requests/000000.jsonl", file_bytes=700, piece_path=None, failed=[],
            ready=ReadyRows(
                seqs=seqs, keys=[f"k{seq}" for seq in seqs], group_nos=[group.group_no] * 7, tokens=[10] * 7,
                inputs=[1] * 7, lengths=[100] * 7,
            ),
        ),
        now=now,
        same=Same(KEPT, [(3, 1), (4, 1), (5, 1), (6, 2), (7, 2)]),
    )  # fmt: skip
    return lease


async def _first_succeeds_and_second_fails(store: Store, lease: Lease, now: datetime) -> int:
    batch = await _batch(store, lease, [1, 2], now)
    file_no = await store.requests.record_file(lease, path=f"{RUN}/results/1.output.jsonl", bytes=100)
    await store.requests.record_outcomes(
        lease,
        batch,
        successes=index_of([1], [file_no], [40], [10], [11], [5], [77]),
        setbacks=[
            Setback(
                seq=2, event=RequestEvent.FAILED, reason=Reason.REFUSED, message="no", outcome="succeeded",
                costs_attempt=True,
            )
        ],
        sums=_sums(1),
        event=BatchEvent.SETTLED,
        now=now,
    )  # fmt: skip
    return file_no


async def _batch(store: Store, lease: Lease, seqs: list[int], now: datetime) -> Batch:
    """In a batch that has ended; one of a single request is given up."""
    (group,) = await store.requests.list_groups(lease.run_no)
    new = NewBatch(group=group, mode=Mode.SYNC, account="c", seqs=seqs, tokens=1, bytes=1, inputs=len(seqs))
    (batch,) = await store.batches.record_planned(lease, [new], now=now)
    if len(seqs) > 1:
        batch = await store.batches.record(lease, batch, BatchEvent.CALLS_STARTED, now=now)
        return await store.batches.record(lease, batch, BatchEvent.ENDED, now=now)
    given_up = Setback(
        seq=seqs[0], event=RequestEvent.GIVEN_UP, reason=Reason.MISSING, message="", outcome="cancelled"
    )
    return await store.requests.record_outcomes(
        lease, batch, successes=AnswerIndex(), setbacks=[given_up], sums=_sums(0), event=BatchEvent.REFUSED,
        now=now,
    )  # fmt: skip


def _sums(succeeded: int) -> BatchSums:
    return BatchSums(
        succeeded=succeeded, answers=succeeded, input_tokens=0, output_tokens=0, cached_tokens=0,
        reasoning_tokens=0, cost_pusd=0, sync_cost_pusd=0, wasted_pusd=0, counted_tokens=0, compared_tokens=0,
    )  # fmt: skip
