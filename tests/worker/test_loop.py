"""One run, driven: what each kind of answer leads to, with a real store, spool and files."""

import asyncio
import collections
import itertools
import json
from datetime import timedelta
from typing import Literal

import msgspec
import pytest

import nightmail
from nightmail.core.batch import Phase
from nightmail.core.failure import Reason
from nightmail.core.limits import Limits
from nightmail.core.recovery import QUARANTINE
from nightmail.core.request import Mode
from nightmail.core.run import PauseReason, RunState, Wish
from nightmail.core.usage import Usage
from nightmail.errors import AuthenticationFailed, BillingBlocked, ProviderUnavailable, RateLimited, TaskError
from nightmail.providers.base import BatchError
from nightmail.stages import failures, plan
from nightmail.testing.desk import Desk, Plain
from nightmail.testing.faults import TroublePlan
from nightmail.testing.provider import ScriptedProvider, completion, row


class Colour(nightmail.Task):
    model = "gpt-4o-mini"
    output = Literal["red", "green"]

    def build(self, record):
        return f"colour of {record['text']}?"

    def check(self, output, record):
        if output == "green" and record["text"].endswith("0"):
            raise nightmail.Rejected("nothing that ends in 0 is green")


def said(text):
    return completion(json.dumps({"label": text}))


def seq_of(custom_id):
    return int(custom_id.rpartition("_")[2])


async def settle(desk):
    status = await desk.status()
    assert status.records == status.succeeded + status.failed + status.cancelled + status.open
    return status


async def test_every_record_comes_back_under_its_key_in_the_order_of_the_input(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider())

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert [(each["id"], each["output"]) for each in desk.outputs()] == [(f"r{n}", "fine") for n in range(6)]
    assert desk.outputs()[0]["_cost_usd"] == pytest.approx((10 * 0.075 + 5 * 0.3) / 1e6)
    status = await settle(desk)
    assert (status.succeeded, status.failures, status.exit_code) == (6, None, 0)
    assert status.savings_pusd == status.cost_pusd


async def test_the_same_again_sends_nothing(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider())
    await desk.drive()
    uploads = len(desk.provider.batches)

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert len(desk.provider.batches) == uploads == 1


async def test_batches_hold_what_the_limits_allow(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(known_limits=Limits(max_batch_requests=4)))

    await desk.drive()

    assert sorted(len(batch.lines) for batch in desk.provider.batches.values()) == [2, 4]


async def test_what_one_look_leaves_out_is_planned_by_the_next_whatever_its_model(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "AT_ONCE", 11)

    class Either(Plain):
        def model_for(self, record):
            return "gpt-4o" if int(record["id"][1:]) % 2 else "gpt-4o-mini"

    rows = [{"id": f"r{n}", "text": f"thing {n}"} for n in range(40)]
    limits = Limits(max_batch_requests=3)
    desk = Desk(tmp_path, ScriptedProvider(known_limits=limits), task=Either, rows=rows)
    async with asyncio.timeout(60):
        await desk.drive()
    assert len(desk.outputs()) == 40


async def test_a_bad_answer_is_asked_again_with_the_complaint_and_then_counts(tmp_path):
    asked = []

    def answer(custom_id, body, times):
        asked.append((seq_of(custom_id), body))
        if seq_of(custom_id) == 2 and times == 1:
            return row(custom_id, body=said("blue"))
        return row(custom_id, body=said("red"))

    desk = Desk(tmp_path, ScriptedProvider(answer), task=Colour)
    await desk.drive()

    status = await settle(desk)
    assert (status.succeeded, status.asked_again) == (6, {Reason.SCHEMA: 1})
    assert status.wasted_pusd == status.cost_pusd // 7
    repaired = asked[-1][1]["messages"]
    assert [each["role"] for each in repaired[-3:]] == ["user", "assistant", "user"]
    assert "blue" in repaired[-2]["content"]
    (second,) = [each for each in desk.outputs() if each["id"] == "r1"]
    assert (second["_attempts"], second["_input_tokens"]) == (2, 20)


async def test_a_check_sees_the_record_and_its_complaint_reaches_the_model(tmp_path):
    def answer(custom_id, body, times):
        complained = "nothing that ends in 0" in body["messages"][-1]["content"]
        return row(custom_id, body=said("red" if complained else "green"))

    desk = Desk(tmp_path, ScriptedProvider(answer), task=Colour)
    await desk.drive()

    assert [each["output"] for each in desk.outputs()] == ["red"] + ["green"] * 5


async def test_a_cut_off_answer_gets_a_larger_cap_never_the_same(tmp_path):
    caps = []

    def answer(custom_id, body, times):
        caps.append(body.get("max_completion_tokens"))
        return row(custom_id, body=completion('{"lab', finish="length") if times < 3 else said("red"))

    class Capped(Colour):
        max_output_tokens = 10

    desk = Desk(tmp_path, ScriptedProvider(answer), task=Capped, rows=[{"id": 1, "text": "one"}])
    await desk.drive()

    assert caps == [10, 20, 40]
    assert (await settle(desk)).succeeded == 1


async def test_attempts_end_and_the_failure_has_its_last_answer(tmp_path):
    desk = Desk(
        tmp_path,
        ScriptedProvider(lambda custom_id, body, times: row(custom_id, body=said("blue"))),
        task=Colour,
        rows=[{"id": 1, "text": "one"}],
        max_attempts=3,
    )
    await desk.drive()

    (failure,) = desk.failures()
    assert (failure["id"], failure["reason"], failure["attempts"]) == (1, "schema", 3)
    assert failure["answer"]["response"]["body"]["choices"][0]["message"]["content"] == '{"label": "blue"}'
    assert (await desk.status()).exit_code == 1


async def test_the_last_attempt_goes_to_the_fallback_model(tmp_path):
    models = []

    def answer(custom_id, body, times):
        models.append(body["model"])
        return row(custom_id, body=said("red" if body["model"] == "gpt-4o" else "blue"))

    class WithFallback(Colour):
        fallback_model = "gpt-4o"

    desk = Desk(
        tmp_path, ScriptedProvider(answer), task=WithFallback, rows=[{"id": 1, "text": "1"}], max_attempts=3
    )
    await desk.drive()

    assert models == ["gpt-4o-mini", "gpt-4o-mini", "gpt-4o"]
    assert (await settle(desk)).succeeded == 1


@pytest.mark.parametrize("status", [0, 408, 409, 429, 500, 503])
async def test_a_line_that_failed_in_passing_goes_again_unchanged(tmp_path, status):
    bodies = []

    def answer(custom_id, body, times):
        bodies.append(body)
        if times == 1:
            return row(custom_id, status=status, body={"error": {"message": "busy", "code": "x"}})
        return row(custom_id, body=completion("fine"))

    desk = Desk(tmp_path, ScriptedProvider(answer), rows=[{"id": 1, "text": "1"}])
    await desk.drive()

    assert (await settle(desk)).succeeded == 1
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_line_that_the_provider_calls_wrong_fails_at_once_with_its_words(tmp_path, status):
    def answer(custom_id, body, times):
        error = {"message": "context too long", "code": "context_length_exceeded"}
        return row(custom_id, status=status, body={"error": error})

    desk = Desk(tmp_path, ScriptedProvider(answer), rows=[{"id": 1, "text": "1"}])
    await desk.drive()

    (failure,) = desk.failures()
    assert failure["reason"] == "invalid"
    assert "context too long" in failure["message"]
    assert desk.provider.executed.total() == 1


async def test_a_refusal_is_final_unless_the_task_says_otherwise(tmp_path):
    def answer(custom_id, body, times):
        return row(custom_id, body=completion(None, refusal="no") if times == 1 else said("red"))

    class Stubborn(Colour):
        on_refusal = "retry"

    rows = [{"id": 1, "text": "1"}]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    final = Desk(tmp_path / "a", ScriptedProvider(answer), task=Colour, rows=rows)
    again = Desk(tmp_path / "b", ScriptedProvider(answer), task=Stubborn, rows=rows)
    await final.drive()
    await again.drive()

    assert final.failures()[0]["reason"] == "refused"
    assert (await settle(again)).succeeded == 1


async def test_an_expired_batch_keeps_what_was_paid_and_sends_only_the_rest(tmp_path):
    provider = ScriptedProvider(ends=Phase.EXPIRED, share_done=0.5)
    desk = Desk(tmp_path, provider)

    await desk.drive()

    assert set(provider.executed.values()) == {1}
    status = await settle(desk)
    # Each round gets through half of what is left; the last one never does.
    assert (status.succeeded, status.failures_by_reason) == (5, {Reason.EXPIRED: 1})
    (failure,) = desk.failures()
    assert (failure["attempts"], failure["reason"]) == (0, "expired")
    assert [(each["number"], each["outcome"]) for each in failure["history"]] == [
        (number, "expired") for number in range(1, 11)
    ]

    provider.share_done = 1.0
    assert await desk.retry() == 1
    await desk.drive()
    assert (await settle(desk)).succeeded == 6
    assert {each["_attempts"] for each in desk.outputs()} == {1}
    assert set(provider.executed.values()) == {1}


async def test_the_failures_file_tells_everything_that_was_tried_page_by_page(tmp_path, monkeypatch):
    def answer(custom_id, body, times):
        if times == 2:
            return row(custom_id, body=completion('{"label": "re', finish="length"))
        return row(custom_id, body=completion("not even JSON"))

    monkeypatch.setattr(failures, "PAGE", 2)
    rows = [{"id": n, "text": str(n)} for n in range(5)]
    desk = Desk(tmp_path, ScriptedProvider(answer), task=Colour, rows=rows, max_attempts=2)
    await desk.drive()
    await desk.retry()
    await desk.drive()

    assert [each["id"] for each in desk.failures()] == [0, 1, 2, 3, 4]
    for failure in desk.failures():
        tried = failure["history"]
        assert (failure["attempts"], failure["reason"]) == (2, tried[-1]["reason"])
        assert failure["message"] == tried[-1]["message"]
        assert [each["number"] for each in tried] == [1, 2, 3, 4]
        assert [each["finish"] for each in tried] == ["complete", "truncated", "complete", "complete"]
        assert [each["reason"] for each in tried] == ["malformed", "truncated", "malformed", "malformed"]
        assert len({each["batch_id"] for each in tried}) == 4
        assert {each["model"] for each in tried} == {"gpt-4o-mini"}
        assert [each["at"] for each in tried] == sorted(each["at"] for each in tried)
        assert {(each["input_tokens"], each["output_tokens"], each["cost_usd"]) for each in tried} == {
            (10, 5, "0.00000225")
        }


async def test_answers_that_are_billed_but_in_no_file_are_paid_for_and_wasted(tmp_path):
    def answer(custom_id, body, times):
        return {} if seq_of(custom_id) == 3 and times == 1 else row(custom_id, body=completion("fine"))

    class Bills(ScriptedProvider):
        def _end(self, batch):
            super()._end(batch)
            usage = Usage(10 * len(batch.lines), 5 * len(batch.lines))
            batch.remote = msgspec.structs.replace(batch.remote, usage=usage)

    desk = Desk(tmp_path, Bills(answer))
    await desk.drive()

    status = await settle(desk)
    each = 10 * 75_000 + 5 * 300_000
    assert (status.succeeded, desk.provider.executed.total()) == (6, 7)
    assert (status.input_tokens, status.output_tokens) == (70, 35)
    assert (status.cost_pusd, status.wasted_pusd) == (7 * each, each)
    assert {row["_cost_usd"] for row in desk.outputs()} == {each / 1e12}


async def test_a_request_that_is_in_no_file_goes_again_and_costs_no_attempt(tmp_path):
    def answer(custom_id, body, times):
        return {} if seq_of(custom_id) == 3 and times == 1 else row(custom_id, body=completion("fine"))

    desk = Desk(tmp_path, ScriptedProvider(answer), max_attempts=1)
    await desk.drive()

    assert (await settle(desk)).succeeded == 6
    assert {each["_attempts"] for each in desk.outputs()} == {1}


async def test_a_refused_batch_with_a_named_line_fails_that_record_alone(tmp_path):
    provider = ScriptedProvider(
        ends=Phase.FAILED, errors=(BatchError(code="invalid_request", message="bad line", line=2),)
    )
    desk = Desk(tmp_path, provider)
    original = provider._end

    def end(batch):
        if len(provider.batches) > 1:
            provider.ends = Phase.COMPLETED
        original(batch)

    provider._end = end
    await desk.drive()

    status = await settle(desk)
    assert (status.succeeded, status.failures_by_reason) == (5, {Reason.INVALID: 1})
    assert desk.failures()[0]["id"] == "r1"


async def test_a_refused_batch_without_a_line_is_halved_until_the_poison_is_found(tmp_path):
    provider = ScriptedProvider()
    original = provider._end

    def end(batch):
        poisoned = any(line["custom_id"].endswith("_5") for line in batch.lines)
        provider.ends = Phase.FAILED if poisoned else Phase.COMPLETED
        provider.errors = (BatchError(code="strange", message="something is wrong"),)
        original(batch)

    provider._end = end
    desk = Desk(tmp_path, provider)
    await desk.drive()

    status = await settle(desk)
    assert (status.succeeded, status.failures_by_reason) == (5, {Reason.BATCH_FAILED: 1})
    assert "strange something is wrong" in desk.failures()[0]["message"]


async def test_a_full_queue_at_the_provider_costs_no_attempt_and_is_waited_out(tmp_path):
    provider = ScriptedProvider()
    original = provider._end

    def end(batch):
        provider.ends = Phase.FAILED if len(provider.batches) < 3 else Phase.COMPLETED
        provider.errors = (
            BatchError(code="token_limit_exceeded", message="Enqueued token limit reached. Limit: 90,000"),
        )
        original(batch)

    provider._end = end
    desk = Desk(tmp_path, provider, max_attempts=1)
    before = desk.clock.now()
    await desk.drive()

    assert (await settle(desk)).succeeded == 6
    assert desk.clock.now() - before > timedelta(minutes=2)


async def test_looks_that_are_nearly_due_are_taken_together(tmp_path):
    provider = ScriptedProvider(polls=4, known_limits=Limits(max_batch_requests=3))
    desk = Desk(tmp_path, provider)
    chances = itertools.cycle([0.0, 0.99, 0.5])
    desk.clock.chance = lambda: next(chances)
    polled, poll = collections.defaultdict(list), provider.poll

    async def polling(provider_batch_id):
        polled[provider_batch_id].append(desk.clock.now())
        return await poll(provider_batch_id)

    provider.poll = polling
    await desk.drive()

    one, other = polled.values()
    assert len(one) >= 4
    assert one == other


@pytest.mark.parametrize(("interval", "soon"), [(None, 0.5), (0.1, 0.1), (300.0, 0.5)])
async def test_a_batch_is_looked_at_first_after_the_interval_or_half_a_second(tmp_path, interval, soon):
    provider = ScriptedProvider()
    desk = Desk(tmp_path, provider, poll_interval=interval)
    created, polled = [], []
    create, poll = provider.create, provider.poll

    async def creating(**arguments):
        created.append(desk.clock.now())
        return await create(**arguments)

    async def polling(provider_batch_id):
        polled.append(desk.clock.now())
        return await poll(provider_batch_id)

    provider.create, provider.poll = creating, polling
    await desk.drive()

    assert soon * 0.9 <= (polled[0] - created[0]).total_seconds() <= soon * 1.1


async def test_the_users_quota_is_never_exceeded_in_flight(tmp_path):
    provider = ScriptedProvider(polls=3)
    desk = Desk(
        tmp_path,
        provider,
        rows=[{"id": n, "text": f"thing {n}"} for n in range(40)],
        quotas={"gpt-4o-mini": 200},
    )
    most = 0
    original = provider.create

    async def create(**arguments):
        nonlocal most
        remote = await original(**arguments)
        flying = [batch for batch in provider.batches.values() if batch.remote.output_file_id is None]
        most = max(most, sum(len(batch.lines) * 13 for batch in flying))
        return remote

    provider.create = create
    await desk.drive()

    assert (await settle(desk)).succeeded == 40
    assert len(provider.batches) > 8
    assert most <= 200


async def test_a_lost_create_answer_is_found_again_and_not_paid_twice(tmp_path):
    plan = TroublePlan(
        at=1,
        error=lambda: ProviderUnavailable("connection lost", ambiguous=True),
        matches=lambda call: call == "provider.create",
        late=True,
    )
    desk = Desk(tmp_path, ScriptedProvider())

    await desk.drive(plan)

    assert len(desk.provider.batches) == 1
    assert (await settle(desk)).succeeded == 6


async def test_a_create_call_that_never_arrived_is_made_again_after_the_quarantine(tmp_path):
    plan = TroublePlan(
        at=1,
        error=lambda: ProviderUnavailable("connection lost", ambiguous=True),
        matches=lambda call: call == "provider.create",
    )
    desk = Desk(tmp_path, ScriptedProvider())
    before = desk.clock.now()

    await desk.drive(plan)

    assert len(desk.provider.batches) == 1
    assert desk.clock.now() - before >= QUARANTINE


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AuthenticationFailed("bad key"), PauseReason.CREDENTIALS),
        (BillingBlocked("no credit"), PauseReason.BILLING),
    ],
)
async def test_what_only_a_person_can_mend_pauses_the_run_and_burns_nothing(tmp_path, error, reason):
    plan = TroublePlan(at=1, error=lambda: error, matches=lambda call: call == "provider.create")
    desk = Desk(tmp_path, ScriptedProvider())

    run = await desk.drive(plan)

    assert (run.state, run.pause_reason, run.pause_message) == (RunState.PAUSED, reason, str(error))
    assert (await desk.status()).exit_code == 3
    store = await desk.store()
    from nightmail.core.lifecycle import RunEvent

    await store.runs.record_event(run.run_no, RunEvent.RESUMED, now=desk.clock.now())
    await store.close()
    assert (await desk.drive()).state is RunState.FINISHED
    assert {each["_attempts"] for each in desk.outputs()} == {1}


async def test_rate_limits_and_outages_are_waited_out(tmp_path):
    errors = iter([RateLimited("slow down", retry_after=90), ProviderUnavailable("502", ambiguous=False)] * 3)

    class Bumpy:
        def before(self, call):
            if call in ("provider.upload", "provider.poll", "provider.fetch") and (
                error := next(errors, None)
            ):
                raise error

        def after(self, call): ...

    desk = Desk(tmp_path, ScriptedProvider())

    await desk.drive(Bumpy())

    assert (await settle(desk)).succeeded == 6
    assert len(desk.provider.batches) == 1


async def test_cancelling_keeps_what_is_paid(tmp_path):
    provider = ScriptedProvider(known_limits=Limits(max_batch_requests=2, max_active_batches=1), polls=2)
    desk = Desk(tmp_path, provider)
    original = provider.poll

    async def poll(provider_batch_id):
        remote = await original(provider_batch_id)
        if len(provider.batches) == 2:
            store = await desk.store()
            run = (await store.runs.list())[0]
            await store.runs.record_wish(run.run_no, Wish.CANCEL)
            await store.close()
        return remote

    provider.poll = poll
    asked = []
    cancel = provider.cancel

    async def count(provider_batch_id):
        asked.append(provider_batch_id)
        return await cancel(provider_batch_id)

    provider.cancel = count
    run = await desk.drive()

    assert run.state is RunState.CANCELLED
    status = await settle(desk)
    assert (status.succeeded, status.cancelled) == (2, 4)
    assert len(desk.outputs()) == 2
    assert len(asked) == len(set(asked)), "once is enough"


async def test_a_stopped_worker_leaves_the_run_to_the_next_one(tmp_path):
    provider = ScriptedProvider(polls=3)
    stop = asyncio.Event()
    desk = Desk(tmp_path, provider)
    original = provider.poll

    async def poll(provider_batch_id):
        stop.set()
        return await original(provider_batch_id)

    provider.poll = poll
    run = await desk.drive(stop=stop)
    assert run.state is RunState.DRAINING

    provider.poll = original
    assert (await desk.drive()).state is RunState.FINISHED
    assert len(provider.batches) == 1


async def test_sync_gives_the_same_rows_by_calls(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(), mode=Mode.SYNC)

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert desk.provider.calls == 6
    assert [each["id"] for each in desk.outputs()] == [f"r{n}" for n in range(6)]
    status = await settle(desk)
    assert status.savings_pusd == 0


async def test_a_build_that_fails_on_every_first_record_is_the_tasks_fault(tmp_path):
    class Wrong(Colour):
        def build(self, record):
            return record["txet"]

    desk = Desk(tmp_path, ScriptedProvider(), task=Wrong)

    with pytest.raises(
        TaskError,
        match=r"first 6 records: build raised KeyError: 'txet' \(test_loop\.py:\d+\)\. Nothing was sent",
    ):
        await desk.drive()
    assert desk.provider.uploads == {}


async def test_a_build_that_fails_on_some_records_makes_those_failures(tmp_path):
    rows = [{"id": n, "text": f"thing {n}"} if n != 3 else {"id": 3} for n in range(6)]
    desk = Desk(tmp_path, ScriptedProvider(), rows=rows)

    await desk.drive()

    assert (await settle(desk)).failures_by_reason == {Reason.BUILD: 1}
    assert desk.failures()[0]["id"] == 3


async def test_stored_answers_are_judged_again_after_the_task_was_mended(tmp_path):
    class Strict(Colour):
        def check(self, output, record):
            raise nightmail.Rejected("a bug in this check")

    provider = ScriptedProvider(lambda custom_id, body, times: row(custom_id, body=said("red")))
    desk = Desk(tmp_path, provider, task=Strict, max_attempts=1)
    await desk.drive()
    assert (await settle(desk)).failures_by_reason == {Reason.CHECK: 6}
    executed = provider.executed.total()

    Strict.check = Colour.check
    assert await desk.revalidate() == 6
    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert provider.executed.total() == executed
    assert [each["output"] for each in desk.outputs()] == ["red"] * 6
    assert desk.failures() == []
    status = await settle(desk)
    assert (status.succeeded, status.failures_by_reason) == (6, {})
