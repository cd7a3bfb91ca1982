"""What every store must do. `await exercise_store(make)` raises AssertionError at the first thing that it
does not; `make` opens the same empty home again each time it is awaited, so that durability shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from nightmail.core.answer_index import AnswerIndex, index_of
from nightmail.core.batch import Batch, BatchState, Phase
from nightmail.core.failure import Reason
from nightmail.core.ids import RunId
from nightmail.core.lifecycle import BatchEvent, RequestEvent, RunEvent
from nightmail.core.limits import Limits
from nightmail.core.quota import Hold
from nightmail.core.request import Endpoint, Mode, RequestState
from nightmail.core.run import KeyKind, PauseReason, RunSpec, RunState, Wish
from nightmail.errors import IllegalMove, LeaseLost
from nightmail.stores.base import (
    Address,
    Admission,
    BatchSums,
    FailedRow,
    Lease,
    NewBatch,
    NewLine,
    ReadyRows,
    Setback,
    Shard,
    Store,
)
from nightmail.testing.conformance.store_copies import copies_follow_their_firsts
from nightmail.testing.conformance.store_extras import extras_are_settled_with_the_batch_that_they_double
from nightmail.testing.conformance.store_history import how_a_run_has_gone_is_told
from nightmail.testing.conformance.store_inquiries import questions_are_answered
from nightmail.testing.conformance.store_intakes import intakes_take_in_once_and_cut_in_order
from nightmail.testing.conformance.store_notices import exercise_notices
from nightmail.testing.conformance.store_schedules import schedules_start_each_occurrence_once
from nightmail.testing.conformance.store_tenants import tenants_and_their_keys

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
RUN = RunId("sections-7f3a")
Open = Callable[[], Awaitable[Store]]


async def exercise_store(make: Open) -> None:
    """Everything, in the order in which a run lives."""
    store = await make()
    lease = await _runs_are_written_once_and_leased_to_one(store)
    await _requests_come_in_by_shards(store, lease)
    batch_no = await _batches_take_requests_and_move_by_the_table(store, lease)
    await store.close()
    store = await make()
    await _everything_is_still_there(store, lease, batch_no)
    await _outcomes_settle_a_batch_at_once(store, lease)
    await _what_goes_again_is_found(store, lease)
    await questions_are_answered(store, lease, RUN, NOW)
    await _a_lost_lease_writes_nothing(store, lease)
    await _a_finished_run_opens_again(store)
    await extras_are_settled_with_the_batch_that_they_double(store, NOW)
    await how_a_run_has_gone_is_told(store, RunId("doubled-7f3a"), NOW)
    await copies_follow_their_firsts(store, NOW)
    await schedules_start_each_occurrence_once(store, NOW)
    await exercise_notices(store, NOW)
    await tenants_and_their_keys(store, NOW)
    await intakes_take_in_once_and_cut_in_order(store, NOW)
    await store.close()


def a_shard(first_seq: int, count: int, *, failed: int = 0, number: int = 0) -> Shard:
    """`count` ready requests and then `failed` failed ones."""
    return Shard(
        shard_no=number,
        first_seq=first_seq,
        record_count=count + failed,
        source_path="rows.jsonl",
        source_row=first_seq,
        position=f'{{"offset":{first_seq}}}',
        file_path=f"{RUN}/requests/{number:06}.jsonl",
        file_bytes=100 * count,
        piece_path=None,
        ready=ReadyRows(
            seqs=[first_seq + i for i in range(count)],
            keys=[f"key-{first_seq + i}" for i in range(count)],
            group_nos=[0] * count,
            tokens=[10] * count,
            inputs=[1] * count,
            lengths=[100] * count,
        ),
        failed=[
            FailedRow(first_seq + count + i, f"bad-{first_seq + count + i}", Reason.BUILD, "build raised")
            for i in range(failed)
        ],
    )


def answered(*seqs: int, file_no: int) -> AnswerIndex:
    """Accepted answers to some requests, in the order given."""
    many = len(seqs)
    return index_of(seqs, [file_no] * many, seqs, [10] * many, [11] * many, [5] * many, [77] * many)


def lines_in(ranges: list[Address]) -> list[Address]:
    """The lines of `a_shard` in some ranges, each by itself."""
    return [
        Address(file_no, offset + 100 * i, 100)
        for file_no, offset, length in ranges
        for i in range(length // 100)
    ]


async def _runs_are_written_once_and_leased_to_one(store: Store) -> Lease:
    spec = RunSpec(task="sections.py:Sections", task_name="Sections")
    run = await store.runs.record(
        run_id=RUN, identity="i", spec=spec, fingerprint={"task build": "a"}, now=NOW
    )
    again = await store.runs.record(run_id=RUN, identity="j", spec=spec, fingerprint={}, now=NOW)
    assert again == run, "a run that is there is not written again"
    assert [each.run_id for each in await store.runs.list(identity="i")] == [RUN]
    assert await store.runs.list(identity="other") == []
    until = NOW + timedelta(seconds=30)
    lease = await store.runs.claim(run_id=RUN, token="a", now=NOW, until=until)  # noqa: S106
    assert lease is not None
    other: dict[str, Any] = {"run_id": None, "token": "b", "until": NOW + timedelta(hours=1)}
    assert await store.runs.claim(now=NOW, **other) is None, "a leased run is nobody else's"
    assert [held.token for held in await store.runs.leases()] == ["a"]
    await store.runs.record_key(lease, name="id", kind=KeyKind.TEXT)
    paused = await store.runs.record_event(
        run.run_no, RunEvent.PAUSED, now=NOW, reason=PauseReason.USER, message="why"
    )
    assert (paused.state, paused.pause_reason, paused.pause_message) == (RunState.PAUSED, "user", "why")
    resumed = await store.runs.record_event(run.run_no, RunEvent.RESUMED, now=NOW)
    assert (resumed.state, resumed.pause_reason, resumed.key_name) == (RunState.OPEN, None, "id")
    try:
        await store.runs.record_event(run.run_no, RunEvent.COMPLETED, now=NOW)
    except IllegalMove:
        return lease
    raise AssertionError("an open run cannot be completed")


async def _requests_come_in_by_shards(store: Store, lease: Lease) -> None:
    group = await store.requests.record_group(lease, model="gpt-4o-mini", endpoint=Endpoint.CHAT)
    assert group == await store.requests.record_group(lease, model="gpt-4o-mini", endpoint=Endpoint.CHAT)
    await store.requests.record_shard(lease, a_shard(1, 6, failed=1), now=NOW)
    await store.requests.record_shard(lease, a_shard(8, 3, number=1), now=NOW)
    run = await store.runs.read(RUN)
    assert run is not None
    assert (run.record_count, run.position) == (10, '{"offset":8}')
    tally = await store.requests.count(run.run_no)
    assert tally.states == {RequestState.READY: 9, RequestState.FAILED: 1}
    assert tally.reasons == {Reason.BUILD: 1}
    assert await store.requests.duplicate_keys(run.run_no, limit=5) == []
    assert [shard.first_seq for shard in await store.requests.list_shards(run.run_no)] == [1, 8]
    (ready,) = await store.requests.list_ready(run.run_no, now=NOW, limit=100)
    assert ready.items.seqs == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert ready.group == group
    (failure,) = await store.requests.list_failures(run.run_no, after=0, limit=10)
    assert (failure.key, failure.reason) == ("bad-7", Reason.BUILD)
    (attempt,) = failure.history
    assert (attempt.number, attempt.model, attempt.message) == (1, None, "build raised")


async def _batches_take_requests_and_move_by_the_table(store: Store, lease: Lease) -> int:
    (ready,) = await store.requests.list_ready(lease.run_no, now=NOW, limit=100)
    planned = [
        NewBatch(
            group=ready.group,
            mode=Mode.BATCH,
            account="a",
            seqs=seqs,
            tokens=10 * len(seqs),
            bytes=1,
            inputs=1,
        )
        for seqs in ([1, 2, 3, 4, 5, 6, 8], [9, 10])
    ]
    first, second = await store.batches.record_planned(lease, planned, now=NOW)
    assert first.state is BatchState.PLANNED
    assert first.batch_id != second.batch_id
    assert await store.requests.list_ready(lease.run_no, now=NOW, limit=100) == []
    members = await store.requests.members(first)
    assert [member.seq for member in members] == [1, 2, 3, 4, 5, 6, 8]
    lines = [Address(each.file_no, each.offset, each.length) for each in members]
    assert lines_in(await store.requests.ranges(first)) == lines
    start = BatchEvent.SUBMIT_STARTED

    async def claim(batch: Batch, limits: Limits, **money: Any) -> Batch | Hold:
        admission = Admission(limits=limits, tokens=batch.tokens, **money)
        return await store.batches.claim_submit(lease, batch, admission, event=start, now=NOW)

    dear = await claim(first, Limits(), reserve_pusd=101, budget_pusd=100)
    assert dear is Hold.BUDGET, "what would go over the budget waits"
    submitting = await claim(first, Limits(max_enqueued_tokens=100), reserve_pusd=60, budget_pusd=100)
    assert not isinstance(submitting, Hold)
    assert (submitting.state, submitting.attempt) == (BatchState.SUBMITTING, 1)
    assert (await store.batches.count_enqueued("a", "gpt-4o-mini")).tokens == 70
    full = await claim(second, Limits(max_enqueued_tokens=94))
    assert full is Hold.QUEUE, "90 of 94 tokens is over the headroom"
    assert await claim(second, Limits(max_active_batches=1)) is Hold.BATCHES
    assert await claim(second, Limits(max_creates_per_hour=1)) is Hold.CREATES
    reserved = await claim(second, Limits(), reserve_pusd=50, budget_pusd=100)
    assert reserved is Hold.BUDGET, "what is in flight is reserved"
    learned = await store.batches.record_refusal(lease, second, said=1_000, now=NOW)
    assert (learned.limit, learned.refusals) == (1_000, 1)
    assert await claim(second, Limits()) is Hold.BLOCKED
    await store.batches.record_acceptance(lease, second)
    assert (await store.batches.learned("a", "gpt-4o-mini")).refusals == 0
    recalled = await store.batches.record_recalled(lease, second)
    assert recalled.state is BatchState.ABANDONED
    (ready,) = await store.requests.list_ready(lease.run_no, now=NOW, limit=100)
    assert ready.items.seqs == [9, 10], "as if that batch had never been"
    again = NewBatch(
        group=ready.group, mode=Mode.BATCH, account="a", seqs=[9, 10], tokens=20, bytes=1, inputs=1
    )
    await store.batches.record_planned(lease, [again], now=NOW)
    assert await store.requests.miscounted(lease.run_no) is None
    running = await store.batches.record(
        lease, submitting, BatchEvent.SUBMITTED, now=NOW, provider_batch_id="batch_1", phase=Phase.VALIDATING
    )
    assert await store.batches.provider_ids("a") == {"batch_1": first.batch_id}
    try:
        await store.batches.record(lease, submitting, BatchEvent.SUBMITTED, now=NOW)
    except IllegalMove:
        return running.batch_no
    raise AssertionError("a batch that has moved on is not moved from where it was")


async def _everything_is_still_there(store: Store, lease: Lease, batch_no: int) -> None:
    (batch,) = await store.batches.list(lease.run_no, states=[BatchState.IN_PROGRESS])
    assert (batch.batch_no, batch.provider_batch_id, batch.phase) == (batch_no, "batch_1", Phase.VALIDATING)
    assert batch.created_at == NOW


async def _outcomes_settle_a_batch_at_once(store: Store, lease: Lease) -> None:
    (batch,) = await store.batches.list(lease.run_no, states=[BatchState.IN_PROGRESS])
    batch = await store.batches.record(lease, batch, BatchEvent.ENDED, now=NOW)
    file_no = await store.requests.record_file(lease, path=f"{RUN}/results/1.output.jsonl", bytes=1000)
    assert file_no == await store.requests.record_file(
        lease, path=f"{RUN}/results/1.output.jsonl", bytes=1000
    )
    successes = answered(3, 1, 2, file_no=file_no)
    setbacks = [
        Setback(
            seq=4, event=RequestEvent.RETURNED, reason=Reason.CHECK, message="m", outcome="succeeded",
            costs_attempt=True, answer=Address(file_no, 4, 10), input_tokens=11, cost_pusd=70,
            line=NewLine(Address(file_no, 0, 50), 0, 20),
        ),
        Setback(
            seq=5, event=RequestEvent.POSTPONED, reason=Reason.UNAVAILABLE, message="m", outcome="errored",
            costs_attempt=True, due_at=NOW + timedelta(minutes=1),
        ),
        Setback(seq=6, event=RequestEvent.FAILED, reason=Reason.INVALID, message="bad", outcome="errored"),
        Setback(
            seq=8, event=RequestEvent.RETURNED, reason=Reason.EXPIRED, message="m", outcome="expired",
            costs_expiry=True,
        ),
    ]  # fmt: skip
    sums = BatchSums(
        succeeded=3, answers=4, input_tokens=44, output_tokens=15, cached_tokens=0, reasoning_tokens=0,
        cost_pusd=301, sync_cost_pusd=602, wasted_pusd=70, counted_tokens=40, compared_tokens=44,
    )  # fmt: skip
    whole: dict[str, Any] = {"sums": sums, "event": BatchEvent.SETTLED, "now": NOW}
    try:
        await store.requests.record_outcomes(
            lease, batch, successes=answered(2, 1, file_no=file_no), setbacks=setbacks, **whole
        )
    except IllegalMove:
        pass
    else:
        raise AssertionError("a batch with a request without an outcome is not settled")
    tally = await store.requests.count(lease.run_no)
    assert tally.states[RequestState.IN_BATCH] == 9, "a refused transaction leaves nothing"
    settled = await store.requests.record_outcomes(
        lease, batch, successes=successes, setbacks=setbacks, **whole
    )
    assert (settled.state, settled.succeeded, settled.cost_pusd) == (BatchState.SETTLED, 3, 301)
    tally = await store.requests.count(lease.run_no)
    assert tally.states == {
        RequestState.IN_BATCH: 2,
        RequestState.SUCCEEDED: 3,
        RequestState.READY: 2,
        RequestState.WAITING: 1,
        RequestState.FAILED: 2,
    }
    assert tally.again == {Reason.CHECK: 1, Reason.UNAVAILABLE: 1, Reason.EXPIRED: 1}
    assert await store.requests.miscounted(lease.run_no) is None
    assert await store.requests.list_successes(lease.run_no, 1, 100) == [
        (n, batch.batch_no) for n in (1, 2, 3)
    ]
    assert await store.requests.count_successes(lease.run_no, 2, 100) == {batch.batch_no: 2}
    run = await store.runs.read(RUN)
    assert run is not None
    assert (run.counted_tokens, run.billed_tokens) == (40, 44)


async def _what_goes_again_is_found(store: Store, lease: Lease) -> None:
    (ready,) = await store.requests.list_ready(lease.run_no, now=NOW, limit=100)
    assert (ready.items.seqs, ready.items.tokens) == ([4, 8], [20, 10])
    due = await store.requests.next_due(lease.run_no)
    assert due == NOW + timedelta(minutes=1)
    (later,) = await store.requests.list_ready(lease.run_no, now=due, limit=100)
    assert later.items.seqs == [4, 5, 8]
    new = NewBatch(
        group=later.group, mode=Mode.BATCH, account="a", seqs=[4, 5, 8], tokens=40, bytes=1, inputs=3
    )
    (batch,) = await store.batches.record_planned(lease, [new], now=NOW)
    members = await store.requests.members(batch)
    assert [(member.seq, member.attempts, member.expiries) for member in members] == [
        (4, 1, 0),
        (5, 1, 0),
        (8, 0, 1),
    ]
    assert members[0].spent_pusd == 70
    lines = [Address(each.file_no, each.offset, each.length) for each in members]
    assert await store.requests.ranges(batch) == lines, "lines of others between them are left out"
    assert await store.requests.miscounted(lease.run_no) is None
    (attempt,) = await store.requests.list_attempts(lease.run_no, 4)
    assert (attempt.number, attempt.outcome, attempt.reason) == (1, "succeeded", Reason.CHECK)
    row = await store.requests.read(lease.run_no, 4)
    assert row is not None
    assert (row.state, row.batch_id) == (RequestState.IN_BATCH, batch.batch_id)
    assert attempt.request not in (None, row.request), "the line that was sent, not the one that will be"
    await store.events.record(lease.run_no, "told", now=NOW, batch_no=batch.batch_no, n=1)
    event = (await store.events.list(lease.run_no, limit=5))[-1]
    assert (event.name, event.batch_id, event.detail) == ("told", batch.batch_id, {"n": 1})


async def _a_lost_lease_writes_nothing(store: Store, lease: Lease) -> None:
    later = NOW + timedelta(minutes=5)
    new = await store.runs.claim(run_id=RUN, token="b", now=later, until=later + timedelta(minutes=1))  # noqa: S106
    assert new is not None, "an old lease is over by itself"
    for call in (
        store.runs.record_lease(lease, until=later),
        store.requests.record_shard(lease, a_shard(11, 1, number=2), now=later),
        store.requests.record_given_up(lease, now=later),
    ):
        try:
            await call
        except LeaseLost:
            continue
        raise AssertionError("a lost lease must write nothing")
    await store.runs.delete_lease(lease)
    assert [held.token for held in await store.runs.leases()] == ["b"], "a lost lease cannot be given back"
    run = await store.runs.read(RUN)
    assert run is not None
    assert run.record_count == 10
    assert not await store.runs.delete_unsent(run.run_no), "a run with batches is not forgotten"
    await store.runs.record_wish(run.run_no, Wish.CANCEL)
    assert await store.requests.record_given_up(new, now=later) == 0, "what is in a batch is not given up"
    await store.runs.delete_lease(new)


async def _a_finished_run_opens_again(store: Store) -> None:
    run_id = RunId("other-0001")
    spec = RunSpec(task="sections.py:Sections", task_name="Other")
    run = await store.runs.record(run_id=run_id, identity="o", spec=spec, fingerprint={}, now=NOW)
    assert run_id in [each.run_id for each in await store.runs.unfinished()]
    lease = await store.runs.claim(run_id=run_id, token="c", now=NOW, until=NOW + timedelta(minutes=1))  # noqa: S106
    assert lease is not None
    group = await store.requests.record_group(lease, model="m", endpoint=Endpoint.CHAT)
    shard = a_shard(1, 2)
    shard = Shard(
        **{**{f: getattr(shard, f) for f in shard.__struct_fields__}, "file_path": f"{run_id}/r/0.jsonl"}
    )
    await store.requests.record_shard(lease, shard, now=NOW)
    new = NewBatch(group=group, mode=Mode.SYNC, account="a", seqs=[1, 2], tokens=20, bytes=1, inputs=2)
    (batch,) = await store.batches.record_planned(lease, [new], now=NOW)
    batch = await store.batches.record(lease, batch, BatchEvent.CALLS_STARTED, now=NOW)
    batch = await store.batches.record(lease, batch, BatchEvent.ENDED, now=NOW)
    nothing = BatchSums(
        succeeded=0, answers=0, input_tokens=0, output_tokens=0, cached_tokens=0, reasoning_tokens=0,
        cost_pusd=None, sync_cost_pusd=None, wasted_pusd=None, counted_tokens=0, compared_tokens=0,
    )  # fmt: skip
    failed = [
        Setback(
            seq=seq, event=RequestEvent.FAILED, reason=reason, message="m", outcome="errored", cost_pusd=None
        )
        for seq, reason in ((1, Reason.INVALID), (2, Reason.CHECK))
    ]
    await store.requests.record_outcomes(
        lease,
        batch,
        successes=AnswerIndex(),
        setbacks=failed,
        sums=nothing,
        event=BatchEvent.SETTLED,
        now=NOW,
    )
    await store.runs.record_event(run.run_no, RunEvent.SEALED, now=NOW, lease=lease)
    await store.runs.record_delivered(lease, now=NOW)
    await store.runs.record_event(run.run_no, RunEvent.COMPLETED, now=NOW, lease=lease)
    await store.runs.delete_lease(lease)
    claim: dict[str, Any] = {"run_id": run_id, "token": "d", "now": NOW, "until": NOW}
    assert await store.runs.claim(**claim) is None, "a finished run has no work"
    assert run_id not in [each.run_id for each in await store.runs.unfinished()]
    assert await store.runs.claim(**claim, idle=True) is not None, "it can be taken for other reasons"
    assert await store.requests.record_retried(run.run_no, reasons=[Reason.CHECK], now=NOW) == 1
    opened = await store.runs.read(run_id)
    assert opened is not None
    assert (opened.state, opened.finished_at, opened.delivered_at) == (RunState.OPEN, None, None)
    tally = await store.requests.count(run.run_no)
    assert tally.states == {RequestState.FAILED: 1, RequestState.READY: 1}
    assert tally.reasons == {Reason.INVALID: 1}
    assert await store.requests.record_retried(run.run_no, reasons=[Reason.CHECK], now=NOW) == 0
