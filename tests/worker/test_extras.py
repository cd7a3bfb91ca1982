"""A batch that the provider has twice: one is adopted, the others are asked to end, and what they cost and
answered is not lost. What belongs to another home is left alone."""

from __future__ import annotations

import itertools

import pytest

from nightmail.core.batch import ENDED_PHASES, BatchState, Phase
from nightmail.core.run import RunState
from nightmail.errors import NotFound, ProviderUnavailable
from nightmail.testing.desk import Desk
from nightmail.testing.faults import Crash, CrashPlan
from nightmail.testing.provider import ScriptedProvider
from nightmail.worker import loop


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Most of these runs wait for a quarantine: nobody's wishes are looked for every second."""
    monkeypatch.setattr(loop, "LOOK_AROUND", 30.0)


class LostOnce(ScriptedProvider):
    """The answer to create call number `lost` does not arrive."""

    lost = 0
    creates = 0

    async def create(self, *, input_file_id, endpoint, metadata):
        remote = await super().create(input_file_id=input_file_id, endpoint=endpoint, metadata=metadata)
        self.creates += 1
        if self.creates == self.lost:
            raise ProviderUnavailable("the connection closed", ambiguous=True)
        return remote


async def test_the_batch_of_another_home_with_the_same_names_is_not_adopted(tmp_path):
    """Two machines run the same task over the same paths, with one account: their runs have one name."""
    provider = LostOnce()
    provider.lost = 2
    first = Desk(tmp_path, provider, home=tmp_path / "one", keep_remote_files=True)
    second = Desk(tmp_path, provider, home=tmp_path / "two")
    await first.drive()
    theirs = set(provider.uploads)

    run = await second.drive()

    assert await first.run_id() == await second.run_id()
    assert run.state is RunState.FINISHED
    store = await second.store()
    (batch,) = await store.batches.list(run.run_no)
    await store.close()
    assert batch.provider_batch_id == "batch_2"
    assert set(provider.uploads) == theirs


class Doubled(ScriptedProvider):
    """Something on the way makes the first create call a second time, and its answer is lost. The batch that
    was created first ends as `ends`; the second runs until it is asked to end, and had got through
    `share_extra` of its requests by then."""

    share_extra = 0.5

    async def create(self, *, input_file_id, endpoint, metadata):
        asked = {"input_file_id": input_file_id, "endpoint": endpoint, "metadata": metadata}
        remote = await super().create(**asked)
        if len(self.batches) > 1:
            return remote
        await super().create(**asked)
        raise ProviderUnavailable("the connection closed", ambiguous=True)

    async def poll(self, provider_batch_id):
        if provider_batch_id != "batch_2":
            return await super().poll(provider_batch_id)
        return self._batch(provider_batch_id).remote

    async def find(self):
        for provider_batch_id in list(self.batches):
            yield self._batch(provider_batch_id).remote

    async def cancel(self, provider_batch_id):
        batch = self._batch(provider_batch_id)
        if batch.remote.phase not in ENDED_PHASES:
            self.ends, ends = Phase.CANCELLED, self.ends
            self.share_done, share = self.share_extra, self.share_done
            self._end(batch)
            self.ends, self.share_done = ends, share
        return batch.remote


PRICE = 10 * 75_000 + 5 * 300_000  # of one answer, in pico-USD


async def batches_of(desk):
    store = await desk.store()
    try:
        (run,) = await store.runs.list()
        assert await store.requests.miscounted(run.run_no) is None
        return run, await store.batches.list(run.run_no), await store.events.list(run.run_no, limit=100)
    finally:
        await store.close()


async def test_what_an_extra_cost_is_booked_as_wasted_where_it_was_not_needed(tmp_path):
    desk = Desk(tmp_path, Doubled())

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert [each["id"] for each in desk.outputs()] == [f"r{n}" for n in range(6)]
    status = await desk.status()
    assert (status.succeeded, status.batches, status.cost_pusd, status.wasted_pusd) == (
        6,
        2,
        9 * PRICE,
        3 * PRICE,
    )
    _, (batch, extra), events = await batches_of(desk)
    assert (batch.provider_batch_id, batch.cost_pusd, batch.wasted_pusd) == ("batch_1", 6 * PRICE, 0)
    assert (extra.provider_batch_id, extra.cost_pusd, extra.wasted_pusd) == ("batch_2", 3 * PRICE, 3 * PRICE)
    assert (extra.extra_of, extra.succeeded, extra.state) == (batch.batch_no, 0, BatchState.FINALISED)
    told = {event.name: event for event in events}
    assert told["extra_batch"].detail["provider_batch_id"] == "batch_2"
    assert told["extra_booked"].detail["wasted_pusd"] == 3 * PRICE
    assert desk.provider.uploads == {}, "every file at the provider is tidied up"


async def test_the_answers_of_an_extra_are_used_where_the_adopted_batch_has_none(tmp_path):
    """The adopted one expires with nothing done; the extra had answered half. Only the rest goes again."""

    class Expires(Doubled):
        async def poll(self, provider_batch_id):
            self.ends = Phase.EXPIRED if provider_batch_id == "batch_1" else Phase.COMPLETED
            self.share_done = 0.0 if provider_batch_id == "batch_1" else 1.0
            return await super().poll(provider_batch_id)

    desk = Desk(tmp_path, Expires())

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert sorted(desk.provider.executed.values()) == [1] * 6
    status = await desk.status()
    assert (status.succeeded, status.cost_pusd, status.wasted_pusd) == (6, 6 * PRICE, 0)
    assert len(desk.provider.batches) == 3
    assert [each["_attempts"] for each in desk.outputs()] == [1] * 6


async def test_an_extra_that_the_provider_forgets_costs_nothing_and_holds_nobody_up(tmp_path):
    class Forgets(Doubled):
        async def poll(self, provider_batch_id):
            if provider_batch_id == "batch_2":
                raise NotFound("no such batch", status=404)
            return await super().poll(provider_batch_id)

    desk = Desk(tmp_path, Forgets())

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    status = await desk.status()
    assert (status.succeeded, status.cost_pusd, status.wasted_pusd) == (6, 6 * PRICE, 0)


# Every second boundary: dying after one call is dying before the next.
@pytest.mark.parametrize(
    "first", [1, *(pytest.param(first, marks=pytest.mark.exhaustive) for first in (3, 5, 7, 9, 11))]
)
async def test_an_extra_is_booked_once_wherever_the_process_dies(tmp_path, first):
    for at in itertools.count(first, 12):
        (tmp_path / str(at)).mkdir()
        desk = Desk(tmp_path / str(at), Doubled())
        plan = CrashPlan(at)
        died = None
        try:
            await desk.drive(plan)
        except Crash as crash:
            died = str(crash)
        run = await desk.drive()

        status = await desk.status()
        assert run.state is RunState.FINISHED, died
        assert len(desk.outputs()) == 6, died
        bill = sum(desk.provider.executed.values()) * PRICE
        assert (status.cost_pusd, status.cost_pusd - status.wasted_pusd) == (bill, 6 * PRICE), died
        assert len(desk.provider.batches) == 2, died
        if died is None:
            assert at > 60
            return
