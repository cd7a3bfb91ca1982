"""The clock is set back by an hour in the middle of a run: nothing hangs until it has caught up."""

import json
from collections import Counter
from datetime import datetime, timedelta

import pytest

from nightmail.core.ids import RunId
from nightmail.core.limits import Limits
from nightmail.core.polling import LONGEST, is_due
from nightmail.core.quota import Enqueued, Hold, Learned, after_refusal, hold_of
from nightmail.core.run import RunState
from nightmail.core.throttle import Throttle
from nightmail.errors import ProviderUnavailable, RateLimited
from nightmail.stores.base import Tenure
from nightmail.stores.sqlite import SqliteStore
from nightmail.testing.clock import START, ManualClock
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider, completion, row
from nightmail.worker import loop
from nightmail.worker.begin import begin, want
from nightmail.worker.lease import TERM, Sightings, claim
from tests.worker.test_loop import Colour

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Minutes pass here: nobody's wishes are looked for every second."""
    monkeypatch.setattr(loop, "LOOK_AROUND", 30.0)


class SetBack:
    """A plan that sets the clock back after the first call with a name, and counts all calls."""

    def __init__(self, clock, at=None):
        self.clock, self.at = clock, at
        self.calls = Counter()

    def before(self, call): ...

    def after(self, call):
        self.calls[call] += 1
        if call == self.at and self.calls[call] == 1:
            self.clock.advance(-HOUR)


class Slow(ScriptedProvider):
    """Everything that leads to a wait: a lost answer, a rate limit, an error line, slow batches."""

    lost = limited = False

    async def create(self, **named):
        if not self.limited:
            self.limited = True
            raise RateLimited("slower", retry_after=20.0)
        remote = await super().create(**named)
        if not self.lost:
            self.lost = True
            raise ProviderUnavailable("no answer", ambiguous=True)
        return remote


def answer(custom_id, body, times):
    asked = body["messages"][0]["content"]
    if "thing 2" in asked and times < 4:
        return row(custom_id, status=503, body={"error": {"message": "later"}})
    return row(custom_id, body=completion(json.dumps({"label": "red"})))


async def passed_with(folder, at):
    """How much time a run takes beside the hour that it gains after the call."""
    provider = Slow(answer, known_limits=Limits(max_batch_requests=2), polls=3)
    rows = [{"id": f"r{n}", "text": f"thing {n + 1}"} for n in range(4)]
    desk = Desk(folder, provider, task=Colour, rows=rows, clock=ManualClock())
    plan = SetBack(desk.clock, at)
    run = await desk.drive(plan)
    assert plan.calls[at]
    assert run.state is RunState.FINISHED
    assert (await desk.status()).succeeded == 4
    return desk.clock.now() - START + HOUR


@pytest.mark.parametrize(
    "call",
    [
        "store.batches.claim_submit",
        "provider.create",
        "provider.find",
        "store.batches.record_acceptance",
        "provider.poll",
        "provider.fetch",
        "store.requests.record_outcomes",
        "store.requests.list_ready",
    ],
)
async def test_the_run_goes_on_at_once(tmp_path, call):
    """Calls after which a time is ahead: of a poll, of a quarantine, of a request that goes again."""
    assert await passed_with(tmp_path, call) < HOUR


def test_a_time_further_ahead_than_anything_is_put_off_is_due():
    assert is_due(None, START)
    assert is_due(START, START)
    assert not is_due(START + timedelta(seconds=1), START)
    assert is_due(START + LONGEST + timedelta(seconds=1), START)
    assert not is_due(START + HOUR, START, interval=3600.0), "a long interval of the user's is kept"


def test_a_block_of_the_queue_does_not_last_longer_than_any_block():
    learned = after_refusal(Learned(), said=None, ours=1, others=0, now=START)

    def hold(now: datetime) -> Hold | None:
        return hold_of(
            Limits(),
            learned,
            Enqueued(),
            active_batches=0,
            creates_this_hour=0,
            tokens=1,
            requests=1,
            now=now,
        )

    assert hold(START) is Hold.BLOCKED
    assert hold(START - HOUR) is None


def test_synchronous_calls_do_not_stand_still():
    throttle = Throttle()
    throttle.refused(START, 30.0, window=throttle.sent())

    assert not throttle.admits(START + timedelta(seconds=1))
    assert throttle.admits(START - HOUR)


async def test_a_run_whose_worker_died_before_the_clock_was_set_back_is_taken_over(tmp_path):
    store, clock, sightings = await SqliteStore.open(tmp_path / "home"), ManualClock(), Sightings()
    run_id = await a_run(tmp_path, store)
    until = clock.now() + HOUR
    assert await store.runs.claim(run_id=run_id, token="elsewhere/1/x", now=clock.now(), until=until)

    assert await claim(store, clock, run_id, sightings=sightings) is None
    clock.advance(TERM)
    assert await claim(store, clock, run_id, sightings=sightings) is None
    clock.advance(timedelta(seconds=1))
    assert await claim(store, clock, run_id, sightings=sightings) is not None
    await store.close()


def test_a_worker_whose_clock_is_ahead_keeps_its_lease_while_it_renews_it():
    sightings = Sightings()
    for seconds in range(0, 200, 10):
        now = START + timedelta(seconds=seconds)
        assert not sightings.is_over(Tenure(1, "elsewhere/1/x", now + HOUR), now)


async def a_run(folder, store):
    rows = folder / "rows.jsonl"
    rows.write_text('{"id": "a", "text": "thing"}\n')
    wanted = want(Colour, rows, folder / "out.jsonl", folder / "home")
    return RunId((await begin(store, wanted, now=START)).run_id)
