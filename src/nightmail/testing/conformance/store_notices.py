"""What every store must do with notices, their deliveries and webhooks; part of `exercise_store`."""

from __future__ import annotations

from datetime import datetime, timedelta

from nightmail.core.batch import Batch, BatchState
from nightmail.core.ids import RunId
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.notice import Notice, NoticeKind
from nightmail.core.request import Endpoint, Mode
from nightmail.core.run import RunSpec
from nightmail.stores.base import Lease, NewBatch, ReadyRows, Shard, Store

RUN = RunId("told-7f3a")
OTHER = RunId("told-8a4b")
HOUR = timedelta(hours=1)


async def exercise_notices(store: Store, now: datetime) -> None:
    """In a store in which nobody has made notices yet."""
    await _events_are_read_on_from_a_number(store, now)
    await _notices_are_told_once_and_in_order(store, now)
    await _a_webhook_makes_its_batch_due_once(store, now)


async def _events_are_read_on_from_a_number(store: Store, now: datetime) -> None:
    """Also past a run that was forgotten: no number comes again, so nothing is missed."""
    run = await store.runs.record(run_id=RUN, identity="told", spec=_spec(), fingerprint={}, now=now)
    begun = await store.notices.begin(home="here")
    assert (await store.notices.begin(home="there")) == begun, "somebody has begun already"
    assert await store.events.list_after(begun.event_no, limit=9) == [], "nobody is told of what was before"
    other = await store.runs.record(run_id=OTHER, identity="o2", spec=_spec(), fingerprint={}, now=now)
    await store.events.record(other.run_no, "first", now=now)
    (first,) = await store.events.list_after(begun.event_no, limit=9)
    assert (first.name, first.run_id, first.detail) == ("first", OTHER, {})
    assert await store.notices.record([], {}, after=begun.event_no, upto=first.event_no) == 0
    assert await store.runs.delete_unsent(other.run_no)
    await store.events.record(run.run_no, "second", now=now, n=1)
    (second,) = await store.events.list_after(first.event_no, limit=9)
    assert (second.name, second.detail) == ("second", {"n": 1})
    late = await store.notices.record(
        [a_notice("late", RUN, now)], {}, after=begun.event_no, upto=second.event_no
    )
    assert late is None, "who has read from where others have been since writes nothing"
    assert await store.notices.list(run_id=None, limit=9) == []


async def _notices_are_told_once_and_in_order(store: Store, now: datetime) -> None:
    """Through a channel that takes one at a time, and one that takes all together."""
    notices = [a_notice(name, run, now) for name, run in (("a", RUN), ("b", RUN), ("c", OTHER), ("d", None))]
    channels: dict[str, list[datetime | None]] = {
        "one": [now] * 4,
        "all": [now + HOUR, None, now + HOUR, now + HOUR],
    }
    at = (await store.notices.begin(home="here")).event_no
    assert await store.notices.record(notices, channels, after=at, upto=at) == 4
    assert await store.notices.record(notices, channels, after=at, upto=at) == 0, "an id is one notice"

    before = now - HOUR
    assert await store.notices.next_due(["one", "all"], after=before) == now
    assert await store.notices.next_due(["one", "all"], after=now) == now + HOUR
    assert await store.notices.next_due(["none"], after=before) is None
    claimed = await store.notices.claim("one", now=now, until=now + HOUR, together=False, limit=9)
    assert [each.notice.notice_id for each in claimed] == ["a", "c", "d"], "the first of each run"
    assert claimed[0].notice == notices[0]
    assert claimed[0].tries == 1
    again = await store.notices.claim("one", now=now, until=now + HOUR, together=False, limit=9)
    assert again == [], "claimed by one; what is behind waits"
    numbers = [each.notice_no for each in claimed]
    await store.notices.record_sent("one", numbers[1:], now=now)
    await store.notices.record_failed("one", numbers[:1], error="down", due_at=now + HOUR)
    assert await store.notices.claim("one", now=now, until=now, together=False, limit=9) == []
    later = now + HOUR
    (first,) = await store.notices.claim("one", now=later, until=later + HOUR, together=False, limit=9)
    assert (first.notice.notice_id, first.tries) == ("a", 2)
    await store.notices.record_sent("one", [first.notice_no], now=later)
    (second,) = await store.notices.claim("one", now=later, until=later + HOUR, together=False, limit=9)
    assert second.notice.notice_id == "b"

    assert await store.notices.claim("all", now=now, until=now, together=True, limit=9) == []
    together = await store.notices.claim("all", now=later, until=later + HOUR, together=True, limit=9)
    assert [each.notice.notice_id for each in together] == ["a", "c", "d"], "not what it does not want"
    await store.notices.record_sent("all", [together[0].notice_no], now=later)

    assert await store.notices.record_given_up(before=now, now=later) == 0
    assert await store.notices.record_given_up(before=later, now=later) == 3
    ((notice, (to_all, to_one)),) = await store.notices.list(run_id=OTHER, limit=9)
    assert notice == notices[2]
    assert (to_one.state, to_one.tries, to_one.ended_at) == ("sent", 1, now)
    assert (to_all.state, to_all.due_at, to_all.ended_at) == ("given_up", None, later)
    newest = await store.notices.list(run_id=None, limit=2)
    assert [each.notice_id for each, _ in newest] == ["c", "d"]
    older = await store.notices.list(run_id=None, before="c", limit=2)
    assert [each.notice_id for each, _ in older] == ["a", "b"]
    assert await store.notices.list(run_id=None, tenant="nobody", limit=9) == []
    counted = {(each.channel, each.state): each.deliveries for each in await store.notices.count()}
    assert counted == {("all", "sent"): 1, ("all", "given_up"): 2, ("one", "sent"): 3, ("one", "given_up"): 1}


async def _a_webhook_makes_its_batch_due_once(store: Store, now: datetime) -> None:
    """And is not undone by a look that was under way when it came."""
    lease = await store.runs.claim(run_id=RUN, token="t", now=now, until=now + HOUR)  # noqa: S106
    assert lease is not None
    batch = await _in_progress(store, lease, now)
    soon = now + timedelta(minutes=1)
    assert await store.notices.record_webhook("wh_1", type="t", provider_batch_id="hooked_1", now=soon)
    hooked = await store.batches.read(batch.batch_id)
    assert hooked is not None
    assert hooked.due_at == soon
    assert not await store.notices.record_webhook("wh_1", type="t", provider_batch_id="hooked_1", now=now)
    looked = await store.batches.record(lease, batch, None, now=soon, due_at=now + HOUR, polls=1)
    assert (looked.due_at, looked.polls) == (soon, 1), "a look that began before it does not put it off"
    looked = await store.batches.record(lease, looked, None, now=soon, due_at=now + HOUR)
    assert looked.due_at == now + HOUR, "the next look does"
    assert await store.notices.record_webhook("wh_2", type="t", provider_batch_id="of somebody", now=now)
    ended = await store.batches.record(lease, looked, BatchEvent.ENDED, now=now, due_at=None)
    assert await store.notices.record_webhook("wh_3", type="t", provider_batch_id="hooked_1", now=now)
    still = await store.batches.read(ended.batch_id)
    assert still is not None
    assert (still.state, still.due_at) == (BatchState.ENDED, None), "what has ended is not looked at"
    told = [event.name for event in await store.events.list(lease.run_no, limit=99)]
    assert told[-1] == "batch_ended"
    week = now + timedelta(days=8)
    assert await store.notices.record_webhook("wh_4", type="t", provider_batch_id=None, now=week)
    assert await store.notices.record_webhook("wh_1", type="t", provider_batch_id=None, now=week), "forgotten"


def a_notice(notice_id: str, run_id: RunId | None, at: datetime) -> Notice:
    return Notice(
        notice_id=notice_id,
        kind=NoticeKind.RUN_FINISHED,
        at=at,
        run_id=run_id,
        title=f"title {notice_id}",
        text="text",
        eta=(at, at + HOUR),
        facts={"n": 1},
    )


def _spec() -> RunSpec:
    return RunSpec(task="sections.py:Sections", task_name="Told")


async def _in_progress(store: Store, lease: Lease, now: datetime) -> Batch:
    await store.requests.record_group(lease, model="gpt-4o-mini", endpoint=Endpoint.CHAT)
    shard = Shard(
        shard_no=0, first_seq=1, record_count=1, source_path="rows.jsonl", source_row=1, position="{}",
        file_path=f"{RUN}/requests/000000.jsonl", file_bytes=300, piece_path=None, failed=[],
        ready=ReadyRows(seqs=[1], keys=["key-1"], group_nos=[0], tokens=[10], inputs=[1], lengths=[100]),
    )  # fmt: skip
    await store.requests.record_shard(lease, shard, now=now)
    (ready,) = await store.requests.list_ready(lease.run_no, now=now, limit=10)
    new = NewBatch(group=ready.group, mode=Mode.BATCH, account="a", seqs=[1], tokens=10, bytes=1, inputs=1)
    (batch,) = await store.batches.record_planned(lease, [new], now=now)
    return await store.batches.record(
        lease, batch, BatchEvent.SUBMITTED, now=now, provider_batch_id="hooked_1", submitted_at=now,
        due_at=now + HOUR,
    )  # fmt: skip
