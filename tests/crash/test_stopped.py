"""A worker is told to stop (Ctrl-C, SIGTERM) in each phase of a run: it leaves soon, sends nothing more, and
the next one goes on where it was."""

import asyncio
import json

import pytest

from nightmail.core.limits import Limits
from nightmail.core.request import Mode
from nightmail.core.run import RunState
from nightmail.sources.jsonl import JsonlSource
from nightmail.stages import deliver
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider


class StopAfter:
    """A plan that sets `stop` after the first call with a name, and notes what is called from then on."""

    def __init__(self, call):
        self.call = call
        self.stop = asyncio.Event()
        self.later = []

    def before(self, call):
        if self.stop.is_set():
            self.later.append(call)

    def after(self, call):
        if call == self.call:
            self.stop.set()


async def stopped_and_resumed(desk, call):
    plan = StopAfter(call)
    left = await desk.drive(plan, stop=plan.stop)
    assert plan.stop.is_set()
    run = await desk.drive()
    assert run.state is RunState.FINISHED
    assert (await desk.status()).succeeded == 6
    return left, plan


@pytest.mark.parametrize(
    "call",
    [
        "store.requests.record_shard",
        "store.batches.record_planned",
        "provider.upload",
        "provider.create",
        "provider.poll",
        "provider.fetch",
        "store.requests.record_outcomes",
        "provider.delete",
    ],
)
async def test_what_was_on_its_way_is_paid_once_and_nothing_is_lost(tmp_path, call):
    desk = Desk(tmp_path, ScriptedProvider(known_limits=Limits(max_batch_requests=3)))

    left, plan = await stopped_and_resumed(desk, call)

    assert left.state is RunState.DRAINING
    assert set(desk.provider.executed.values()) == {1}
    assert len(desk.provider.batches) == 2
    begun = plan.later.count("store.batches.claim_submit")
    assert begun == 0 or call == "provider.upload", "nothing new is sent after the stop"


async def test_reading_stops_after_the_piece_that_it_is_at(tmp_path, monkeypatch):
    monkeypatch.setattr(JsonlSource, "piece_rows", 2)
    desk = Desk(tmp_path, ScriptedProvider())
    plan = StopAfter("store.requests.record_shard")

    left = await desk.drive(plan, stop=plan.stop)

    assert (left.state, left.record_count) == (RunState.OPEN, 2)
    assert desk.provider.batches == {}
    await desk.drive()
    assert [each["id"] for each in desk.outputs()] == [f"r{n}" for n in range(6)]


async def test_a_delivery_that_is_stopped_leaves_the_old_file(tmp_path, monkeypatch):
    monkeypatch.setattr(deliver, "WINDOW_BYTES", 1)
    desk = Desk(tmp_path, ScriptedProvider())
    desk.output.write_text('{"old": true}\n')
    plan = StopAfter("store.requests.count_successes")

    left = await desk.drive(plan, stop=plan.stop)

    assert left.state is RunState.DRAINING
    assert desk.output.read_text() == '{"old": true}\n'
    assert not list(tmp_path.glob(".*"))
    await desk.drive()
    assert len(desk.outputs()) == 6


class Thinking(ScriptedProvider):
    """Answers calls only when told to."""

    def __init__(self):
        super().__init__()
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def call(self, endpoint, body, **named):
        self.asked.set()
        await self.go.wait()
        return await super().call(endpoint, body, **named)


async def test_synchronous_calls_that_are_on_their_way_are_waited_for(tmp_path):
    provider = Thinking()
    desk = Desk(tmp_path, provider, rows=[{"id": f"r{n}", "text": f"{n}"} for n in range(40)], mode=Mode.SYNC)
    stop = asyncio.Event()
    driving = asyncio.create_task(desk.drive(stop=stop))
    asked = asyncio.create_task(provider.asked.wait())
    await asyncio.wait([driving, asked], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    provider.go.set()

    assert (await driving).state is RunState.DRAINING
    made = provider.calls
    assert 0 < made < 40, "no new call after the stop"

    await desk.drive()
    assert provider.calls == 40
    assert len(desk.outputs()) == 40


async def test_an_answer_is_in_the_file_as_soon_as_it_is_there(tmp_path):
    """A process that is killed keeps every answer that it has paid for."""
    provider = ScriptedProvider()
    desk = Desk(tmp_path, provider, mode=Mode.SYNC)
    seen = []
    call = provider.call

    async def looking(endpoint, body, **named):
        reply = await call(endpoint, body, **named)
        seen.extend(desk.home.glob("spool/*/results/*.output.jsonl"))
        return reply

    provider.call = looking
    await desk.drive()
    lines = seen[0].read_text().splitlines()
    assert len({json.loads(line)["custom_id"] for line in lines}) == 6
