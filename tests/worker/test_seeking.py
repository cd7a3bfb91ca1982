"""A batch whose create answer was lost is looked for once more when its quarantine is over: the provider's
list lags, so a second one of the same call may show up after the first was adopted."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from nightmail.core import recovery
from nightmail.core.batch import ENDED_PHASES, BatchState, Phase
from nightmail.core.lifecycle import RunEvent
from nightmail.core.limits import Limits
from nightmail.core.recovery import QUARANTINE
from nightmail.core.run import PauseReason, RunState, Wish
from nightmail.errors import ProviderUnavailable, RequestRefused, Unsupported
from nightmail.stores.base import Lease
from nightmail.testing.desk import Desk
from nightmail.testing.faults import Crash, CrashPlan
from nightmail.testing.provider import ScriptedProvider
from nightmail.worker import loop
from nightmail.worker.audit import resolve_doubt
from nightmail.worker.findings import Kind
from tests.worker.test_doctor import PRICE, batches, examined

LATE = timedelta(seconds=60)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A minute passes here: nobody's wishes are looked for every second."""
    monkeypatch.setattr(loop, "LOOK_AROUND", 30.0)


class Repeating(ScriptedProvider):
    """Something on the way makes the first `lost` create calls twice, and loses their answers. The second
    batch of a call is in no list for `late`; it runs until it is asked to end, and has done half by then."""

    lost = 1
    late = LATE
    lists = 0
    desk: Desk

    def __init__(self, **known):
        super().__init__(**known)
        self.listed_at = {}

    async def create(self, **asked):
        remote = await super().create(**asked)
        if len(self.batches) > 2 * self.lost:
            return remote
        second = await super().create(**asked)
        self.listed_at[second.id] = self.desk.clock.now() + self.late
        raise ProviderUnavailable("the connection closed", ambiguous=True)

    async def find(self):
        self.lists += 1
        if not self.searchable:
            raise Unsupported("no list here")
        now = self.desk.clock.now()
        for provider_batch_id in list(self.batches):
            if self.listed_at.get(provider_batch_id, now) <= now:
                yield self._batch(provider_batch_id).remote

    async def poll(self, provider_batch_id):
        if provider_batch_id in self.listed_at:
            return self._batch(provider_batch_id).remote
        return await super().poll(provider_batch_id)

    async def cancel(self, provider_batch_id):
        batch = self._batch(provider_batch_id)
        if batch.remote.phase not in ENDED_PHASES:
            before = self.ends, self.share_done
            self.ends, self.share_done = Phase.CANCELLED, 0.5
            self._end(batch)
            self.ends, self.share_done = before
        return batch.remote

    def end(self, provider_batch_id):
        """It completes before anybody knows of it."""
        self._end(self._batch(provider_batch_id))


class Dies(CrashPlan):
    """Dies at the first boundary of that name."""

    def __init__(self, where):
        super().__init__(at=1)
        self.where = where

    def _boundary(self, where):
        if where == self.where or self.seen:
            super()._boundary(where)


def desk_of(folder, provider=None, **travel):
    folder.mkdir(exist_ok=True)
    provider = provider or Repeating()
    provider.desk = Desk(folder, provider, **travel)
    return provider.desk


async def bill_agrees(desk, died=None):
    status = await desk.status()
    assert status.cost_pusd == sum(desk.provider.executed.values()) * PRICE, died
    assert status.cost_pusd - status.wasted_pusd == 6 * PRICE, died
    # Who dies between an upload and its record leaves a file behind.
    left = {each.kind for each in (await examined(desk)).findings}
    assert left <= ({Kind.REMOTE_FILES} if died else set()), died


async def test_the_second_batch_is_found_when_the_quarantine_is_over_and_is_in_our_bill(tmp_path):
    desk = desk_of(tmp_path)
    began = desk.clock.now()

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert desk.clock.now() - began >= QUARANTINE
    assert desk.provider.lists == 2
    batch, extra = await batches(desk)
    assert (extra.provider_batch_id, extra.extra_of) == ("batch_2", batch.batch_no)
    assert (extra.cost_pusd, extra.wasted_pusd) == (3 * PRICE, 3 * PRICE)
    assert batch.seek_at is None
    await bill_agrees(desk)


async def test_answers_are_judged_meanwhile_and_only_the_end_of_the_run_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(recovery, "QUARANTINE", timedelta(days=1))
    desk = desk_of(tmp_path)

    with pytest.raises(Crash):
        await desk.drive(Dies("after store.requests.record_outcomes"))

    (batch,) = await batches(desk)
    assert ((await desk.status()).state, (await desk.status()).succeeded) == (RunState.DRAINING, 6)
    assert (batch.state, batch.seek_at) == (BatchState.SETTLED, batch.submitted_at + timedelta(days=1))
    desk.clock.advance(timedelta(days=1))
    assert (await desk.drive()).state is RunState.FINISHED
    await bill_agrees(desk)


async def test_a_list_that_was_made_after_the_quarantine_need_not_be_made_again(tmp_path):
    desk = desk_of(tmp_path)
    with pytest.raises(Crash):
        await desk.drive(Dies("before provider.find"))
    desk.clock.advance(QUARANTINE)

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert (desk.provider.lists, len(await batches(desk))) == (1, 2)
    await bill_agrees(desk)


async def test_several_that_are_due_share_one_list(tmp_path):
    provider = Repeating(known_limits=Limits(max_batch_requests=2))
    provider.lost = 3
    desk = desk_of(tmp_path, provider)
    with pytest.raises(Crash):
        await desk.drive(Dies("after provider.fetch"))
    assert {each.seek_at for each in await batches(desk)} != {None}
    desk.clock.advance(QUARANTINE)
    before = provider.lists

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert provider.lists == before + 1
    assert sorted(each.extra_of is None for each in await batches(desk)) == [False] * 3 + [True] * 3
    await bill_agrees(desk)


async def test_a_run_that_is_paused_meanwhile_is_looked_after_before_it_rests(tmp_path):
    class Pausing(Repeating):
        async def fetch(self, *asked):
            store = await self.desk.store()
            (run,) = await store.runs.list()
            if run.state is RunState.DRAINING:
                await store.runs.record_event(
                    run.run_no, RunEvent.PAUSED, now=self.desk.clock.now(), reason=PauseReason.USER
                )
            await store.close()
            return await super().fetch(*asked)

    desk = desk_of(tmp_path, Pausing())

    paused = await desk.drive()

    assert paused.state is RunState.PAUSED
    assert [each.state for each in await batches(desk)] == [BatchState.FINALISED] * 2
    await bill_agrees(desk)


async def test_a_cancelled_run_ends_the_second_batch_too(tmp_path):
    desk = desk_of(tmp_path)
    with pytest.raises(Crash):
        await desk.drive(Dies("after provider.fetch"))
    store = await desk.store()
    (run,) = await store.runs.list()
    await store.runs.record_wish(run.run_no, Wish.CANCEL)
    await store.close()

    run = await desk.drive()

    assert run.state is RunState.CANCELLED
    assert desk.provider.batches["batch_2"].remote.phase is Phase.CANCELLED
    await bill_agrees(desk)


@pytest.mark.parametrize("error", [Unsupported("no list here"), RequestRefused("no", status=404)])
async def test_where_the_list_is_gone_when_the_look_comes_the_run_ends_without_it(tmp_path, error):
    class Gone(Repeating):
        async def find(self):
            if self.lists:
                raise error
            async for remote in super().find():
                yield remote

    desk = desk_of(tmp_path, Gone())

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert len(await batches(desk)) == 1


async def test_a_list_that_fails_is_made_again_and_holds_no_poll_up(tmp_path):
    """Batches that are polled, fetched and judged do not wait for a list that cannot be had."""

    class Failing(Repeating):
        failures = 0

        async def find(self):
            if self.lists and self.batches["batch_1"].remote.phase not in ENDED_PHASES:
                self.failures += 1
                raise ProviderUnavailable("502", ambiguous=False)
            async for remote in super().find():
                yield remote

    provider = Failing(polls=30)
    desk = desk_of(tmp_path, provider, poll_interval=10.0)

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert provider.failures > 3
    await bill_agrees(desk)
    store = await desk.store()
    told = [event.detail["times"] for event in await store.events.list(run.run_no, limit=100)
            if event.name == "provider_trouble"]  # fmt: skip
    await store.close()
    assert 1 in told


async def test_what_the_doctor_has_taken_in_before_is_no_news_to_the_look(tmp_path):
    desk = desk_of(tmp_path)
    with pytest.raises(Crash):
        await desk.drive(Dies("after provider.fetch"))
    desk.clock.advance(QUARANTINE - timedelta(seconds=5))

    audit = await examined(desk, fix=True)

    assert [each.kind for each in audit.findings if each.kind is not Kind.DEAD_LEASE] == [Kind.UNKNOWN_BATCH]
    assert audit.left == 0
    assert (await desk.drive()).state is RunState.FINISHED
    assert len(await batches(desk)) == 2
    await bill_agrees(desk)


async def test_a_clock_that_is_set_back_does_not_put_the_look_off(tmp_path):
    desk = desk_of(tmp_path)
    with pytest.raises(Crash):
        await desk.drive(Dies("after provider.fetch"))
    desk.provider.listed_at["batch_2"] = desk.clock.now() - timedelta(hours=2)
    desk.clock.advance(-timedelta(hours=1))
    before = desk.clock.now()

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert desk.clock.now() - before < QUARANTINE
    assert len(await batches(desk)) == 2


@pytest.mark.parametrize("searchable", [True, False])
async def test_a_batch_that_a_person_adopts_is_looked_for_where_there_is_a_list(tmp_path, searchable):
    """A server may have got a list by an update; most that have none will not."""
    provider = Repeating()
    provider.searchable = False
    desk = desk_of(tmp_path, provider)
    with pytest.raises(Crash):
        await desk.drive(Dies("before provider.find"))
    store = await desk.store()
    (lease,) = await store.runs.leases()
    await store.runs.delete_lease(Lease(lease.run_no, lease.token))
    (batch,) = await store.batches.list(lease.run_no)
    await resolve_doubt(store, desk.clock, batch.batch_id, "batch_1")
    await store.close()
    provider.searchable = searchable

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert len(await batches(desk)) == 1 + searchable


# Every second boundary: dying after one call is dying before the next.
@pytest.mark.parametrize(
    "first", [1, *(pytest.param(first, marks=pytest.mark.exhaustive) for first in range(3, 24, 2))]
)
async def test_the_second_batch_is_booked_once_wherever_the_process_dies(tmp_path, first):
    for at in itertools.count(first, 24):
        desk = desk_of(tmp_path / str(at))
        died = None
        try:
            await desk.drive(CrashPlan(at))
        except Crash as crash:
            died = str(crash)

        run = await desk.drive()

        assert run.state is RunState.FINISHED, died
        assert len(desk.outputs()) == 6, died
        assert len(desk.provider.batches) == 2, died
        await bill_agrees(desk, died)
        if died is None:
            assert at > 100
            return
