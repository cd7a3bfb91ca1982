"""A deadline nears: what was sent by batch goes another way, once."""

import msgspec
import pytest

from nightmail.core.batch import BatchState, Phase
from nightmail.core.limits import Limits
from nightmail.core.request import Mode
from nightmail.core.run import PauseReason, RunState
from nightmail.errors import ConfigError, Unsupported
from nightmail.telemetry import EventName
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider, completion, row

NEVER = 10**9
SOON = 300.0  # seconds; a run leaves the batch API after half of it at the latest


async def batches_of(desk):
    store = await desk.store()
    try:
        return await store.batches.list((await store.runs.list())[-1].run_no)
    finally:
        await store.close()


async def events_of(desk):
    store = await desk.store()
    try:
        return [
            event.name for event in await store.events.list((await store.runs.list())[-1].run_no, limit=99)
        ]
    finally:
        await store.close()


def told(tier):
    """Answers tell their tier, as the provider does."""

    def answer(custom_id, body, times):
        return row(custom_id, body=completion("fine") | {"service_tier": tier or body.get("service_tier")})

    return answer


@pytest.mark.parametrize("flex", [True, False])
async def test_a_stuck_batch_is_cancelled_and_its_requests_are_called(tmp_path, flex):
    provider = ScriptedProvider(polls=NEVER, known_limits=Limits(flex=flex), answer=told(None))
    desk = Desk(tmp_path, provider, deadline_seconds=SOON)
    started = desk.clock.now()

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert (desk.clock.now() - started).total_seconds() < SOON
    assert [batch.remote.phase for batch in provider.batches.values()] == [Phase.CANCELLED]
    assert (provider.calls, provider.flex_calls) == (6, 6 if flex else 0)
    assert sorted(each["id"] for each in desk.outputs()) == [f"r{n}" for n in range(6)]
    first, second = await batches_of(desk)
    assert (first.mode, second.mode) == (Mode.BATCH, Mode.FLEX if flex else Mode.SYNC)
    status = await desk.status()
    assert status.hurried
    assert status.savings_pusd == (status.cost_pusd if flex else 0)
    assert EventName.RUN_HURRIED in await events_of(desk)


async def test_what_a_batch_had_done_when_it_was_ended_is_kept_and_not_paid_again(tmp_path):
    class Half(ScriptedProvider):
        async def cancel(self, provider_batch_id):
            batch = self.batches[provider_batch_id]
            self.ends = Phase.CANCELLED
            self.share_done = 0.5
            self._end(batch)
            return batch.remote

    provider = Half(polls=NEVER)
    desk = Desk(tmp_path, provider, deadline_seconds=SOON)

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert sum(provider.executed.values()) == 3
    assert provider.calls == 3
    assert len(desk.outputs()) == 6


async def test_a_batch_that_waits_for_room_is_recalled_and_its_upload_deleted(tmp_path):
    limits = Limits(max_active_batches=1, max_batch_requests=3)
    provider = ScriptedProvider(polls=NEVER, known_limits=limits)
    desk = Desk(tmp_path, provider, deadline_seconds=SOON)

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert len(provider.batches) == 1
    assert provider.calls == 6
    states = [batch.state for batch in await batches_of(desk) if batch.mode is Mode.BATCH]
    assert states == [BatchState.FINALISED, BatchState.ABANDONED]
    assert provider.uploads == {}


async def test_a_batch_that_will_be_in_time_is_left_alone(tmp_path):
    class Steady(ScriptedProvider):
        """Shows its progress; done shortly before the deadline."""

        async def poll(self, provider_batch_id):
            batch = self.batches[provider_batch_id]
            share = (desk.clock.now() - started).total_seconds() / (0.95 * SOON)
            if share >= 1:
                self.polls = 0
                return await super().poll(provider_batch_id)
            batch.remote = msgspec.structs.replace(
                batch.remote, phase=Phase.IN_PROGRESS, completed=int(share * 1_000), total=1_000
            )
            return batch.remote

    provider = Steady(polls=NEVER)
    desk = Desk(tmp_path, provider, deadline_seconds=SOON)
    started = desk.clock.now()

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert provider.calls == 0
    assert [batch.remote.phase for batch in provider.batches.values()] == [Phase.COMPLETED]


async def test_a_batch_that_cannot_be_ended_is_waited_for(tmp_path):
    """Sending its requests another way would pay for them twice."""

    class Stubborn(ScriptedProvider):
        async def poll(self, provider_batch_id):
            if (desk.clock.now() - started).total_seconds() > 2 * SOON:
                self.polls = 0
            return await super().poll(provider_batch_id)

        async def cancel(self, provider_batch_id):
            raise Unsupported("cannot cancel here")

    provider = Stubborn(polls=NEVER)
    desk = Desk(tmp_path, provider, deadline_seconds=SOON)
    started = desk.clock.now()

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert provider.calls == 0
    assert len(desk.outputs()) == 6


async def test_the_calls_for_a_deadline_keep_the_budget(tmp_path):
    # Six calls at full price cost 6 x (10 x 0.15 + 5 x 0.6) / 1e6 = 0.000027 USD.
    provider = ScriptedProvider(polls=NEVER)
    desk = Desk(tmp_path, provider, deadline_seconds=SOON, budget_usd="0.0000001")

    run = await desk.drive()

    assert (run.state, run.pause_reason) == (RunState.PAUSED, PauseReason.BUDGET)
    assert provider.calls == 0


async def test_flex_answers_that_were_billed_at_another_tier_cost_what_that_tier_costs(tmp_path):
    provider = ScriptedProvider(known_limits=Limits(flex=True), answer=told("default"))
    desk = Desk(tmp_path, provider, mode=Mode.FLEX)

    await desk.drive()

    status = await desk.status()
    assert provider.flex_calls == 6
    assert status.cost_pusd == status.sync_cost_pusd


async def test_a_model_without_flex_is_a_clear_error_for_who_asked_for_flex(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(), mode=Mode.FLEX)

    with pytest.raises(ConfigError, match=r"no flex for this model.*--mode batch"):
        await desk.drive()


async def test_auto_calls_a_small_run_at_once_and_batches_a_large_one(tmp_path):
    small, large = ScriptedProvider(), ScriptedProvider()

    await Desk(tmp_path, small, mode=Mode.AUTO).drive()
    rows = [{"id": n, "text": "x"} for n in range(101)]
    await Desk(tmp_path, large, mode=Mode.AUTO, rows=rows, output="large.jsonl").drive()

    assert (small.calls, len(small.batches)) == (6, 0)
    assert (large.calls, len(large.batches)) == (0, 1)


async def test_auto_pays_the_full_price_when_flex_is_refused_again_and_again(tmp_path):
    def answer(custom_id, body, times):
        if body.get("service_tier") == "flex":
            return row(custom_id, status=429, body={"error": {"code": "resource_unavailable"}})
        return row(custom_id, body=completion("fine") | {"service_tier": "default"})

    provider = ScriptedProvider(known_limits=Limits(flex=True), answer=answer)
    desk = Desk(tmp_path, provider, mode=Mode.AUTO)

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert len(desk.outputs()) == 6
    assert provider.flex_calls >= 10
    status = await desk.status()
    assert status.cost_pusd == status.sync_cost_pusd
