"""One worker drives many runs at the same time."""

import asyncio

import pytest

from nightmail.core.ids import RunId
from nightmail.core.lifecycle import RunEvent
from nightmail.core.run import PauseReason, Wish
from nightmail.errors import ConfigError, LeaseLost, StoreError
from nightmail.stores.sqlite import SqliteStore
from nightmail.testing.clock import START, ManualClock
from nightmail.worker.begin import begin, want
from nightmail.worker.lease import claim
from nightmail.worker.shift import PUT_OFF, Shift
from tests.worker.test_loop import Colour


class Floor:
    """A store with runs, and a shift whose runs are driven as a test says."""

    def __init__(self, folder, store):
        self.folder, self.store, self.clock, self.stop = folder, store, ManualClock(), asyncio.Event()
        self.begun, self.go = [], {}
        self.raises = {}

    async def run(self, name, priority=0):
        rows = self.folder / f"{name}.jsonl"
        rows.write_text('{"id": "a", "text": "thing"}\n')
        wanted = want(
            Colour, rows, self.folder / f"{name}.out.jsonl", self.folder / "home", priority=priority
        )
        run = await begin(self.store, wanted, now=START)
        self.go[run.run_id] = asyncio.Event()
        return run.run_id

    async def claim(self, run_id: RunId):
        return await claim(self.store, self.clock, run_id)

    async def drive(self, run_id, lease):
        run = await self.store.runs.read(run_id)
        self.begun.append(run.run_id)
        try:
            if run.run_id in self.raises:
                raise self.raises.pop(run.run_id)
            await self.go[run.run_id].wait()
            return await self.store.runs.record_event(
                run.run_no, RunEvent.PAUSED, now=START, reason=PauseReason.USER
            )
        finally:
            await self.store.runs.delete_lease(lease)

    def shift(self):
        return Shift(self.store, self.clock, claim=self.claim, drive=self.drive, stop=self.stop)


@pytest.fixture
async def floor(tmp_path):
    store = await SqliteStore.open(tmp_path / "home")
    yield Floor(tmp_path, store)
    await store.close()


async def test_a_run_that_takes_all_night_holds_no_other_up(floor):
    slow, quick = await floor.run("slow"), await floor.run("quick")
    floor.go[quick].set()
    working = asyncio.create_task(floor.shift().work(until_idle=True))

    while (await floor.store.runs.read(quick)).pause_reason is None:
        await asyncio.sleep(0)
    assert floor.begun == [slow, quick]

    floor.go[slow].set()
    await working


async def test_a_run_that_comes_later_is_taken_on_at_the_next_look(floor):
    slow = await floor.run("slow")
    working = asyncio.create_task(floor.shift().work(until_idle=True))
    while not floor.begun:
        await asyncio.sleep(0)

    later = await floor.run("later")
    while later not in floor.begun:
        await asyncio.sleep(0)

    floor.go[slow].set()
    floor.go[later].set()
    await working


async def test_the_urgent_are_taken_on_first(floor):
    runs = [await floor.run("a"), await floor.run("b", priority=5), await floor.run("c")]
    for event in floor.go.values():
        event.set()

    await floor.shift().work(until_idle=True)

    assert floor.begun == [runs[1], runs[0], runs[2]]


async def test_a_run_that_cannot_be_driven_is_put_off_and_the_others_go_on(floor):
    broken, sound = await floor.run("broken"), await floor.run("sound")
    floor.raises[broken] = ConfigError("no key")
    floor.go[sound].set()

    await floor.shift().work(until_idle=True)

    assert floor.begun == [broken, sound]
    run = await floor.store.runs.read(broken)
    said = [event.detail for event in await floor.store.events.list(run.run_no, limit=9)]
    assert {"message": "no key", "error": "ConfigError"} in said

    floor.clock.advance(PUT_OFF)
    floor.go[broken].set()
    await floor.shift().work(until_idle=True)
    assert floor.begun == [broken, sound, broken]


async def test_a_run_that_was_put_off_is_cancelled_at_once(floor):
    broken = await floor.run("broken")
    floor.raises[broken] = ConfigError("no key")
    shift = floor.shift()
    await shift.work(until_idle=True)
    await shift.work(until_idle=True)
    assert floor.begun == [broken], "nothing has changed"

    run = await floor.store.runs.read(broken)
    await floor.store.runs.record_wish(run.run_no, Wish.CANCEL)
    floor.go[broken].set()
    await shift.work(until_idle=True)
    assert floor.begun == [broken, broken]


async def test_a_run_that_another_worker_took_over_is_left_to_it(floor):
    taken = await floor.run("taken")
    floor.raises[taken] = LeaseLost("slept")
    floor.go[taken].set()

    await floor.shift().work(until_idle=True)

    assert floor.begun == [taken, taken], "its lease was free again"


async def test_without_the_store_nothing_goes_on(floor):
    slow, broken = await floor.run("slow"), await floor.run("broken")
    floor.raises[broken] = StoreError("gone")

    with pytest.raises(StoreError):
        await floor.shift().work(until_idle=True)

    assert floor.begun == [slow, broken]
    assert await floor.store.runs.leases() == [], "the other was left in order"


async def test_a_stop_is_waited_for_by_all(floor):
    runs = [await floor.run("a"), await floor.run("b")]
    working = asyncio.create_task(floor.shift().work(until_idle=False))
    while len(floor.begun) < 2:
        await asyncio.sleep(0)
    floor.stop.set()
    for run_id in runs:
        floor.go[run_id].set()

    await working

    assert {(await floor.store.runs.read(run_id)).pause_reason for run_id in runs} == {PauseReason.USER}


async def test_a_paused_run_is_not_asked_for_until_it_is_resumed(floor):
    paused, other = await floor.run("paused"), await floor.run("other")
    run = await floor.store.runs.read(paused)
    await floor.store.runs.record_event(run.run_no, RunEvent.PAUSED, now=START, reason=PauseReason.USER)
    for run_id in (paused, other):
        floor.go[run_id].set()

    await floor.shift().work(until_idle=True)
    assert floor.begun == [other]

    await floor.store.runs.record_event(run.run_no, RunEvent.RESUMED, now=START)
    await floor.shift().work(until_idle=True)
    assert floor.begun == [other, paused]
