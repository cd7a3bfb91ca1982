"""Requests that are the same are sent once; every record that asked has its own row, or its own failure."""

import asyncio
import json
import sqlite3
from collections import Counter
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightmail.core.batch import Phase
from nightmail.core.failure import Reason
from nightmail.core.limits import Limits
from nightmail.core.request import Mode, RequestState
from nightmail.core.run import RunState, Wish
from nightmail.errors import Rejected
from nightmail.sources.jsonl import JsonlSource
from nightmail.stages import build
from nightmail.stages import share as share_stage
from nightmail.tasks.base import Task
from nightmail.testing.desk import Desk, Plain
from nightmail.testing.faults import Crash, TroublePlan
from nightmail.testing.provider import ScriptedProvider, completion, row
from tests.crash.test_stopped import StopAfter

COST = 10 * 75_000 + 5 * 300_000  # of one answer, in pico-USD


def things(*texts):
    return [{"id": f"r{n}", "text": text} for n, text in enumerate(texts)]


def of_texts(answers):
    """Answers by the text that is in the request."""

    def answer(custom_id, body, times):
        asked = body["messages"][0]["content"]
        said = next(value for text, value in answers.items() if text in asked)
        if isinstance(said, int):
            return row(custom_id, status=said, body={"error": {"message": "no such thing", "code": "bad"}})
        said = said if isinstance(said, str) else said[min(times, len(said)) - 1]
        return row(custom_id, body=completion(said))

    return answer


def label(text):
    return json.dumps({"label": text})


def sent(provider):
    return sum(provider.executed.values()) + provider.calls


async def accounted(desk):
    """Each record is in one of the files, or cancelled; the counts are those of the rows; what is in the
    columns is what was paid."""
    status = await desk.status()
    outputs, failures = desk.outputs(), desk.failures()
    assert status.records == status.succeeded + status.failed + status.cancelled
    assert (len(outputs), len(failures)) == (status.succeeded, status.failed)
    keys = [each["id"] for each in [*outputs, *failures]]
    assert len(keys) == len(set(keys))
    store = await desk.store()
    run = await store.runs.read(status.run_id)
    assert await store.requests.miscounted(run.run_no) is None
    await store.close()
    return status


class Labelled(Task):
    model = "gpt-4o-mini"
    output = Literal["red", "green"]

    def build(self, record):
        return f"colour of {record['text']}?"


class Checked(Labelled):
    def check(self, output, record):
        if output != record.get("wanted", output):
            raise Rejected(f"not {record['wanted']}")


async def test_ten_records_with_two_requests_are_two_requests_and_ten_rows(tmp_path):
    rows = things(*["one", "two"] * 5)
    desk = Desk(tmp_path, ScriptedProvider(of_texts({"one": "1", "two": "2"})), rows=rows)

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    status = await accounted(desk)
    assert sent(desk.provider) == status.requests_sent == 2
    assert [each["output"] for each in desk.outputs()] == ["1", "2"] * 5
    assert [each["id"] for each in desk.outputs()] == [each["id"] for each in rows]
    assert [each["_attempts"] for each in desk.outputs()] == [1, 1] + [0] * 8
    assert (status.copies, status.copies_saved_pusd, status.cost_pusd) == (8, 8 * COST, 2 * COST)
    assert sum(each["_cost_usd"] for each in desk.outputs()) == pytest.approx(2 * COST / 1e12)
    assert desk.outputs()[-1]["_model"] == "gpt-4o-mini-2024-07-18"


async def test_without_dedupe_each_is_sent(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(), rows=things(*["one"] * 5), dedupe=False)
    await desk.drive()
    status = await accounted(desk)
    assert (sent(desk.provider), status.copies) == (5, 0)


@pytest.mark.parametrize("mode", [Mode.SYNC, Mode.AUTO])
async def test_calls_are_made_once_too(tmp_path, mode):
    desk = Desk(tmp_path, ScriptedProvider(), rows=things(*["one", "two"] * 5), mode=mode)
    await desk.drive()
    await accounted(desk)
    assert (desk.provider.calls, len(desk.outputs())) == (2, 10)


async def test_requests_for_two_models_are_not_the_same(tmp_path):
    class Either(Plain):
        def model_for(self, record):
            return "gpt-4o" if record["id"] in ("r0", "r2") else "gpt-4o-mini"

    desk = Desk(tmp_path, ScriptedProvider(), task=Either, rows=things(*["one"] * 4))
    await desk.drive()
    status = await accounted(desk)
    assert (sent(desk.provider), status.copies) == (2, 2)


async def test_a_copy_fails_as_its_first_did_and_its_history_says_of_what(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(of_texts({"bad": 400})), rows=things(*["bad"] * 3))
    await desk.drive()

    status = await accounted(desk)
    assert status.failures_by_reason == {Reason.INVALID: 3}
    assert sent(desk.provider) == 1
    first, second, _ = desk.failures()
    assert (second["id"], second["reason"], second["attempts"]) == ("r1", "invalid", 0)
    assert second["message"] == (
        f"its request is the same as that of record 'r0', which failed: {first['message']}"
    )
    (history,) = second["history"]
    assert (history["outcome"], history["batch_id"]) == ("shared", first["history"][0]["batch_id"])


async def test_retry_asks_once_again_for_all_that_failed_together(tmp_path):
    desk = Desk(
        tmp_path, ScriptedProvider(of_texts({"bad": 400, "good": "fine"})), rows=things(*["bad", "good"] * 3)
    )
    await desk.drive()
    assert len(desk.failures()) == 3
    desk.provider.answer = of_texts({"bad": "better"})

    assert await desk.retry() == 3
    await desk.drive()

    status = await accounted(desk)
    assert (status.succeeded, sent(desk.provider)) == (6, 3)
    assert [each["output"] for each in desk.outputs()] == ["better", "fine"] * 3
    assert status.copies == 4


async def test_an_amended_request_of_a_task_that_sees_no_record_answers_its_copies(tmp_path):
    desk = Desk(
        tmp_path,
        ScriptedProvider(of_texts({"sky": [label("blue"), label("green")]})),
        task=Labelled,
        rows=things(*["sky"] * 4),
    )
    await desk.drive()
    status = await accounted(desk)
    assert (status.succeeded, sent(desk.provider)) == (4, 2)
    assert [each["_attempts"] for each in desk.outputs()] == [2, 0, 0, 0]
    # What the first has cost, its repair included, each of the others would have cost.
    assert status.copies_saved_pusd == 3 * 2 * COST


async def test_each_copy_is_judged_with_its_own_record_and_goes_by_itself_if_the_answer_will_not_do(tmp_path):
    rows = things(*["sky"] * 4)
    rows[2]["wanted"] = "green"

    def answer(custom_id, body, times):
        complained = "not green" in body["messages"][-1]["content"]
        return row(custom_id, body=completion(label("green" if complained else "red")))

    desk = Desk(tmp_path, ScriptedProvider(answer), task=Checked, rows=rows)
    await desk.drive()

    status = await accounted(desk)
    assert [each["output"] for each in desk.outputs()] == ["red", "red", "green", "red"]
    assert [each["_attempts"] for each in desk.outputs()] == [1, 0, 2, 0]
    assert (sent(desk.provider), status.copies) == (3, 2)
    assert status.cost_pusd == 3 * COST


async def test_what_was_released_tells_why_if_it_fails_in_the_end(tmp_path):
    rows = things(*["sky"] * 2)
    rows[1]["wanted"] = "green"
    desk = Desk(
        tmp_path, ScriptedProvider(of_texts({"sky": label("red")})), task=Checked, rows=rows, max_attempts=2
    )
    await desk.drive()
    await accounted(desk)
    (failure,) = desk.failures()
    assert [each["message"] for each in failure["history"]] == [
        "the answer to the same request of record 'r0' is no good for this one: not green",
        "not green",
        "not green",
    ]
    assert failure["attempts"] == 2


async def test_an_answer_to_a_repair_that_quotes_another_record_is_shared_with_nobody(tmp_path):
    rows = things(*["sky"] * 3)
    rows[0]["wanted"] = "green"

    def answer(custom_id, body, times):
        complained = "not green" in body["messages"][-1]["content"]
        return row(custom_id, body=completion(label("green" if complained else "red")))

    desk = Desk(tmp_path, ScriptedProvider(answer), task=Checked, rows=rows)
    await desk.drive()
    status = await accounted(desk)
    assert [each["output"] for each in desk.outputs()] == ["green", "red", "red"]
    assert (sent(desk.provider), status.copies) == (4, 0)


async def test_a_task_that_repairs_by_the_record_shares_no_repaired_answer(tmp_path):
    class Repairs(Labelled):
        def repair(self, request, rejection):
            request["messages"].append({"role": "user", "content": f"think of {rejection.record['id']}"})
            return request

    asked = []

    def answer(custom_id, body, times):
        asked.append(body["messages"][-1]["content"])
        return row(custom_id, body=completion(label("red" if "think" in asked[-1] else "blue")))

    desk = Desk(tmp_path, ScriptedProvider(answer), task=Repairs, rows=things(*["sky"] * 2))
    await desk.drive()
    await accounted(desk)
    assert asked == ["colour of sky?", "think of r0", "colour of sky?", "think of r1"]


async def test_on_output_is_called_with_each_record(tmp_path):
    seen = []

    class Noting(Plain):
        def on_output(self, record, output):
            seen.append((record["id"], output))
            if record["id"] == "r2":
                raise RuntimeError("not this one")

    desk = Desk(tmp_path, ScriptedProvider(), task=Noting, rows=things(*["one"] * 3))
    await desk.drive()
    await accounted(desk)
    assert sorted(seen) == [("r0", "fine"), ("r1", "fine"), ("r2", "fine")]
    store = await desk.store()
    events = await store.events.list(1, limit=50)
    await store.close()
    told = [error for each in events for error in each.detail.get("callback_errors", [])]
    assert len(told) == 1
    assert told[0].startswith("record 'r2': RuntimeError: not this one (test_copies.py:")


async def test_stored_answers_of_copies_are_judged_anew_with_their_first(tmp_path):
    class Strict(Labelled):
        def parse(self, response):
            raise Rejected("a bug in this parser")

    provider = ScriptedProvider(of_texts({"sky": label("red")}))
    desk = Desk(tmp_path, provider, task=Strict, rows=things(*["sky"] * 3), max_attempts=1)
    await desk.drive()
    assert len(desk.failures()) == 3

    Strict.parse = Task.parse
    assert await desk.revalidate() == 3
    await desk.drive()

    status = await accounted(desk)
    assert [each["output"] for each in desk.outputs()] == ["red"] * 3
    assert (sent(desk.provider), status.copies_saved_pusd) == (1, 2 * COST)


async def test_a_lost_answer_is_asked_again_for_all(tmp_path):
    provider = ScriptedProvider(share_done=0.5, ends=Phase.EXPIRED)
    desk = Desk(tmp_path, provider, rows=things(*["one", "two"] * 3))
    ended = provider._end

    def end(batch):
        ended(batch)
        provider.share_done, provider.ends = 1.0, Phase.COMPLETED

    provider._end = end
    await desk.drive()
    status = await accounted(desk)
    assert (status.succeeded, sent(provider)) == (6, 2)


async def test_cancelled_before_its_answer_a_copy_is_cancelled_after_it_the_answer_is_shared(tmp_path):
    provider = ScriptedProvider(polls=3, known_limits=Limits(max_batch_requests=1, max_active_batches=1))
    desk = Desk(tmp_path, provider, rows=things("one", "two", "one", "two"))
    polled = provider.poll

    async def poll(provider_batch_id):
        store = await desk.store()
        run = (await store.runs.list())[-1]
        if run.wish is None:
            await store.runs.record_wish(run.run_no, Wish.CANCEL)
        await store.close()
        provider._end(provider.batches[provider_batch_id])  # it had been done before it was asked to end
        return await polled(provider_batch_id)

    provider.poll = poll
    run = await desk.drive()

    assert run.state is RunState.CANCELLED
    status = await accounted(desk)
    assert (status.succeeded, status.cancelled) == (2, 2)
    assert [each["id"] for each in desk.outputs()] == ["r0", "r2"]


async def test_a_first_whose_key_was_there_before_leaves_its_copies_to_themselves(tmp_path):
    rows = things("one", "two", "two", "two", "one")
    rows[1]["id"] = "r0"
    rows[4]["id"] = "r2"
    desk = Desk(tmp_path, ScriptedProvider(of_texts({"one": "1", "two": "2"})), rows=rows, skip_bad_rows=True)
    await desk.drive()
    status = await desk.status()
    assert [(each["id"], each["output"]) for each in desk.outputs()] == [
        ("r0", "1"),
        ("r2", "2"),
        ("r3", "2"),
    ]
    assert [each["record"] for each in desk.failures()] == [2, 5]
    assert status.failures_by_reason == {Reason.BAD_ROW: 2}


async def test_copies_have_their_outputs_before_the_run_is_over(tmp_path):
    provider = ScriptedProvider(known_limits=Limits(max_batch_requests=1, max_active_batches=1))
    desk = Desk(tmp_path, provider, rows=things(*["one", "two", "three"] * 2))
    created = provider.create

    async def create(**given):
        async with asyncio.timeout(60):
            while await succeeded(desk) < 2 * len(provider.batches):
                pass
        return await created(**given)

    provider.create = create
    await desk.drive()
    assert (await accounted(desk)).succeeded == 6


async def succeeded(desk):
    store = await desk.store()
    run = (await store.runs.list())[-1]
    tally = await store.requests.count(run.run_no)
    await store.close()
    return tally.states.get(RequestState.SUCCEEDED, 0)


async def test_pages_of_results_show_copies_as_they_are(tmp_path):
    from nightmail.spool import Spool
    from nightmail.worker.pages import page_of_results

    desk = Desk(tmp_path, ScriptedProvider(), rows=things(*["one"] * 3))
    await desk.drive()
    store = await desk.store()
    run = (await store.runs.list())[-1]
    page = await page_of_results(store, Spool(desk.home / "spool"), run, after=0, limit=10, state=None)
    await store.close()
    assert [(each.key, each.output, each.attempts, each.cost_usd) for each in page][1:] == [
        ("r1", {"output": "fine"}, 0, 0.0), ("r2", {"output": "fine"}, 0, 0.0),
    ]  # fmt: skip


async def test_a_stopped_look_is_taken_up_again(tmp_path, monkeypatch):
    monkeypatch.setattr(share_stage, "PAGE", 2)
    desk = Desk(tmp_path, ScriptedProvider(), rows=things(*["one"] * 9))
    plan = StopAfter("store.copies.record_shared")
    run = await desk.drive(plan, stop=plan.stop)
    assert run.state is RunState.DRAINING
    assert (await desk.status()).succeeded == 3

    assert (await desk.drive()).state is RunState.FINISHED
    assert (await accounted(desk)).succeeded == 9
    assert sent(desk.provider) == 1


@pytest.fixture
def colliding(monkeypatch):
    """Every request has the digest of every other one."""
    monkeypatch.setattr(build, "completed", lambda fixed, varying, digest: [b"\7" * 8] * len(varying))
    monkeypatch.setattr(JsonlSource, "piece_rows", 4)


SAME = ["one", "two", "one", "three", "two", "one", "three", "one", "two"]


@pytest.mark.usefixtures("colliding")
async def test_requests_with_one_digest_get_each_its_own_answer(tmp_path):
    answers = of_texts({"one": "1", "two": "2", "three": "3"})
    desk = Desk(tmp_path, ScriptedProvider(answers), rows=things(*SAME))
    await desk.drive()

    status = await accounted(desk)
    assert [each["output"] for each in desk.outputs()] == [
        {"one": "1", "two": "2", "three": "3"}[text] for text in SAME
    ]
    # What is the same as the first of them is found; the others are sent, those too that are there again.
    assert (status.copies, sent(desk.provider)) == (3, 6)


@pytest.mark.usefixtures("colliding")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["spool.reading", "store.requests.record_shard"])
async def test_a_crash_between_a_proposal_and_its_piece_confirms_it_anew(tmp_path, call, late):
    answers = of_texts({"one": "1", "two": "2", "three": "3"})
    desk = Desk(tmp_path, ScriptedProvider(answers), rows=things(*SAME))
    with pytest.raises(Crash):
        await desk.drive(TroublePlan(2, Crash, lambda each: each == call, late=late))
    await desk.drive()

    status = await accounted(desk)
    assert [each["output"] for each in desk.outputs()] == [
        {"one": "1", "two": "2", "three": "3"}[text] for text in SAME
    ]
    assert (status.copies, sent(desk.provider)) == (3, 6)


async def test_digests_are_kept_until_the_source_is_read_and_no_longer(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(), rows=things(*["one"] * 3))
    await desk.drive()
    with sqlite3.connect(desk.home / "nightmail.db") as database:
        assert database.execute("SELECT count(*) FROM digests").fetchone() == (0,)
        assert database.execute("SELECT seq, of_seq FROM copies").fetchall() == [(2, 1), (3, 1)]
    database.close()


@settings(max_examples=settings.default.max_examples // 4)
@given(
    texts=st.lists(st.integers(0, 6), min_size=1, max_size=25),
    wanted=st.lists(st.sampled_from(["red", "green", None]), min_size=25, max_size=25),
    checked=st.booleans(),
    bad=st.sets(st.integers(0, 6), max_size=3),
    limit=st.integers(1, 6),
    page=st.integers(1, 5),
)
def test_whatever_is_the_same_every_record_gets_what_it_would_have_got_alone(
    tmp_path_factory, texts, wanted, checked, bad, limit, page
):
    """The outputs and failures of a run are those of the same run without dedupe."""
    rows = things(*(f"thing{n}" for n in texts))
    for each, colour in zip(rows, wanted, strict=False):
        if colour and checked:
            each["wanted"] = colour

    def answer(custom_id, body, times):
        asked = body["messages"][0]["content"]
        if any(f"thing{n}?" in asked for n in bad):
            return row(custom_id, status=400, body={"error": {"message": "no", "code": "bad"}})
        complaint = body["messages"][-1]["content"]
        said = "green" if "not green" in complaint else "red"
        return row(custom_id, body=completion(label(said)))

    async def night(dedupe):
        folder = tmp_path_factory.mktemp("night")
        desk = Desk(
            folder,
            ScriptedProvider(answer, known_limits=Limits(max_batch_requests=limit)),
            task=Checked if checked else Labelled,
            rows=rows,
            dedupe=dedupe,
        )
        assert (await desk.drive()).state is RunState.FINISHED
        status = await accounted(desk)
        found = {each["id"]: each["output"] for each in desk.outputs()}
        return found, {each["id"]: each["reason"] for each in desk.failures()}, sent(desk.provider), status

    async def both():
        return await night(True), await night(False)

    before, share_stage.PAGE = share_stage.PAGE, page
    try:
        once, each = asyncio.run(both())
    finally:
        share_stage.PAGE = before
    assert once[:2] == each[:2]
    assert once[2] <= each[2]
    assert each[2] - once[2] <= once[3].copies
    if not checked:
        assert once[2] == len(set(texts))
        assert once[3].copies == sum(Counter(texts).values()) - len(set(texts))
