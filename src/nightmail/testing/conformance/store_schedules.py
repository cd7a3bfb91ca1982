"""What every store must do with schedules, and with what their runs deliver; part of `exercise_store`."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from nightmail.core.ids import RunId
from nightmail.core.lifecycle import RunEvent
from nightmail.core.run import RunSpec
from nightmail.core.schedule import FileMark, Occurrence, Schedule, ScheduleSpec
from nightmail.errors import LeaseLost
from nightmail.stores.base import Lease, Store

HOLDER = "h"
SPEC = ScheduleSpec(task="t.py:T", source="/in", output="/out/{date}.jsonl", options={"budget": "5"})


async def schedules_start_each_occurrence_once(store: Store, now: datetime) -> None:
    """Written down, claimed by one of many, open until the run is over, and forgotten whole."""
    schedule = await store.schedules.record("nightly", SPEC, now=now)
    assert schedule is not None
    assert (schedule.spec, schedule.paused, schedule.since) == (SPEC, False, now)
    assert await store.schedules.record("nightly", SPEC, now=now) is None, "the name is taken"
    assert await store.schedules.read("nightly") == schedule
    assert await store.schedules.list() == [schedule]
    assert await store.schedules.read("other") is None

    due, mark = now + timedelta(hours=1), FileMark("/in/a.jsonl", 5, 1)
    claims = await asyncio.gather(*(_claim(store, schedule, due, mark) for _ in range(4)))
    (occurrence,) = [each for each in claims if each is not None]
    assert await store.schedules.taken_files(schedule.schedule_no) == {mark}
    assert list(await store.schedules.files_of(occurrence)) == [mark]
    assert await store.schedules.is_output_taken(schedule.schedule_no, "/out/1.jsonl")
    assert await store.schedules.open_occurrence(schedule.schedule_no) == occurrence
    moved = await store.schedules.read("nightly")
    assert moved is not None
    assert moved.since == due
    assert await _claim(store, moved, due + timedelta(hours=1)) is None, "one is open"

    await store.schedules.record_trouble(occurrence, "no such file")
    (troubled,) = await store.schedules.occurrences(schedule.schedule_no, limit=5)
    assert (troubled.message, troubled.is_open, troubled.run_id) == ("no such file", True, None)
    await _its_run_ends(store, occurrence, now)
    second = await _claim(store, moved, due + timedelta(hours=1))
    assert second is not None
    await store.schedules.record_trouble(second, "its files are gone", abandoned=True)
    assert not await store.schedules.record_started(second, RunId("scheduled-1"))
    newest, oldest = await store.schedules.occurrences(schedule.schedule_no, limit=5)
    assert (newest.abandoned, newest.is_open, oldest.is_open) == (True, False, False)

    await store.schedules.record_paused("nightly", True, now=now)
    assert await _claim(store, moved, due + timedelta(hours=2)) is None, "it was changed since"
    await store.schedules.record_paused("nightly", False, now=due + timedelta(hours=3))
    changed = await store.schedules.record("nightly", SPEC, now=due + timedelta(hours=4), replace=True)
    assert changed is not None
    assert (changed.paused, changed.since) == (False, due + timedelta(hours=4))
    assert changed.schedule_no == schedule.schedule_no
    await _what_is_delivered_is_known_by_key_and_content(store, changed, now)
    assert await store.schedules.delete("nightly")
    assert not await store.schedules.delete("nightly")
    again = await store.schedules.record("nightly", SPEC, now=now)
    assert again is not None
    assert again.schedule_no != schedule.schedule_no, "what it knew is not the new one's"


async def _claim(store: Store, schedule: Schedule, due: datetime, *files: FileMark) -> Occurrence | None:
    output = f"/out/{due.hour - 8}.jsonl"
    return await store.schedules.claim(schedule, due_at=due, output=output, since=due, files=files)


async def _its_run_ends(store: Store, occurrence: Occurrence, now: datetime) -> None:
    """A run's end is the occurrence's."""
    run = await store.runs.record(
        run_id=RunId("scheduled-1"),
        identity="s",
        spec=RunSpec(task="t", task_name="T"),
        fingerprint={},
        now=now,
    )
    assert await store.schedules.record_started(occurrence, run.run_id)
    assert not await store.schedules.record_started(occurrence, run.run_id), "that is known"
    found = await store.schedules.open_occurrence(occurrence.schedule_no)
    assert found is not None
    assert (found.run_id, found.message) == (run.run_id, None)
    lease = await store.runs.claim(run_id=run.run_id, token=HOLDER, now=now, until=now + timedelta(days=1))
    assert lease is not None
    await store.runs.record_event(run.run_no, RunEvent.SEALED, now=now, lease=lease)
    await store.runs.record_event(run.run_no, RunEvent.COMPLETED, now=now, lease=lease)
    assert await store.schedules.open_occurrence(occurrence.schedule_no) is not None, "not delivered yet"
    await store.runs.record_delivered(lease, now=now)
    assert await store.schedules.open_occurrence(occurrence.schedule_no) is None


async def _what_is_delivered_is_known_by_key_and_content(
    store: Store, schedule: Schedule, now: datetime
) -> None:
    """Of the run of `exercise_store`, whose first requests have succeeded."""
    (run, *_) = await store.runs.list()
    lease = await store.runs.claim(
        run_id=run.run_id, token=HOLDER, now=now + timedelta(days=2), until=now + timedelta(days=3), idle=True
    )
    assert lease is not None
    succeeded = [seq for seq, _ in await store.requests.list_successes(run.run_no, 1, 10**6)]
    assert succeeded
    number, most = schedule.schedule_no, 2**63 - 1
    digests = {seq: most if seq == succeeded[0] else -seq for seq in (*succeeded, 10**6)}
    await store.delivered.record_contents(lease, digests.items())
    keys = [f"key-{seq}" for seq in digests]
    assert await store.delivered.read(number, keys) == {}
    for _ in range(2):
        await store.delivered.record(lease, number, 1, 10**6)
    what = {f"key-{seq}": digests[seq] for seq in succeeded}
    assert await store.delivered.read(number, keys) == what, "what has succeeded"
    assert await store.delivered.read(number, list(succeeded)) == {}, "a number is not its text"
    assert await store.delivered.read(number + 1, keys) == {}, "another schedule"
    try:
        await store.delivered.record(Lease(run.run_no, "lost"), number, 1, 10)
    except LeaseLost:
        pass
    else:
        raise AssertionError("a lost lease remembers nothing")
    await store.runs.delete_lease(lease)
