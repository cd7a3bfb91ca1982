"""What may be submitted when: quotas that are learned, budgets, turns, creates per hour."""

import asyncio
from datetime import timedelta

import pytest

from nightmail.core.batch import ENDED_PHASES, Phase
from nightmail.core.limits import Limits
from nightmail.core.pricing import parse_usd
from nightmail.core.quota import FIRST_BLOCK, FIRST_DARED
from nightmail.core.run import PauseReason, RunState
from nightmail.errors import ConfigError, QuotaReached
from nightmail.providers.base import BatchError
from nightmail.stores.admission import ASKING
from nightmail.testing.clock import ManualClock
from nightmail.testing.desk import Desk, Plain
from nightmail.testing.faults import Crash
from nightmail.testing.provider import ScriptedProvider, completion, row
from nightmail.worker import loop
from nightmail.worker.holds import ASK_AGAIN


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Hours pass here: nobody's wishes are looked for every second."""
    monkeypatch.setattr(loop, "LOOK_AROUND", 30.0)


EACH = (10 * 75_000 + 5 * 300_000) / 1e12  # what the scripted provider bills for an answer


class Short(Plain):
    max_output_tokens = 20


def rows(count):
    return [{"id": n, "text": f"thing {n}"} for n in range(count)]


class Crowded(ScriptedProvider):
    """Refuses what would bring the enqueued tokens (12 a line, about our count) over `room`, which is what
    others leave of its `limit`."""

    room = 0
    limit = None
    refused = 0
    peak = 0

    def enqueued(self):
        return sum(
            12 * len(each.lines) for each in self.batches.values() if each.remote.phase is Phase.IN_PROGRESS
        )

    async def poll(self, provider_batch_id):
        batch = self.batches[provider_batch_id]
        if batch.remote.phase is Phase.VALIDATING:
            if self.enqueued() + 12 * len(batch.lines) > self.room:
                self.refused += 1
                self.ends = Phase.FAILED
                limit = self.room if self.limit is None else self.limit
                said = f"Enqueued token limit reached for gpt-4o-mini. Limit: {limit:,} enqueued tokens"
                self.errors = (BatchError(code="token_limit_exceeded", message=said, limit=limit),)
                self._end(batch)
                self.ends = Phase.COMPLETED
                return batch.remote
            batch.remote = type(batch.remote)(
                **{
                    **{name: getattr(batch.remote, name) for name in batch.remote.__struct_fields__},
                    "phase": Phase.IN_PROGRESS,
                }
            )
            self.peak = max(self.peak, self.enqueued())
            return batch.remote
        return await super().poll(provider_batch_id)


async def test_a_limit_that_the_provider_names_is_kept_from_then_on(tmp_path):
    provider = Crowded(polls=4)
    provider.room = 300
    desk = Desk(tmp_path, provider, rows=rows(80), max_batch_requests=8)
    began = desk.clock.now()

    await desk.drive()

    status = await desk.status()
    assert status.succeeded == 80
    assert provider.peak <= 300
    assert provider.refused <= FIRST_DARED + 1, "what was on its way when the limit became known"
    assert desk.clock.now() - began < FIRST_BLOCK, "what the limit explains is not waited out"
    assert {each["_attempts"] for each in desk.outputs()} == {1}


async def test_a_create_call_that_is_refused_for_the_queue_is_made_again_with_the_same_upload(tmp_path):
    class Full(ScriptedProvider):
        tried = 0

        async def create(self, **arguments):
            self.tried += 1
            if self.tried <= 3:
                raise QuotaReached("Enqueued token limit reached. Limit: 50 enqueued tokens", limit=50)
            return await super().create(**arguments)

    provider = Full(known_limits=Limits(max_batch_requests=3, max_enqueued_tokens=10_000))
    desk = Desk(tmp_path, provider)

    await desk.drive()

    status = await desk.status()
    assert (status.state, status.succeeded) == (RunState.FINISHED, 6)
    assert {each["_attempts"] for each in desk.outputs()} == {1}
    assert set(provider.executed.values()) == {1}
    assert provider.files_made == 2 * len(provider.batches), "an upload and an output for each, no more"
    store = await desk.store()
    learned = await store.batches.learned(provider.account, "gpt-4o-mini")
    await store.close()
    assert learned.limit == 50


async def test_a_batch_larger_than_the_limit_that_the_provider_names_is_cut_anew(tmp_path):
    provider = Crowded(polls=4)
    provider.room = 1_200
    desk = Desk(tmp_path, provider, rows=rows(505), max_batch_requests=101)

    await desk.drive()

    status = await desk.status()
    assert status.succeeded == 505
    assert provider.peak <= 1_200
    assert provider.refused <= FIRST_DARED
    assert {each["_attempts"] for each in desk.outputs()} == {1}
    assert sum(len(each.lines) > 20 for each in provider.batches.values()) == FIRST_DARED, "the fifth was cut"


async def test_a_request_that_the_queue_can_never_hold_is_given_up(tmp_path):
    provider = Crowded(polls=4)
    provider.room = 10
    desk = Desk(tmp_path, provider, rows=rows(1))

    await desk.drive()

    (failure,) = desk.failures()
    assert failure["reason"] == "batch_failed"
    assert "Limit: 10 enqueued tokens" in failure["message"]
    assert provider.refused == 1


async def test_refusals_although_our_books_have_room_are_backed_off_one_at_a_time(tmp_path):
    provider = Crowded(polls=2)
    provider.limit = 100_000
    clock = ManualClock()
    desk = Desk(tmp_path, provider, rows=rows(40), max_batch_requests=4, clock=clock)
    began = clock.now()
    plain = provider.poll

    async def poll(provider_batch_id):
        # Somebody else's work leaves the queue after half an hour.
        provider.room = 0 if clock.now() - began < timedelta(minutes=30) else 100_000
        return await plain(provider_batch_id)

    provider.poll = poll
    await desk.drive()

    assert (await desk.status()).succeeded == 40
    assert provider.refused <= FIRST_DARED + 5, "half an hour of refusals is no cascade"
    assert {each["_attempts"] for each in desk.outputs()} == {1}


async def test_a_budget_is_not_exceeded_and_the_run_goes_on_with_a_larger_one(tmp_path):
    whole = 60 * EACH
    budget = f"{whole / 2:.9f}"
    desk = Desk(tmp_path, ScriptedProvider(), task=Short, rows=rows(60), budget_usd=budget)

    run = await desk.drive()

    assert (run.state, run.pause_reason) == (RunState.PAUSED, PauseReason.BUDGET)
    assert "nightmail resume" in run.pause_message
    status = await desk.status()
    assert parse_usd(budget) * 0.7 <= status.cost_pusd <= parse_usd(budget)

    desk.travel["budget_usd"] = f"{whole * 2:.9f}"
    await desk.resume()
    assert (await desk.drive()).state is RunState.FINISHED
    status = await desk.status()
    assert (status.succeeded, status.cost_pusd) == (60, round(whole * 1e12))


async def test_a_budget_that_does_not_pay_for_the_first_batch_says_that_nothing_was_spent(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(), task=Short, rows=rows(1), budget_usd=f"{EACH / 100:.12f}")

    run = await desk.drive()

    assert (run.state, run.pause_reason) == (RunState.PAUSED, PauseReason.BUDGET)
    assert run.pause_message.startswith("nothing has been spent yet by this run; the run's budget of 0.0000")
    assert desk.provider.batches == {}


async def test_answers_far_longer_than_guessed_do_not_run_away_with_the_budget(tmp_path):
    def answer(custom_id, body, times):
        said = completion("fine")
        said["usage"] = {"prompt_tokens": 10, "completion_tokens": 3_000, "total_tokens": 3_010}
        return row(custom_id, body=said)

    each = (10 * 75_000 + 3_000 * 300_000) / 1e12
    desk = Desk(tmp_path, ScriptedProvider(answer), rows=rows(60), budget_usd=f"{each * 30:.9f}")

    run = await desk.drive()

    assert run.pause_reason is PauseReason.BUDGET
    assert 0 < (await desk.status()).cost_pusd <= each * 30 * 1e12


async def test_without_a_price_no_budget_can_hold_and_nothing_is_sent(tmp_path):
    class Unknown(Short):
        model = "somebodys-model"

    desk = Desk(tmp_path, ScriptedProvider(), task=Unknown, budget_usd="5")

    with pytest.raises(ConfigError, match="price of somebodys-model is not known"):
        await desk.drive()
    assert desk.provider.batches == {}


async def test_a_daily_budget_stops_today_and_the_run_goes_on_tomorrow(tmp_path):
    whole = 60 * EACH
    desk = Desk(tmp_path, ScriptedProvider(), task=Short, rows=rows(60), daily_budget_usd=f"{whole / 2:.9f}")

    run = await desk.drive()
    assert run.pause_reason is PauseReason.BUDGET
    assert "daily budget" in run.pause_message
    today = (await desk.status()).cost_pusd
    assert 0 < today <= whole / 2 * 1e12

    desk.clock.advance(timedelta(days=1))
    await desk.resume()
    await desk.drive()
    assert today < (await desk.status()).cost_pusd <= whole * 1e12


async def test_a_budget_holds_for_synchronous_calls_too(tmp_path):
    whole = 60 * EACH * 2
    desk = Desk(
        tmp_path, ScriptedProvider(), task=Short, rows=rows(60), budget_usd=f"{whole / 2:.9f}", mode="sync"
    )

    run = await desk.drive()

    assert run.pause_reason is PauseReason.BUDGET
    assert (await desk.status()).cost_pusd <= whole / 2 * 1e12


async def test_the_hours_creates_are_kept(tmp_path):
    provider = ScriptedProvider(known_limits=Limits(max_batch_requests=1, max_creates_per_hour=4))
    desk = Desk(tmp_path, provider, rows=rows(10))
    began = desk.clock.now()

    await desk.drive()

    assert (await desk.status()).succeeded == 10
    assert desk.clock.now() - began >= timedelta(hours=2)


HALF = 10  # batches: the quota of two runs that share it holds twenty


class Shared:
    """Two runs on one home (70 and 40 batches), whose model's quota holds twenty batches. The second arrives
    when the first has filled it and begun to get answers. `created` has, in order, whose each batch is,
    when it was created, and how many of that run were then in flight."""

    def __init__(self, folder, *, priority):
        self.provider = ScriptedProvider(polls=4)
        self.created = []
        self.arrived = None
        shared = {"home": folder / "home", "clock": ManualClock(), "quotas": {"gpt-4o-mini": 800}}
        self.desks = []
        for name, count, own in (("first", 210, {}), ("second", 120, {"priority": priority})):
            (folder / name).mkdir()
            self.desks.append(Desk(folder / name, self.provider, rows=rows(count), **shared, **own))
        self._full = asyncio.Event()
        self._create = self.provider.create
        self.provider.create = self._noted

    async def _noted(self, **arguments):
        remote = await self._create(**arguments)
        run = arguments["metadata"]["nightmail_run"]
        in_flight = sum(
            each.remote.metadata["nightmail_run"] == run and each.remote.phase not in ENDED_PHASES
            for each in self.provider.batches.values()
        )
        self.created.append((run, self.desks[0].clock.now(), in_flight))
        if len(self.created) == 24:
            self._full.set()
        return remote

    async def drive(self):
        """The two runs' ids."""
        first, second = await asyncio.gather(self.desks[0].drive(), self._late())
        assert first.state is second.state is RunState.FINISHED
        return first.run_id, second.run_id

    async def _late(self):
        await self._full.wait()
        self.arrived = self.desks[0].clock.now()
        return await self.desks[1].drive()

    async def killed_in_the_line(self):
        """The second dies while it waits; when."""
        await self._full.wait()
        with pytest.raises(Crash):
            await self.desks[1].drive(KilledInTheLine())
        return self.desks[1].clock.now()


async def test_the_urgent_run_is_in_the_next_wave_and_overtakes(tmp_path):
    shared = Shared(tmp_path, priority=5)
    first, second = await shared.drive()

    order = [run for run, at, _ in shared.created if at > shared.arrived]
    assert order.count(first) > 0
    assert order.count(second) > 20
    # Whose turn it is is decided before the upload: the last few and the other run's first go out together.
    before = order.count(second) - loop.TRANSFERS
    assert order[:before] == [second] * before, "nothing goes before it"


async def test_equals_have_equal_parts_of_the_queue(tmp_path):
    shared = Shared(tmp_path, priority=0)
    first, second = await shared.drive()

    order = [run for run, _, _ in shared.created]
    last = min(len(order) - 1 - order[::-1].index(run) for run in (first, second))
    # Whoever sends its last few no longer waits for anything.
    together = shared.created[order.index(second) : last - HALF]
    for run in (first, second):
        in_flight = [most for each, at, most in together if each == run and at > shared.arrived]
        assert len(in_flight) > 5, "both go on"
        assert max(in_flight) <= HALF


class KilledInTheLine:
    """A plan by which the process dies as soon as it has asked for room."""

    dead = False

    def before(self, call):
        if self.dead:
            raise Crash(call)

    def after(self, call):
        self.dead = self.dead or call == "store.batches.claim_submit"
        self.before(call)


async def test_the_place_in_the_line_of_a_killed_worker_is_soon_free(tmp_path):
    shared = Shared(tmp_path, priority=5)
    first, died = await asyncio.gather(shared.desks[0].drive(), shared.killed_in_the_line())

    created = [at for _, at, _ in shared.created if at > died]
    assert min(created) - died <= ASKING + 2 * ASK_AGAIN, "the next worker goes on"
    assert min(created) - died > ASK_AGAIN, "until then the place is kept: its worker might live"
    assert {run for run, _, _ in shared.created} == {first.run_id}
    second = await shared.desks[1].drive()
    assert second.state is RunState.FINISHED
    assert set(shared.provider.executed.values()) == {1}
