"""The process dies at every boundary of a run with requests that are the same: in the middle of reading, of
sending, of sharing answers. Each request is paid once, each record has its one outcome."""

import itertools

import pytest

from nightmail.core.limits import Limits
from nightmail.core.run import RunState
from nightmail.errors import NightmailError, StoreError
from nightmail.sources.jsonl import JsonlSource
from nightmail.stages import share
from nightmail.stages.shards import Here
from nightmail.testing.desk import Desk
from nightmail.testing.faults import Crash, CrashPlan, TroublePlan
from nightmail.testing.provider import ScriptedProvider, completion, row
from tests.worker.test_copies import Checked, accounted, label

# Each boundary is one test's; the tests run side by side. The first takes every fourth and is always run,
# together they take each.
WAYS = 4
TEXTS = ["sky", "sea", "sky", "bad", "sea", "bad", "sky", "sky"]
ROWS = [{"id": f"r{n}", "text": text} for n, text in enumerate(TEXTS)]
ROWS[6]["wanted"] = "green"  # what the first gets will not do for it


def answer(custom_id, body, times):
    if "bad" in body["messages"][0]["content"]:
        return row(custom_id, status=400, body={"error": {"message": "no", "code": "bad"}})
    complained = "not green" in body["messages"][-1]["content"]
    return row(custom_id, body=completion(label("green" if complained else "red")))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Several pieces of the source, the first built while the rest is surveyed; several pages of copies."""
    monkeypatch.setattr(JsonlSource, "piece_rows", 4)
    monkeypatch.setattr(Here, "early", 4)
    monkeypatch.setattr(share, "PAGE", 3)


def desk_in(folder):
    folder.mkdir(parents=True)
    return Desk(
        folder, ScriptedProvider(answer, known_limits=Limits(max_batch_requests=4)), task=Checked, rows=ROWS
    )


async def check(desk, run, died):
    assert run.state is RunState.FINISHED, died
    status = await accounted(desk)
    assert {each["id"]: each["output"] for each in desk.outputs()} == {
        "r0": "red", "r1": "red", "r2": "red", "r4": "red", "r6": "green", "r7": "red",
    }, died  # fmt: skip
    assert [each["id"] for each in desk.failures()] == ["r3", "r5"], died
    # One for each text, and two for the one that went by itself: its first answer will not do either.
    assert sorted(desk.provider.executed.values()) == [1, 1, 1, 2], died
    assert (status.copies, status.cost_pusd) == (4, 4 * (10 * 75_000 + 5 * 300_000)), died


class DiesSharing(CrashPlan):
    """Dies where copies are concerned; all other boundaries are those of any run."""

    def before(self, call):
        if concerns(call):
            super().before(call)

    def after(self, call):
        if concerns(call):
            super().after(call)


def concerns(call):
    others = ("store.requests.record_shard", "store.requests.record_outcomes", "store.batches.record_planned")
    return call.startswith(("store.copies.", "spool.replacing", "spool.delete")) or call in others


@pytest.mark.parametrize(
    "first", [1, *(pytest.param(first, marks=pytest.mark.exhaustive) for first in range(2, WAYS + 1))]
)
async def test_each_request_is_paid_once_and_each_record_has_its_outcome_wherever_the_process_dies(
    tmp_path, first
):
    for at in itertools.count(first, WAYS):
        desk, plan, died = desk_in(tmp_path / str(at)), DiesSharing(at), None
        try:
            await desk.drive(plan)
        except Crash as crash:
            died = str(crash)
        await check(desk, await desk.drive(), died)
        if died is None:
            assert at > 30
            break


@pytest.mark.parametrize("call", ["copies.due", "copies.record_shared", "copies.kept"])
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_a_store_that_fails_while_answers_are_shared_loses_nothing(tmp_path, call, late):
    desk = desk_in(tmp_path / "desk")
    if call == "copies.kept":  # read when reading the source is taken up again
        with pytest.raises(Crash):
            await desk.drive(
                TroublePlan(1, Crash, lambda each: each == "store.requests.record_shard", late=True)
            )
    plan = TroublePlan(
        1, lambda: StoreError("database is locked"), lambda each: each == f"store.{call}", late=late
    )
    with pytest.raises(NightmailError):
        await desk.drive(plan)
    await check(desk, await desk.drive(), call)
