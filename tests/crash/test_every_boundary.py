"""The process dies before and after each call through a port, one boundary after the other; the next
process finishes the run. Whatever the boundary, nothing is lost, doubled or paid twice."""

import asyncio
import errno
import itertools
import json
from collections import Counter

import pytest

from nightmail.core.batch import Phase
from nightmail.core.limits import Limits
from nightmail.core.request import Mode
from nightmail.core.run import RunState
from nightmail.errors import NightmailError, StoreError
from nightmail.providers.base import BatchError
from nightmail.testing.desk import Desk
from nightmail.testing.faults import Crash, CrashPlan, TroublePlan
from nightmail.testing.provider import ScriptedProvider, completion, row
from tests.worker.test_loop import Colour

# Each boundary is one test's; the tests run side by side. The first takes every twelfth and is always run,
# together they take each.
WAYS = 12
EVERY_WAY = [1, *(pytest.param(first, marks=pytest.mark.exhaustive) for first in range(2, WAYS + 1))]


def answer(custom_id, body, times):
    """Record 2 needs a repair, record 3 fails for good."""
    asked = body["messages"][0]["content"]
    if "thing 3" in asked:
        return row(custom_id, status=400, body={"error": {"message": "no", "code": "invalid_request"}})
    first = len(body["messages"]) == 1
    label = "blue" if "thing 2" in asked and first else "red"
    return row(custom_id, body=completion(json.dumps({"label": label})))


ROWS = [{"id": f"r{n}", "text": f"thing {n + 1}"} for n in range(4)]


def provider_of_four():
    return ScriptedProvider(answer, known_limits=Limits(max_batch_requests=2))


async def one_life_after_another(folder, at, mode):
    """Die at boundary `at`; the next life goes on to the end."""
    folder.mkdir(parents=True)
    desk = Desk(folder, provider_of_four(), task=Colour, rows=ROWS, mode=mode)
    plan = CrashPlan(at)
    died = None
    try:
        await desk.drive(plan)
    except Crash as crash:
        died = str(crash)
    run = await desk.drive()
    return desk, run, plan, died


async def check(desk, run, died):
    status = await desk.status()
    assert run.state is RunState.FINISHED, died
    assert [each["id"] for each in desk.outputs()] == ["r0", "r1", "r3"], died
    assert [each["id"] for each in desk.failures()] == ["r2"], died
    assert (status.succeeded, status.failed, status.open) == (3, 1, 0), died
    store = await desk.store()
    assert await store.requests.miscounted(run.run_no) is None, died
    await store.close()
    return status


async def boundaries(tmp_path, mode, first):
    for at in itertools.count(first, WAYS):
        desk, run, plan, died = await one_life_after_another(tmp_path / str(at), at, mode)
        yield desk, await check(desk, run, died), died
        if died is None:
            assert plan.seen < at
            return


@pytest.mark.parametrize("first", EVERY_WAY)
async def test_a_batch_is_paid_for_once_wherever_the_process_dies(tmp_path, first):
    dead = 0
    async for desk, status, died in boundaries(tmp_path, Mode.BATCH, first):
        dead += died is not None
        is_paid_once(desk, status, died)
    assert dead > 80 / WAYS


def is_paid_once(desk, status, died):
    # Two first batches and one for the repair; each request executed as often as it was planned.
    assert len(desk.provider.batches) == 3, died
    assert sorted(desk.provider.executed.values()) == [1, 1, 1, 2], died
    billed = 4 * (10 * 75_000 + 5 * 300_000)
    assert status.cost_pusd == billed, died


@pytest.mark.parametrize("first", EVERY_WAY)
async def test_sync_calls_lose_nothing_wherever_the_process_dies(tmp_path, first):
    dead = 0
    async for _, _, died in boundaries(tmp_path, Mode.SYNC, first):
        dead += died is not None
    assert dead > 60 / WAYS


class DiesTelling(CrashPlan):
    """Dies where the refusal is told, right after the outcomes are written."""

    def before(self, call):
        if call == "store.events.record":
            super().before(call)

    def after(self, call):
        pass


async def test_the_halves_of_a_refused_batch_do_not_find_together_again(tmp_path):
    provider = ScriptedProvider()
    ended = provider._end

    def end(batch):
        poisoned = any(line["custom_id"].endswith("_3") for line in batch.lines)
        provider.ends = Phase.FAILED if poisoned else Phase.COMPLETED
        provider.errors = (BatchError(code="strange", message="something is wrong"),)
        ended(batch)

    provider._end = end
    desk = Desk(tmp_path, provider)
    with pytest.raises(Crash, match=r"before store\.events\.record"):
        await desk.drive(DiesTelling(2))
    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert (await desk.status()).succeeded == 5
    assert sorted(len(batch.lines) for batch in provider.batches.values()) == [1, 1, 1, 2, 3, 3, 6]


FAILURES = {
    "store": lambda: StoreError("database is locked"),
    "spool": lambda: OSError(errno.ENOSPC, "No space left on device"),
}


PARTS = 10  # of the calls that can fail; the first is always run


async def failing(folder, mode, call, at):
    """The call fails for the `at`-th time; the process says so and ends; the next one goes on."""
    folder.mkdir(parents=True)
    desk = Desk(folder, provider_of_four(), task=Colour, rows=ROWS, mode=mode)
    port = call.partition(".")[0]
    with pytest.raises((NightmailError, OSError)):
        await desk.drive(TroublePlan(at, FAILURES[port], lambda each: each == call))
    await check(desk, await desk.drive(), f"{call}, call {at}")


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(part, marks=pytest.mark.exhaustive) for part in range(1, PARTS))]
)
@pytest.mark.parametrize("mode", [Mode.BATCH, Mode.SYNC])
async def test_a_store_or_a_disk_that_fails_in_passing_loses_nothing(tmp_path, mode, part):
    """Every call to the store and the spool that a run makes, at its first and second time."""
    seen = CrashPlan(at=1_000_000)
    (tmp_path / "whole").mkdir()
    await Desk(tmp_path / "whole", provider_of_four(), task=Colour, rows=ROWS, mode=mode).drive(seen)
    made = Counter(call.removeprefix("before ") for call in seen.calls if call.startswith("before "))
    cases = [
        (call, at)
        for call, times in made.items()
        if not call.startswith("provider.")
        for at in (1, 2)[:times]
    ]
    assert len(cases) > 50

    own = cases[part::PARTS]
    for cut in (own[n : n + 8] for n in range(0, len(own), 8)):
        await asyncio.gather(*(failing(tmp_path / f"{call} {at}", mode, call, at) for call, at in cut))


async def test_the_harness_notices_a_recovery_that_only_tries_again(tmp_path, monkeypatch):
    from nightmail.core.lifecycle import BatchEvent
    from nightmail.worker import loop

    async def naive(ports, run, batch):
        return await ports.store.batches.record(
            ports.lease, batch, BatchEvent.NOT_ACCEPTED, now=ports.now(), input_file_id=None
        )

    monkeypatch.setattr(loop, "recover", naive)
    desk = Desk(tmp_path, provider_of_four(), task=Colour, rows=ROWS)
    created = TroublePlan(1, Crash, lambda call: call == "provider.create", late=True)
    with pytest.raises(Crash):
        await desk.drive(created)

    status = await check(desk, await desk.drive(), "after provider.create")

    with pytest.raises(AssertionError, match="assert 4 == 3"):
        is_paid_once(desk, status, "after provider.create")
